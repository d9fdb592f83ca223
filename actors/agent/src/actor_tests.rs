use std::sync::Mutex;

use serde_json::json;
use tepui_kit::{Link, stage::TestStage};
use tepui_messages::agent::{Answer, DeliverExecutorEvent, RemoveGuest, WaitGuest};
use tepui_messages::containers::{
    Amounts, ContainerExit, Forked, LaunchOrder, NestedSandbox, ProcessMark, RecoveredContainer,
    RunningContainer, VolumeDirectory, VolumeLink,
};
use tepui_protocol::{
    codec::{Limits, json as codec},
    message::{Ask, AskError, Tell, TellError},
    resources::Resources,
    v1::{
        AgentId, AgentInfo, CommandInfo, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo,
        ResourceStatistics, TaskId, TaskInfo, TaskState,
    },
};
use tokio::sync::oneshot;

use super::*;

type Future<T> = std::pin::Pin<Box<dyn std::future::Future<Output = T> + Send>>;

/// Stands for master, memory and containers; notes what happens in which order.
#[derive(Default)]
struct World {
    log: Mutex<Vec<String>>,
    exits: Mutex<BTreeMap<String, oneshot::Sender<ContainerExit>>>,
    /// Why limits cannot be changed.
    no_update: Mutex<Option<String>>,
    /// Limits are not changed before this is dropped.
    slow_update: Mutex<Option<oneshot::Receiver<()>>>,
}

impl World {
    fn note(&self, what: impl Into<String>) {
        self.log.lock().expect("no panic").push(what.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().expect("no panic"))
    }

    fn end(&self, status: i32) {
        let exits = std::mem::take(&mut *self.exits.lock().expect("no panic"));
        for (_, exit) in exits {
            let status = Some(status);
            let _ = exit.send(ContainerExit {
                status,
                limitation: None,
                is_forsaken: false,
            });
        }
    }
}

struct FakeMaster(Arc<World>);

impl Tell<node::StatusUpdate> for FakeMaster {
    fn tell(&self, update: node::StatusUpdate) -> Result<(), TellError> {
        self.0.note(update.status.state().as_str_name());
        Ok(())
    }
}

macro_rules! heard {
    ($($message:ident)*) => {$(
        impl Tell<node::$message> for FakeMaster {
            fn tell(&self, _: node::$message) -> Result<(), TellError> {
                self.0.note(stringify!($message));
                Ok(())
            }
        }
    )*};
}
heard!(OperationUpdate OversubscribedResources ExecutorExited ToFramework AgentLeaves);

impl Ask<node::RegisterAgent> for FakeMaster {
    fn ask(&self, _: node::RegisterAgent) -> Future<Result<node::AgentRegistration, AskError>> {
        self.0.note("register");
        Box::pin(async {
            Ok(node::AgentRegistration {
                agent_id: Some(AgentId {
                    value: "S0".to_owned(),
                }),
                term: Some(1),
                ..node::AgentRegistration::default()
            })
        })
    }
}

struct FakeMemory(Arc<World>);

impl Memory for FakeMemory {
    fn commit(&self, changes: &[Keep], synced: bool) -> Result<(), String> {
        let how = if synced { "synced" } else { "kept" };
        self.0.note(format!("{how} {}", changes.len()));
        Ok(())
    }
}

struct FakeRuntime(Arc<World>);

impl ContainerRuntime for FakeRuntime {
    fn prepare(&self, _: std::path::PathBuf, _: Option<String>) -> Future<Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn change_volumes(
        &self,
        _: Vec<VolumeDirectory>,
        _: Vec<VolumeDirectory>,
    ) -> Future<Result<(), String>> {
        self.0.note("volumes");
        Box::pin(async { Ok(()) })
    }

    fn link_volumes(
        &self,
        _: std::path::PathBuf,
        _: Option<String>,
        _: Vec<VolumeLink>,
    ) -> Future<Result<(), String>> {
        self.0.note("link");
        Box::pin(async { Ok(()) })
    }

    fn launch(
        &self,
        order: LaunchOrder,
        forked: oneshot::Sender<Forked>,
    ) -> Future<Result<RunningContainer, String>> {
        let _ = forked.send(Forked {
            pid: 2,
            networks: Vec::new(),
        });
        self.0.note("launch");
        let (sender, exit) = oneshot::channel();
        self.0
            .exits
            .lock()
            .expect("no panic")
            .insert(order.container_id, sender);
        Box::pin(async {
            Ok(RunningContainer {
                shim: ProcessMark {
                    pid: 1,
                    start_time_ticks: 1,
                },
                pid: 2,
                inspected: None,
                networks: Vec::new(),
                exited: Box::pin(async { exit.await.unwrap_or_default() }),
            })
        })
    }

    fn prepare_nested(&self, _: NestedSandbox) -> Future<Result<(), String>> {
        self.0.note("nested");
        Box::pin(async { Ok(()) })
    }

    fn remove_nested(&self, _: std::path::PathBuf, _: String) -> Future<Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn update(&self, _: String, _: Amounts) -> Future<Result<(), String>> {
        self.0.note("update");
        let problem = self.0.no_update.lock().expect("no panic").clone();
        let slow = self.0.slow_update.lock().expect("no panic").take();
        Box::pin(async {
            if let Some(slow) = slow {
                let _ = slow.await;
            }
            problem.map_or(Ok(()), Err)
        })
    }

    fn recover(&self, _: String) -> Future<RecoveredContainer> {
        Box::pin(async { RecoveredContainer::Gone })
    }

    fn signal(&self, _: String, signal: i32) -> Future<Result<(), String>> {
        self.0.note(format!("signal {signal}"));
        Box::pin(async { Ok(()) })
    }

    fn destroy(&self, _: String) -> Future<Result<(), String>> {
        self.0.note("destroy");
        self.0.end(9);
        Box::pin(async { Ok(()) })
    }

    fn usage(&self, _: String) -> Future<Option<ResourceStatistics>> {
        Box::pin(async { None })
    }

    fn forget(&self, _: String) -> Future<()> {
        self.0.note("forget");
        Box::pin(async {})
    }
}

async fn start(stage: &TestStage, world: &Arc<World>) -> Link<NodeActor> {
    let disk = Resources::parse("disk(a/b):100", "*").unwrap();
    let info = AgentInfo {
        hostname: "node".to_owned(),
        resources: disk.to_proto(),
        ..AgentInfo::default()
    };
    let parts = NodeParts {
        config: NodeConfig::new(info, "127.0.0.1", "/nowhere"),
        memory: Arc::new(FakeMemory(Arc::clone(world))),
        remembered: Remembered::default(),
        runtime: Arc::new(FakeRuntime(Arc::clone(world))),
        fetcher: Fetcher::default(),
        on_end: Box::new({
            let world = Arc::clone(world);
            move |ending| world.note(format!("{ending:?}"))
        }),
    };
    let agent = stage.spawn().start_once(move || NodeActor::new(parts));
    let peer = Arc::new(FakeMaster(Arc::clone(world)));
    agent
        .tell(MasterConnected {
            connection: 1,
            peer,
        })
        .expect("room");
    settle(stage).await;
    // Its id and the leader's term.
    assert_eq!(world.take(), ["register", "synced 2"]);
    agent
}

/// Syncs are done on other threads, which virtual time waits for.
async fn settle(stage: &TestStage) {
    for _ in 0..3 {
        stage.advance(Duration::from_millis(1)).await;
    }
}

fn run() -> node::RunTask {
    node::RunTask {
        framework_info: FrameworkInfo {
            id: Some(FrameworkId {
                value: "f".to_owned(),
            }),
            checkpoint: Some(true),
            ..FrameworkInfo::default()
        },
        task: TaskInfo {
            task_id: TaskId {
                value: "t".to_owned(),
            },
            command: Some(CommandInfo {
                value: Some("true".to_owned()),
                ..CommandInfo::default()
            }),
            ..TaskInfo::default()
        },
        launch_executor: true,
        term: 1,
    }
}

fn volume(number: u8, operation: &str) -> node::ApplyOperation {
    let volume = json!({"name": "disk", "type": "SCALAR", "scalar": {"value": 64.0}, "allocation_info": {"role": "a/b"},
        "reservations": [{"type": "STATIC", "role": "a/b"}],
        "disk": {"persistence": {"id": "v"}, "volume": {"mode": "RW", "container_path": "data"}}});
    let operation = json!({"type": operation.to_uppercase(), operation: {"volumes": [volume]}});
    let text = operation.to_string();
    node::ApplyOperation {
        operation: codec::decode(text.as_bytes(), &Limits::HTTP).expect("an operation"),
        uuid: vec![number; 16].into(),
        term: 1,
        ..node::ApplyOperation::default()
    }
}

/// It would be the directory of the old one after a crash, with all that is in it.
#[test]
fn a_volume_is_not_kept_before_the_directory_of_the_one_before_it_is_gone() {
    TestStage::run(1, async |stage| {
        let world = Arc::new(World::default());
        let agent = start(stage, &world).await;
        // While the first is synced the others wait.
        for order in [
            volume(1, "create"),
            volume(2, "destroy"),
            volume(3, "create"),
        ] {
            agent.tell(order).expect("room");
        }
        settle(stage).await;
        let done = world.take();
        let done: Vec<_> = done.iter().filter(|it| *it != "OperationUpdate").collect();
        let each = ["synced 2", "volumes"];
        assert_eq!(done, [each, each, each].concat());
    });
}

#[test]
fn a_task_goes_its_way_and_each_step_is_kept_first() {
    TestStage::run(1, async |stage| {
        let world = Arc::new(World::default());
        let agent = start(stage, &world).await;
        agent.tell(run()).expect("room");
        settle(stage).await;
        assert_eq!(
            world.take(),
            ["kept 3", "launch", "kept 3", "TASK_STARTING"]
        );
        let state = agent.ask(GetNodeState).await.expect("answered");
        let task = &state.frameworks[0].executors[0].launched_tasks[0];
        assert_eq!(task.state(), TaskState::TaskRunning);
        let usage = agent.ask(ContainerUsage).await.expect("answered");
        assert_eq!(usage[0].pid, Some(2));
        world.end(0);
        settle(stage).await;
        // The supervisor may forget the exit only when the agent will not.
        assert_eq!(world.take(), ["synced 1", "forget"]);
        agent.tell(EndNode { leave: false }).expect("room");
        settle(stage).await;
        assert_eq!(world.take(), ["Asked"]);
    });
}

#[test]
fn whoever_waits_for_the_container_of_a_task_is_told_its_end() {
    TestStage::run(1, async |stage| {
        let world = Arc::new(World::default());
        let agent = start(stage, &world).await;
        agent.tell(run()).expect("room");
        settle(stage).await;
        let state = agent.ask(GetNodeState).await.expect("answered");
        let container_id = state.frameworks[0].executors[0].container_id.value.clone();
        let wait = || {
            agent.ask(WaitGuest {
                container_id: container_id.clone(),
            })
        };
        let waiting = wait();
        world.end(7 << 8);
        settle(stage).await;
        let end = waiting.await.expect("answered").expect("it was known");
        assert_eq!(end.status, Some(7 << 8));
        assert_eq!(wait().await.expect("answered"), None);
        let removal = |id: &str| {
            agent.ask(RemoveGuest {
                container_id: id.to_owned(),
            })
        };
        let told = removal("gone.x").await.expect("answered");
        assert_eq!(told, Answer::refused(500, "Unknown root container"));
    });
}

#[test]
fn a_kill_ends_with_sigkill_when_its_time_is_over() {
    TestStage::run(1, async |stage| {
        let world = Arc::new(World::default());
        let agent = start(stage, &world).await;
        agent.tell(run()).expect("room");
        settle(stage).await;
        world.take();
        let kill = node::KillTask {
            framework_id: FrameworkId {
                value: "f".to_owned(),
            },
            task_id: TaskId {
                value: "t".to_owned(),
            },
            kill_policy: None,
            term: 1,
        };
        agent.tell(kill).expect("room");
        stage.advance(Duration::from_millis(2900)).await;
        assert_eq!(world.take(), ["kept 1", "signal 15"]);
        stage.advance(Duration::from_millis(200)).await;
        settle(stage).await;
        assert_eq!(world.take(), ["destroy", "synced 1", "forget"]);
    });
}

struct FakeStream(Arc<World>);

impl Tell<DeliverExecutorEvent> for FakeStream {
    fn tell(&self, event: DeliverExecutorEvent) -> Result<(), TellError> {
        self.0.note(event.0.r#type().as_str_name());
        Ok(())
    }
}

impl Tell<EndExecutorStream> for FakeStream {
    fn tell(&self, _: EndExecutorStream) -> Result<(), TellError> {
        self.0.note("end of stream");
        Ok(())
    }
}

fn with_executor(mut run: node::RunTask, executor: &str) -> node::RunTask {
    run.task.executor = Some(ExecutorInfo {
        executor_id: ExecutorId {
            value: executor.to_owned(),
        },
        command: run.task.command.take(),
        ..ExecutorInfo::default()
    });
    run
}

fn subscribe(world: &Arc<World>) -> ExecutorSubscribe {
    ExecutorSubscribe {
        framework_id: FrameworkId {
            value: "f".to_owned(),
        },
        executor_id: ExecutorId {
            value: "e".to_owned(),
        },
        unacknowledged_tasks: Vec::new(),
        unacknowledged_updates: Vec::new(),
        stream_id: 1,
        stream: Arc::new(FakeStream(Arc::clone(world))),
        claims: None,
    }
}

#[test]
fn while_one_executor_waits_for_its_limits_the_others_go_on() {
    TestStage::run(1, async |stage| {
        let world = Arc::new(World::default());
        let agent = start(stage, &world).await;
        agent.tell(with_executor(run(), "e")).expect("room");
        settle(stage).await;
        world.take();
        let (done, slow) = oneshot::channel();
        *world.slow_update.lock().expect("no panic") = Some(slow);
        let subscribed = agent.ask(subscribe(&world));
        subscribed.await.expect("answered");
        settle(stage).await;
        assert_eq!(world.take(), ["SUBSCRIBED", "update"]);
        let mut other = run();
        other.task.task_id.value = "other".to_owned();
        agent.tell(other).expect("room");
        settle(stage).await;
        let told = world.take();
        assert!(told.contains(&"launch".to_owned()), "{told:?}");
        assert!(told.contains(&"TASK_STARTING".to_owned()), "{told:?}");
        drop(done);
        settle(stage).await;
        assert_eq!(world.take(), ["LAUNCH"]);
    });
}

#[test]
fn a_task_is_not_handed_over_where_its_executor_was_not_given_the_means() {
    for problem in [None, Some("no such cgroup".to_owned())] {
        TestStage::run(1, async |stage| {
            let world = Arc::new(World::default());
            let agent = start(stage, &world).await;
            agent.tell(with_executor(run(), "e")).expect("room");
            settle(stage).await;
            world.take();
            problem.clone_into(&mut world.no_update.lock().expect("no panic"));
            let subscribed = agent.ask(subscribe(&world));
            subscribed.await.expect("answered");
            settle(stage).await;
            let expected: &[_] = match problem {
                None => &["SUBSCRIBED", "update", "LAUNCH"],
                Some(_) => &[
                    "SUBSCRIBED",
                    "update",
                    "destroy",
                    "synced 1",
                    "TASK_LOST",
                    "end of stream",
                    "ExecutorExited",
                    "forget",
                ],
            };
            assert_eq!(world.take(), expected);
        });
    }
}
