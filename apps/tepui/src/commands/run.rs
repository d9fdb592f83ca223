//! `tepui run`: one command as a task of its own framework; its output streams here, its exit status is ours.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use tepui_client::{Error, Events, agent::Agent, scheduler::Scheduler};
use tepui_protocol::v1::{
    AgentId, Offer, TaskId, TaskState, TaskStatus,
    scheduler::{Event, event::Type},
    task_status::Reason,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};

use super::{
    growing::{Failure, Growing},
    tasks,
};
use crate::{cli::RunArgs, output};

/// How often a running task's output is looked at.
const OUTPUT_INTERVAL: Duration = Duration::from_millis(150);
/// Who waits longer for an offer is told so.
const PATIENCE: Duration = Duration::from_secs(5);
/// The task ended without an exit status of its own.
const TASK_FAILED: u8 = 125;
/// A command ended by signal N exits with this plus N, as shells have it.
const SIGNAL_BASE: i32 = 128;
/// As after SIGINT.
const INTERRUPTED: u8 = 130;

pub(crate) async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let client = super::client(&args.target)?;
    let name = args.name.clone().unwrap_or_else(|| args.command.join(" "));
    let info = tasks::framework(&format!("tepui run {name}"));
    let (mut scheduler, mut events) = Scheduler::subscribe(&client, &args.target.master, info)
        .await
        .with_context(|| format!("--master {}", args.target.master.join(",")))?;
    let task_id = format!("run-{}", uuid::Uuid::new_v4());
    let mut shown: Option<Output> = None;
    let mut waiting = Some(Waiting::new(&args, scheduler.framework_id.value.clone()));
    let mut launched: Option<AgentId> = None;
    // Made once: a Ctrl-C while a call is under way is seen at the next turn of the loop.
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = tokio::time::sleep(OUTPUT_INTERVAL) => {
                if let Some(shown) = &mut shown {
                    shown.copy_new().await;
                }
                if let Some(waiting) = &mut waiting {
                    waiting.say_once();
                }
                continue;
            }
            _ = interrupt.recv() => {
                return Ok(leave(&mut scheduler, INTERRUPTED).await);
            }
        };
        let event = match event {
            Ok(Some(event)) => event,
            Ok(None) | Err(Error::Unreachable { .. }) => {
                events = resume(&mut scheduler, &task_id, launched.clone()).await?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        match event.r#type() {
            Type::Offers => {
                for offer in event.offers.unwrap_or_default().offers {
                    if launched.is_none() && fits(&offer, &args) {
                        launched = Some(offer.agent_id.clone());
                        waiting = None;
                        let address = agent_address(&offer);
                        shown = Some(Output::new(
                            Agent::new(client.clone(), address),
                            &scheduler.framework_id.value,
                            &task_id,
                        ));
                        let command = tasks::argv(&args.command);
                        let task = tasks::task(
                            &task_id,
                            &name,
                            offer.agent_id.clone(),
                            args.cpus,
                            args.mem,
                            command,
                        );
                        unless_lost(scheduler.launch(&offer.id, vec![task], 0.0).await)?;
                        unless_lost(scheduler.suppress().await)?;
                    } else {
                        if let Some(waiting) = &mut waiting {
                            waiting.saw(&offer);
                        }
                        unless_lost(scheduler.decline(vec![offer.id], 1.0).await)?;
                    }
                }
            }
            Type::Update => {
                let status = event.update.unwrap_or_default().status;
                unless_lost(scheduler.acknowledge(&status).await)?;
                if is_told_again(&status) {
                    continue;
                }
                if let Some(code) = exit_code(&status) {
                    if let Some(shown) = &mut shown {
                        shown.copy_new().await;
                    }
                    return Ok(leave(&mut scheduler, code).await);
                }
            }
            Type::Error => bail!("{}", event.error.unwrap_or_default().message),
            _ => {}
        }
    }
}

/// Ends the framework. What became of the task is known: no trouble with the master changes it.
async fn leave(scheduler: &mut Scheduler, code: u8) -> ExitCode {
    if let Err(error) = scheduler.teardown().await {
        eprintln!(
            "tepui run: the framework {} was not ended: {error}; end it with a TEARDOWN, if it does not go by itself",
            scheduler.framework_id.value
        );
    }
    ExitCode::from(code)
}

/// After the loss of the leader: subscribes at the next one, and asks what became of the task.
async fn resume(
    scheduler: &mut Scheduler,
    task_id: &str,
    launched: Option<AgentId>,
) -> anyhow::Result<Events<Event>> {
    let events = scheduler.resubscribe().await;
    let events = events.context("the leading master is gone, and no other one leads")?;
    if launched.is_some() {
        let value = task_id.to_string();
        unless_lost(scheduler.reconcile(TaskId { value }, launched).await)?;
    }
    Ok(events)
}

/// A call that met no leader is not repeated: its stream ends next, and what became of the task is asked for then.
fn unless_lost(called: Result<(), Error>) -> Result<(), Error> {
    called.or_else(|error| match error {
        // The next leader does not know this stream.
        Error::Refused { status: 403, .. } => Ok(()),
        error if error.is_change_of_leader() => Ok(()),
        error => Err(error),
    })
}

fn fits(offer: &Offer, args: &RunArgs) -> bool {
    tasks::amount(offer, "cpus") >= args.cpus && tasks::amount(offer, "mem") >= args.mem
}

fn agent_address(offer: &Offer) -> String {
    let address = offer.url.as_ref().map(|url| &url.address);
    address.map_or_else(
        || format!("{}:5051", offer.hostname),
        |a| {
            format!(
                "{}:{}",
                a.ip.as_ref()
                    .or(a.hostname.as_ref())
                    .unwrap_or(&offer.hostname),
                a.port
            )
        },
    )
}

/// Whether the master only repeats a state of a task that its agent has told, or will tell, with its exit status.
fn is_told_again(status: &TaskStatus) -> bool {
    let ended = [
        TaskState::TaskFinished,
        TaskState::TaskFailed,
        TaskState::TaskKilled,
    ];
    status.reason() == Reason::Reconciliation && ended.contains(&status.state())
}

/// The exit status in a final update; `None` while the task lives. Says on stderr what is not the command's own doing.
fn exit_code(status: &TaskStatus) -> Option<u8> {
    let message = status.message();
    match status.state() {
        TaskState::TaskStaging
        | TaskState::TaskStarting
        | TaskState::TaskRunning
        | TaskState::TaskKilling => None,
        TaskState::TaskFinished => Some(0),
        _ => {
            if let Some(code) = message
                .strip_prefix("Command exited with status ")
                .and_then(|code| code.parse::<u8>().ok())
            {
                return Some(code);
            }
            let state = status.state().as_str_name();
            eprintln!(
                "tepui run: {}",
                output::printable(&format!("{state}: {message}"))
            );
            let signal = message
                .strip_prefix("Command terminated with signal ")
                .and_then(|text| {
                    tepui_protocol::signal::number(text.trim_end_matches(" (core dumped)"))
                });
            Some(
                signal
                    .and_then(|number| u8::try_from(SIGNAL_BASE + number).ok())
                    .unwrap_or(TASK_FAILED),
            )
        }
    }
}

/// Says why nothing happens, where nothing does.
struct Waiting {
    since: Instant,
    wanted: String,
    framework_id: String,
    /// Of the largest offer that did not fit.
    largest: Option<(f64, f64)>,
    is_said: bool,
}

impl Waiting {
    fn new(args: &RunArgs, framework_id: String) -> Self {
        Self {
            since: Instant::now(),
            wanted: format!("cpus:{};mem:{}", args.cpus, args.mem),
            framework_id,
            largest: None,
            is_said: false,
        }
    }

    fn saw(&mut self, offer: &Offer) {
        let amounts = (tasks::amount(offer, "cpus"), tasks::amount(offer, "mem"));
        let is_larger = |largest: &(f64, f64)| amounts > *largest;
        if self.largest.as_ref().is_none_or(is_larger) {
            self.largest = Some(amounts);
        }
    }

    fn say_once(&mut self) {
        if self.is_said || self.since.elapsed() < PATIENCE {
            return;
        }
        self.is_said = true;
        let (wanted, id) = (&self.wanted, &self.framework_id);
        let offered = match self.largest {
            Some((cpus, mem)) => format!("the largest offer has cpus:{cpus};mem:{mem}"),
            None => "nothing is offered".to_string(),
        };
        eprintln!(
            "tepui run: waiting for {wanted}; {offered} (tepui why {id} --need '{wanted}' says why)"
        );
    }
}

/// Copies a task's stdout and stderr as they grow.
struct Output {
    agent: Agent,
    files: [Growing; 2],
    is_trouble_said: bool,
}

impl Output {
    fn new(agent: Agent, framework: &str, task: &str) -> Output {
        let file = |name| {
            let path = format!("/frameworks/{framework}/executors/{task}/runs/latest/{name}");
            Growing::new(path, name == "stderr")
        };
        Output {
            agent,
            files: [file("stdout"), file("stderr")],
            is_trouble_said: false,
        }
    }

    /// The task goes on, whatever becomes of its output here.
    async fn copy_new(&mut self) {
        for file in &mut self.files {
            let trouble = match file.copy(&self.agent).await {
                Ok(()) | Err(Failure::NobodyReads) => continue,
                Err(trouble) => trouble.into_error(),
            };
            if !self.is_trouble_said {
                self.is_trouble_said = true;
                let text = output::printable(&format!("{trouble:#}"));
                eprintln!("tepui run: its output is not seen here: {text}; the task goes on");
            }
        }
    }
}
