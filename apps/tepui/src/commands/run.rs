//! `tepui run`: one command as a task of its own framework; its output streams here, its exit status is ours.

use std::{io::Write, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use serde_json::Value;
use tepui_client::{Client, Error, Events, scheduler::Scheduler};
use tepui_protocol::v1::{
    AgentId, Offer, TaskId, TaskState, TaskStatus,
    scheduler::{Event, event::Type},
    task_status::Reason,
};
use tokio::signal::unix::{SignalKind, signal};

use super::tasks;
use crate::cli::RunArgs;

/// How often a running task's output is looked at.
const OUTPUT_INTERVAL: Duration = Duration::from_millis(150);
/// The task ended without an exit status of its own.
const TASK_FAILED: u8 = 125;
/// A command ended by signal N exits with this plus N, as shells have it.
const SIGNAL_BASE: i32 = 128;

pub(crate) async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let client = super::client(&args.target)?;
    let name = args.name.clone().unwrap_or_else(|| args.command.join(" "));
    let info = tasks::framework(&format!("tepui run {name}"));
    let (mut scheduler, mut events) = Scheduler::subscribe(&client, &args.target.master, info)
        .await
        .with_context(|| format!("--master {}", args.target.master.join(",")))?;
    let task_id = format!("run-{}", uuid::Uuid::new_v4());
    let mut output: Option<Output> = None;
    let mut launched: Option<AgentId> = None;
    // Made once: a Ctrl-C while a call is under way is seen at the next turn of the loop.
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = tokio::time::sleep(OUTPUT_INTERVAL) => {
                if let Some(output) = &mut output {
                    output.copy_new().await;
                }
                continue;
            }
            _ = interrupt.recv() => {
                scheduler.teardown().await?;
                return Ok(ExitCode::from(130));
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
                        let address = agent_address(&offer);
                        output = Some(Output::new(
                            client.clone(),
                            address,
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
                    if let Some(output) = &mut output {
                        output.copy_new().await;
                    }
                    scheduler.teardown().await?;
                    return Ok(ExitCode::from(code));
                }
            }
            Type::Error => bail!("{}", event.error.unwrap_or_default().message),
            _ => {}
        }
    }
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
            eprintln!("tepui run: {}: {message}", status.state().as_str_name());
            let signal = message
                .strip_prefix("Command terminated with signal ")
                .and_then(signal_number);
            Some(
                signal
                    .and_then(|number| u8::try_from(SIGNAL_BASE + number).ok())
                    .unwrap_or(TASK_FAILED),
            )
        }
    }
}

/// The number of a signal by the C library's description, as Mesos' texts name it.
fn signal_number(description: &str) -> Option<i32> {
    let known = [
        ("Hangup", 1),
        ("Interrupt", 2),
        ("Quit", 3),
        ("Aborted", 6),
        ("Killed", 9),
        ("Segmentation fault", 11),
        ("Terminated", 15),
    ];
    let description = description.trim_end_matches(" (core dumped)");
    known
        .iter()
        .find(|(name, _)| *name == description)
        .map(|(_, number)| *number)
}

/// Copies a task's stdout and stderr as they grow.
struct Output {
    client: Client,
    agent: String,
    directory: String,
    offsets: [u64; 2],
}

impl Output {
    fn new(client: Client, agent: String, framework: &str, task: &str) -> Output {
        let directory = format!("/frameworks/{framework}/executors/{task}/runs/latest");
        Output {
            client,
            agent,
            directory,
            offsets: [0, 0],
        }
    }

    async fn copy_new(&mut self) {
        for (index, file) in ["stdout", "stderr"].into_iter().enumerate() {
            while let Some(data) = self.read(file, self.offsets[index]).await {
                self.offsets[index] += data.len() as u64;
                let written = if index == 0 {
                    std::io::stdout()
                        .write_all(data.as_bytes())
                        .and_then(|()| std::io::stdout().flush())
                } else {
                    std::io::stderr().write_all(data.as_bytes())
                };
                if written.is_err() {
                    return;
                }
            }
        }
    }

    /// What the file has beyond `offset`; `None` where there is nothing (yet).
    async fn read(&self, file: &str, offset: u64) -> Option<String> {
        let path = format!(
            "/files/read?path={}/{file}&offset={offset}&length=65536",
            self.directory
        );
        let bytes = self.client.get(&self.agent, &path).await.ok()?;
        let answer: Value = serde_json::from_slice(&bytes).ok()?;
        answer["data"]
            .as_str()
            .filter(|data| !data.is_empty())
            .map(str::to_string)
    }
}
