//! What runs containers on an agent's machine. It outlives the agent, as shims do.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tepui_kit::Random;
use tepui_messages::containers::{
    Amounts, ContainerExit, ContainerRuntime, Forked, LaunchOrder, NestedSandbox, ProcessMark,
    RecoveredContainer, RunningContainer, VolumeDirectory, VolumeLink,
};
use tepui_protocol::v1::ResourceStatistics;
use tokio::{
    sync::{oneshot, watch},
    time::sleep,
};

use crate::{
    history::History,
    invariants::ledger::{Contained, Share},
    planted::{Bug, Planted},
};

/// A command runs so long.
const RUN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(25));
const START: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(30));
/// What Mesos gives the executor of a command task on top of the task's own and counts nowhere.
const EXECUTOR: Share = Share {
    cpu_milli: 100,
    memory_bytes: 32 << 20,
};
const SIGKILL: i32 = 9;
/// Of [`Bug::ReportExitEarly`].
const EARLY: Duration = Duration::from_millis(2_500);
/// Of commands that are asked to end, so many do.
const OBEDIENT: f64 = 0.7;
/// The generated executor of a command task has the task's id.
const TASK_OF: &str = "MESOS_EXECUTOR_ID";
const FRAMEWORK_OF: &str = "MESOS_FRAMEWORK_ID";

/// Cheap to clone; one a machine.
#[derive(Clone)]
pub struct Machine(Arc<Parts>);

struct Parts {
    name: String,
    history: History,
    planted: Planted,
    containers: Mutex<Containers>,
}

struct Containers {
    random: Random,
    next_pid: u32,
    all: BTreeMap<String, Container>,
}

struct Container {
    pid: u32,
    task: String,
    /// The raw wait status, once it has ended.
    status: watch::Sender<Option<i32>>,
}

impl Machine {
    pub fn new(name: String, history: History, planted: Planted, random: Random) -> Self {
        Self(Arc::new(Parts {
            name,
            history,
            planted,
            containers: Mutex::new(Containers {
                random,
                next_pid: 100,
                all: BTreeMap::new(),
            }),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Containers> {
        self.0
            .containers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, order: &LaunchOrder) -> RunningContainer {
        let id = order.container_id.clone();
        let task = order.env.iter().find(|(name, _)| name == TASK_OF);
        let task = task.map(|(_, task)| task.clone()).unwrap_or_default();
        let framework = order.env.iter().find(|(name, _)| name == FRAMEWORK_OF);
        let framework = framework.map(|(_, id)| id.clone()).unwrap_or_default();
        let (cpu, memory) = (
            order.amounts.cpu_milli.unwrap_or(0),
            order.amounts.memory_bytes.unwrap_or(0),
        );
        let share = Share {
            cpu_milli: cpu.saturating_sub(EXECUTOR.cpu_milli),
            memory_bytes: memory.saturating_sub(EXECUTOR.memory_bytes),
        };
        let (name, history) = (&self.0.name, &self.0.history);
        let one = Contained {
            task: task.clone(),
            framework,
            share,
        };
        history.note(format!("{name} starts {task}"));
        history.observe(|seen| seen.leaders.obeyed(name, &task));
        history.observe(|seen| seen.ledger.starts(name, &id, one.clone()));
        if self.0.planted.is(Bug::RunTwice) {
            history.observe(|seen| seen.ledger.starts(name, &id, one.clone()));
        }
        let mut containers = self.lock();
        containers.next_pid += 1;
        let pid = containers.next_pid;
        let length = containers.random.between(RUN.0, RUN.1);
        let container = Container {
            pid,
            task,
            status: watch::Sender::new(None),
        };
        let running = running(&container);
        containers.all.insert(id.clone(), container);
        drop(containers);
        let machine = self.clone();
        tokio::task::spawn_local(async move {
            sleep(length).await;
            machine.end(&id, 0);
        });
        running
    }

    fn end(&self, id: &str, status: i32) {
        let containers = self.lock();
        let Some(container) = containers.all.get(id) else {
            return;
        };
        if container.status.borrow().is_some() {
            return;
        }
        self.0
            .history
            .note(format!("{} ends {}: {status}", self.0.name, container.task));
        if self.0.planted.is(Bug::ReportExitEarly) {
            let (machine, id) = (self.clone(), id.to_owned());
            tokio::task::spawn_local(async move {
                sleep(EARLY).await;
                machine.is_gone(&id);
            });
        } else {
            self.is_gone(id);
        }
        container.status.send_replace(Some(status));
    }

    /// Nothing of it runs any more.
    fn is_gone(&self, id: &str) {
        self.0.history.observe(|seen| {
            seen.ledger.ends(&self.0.name, id);
            Ok(())
        });
    }
}

fn running(container: &Container) -> RunningContainer {
    let mut status = container.status.subscribe();
    RunningContainer {
        shim: ProcessMark {
            pid: container.pid,
            start_time_ticks: 1,
        },
        pid: container.pid,
        inspected: None,
        networks: Vec::new(),
        exited: Box::pin(async move {
            let ended = status.wait_for(Option::is_some).await;
            let status = ended.ok().and_then(|status| *status);
            ContainerExit {
                status,
                limitation: None,
                is_forsaken: false,
            }
        }),
    }
}

impl ContainerRuntime for Machine {
    fn prepare(&self, _: PathBuf, _: Option<String>) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn prepare_nested(&self, _: NestedSandbox) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn change_volumes(
        &self,
        _: Vec<VolumeDirectory>,
        _: Vec<VolumeDirectory>,
    ) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn link_volumes(
        &self,
        _: PathBuf,
        _: Option<String>,
        _: Vec<VolumeLink>,
    ) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn launch(
        &self,
        order: LaunchOrder,
        forked: oneshot::Sender<Forked>,
    ) -> BoxFuture<'static, Result<RunningContainer, String>> {
        let machine = self.clone();
        let wait = self.lock().random.between(START.0, START.1);
        Box::pin(async move {
            sleep(wait).await;
            let running = machine.begin(&order);
            // Nobody may be there to hear it any more.
            let _ = forked.send(Forked {
                pid: running.pid,
                networks: Vec::new(),
            });
            Ok(running)
        })
    }

    fn recover(&self, container_id: String) -> BoxFuture<'static, RecoveredContainer> {
        let machine = self.clone();
        Box::pin(async move {
            let containers = machine.lock();
            let Some(container) = containers.all.get(&container_id) else {
                return RecoveredContainer::Gone;
            };
            let status = *container.status.borrow();
            match status {
                None => RecoveredContainer::Running(running(container)),
                status => RecoveredContainer::Exited(ContainerExit {
                    status,
                    limitation: None,
                    is_forsaken: false,
                }),
            }
        })
    }

    fn signal(&self, container_id: String, signal: i32) -> BoxFuture<'static, Result<(), String>> {
        if self.lock().random.chance(OBEDIENT) {
            self.end(&container_id, signal);
        }
        Box::pin(async { Ok(()) })
    }

    fn remove_nested(&self, _: PathBuf, _: String) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn update(&self, _: String, _: Amounts) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn destroy(&self, container_id: String) -> BoxFuture<'static, Result<(), String>> {
        self.end(&container_id, SIGKILL);
        Box::pin(async { Ok(()) })
    }

    fn usage(&self, _: String) -> BoxFuture<'static, Option<ResourceStatistics>> {
        Box::pin(async { None })
    }

    fn forget(&self, container_id: String) -> BoxFuture<'static, ()> {
        self.lock().all.remove(&container_id);
        Box::pin(async {})
    }
}
