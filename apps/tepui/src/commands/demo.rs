//! `tepui demo`: a cluster, a few tasks through the public scheduler API, and each task's life on the screen.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use tepui_client::{Client, Events, scheduler::Scheduler};
use tepui_protocol::v1::{
    CommandInfo, Environment, ExecutorId, ExecutorInfo, Offer, TaskInfo, TaskState, TaskStatus,
    environment, executor_info,
    scheduler::{Event, event::Type},
};
use tokio::time::{Instant, timeout};

use super::{dev::Cluster, dev::end_signal, tasks};
use crate::{
    cli::{DemoArgs, DevArgs},
    output,
};

/// All tasks must have ended by then.
const DEMO_TIMEOUT: Duration = Duration::from_secs(120);
const CPUS: f64 = 0.1;
const MEM: f64 = 32.0;

/// A task of the demo and how it should end.
struct Plan {
    name: &'static str,
    make: fn() -> anyhow::Result<What>,
    expected: TaskState,
}

enum What {
    Command(CommandInfo),
    Executor(Box<ExecutorInfo>),
}

const PLANS: [Plan; 6] = [
    Plan {
        name: "hello",
        make: || {
            Ok(What::Command(tasks::shell(
                "echo hello from $MESOS_SANDBOX",
            )))
        },
        expected: TaskState::TaskFinished,
    },
    Plan {
        name: "environment",
        make: environment,
        expected: TaskState::TaskFinished,
    },
    Plan {
        name: "arguments",
        make: arguments,
        expected: TaskState::TaskFinished,
    },
    Plan {
        name: "half-a-second",
        make: || Ok(What::Command(tasks::shell("sleep 0.5"))),
        expected: TaskState::TaskFinished,
    },
    Plan {
        name: "fails-on-purpose",
        make: || {
            Ok(What::Command(tasks::shell(
                "echo this is meant to fail >&2; exit 3",
            )))
        },
        expected: TaskState::TaskFailed,
    },
    Plan {
        name: "custom-executor",
        make: executor,
        expected: TaskState::TaskFinished,
    },
];

fn environment() -> anyhow::Result<What> {
    let variable = environment::Variable {
        name: "GREETING".into(),
        value: Some("hello".into()),
        ..Default::default()
    };
    let mut command = tasks::shell("test \"$GREETING\" = hello");
    command.environment = Some(Environment {
        variables: vec![variable],
    });
    Ok(What::Command(command))
}

fn arguments() -> anyhow::Result<What> {
    let words: Vec<String> = [
        "/bin/sh",
        "-c",
        "test \"$0 $1\" = 'no shell'",
        "no",
        "shell",
    ]
    .map(String::from)
    .into();
    Ok(What::Command(tasks::argv(&words)))
}

fn executor() -> anyhow::Result<What> {
    let program = std::env::current_exe().context("the path of this program is not known")?;
    let words = [
        program.to_string_lossy().into_owned(),
        "demo-executor".to_string(),
    ];
    Ok(What::Executor(Box::new(ExecutorInfo {
        r#type: Some(executor_info::Type::Custom as i32),
        executor_id: ExecutorId {
            value: "demo-executor".into(),
        },
        name: Some("the demo's own executor".into()),
        command: Some(tasks::argv(&words)),
        resources: vec![tasks::scalar("cpus", CPUS), tasks::scalar("mem", MEM)],
        ..Default::default()
    })))
}

pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let dev = DevArgs {
        port: args.port,
        agents: 1,
        masters: 1,
        data: None,
        resources: None,
    };
    let mut cluster = Cluster::start(&dev).await?;
    let result = tokio::select! {
        result = demonstrate(&mut cluster) => result,
        () = end_signal() => Err(anyhow::anyhow!("interrupted")),
    };
    if args.stay && matches!(result, Ok(true)) {
        let address = &cluster.masters[0];
        say(&format!(
            "\nweb admin: http://{address}/   (Ctrl-C ends everything)"
        ));
        end_signal().await;
    }
    cluster.end().await;
    Ok(if result? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// True if every task ended as it should.
async fn demonstrate(cluster: &mut Cluster) -> anyhow::Result<bool> {
    cluster.ready().await?;
    say(&format!("{}\n", cluster.summary()));
    let client = Client::default();
    let masters = cluster.masters.clone();
    let (scheduler, mut events) =
        Scheduler::subscribe(&client, &masters, tasks::framework("tepui demo")).await?;
    let id = &scheduler.framework_id.value;
    say(&format!("framework {id} is subscribed\n"));
    let ends = timeout(DEMO_TIMEOUT, follow(&scheduler, &mut events))
        .await
        .map_err(|_| {
            anyhow::anyhow!("the tasks did not end within {} s", DEMO_TIMEOUT.as_secs())
        })??;
    let mut good = true;
    say("");
    for plan in &PLANS {
        let end = ends.get(plan.name).copied();
        let right = end == Some(plan.expected);
        good &= right;
        let verdict = if right {
            "as it should"
        } else {
            "NOT as it should"
        };
        let end = end.map_or("no end", |state| state.as_str_name());
        say(&format!("{:<18} {end:<14} {verdict}", plan.name));
    }
    scheduler.teardown().await?;
    Ok(good)
}

/// Launches every plan and prints each update, until all have ended.
async fn follow(
    scheduler: &Scheduler,
    events: &mut Events<Event>,
) -> anyhow::Result<BTreeMap<&'static str, TaskState>> {
    let mut waiting: Vec<&Plan> = PLANS.iter().collect();
    let mut launched = BTreeMap::new();
    let mut ends = BTreeMap::new();
    while ends.len() < PLANS.len() {
        let Some(event) = events.next().await? else {
            bail!("the master ended the stream");
        };
        match event.r#type() {
            Type::Offers => {
                for offer in event.offers.unwrap_or_default().offers {
                    let launches = take(&offer, scheduler, &mut waiting)?;
                    for task in &launches {
                        launched.insert(task.task_id.value.clone(), Instant::now());
                    }
                    scheduler.launch(&offer.id, launches, 1.0).await?;
                }
            }
            Type::Update => {
                let status = event.update.unwrap_or_default().status;
                scheduler.acknowledge(&status).await?;
                print_update(&status, launched.get(&status.task_id.value));
                if let Some(plan) = ended(&status) {
                    ends.insert(plan, status.state());
                }
            }
            Type::Error => bail!("{}", event.error.unwrap_or_default().message),
            _ => {}
        }
    }
    Ok(ends)
}

/// As many of the waiting plans as the offer has room for.
fn take(
    offer: &Offer,
    scheduler: &Scheduler,
    waiting: &mut Vec<&Plan>,
) -> anyhow::Result<Vec<TaskInfo>> {
    let mut cpus = tasks::amount(offer, "cpus");
    let mut launches = Vec::new();
    while let Some(plan) = waiting.first() {
        let what = (plan.make)()?;
        // An executor takes as much again.
        let share = if matches!(what, What::Executor(_)) {
            2.0 * CPUS
        } else {
            CPUS
        };
        if cpus < share {
            break;
        }
        cpus -= share;
        let mut task = tasks::task(
            plan.name,
            plan.name,
            offer.agent_id.clone(),
            CPUS,
            MEM,
            CommandInfo::default(),
        );
        match what {
            What::Command(command) => task.command = Some(command),
            What::Executor(mut executor) => {
                executor.framework_id = Some(scheduler.framework_id.clone());
                task.command = None;
                task.executor = Some(*executor);
            }
        }
        launches.push(task);
        waiting.remove(0);
    }
    Ok(launches)
}

/// The tasks go on where nobody can read of them: how they end is the exit status too.
fn say(text: &str) {
    let _ = output::lines([text.to_string()]);
}

fn print_update(status: &TaskStatus, launched: Option<&Instant>) {
    let after = launched.map_or(0.0, |at| at.elapsed().as_secs_f64() * 1000.0);
    let message = status.message();
    say(&format!(
        "{after:>9.1} ms  {:<18} {:<14} {message}",
        status.task_id.value,
        status.state().as_str_name()
    ));
}

/// The plan that this status ends.
fn ended(status: &TaskStatus) -> Option<&'static str> {
    use TaskState::{TaskKilling, TaskRunning, TaskStaging, TaskStarting};
    if matches!(
        status.state(),
        TaskStaging | TaskStarting | TaskRunning | TaskKilling
    ) {
        return None;
    }
    PLANS
        .iter()
        .map(|plan| plan.name)
        .find(|name| *name == status.task_id.value)
}
