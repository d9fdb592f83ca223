use std::collections::BTreeMap;

use tepui_messages::containers::{ContainerExit, ProcessMark};
use tepui_protocol::v1::{
    AgentId, CommandInfo, DurationInfo, ExecutorInfo, FrameworkInfo, KillPolicy, TaskInfo,
    TaskState, framework_info,
    task_status::{Reason, Source},
};

use super::*;
use crate::effect::{Fate, KeptContainer, KeptTask, Launch, Remembered};

/// A core with a clock, what it kept, and what it said since it was last asked.
struct Node {
    core: NodeCore,
    now: Now,
    said: Vec<Effect>,
    kept: Kept,
}

/// The checkpoint as a model.
#[derive(Default, Clone)]
struct Kept {
    agent: Option<AgentInfo>,
    frameworks: BTreeMap<String, FrameworkInfo>,
    containers: BTreeMap<String, KeptContainer>,
    tasks: BTreeMap<TaskKey, KeptTask>,
    streams: BTreeMap<TaskKey, Vec<(TaskStatus, bool)>>,
}

impl Kept {
    fn apply(&mut self, change: Keep) {
        match change {
            Keep::Agent(info) => self.agent = Some((*info).clone()),
            Keep::ForgetAgent => *self = Kept::default(),
            Keep::Framework(info) => {
                let id = info.id.clone().expect("an id").value;
                self.frameworks.insert(id, (*info).clone());
            }
            Keep::ForgetFramework { framework_id: id } => {
                self.frameworks.remove(&id);
                self.containers.retain(|_, kept| kept.framework_id != id);
                self.tasks.retain(|key, _| key.framework_id != id);
                self.streams.retain(|key, _| key.framework_id != id);
            }
            Keep::Container(kept) => drop(self.containers.insert(kept.container_id.clone(), kept)),
            Keep::ForgetContainer { container_id, .. } => {
                drop(self.containers.remove(&container_id))
            }
            Keep::Task(kept) => {
                let key = task_key(&kept.framework_id, &kept.info.task_id);
                self.tasks.insert(key, kept);
            }
            Keep::ForgetTask(key) => drop(self.tasks.remove(&key)),
            Keep::Update {
                framework_id,
                status,
            } => {
                let key = task_key(&framework_id, &status.task_id);
                self.streams
                    .entry(key)
                    .or_default()
                    .push(((*status).clone(), false));
            }
            Keep::Acknowledged { key, uuid } => {
                let stream = self.streams.get_mut(&key).expect("a stream");
                let update = stream
                    .iter_mut()
                    .find(|(it, _)| updates::uuid_of(it) == Some(uuid));
                update.expect("an update").1 = true;
            }
            Keep::ForgetStream(key) => drop(self.streams.remove(&key)),
        }
    }
}

fn config() -> NodeConfig {
    let info = AgentInfo {
        hostname: "node".to_owned(),
        port: Some(5051),
        ..AgentInfo::default()
    };
    NodeConfig {
        boot_id: "boot".to_owned(),
        seed: [7, 9],
        ..NodeConfig::new(info, "127.0.0.1", "/w")
    }
}

impl Node {
    fn blank() -> Self {
        Self {
            core: NodeCore::new(config()),
            now: Now {
                monotonic: Duration::ZERO,
                unix_nanos: 1_795_382_811_000_000_000,
            },
            said: Vec::new(),
            kept: Kept::default(),
        }
    }

    /// Registered as `a-S0` at term 3.
    fn running() -> Self {
        let mut node = Self::blank();
        node.on(Input::Recovered(Box::default()));
        node.connect();
        node.said.clear();
        node
    }

    fn connect(&mut self) {
        self.on(Input::MasterConnected { connection: 1 });
        assert!(
            matches!(self.said.last(), Some(Effect::Register { .. })),
            "{:?}",
            self.said
        );
        self.answer(registration());
    }

    fn answer(&mut self, answer: node::AgentRegistration) {
        self.on(Input::RegistrationAnswered {
            connection: 1,
            answer: Ok(Box::new(answer)),
        });
    }

    fn on(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.core.on(self.now, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Keep { changes, .. } => {
                    changes
                        .into_iter()
                        .for_each(|change| self.kept.apply(change));
                }
                Effect::WakeAt(_) => {}
                said => self.said.push(said),
            }
        }
    }

    fn order(&mut self, order: Order) {
        self.on(Input::Order(order));
    }

    fn run(&mut self, task: TaskInfo) {
        let order = node::RunTask {
            framework_info: framework(),
            launch_executor: true,
            task,
            term: 3,
        };
        self.order(Order::RunTask(Box::new(order)));
    }

    fn kill(&mut self, task: &str, grace: Option<u64>) {
        self.order(Order::KillTask(node::KillTask {
            framework_id: framework_id("f"),
            task_id: task_id(task),
            kill_policy: grace.map(policy),
            term: 3,
        }));
    }

    fn sleep(&mut self, time: Duration) {
        self.now.monotonic += time;
        self.on(Input::Woke);
    }

    fn launched(&mut self) -> Launch {
        let at = self
            .said
            .iter()
            .position(|it| matches!(it, Effect::Launch(_)));
        match self.said.remove(at.expect("a launch")) {
            Effect::Launch(launch) => *launch,
            _ => unreachable!(),
        }
    }

    fn start(&mut self) -> String {
        let container_id = self.launched().order.container_id;
        let shim = mark();
        self.on(Input::ContainerStarted {
            container_id: container_id.clone(),
            shim,
            pid: 42,
        });
        container_id
    }

    fn exit(&mut self, container_id: &str, status: i32) {
        self.on(Input::ContainerExited {
            container_id: container_id.to_owned(),
            exit: ContainerExit {
                status: Some(status),
                limitation: None,
            },
        });
    }

    /// Acknowledges each update as it comes; gives back all of them.
    fn drain(&mut self) -> Vec<TaskStatus> {
        let mut statuses = Vec::new();
        while let Some(at) = self
            .said
            .iter()
            .position(|it| matches!(it, Effect::SendUpdate(_)))
        {
            let Effect::SendUpdate(update) = self.said.remove(at) else {
                unreachable!()
            };
            statuses.push(update.status.clone());
            self.order(Order::AcknowledgeUpdate(node::AcknowledgeUpdate {
                framework_id: update.framework_id,
                task_id: update.status.task_id.clone(),
                uuid: update.status.uuid.clone().expect("a uuid"),
                term: 3,
            }));
        }
        statuses
    }

    fn states(&mut self) -> Vec<TaskState> {
        self.drain().iter().map(TaskStatus::state).collect()
    }

    /// The agent's process dies; a new one begins from what was kept.
    fn restart(&self, boot_id: &str) -> Self {
        let mut node = Self::blank();
        node.core = NodeCore::new(NodeConfig {
            boot_id: boot_id.to_owned(),
            seed: [1, 2],
            ..config()
        });
        node.now.unix_nanos = self.now.unix_nanos;
        node.kept = self.kept.clone();
        let kept = self.kept.clone();
        node.on(Input::Recovered(Box::new(Remembered {
            agent: kept.agent.map(|info| (info, "boot".to_owned())),
            frameworks: kept.frameworks.into_values().collect(),
            containers: kept.containers.into_values().collect(),
            tasks: kept.tasks.into_values().collect(),
            streams: kept.streams,
        })));
        node
    }

    fn subscribe(&mut self, stream_id: u64, tasks: Vec<TaskInfo>) {
        self.on(Input::ExecutorSubscribed {
            framework_id: framework_id("f"),
            executor_id: executor_id("e"),
            unacknowledged_tasks: tasks,
            unacknowledged_updates: Vec::new(),
            stream_id,
        });
    }

    fn events(&mut self) -> Vec<executor::event::Type> {
        let said = std::mem::take(&mut self.said);
        let (events, rest) = said
            .into_iter()
            .partition(|it| matches!(it, Effect::ToExecutor { .. }));
        self.said = rest;
        let types = |effect| match effect {
            Effect::ToExecutor { event, .. } => event.r#type(),
            _ => unreachable!(),
        };
        Vec::into_iter(events).map(types).collect()
    }

    fn executor_says(&mut self, number: u8, state: TaskState) {
        let status = TaskStatus {
            task_id: task_id("t"),
            state: state as i32,
            source: Some(Source::Executor as i32),
            uuid: Some(status::uuid_bytes([number; 16])),
            ..TaskStatus::default()
        };
        self.on(Input::ExecutorCalled(Box::new(executor::Call {
            executor_id: executor_id("e"),
            framework_id: framework_id("f"),
            r#type: Some(executor::call::Type::Update as i32),
            update: Some(executor::call::Update { status }),
            ..executor::Call::default()
        })));
    }
}

fn registration() -> node::AgentRegistration {
    node::AgentRegistration {
        agent_id: Some(AgentId {
            value: "a-S0".to_owned(),
        }),
        term: Some(3),
        ..node::AgentRegistration::default()
    }
}

fn mark() -> ProcessMark {
    ProcessMark {
        pid: 41,
        start_time_ticks: 1,
    }
}

fn executor_id(value: &str) -> ExecutorId {
    crate::tables::executor_id(value)
}

fn task_id(value: &str) -> TaskId {
    TaskId {
        value: value.to_owned(),
    }
}

fn policy(seconds: u64) -> KillPolicy {
    let nanoseconds = i64::try_from(seconds).expect("small") * 1_000_000_000;
    KillPolicy {
        grace_period: Some(DurationInfo { nanoseconds }),
    }
}

fn framework() -> FrameworkInfo {
    use framework_info::capability::Type;
    let capability = |kind| framework_info::Capability {
        r#type: Some(kind as i32),
    };
    FrameworkInfo {
        user: "nobody".to_owned(),
        name: "test".to_owned(),
        id: Some(framework_id("f")),
        checkpoint: Some(true),
        capabilities: [Type::PartitionAware, Type::TaskKillingState]
            .map(capability)
            .to_vec(),
        ..FrameworkInfo::default()
    }
}

fn task(id: &str) -> TaskInfo {
    TaskInfo {
        name: id.to_owned(),
        task_id: task_id(id),
        command: Some(CommandInfo {
            value: Some("echo hello; sleep 2".to_owned()),
            ..CommandInfo::default()
        }),
        ..TaskInfo::default()
    }
}

fn executor_task(id: &str) -> TaskInfo {
    TaskInfo {
        executor: Some(ExecutorInfo {
            executor_id: executor_id("e"),
            command: Some(CommandInfo {
                value: Some("./executor".to_owned()),
                ..CommandInfo::default()
            }),
            ..ExecutorInfo::default()
        }),
        command: None,
        ..task(id)
    }
}

use TaskState::{
    TaskDropped, TaskFailed, TaskFinished, TaskKilled, TaskKilling, TaskRunning, TaskStarting,
};

#[test]
fn a_command_task_starts_runs_and_finishes_as_under_mesos() {
    let mut node = Node::running();
    node.run(task("t"));
    let launch = node.launched();
    assert_eq!(launch.order.argv, ["sh", "-c", "echo hello; sleep 2"]);
    let container_id = launch.order.container_id;
    let sandbox = format!("/w/slaves/a-S0/frameworks/f/executors/t/runs/{container_id}");
    assert_eq!(launch.order.sandbox.display().to_string(), sandbox);
    assert!(node.said.is_empty(), "no update before the command runs");
    node.on(Input::ContainerStarted {
        container_id: container_id.clone(),
        shim: mark(),
        pid: 42,
    });
    let statuses = node.drain();
    assert_eq!(
        statuses.iter().map(TaskStatus::state).collect::<Vec<_>>(),
        [TaskStarting, TaskRunning]
    );
    for status in &statuses {
        assert_eq!(status.source(), Source::Executor);
        assert_eq!(status.executor_id, Some(executor_id("t")));
        assert_eq!((status.reason, &status.message), (None, &None));
        let container = status.container_status.clone().expect("a container");
        assert_eq!(container.executor_pid, Some(42));
        assert_eq!(
            container.network_infos[0].ip_addresses[0].ip_address(),
            "127.0.0.1"
        );
    }
    let state = node.core.state();
    let name = state.frameworks[0].executors[0].info.name.clone();
    assert_eq!(
        name.as_deref(),
        Some("Command Executor (Task: t) (Command: sh -c 'echo hello; ...')")
    );
    assert_eq!(
        state.frameworks[0].executors[0].launched_tasks[0].executor_id,
        None
    );
    node.exit(&container_id, 0);
    let statuses = node.drain();
    assert_eq!(statuses[0].state(), TaskFinished);
    assert_eq!(statuses[0].message(), "Command exited with status 0");
    assert!(
        !node
            .said
            .iter()
            .any(|it| matches!(it, Effect::SendExited(_))),
        "not for command tasks"
    );
    let state = node.core.state();
    assert!(state.frameworks.is_empty());
    assert_eq!(
        state.completed_frameworks[0].completed_executors[0]
            .completed_tasks
            .len(),
        1
    );
    let Kept {
        frameworks,
        containers,
        tasks,
        streams,
        ..
    } = node.kept;
    assert!(
        frameworks.is_empty() && containers.is_empty() && tasks.is_empty() && streams.is_empty()
    );
}

#[test]
fn what_must_not_be_forgotten_comes_before_its_effect() {
    let mut core = NodeCore::new(config());
    let mut effects = Vec::new();
    core.on(
        Now::default(),
        Input::Recovered(Box::default()),
        &mut effects,
    );
    core.on(
        Now::default(),
        Input::MasterConnected { connection: 1 },
        &mut effects,
    );
    let answer = Ok(Box::new(registration()));
    core.on(
        Now::default(),
        Input::RegistrationAnswered {
            connection: 1,
            answer,
        },
        &mut effects,
    );
    effects.clear();
    let run = node::RunTask {
        framework_info: framework(),
        task: task("t"),
        launch_executor: true,
        term: 3,
    };
    core.on(
        Now::default(),
        Input::Order(Order::RunTask(Box::new(run))),
        &mut effects,
    );
    assert!(
        matches!(
            effects.as_slice(),
            [Effect::Keep { synced: false, .. }, Effect::Launch(_)]
        ),
        "{effects:?}"
    );
}

#[test]
fn a_kill_has_its_grace_and_a_repeated_one_only_shortens_it() {
    // Grace of the kill and of the task, a repeated kill's, and when SIGKILL comes.
    let table = [
        (None, None, None, 3),
        (None, Some(8), None, 8),
        (Some(5), Some(8), None, 5),
        (Some(10), None, Some(6), 6),
        (Some(4), None, Some(20), 4),
    ];
    for (asked, own, again, seconds) in table {
        let mut node = Node::running();
        node.run(TaskInfo {
            kill_policy: own.map(policy),
            ..task("t")
        });
        let container_id = node.start();
        node.drain();
        node.kill("t", asked);
        let term = Effect::Signal {
            container_id: container_id.clone(),
            signal: 15,
        };
        assert!(node.said.contains(&term));
        assert_eq!(node.states(), [TaskKilling]);
        if again.is_some() {
            node.kill("t", again);
        }
        let destroy = Effect::Destroy {
            container_id: container_id.clone(),
        };
        node.sleep(Duration::from_secs(seconds) - Duration::from_millis(1));
        assert!(!node.said.contains(&destroy), "{asked:?} {own:?} {again:?}");
        node.sleep(Duration::from_millis(1));
        assert!(node.said.contains(&destroy), "{asked:?} {own:?} {again:?}");
        node.exit(&container_id, 9);
        let last = node.drain().pop().expect("an update");
        assert_eq!(last.state(), TaskKilled);
        assert_eq!(last.message(), "Command terminated with signal Killed");
    }
}

#[test]
fn a_task_killed_before_it_ran_is_killed_during_launch() {
    let mut node = Node::running();
    node.run(task("t"));
    let container_id = node.launched().order.container_id;
    node.kill("t", None);
    assert!(node.said.contains(&Effect::Destroy {
        container_id: container_id.clone()
    }));
    let status = node.drain().pop().expect("an update");
    assert_eq!(
        (status.state(), status.reason()),
        (TaskKilled, Reason::TaskKilledDuringLaunch)
    );
    // The launch could not be stopped any more.
    node.said.clear();
    node.on(Input::ContainerStarted {
        container_id: container_id.clone(),
        shim: mark(),
        pid: 42,
    });
    assert_eq!(
        node.said,
        [Effect::Destroy {
            container_id: container_id.clone()
        }]
    );
    node.exit(&container_id, 9);
    assert!(node.drain().is_empty());
    assert!(node.core.state().frameworks.is_empty());
}

#[test]
fn ends_have_their_reasons() {
    let mut node = Node::running();
    node.run(TaskInfo {
        max_completion_time: Some(DurationInfo {
            nanoseconds: 2_000_000_000,
        }),
        ..task("t")
    });
    let container_id = node.start();
    node.sleep(Duration::from_secs(2));
    assert!(node.said.contains(&Effect::Destroy {
        container_id: container_id.clone()
    }));
    node.exit(&container_id, 9);
    let last = node.drain().pop().expect("an update");
    assert_eq!(
        (last.state(), last.reason()),
        (TaskFailed, Reason::MaxCompletionTimeReached)
    );

    node.run(task("u"));
    let container_id = node.launched().order.container_id;
    node.on(Input::LaunchFailed {
        container_id,
        message: "no space".to_owned(),
    });
    let last = node.drain().pop().expect("an update");
    assert_eq!(
        (last.state(), last.reason()),
        (TaskFailed, Reason::ContainerLaunchFailed)
    );
    assert_eq!(last.message(), "Failed to launch container: no space");

    node.kill("nope", None);
    assert!(node.drain().is_empty(), "the framework is not known");
    node.run(task("v"));
    node.kill("nope", None);
    let last = node.drain().pop().expect("an update");
    assert_eq!(
        (last.state(), last.reason(), last.message()),
        (
            TaskDropped,
            Reason::ExecutorTerminated,
            "Cannot find executor"
        )
    );
}

#[test]
fn updates_wait_for_the_master_and_go_on_at_once_when_it_is_back() {
    let mut node = Node::running();
    node.run(task("t"));
    let container_id = node.start();
    node.on(Input::MasterLost { connection: 1 });
    node.said.clear();
    node.exit(&container_id, 0);
    node.sleep(Duration::from_mins(1));
    assert!(
        !node
            .said
            .iter()
            .any(|it| matches!(it, Effect::SendUpdate(_)))
    );
    node.on(Input::MasterConnected { connection: 1 });
    let Some(Effect::Register { request, .. }) = node.said.last() else {
        panic!("{:?}", node.said)
    };
    assert_eq!(request.tasks.len(), 1);
    assert_eq!(request.tasks[0].state(), TaskFinished);
    node.answer(registration());
    assert_eq!(node.states(), [TaskStarting, TaskRunning, TaskFinished]);
}

#[test]
fn orders_of_a_lower_term_are_refused_and_early_ones_wait() {
    let mut node = Node::blank();
    node.on(Input::Recovered(Box::default()));
    node.on(Input::MasterConnected { connection: 1 });
    node.run(task("t"));
    assert!(!node.said.iter().any(|it| matches!(it, Effect::Launch(_))));
    node.answer(registration());
    node.launched();
    let run = node::RunTask {
        framework_info: framework(),
        task: task("u"),
        launch_executor: true,
        term: 2,
    };
    node.order(Order::RunTask(Box::new(run)));
    assert!(!node.said.iter().any(|it| matches!(it, Effect::Launch(_))));
}

#[test]
fn registration_is_tried_again_and_an_order_to_end_ends() {
    let mut node = Node::blank();
    node.on(Input::Recovered(Box::default()));
    node.on(Input::MasterConnected { connection: 1 });
    for _ in 0..5 {
        node.said.clear();
        let answer = Err("timeout".to_owned());
        node.on(Input::RegistrationAnswered {
            connection: 1,
            answer,
        });
        assert!(node.said.is_empty());
        node.sleep(Duration::from_mins(1));
        assert!(matches!(node.said.as_slice(), [Effect::Register { .. }]));
    }
    node.answer(node::AgentRegistration {
        refusal: Some("Agent is gone".to_owned()),
        shutdown: Some(true),
        ..node::AgentRegistration::default()
    });
    let ending = Ending::Refused("Agent is gone".to_owned());
    assert_eq!(node.said.last(), Some(&Effect::Exit(ending)));
}

#[test]
fn tasks_the_master_has_and_the_agent_does_not_are_told() {
    let mut node = Node::running();
    node.run(task("t"));
    node.on(Input::MasterLost { connection: 1 });
    node.on(Input::MasterConnected { connection: 1 });
    let key = |id| node::TaskKey {
        framework_id: framework_id("f"),
        task_id: task_id(id),
    };
    node.answer(node::AgentRegistration {
        reconcile: vec![key("t"), key("x")],
        ..registration()
    });
    let told = node.drain();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].task_id.value.as_str(), told[0].state()),
        ("x", TaskDropped)
    );
}

#[test]
fn a_framework_that_ends_takes_its_tasks_along_in_silence() {
    let mut node = Node::running();
    node.run(task("t"));
    let container_id = node.start();
    node.said.clear();
    node.order(Order::ShutdownFramework(node::ShutdownFramework {
        framework_id: framework_id("f"),
        term: 3,
    }));
    assert!(node.said.contains(&Effect::Signal {
        container_id: container_id.clone(),
        signal: 15
    }));
    node.exit(&container_id, 15);
    assert!(node.drain().is_empty());
    assert!(node.core.state().frameworks.is_empty() && node.kept.streams.is_empty());
}

#[test]
fn a_restarted_agent_finds_the_same_processes_and_the_exits_between() {
    let mut node = Node::running();
    for id in ["alive", "ended", "new", "lost"] {
        node.run(task(id));
        if id == "new" {
            node.launched();
        } else {
            node.start();
            node.drain();
        }
    }
    let mut again = node.restart("boot");
    let ids: BTreeMap<_, _> = again
        .core
        .containers
        .iter()
        .map(|(id, key)| (key.executor_id.clone(), id.clone()))
        .collect();
    let asked = again
        .said
        .iter()
        .filter(|it| matches!(it, Effect::Recover { .. }))
        .count();
    assert_eq!(asked, 4);
    again.on(Input::MasterConnected { connection: 1 });
    assert!(
        !again
            .said
            .iter()
            .any(|it| matches!(it, Effect::Register { .. })),
        "not before all is known"
    );
    let running = Fate::Running {
        shim: mark(),
        pid: 42,
    };
    let exited = Fate::Exited(ContainerExit {
        status: Some(3 << 8),
        limitation: None,
    });
    for (id, fate) in [
        ("alive", running.clone()),
        ("ended", exited),
        ("new", running),
        ("lost", Fate::Gone),
    ] {
        again.on(Input::ContainerRecovered {
            container_id: ids[id].clone(),
            fate,
        });
    }
    assert!(matches!(again.said.last(), Some(Effect::Register { .. })));
    again.answer(registration());
    let mut told = again.drain();
    told.sort_by(|a, b| a.task_id.value.cmp(&b.task_id.value));
    let told: Vec<_> = told
        .iter()
        .map(|it| (it.task_id.value.as_str(), it.state(), it.message()))
        .collect();
    let expected = [
        ("ended", TaskFailed, "Command exited with status 3"),
        ("lost", TaskFailed, "Executor terminated"),
        ("new", TaskStarting, ""),
        ("new", TaskRunning, ""),
    ];
    assert_eq!(told, expected);
    again.exit(&ids["alive"], 0);
    assert_eq!(again.states(), [TaskFinished]);
}

#[test]
fn after_a_reboot_every_task_has_ended() {
    let mut node = Node::running();
    node.run(task("t"));
    node.start();
    let mut again = node.restart("another boot");
    again.connect();
    assert_eq!(again.states(), [TaskStarting, TaskRunning, TaskFailed]);
    assert!(again.kept.tasks.is_empty());
}

#[test]
fn a_kill_is_remembered_over_a_restart() {
    let mut node = Node::running();
    node.run(task("t"));
    node.start();
    node.kill("t", None);
    let mut again = node.restart("boot");
    let container_id = again.core.containers.keys().next().expect("one").clone();
    again.on(Input::ContainerRecovered {
        container_id: container_id.clone(),
        fate: Fate::Running {
            shim: mark(),
            pid: 42,
        },
    });
    assert!(again.said.contains(&Effect::Signal {
        container_id: container_id.clone(),
        signal: 15
    }));
    again.exit(&container_id, 15);
    again.connect();
    assert_eq!(again.states().last(), Some(&TaskKilled));
}

#[test]
fn a_custom_executor_subscribes_gets_its_tasks_and_is_acknowledged() {
    use executor::event::Type;
    let mut node = Node::running();
    node.run(executor_task("t"));
    let launch = node.launched();
    let env: BTreeMap<_, _> = launch.order.env.into_iter().collect();
    assert_eq!(env["MESOS_AGENT_ENDPOINT"], "127.0.0.1:5051");
    assert_eq!(env["MESOS_RECOVERY_TIMEOUT"], "15mins");
    let container_id = launch.order.container_id;
    let (f, e) = (framework_id("f"), executor_id("e"));
    let update = executor::call::Type::Update;
    let refusal = node.core.refusal(&f, &e, update).expect("refused");
    assert_eq!(
        (refusal.status, refusal.text.as_str()),
        (403, "Executor is not subscribed")
    );
    node.on(Input::ContainerStarted {
        container_id: container_id.clone(),
        shim: mark(),
        pid: 42,
    });
    node.subscribe(1, Vec::new());
    assert_eq!(node.events(), [Type::Subscribed, Type::Launch]);
    assert_eq!(node.core.refusal(&f, &e, update), None);
    node.executor_says(1, TaskRunning);
    node.executor_says(1, TaskRunning);
    assert_eq!(node.events(), [Type::Acknowledged, Type::Acknowledged]);
    assert_eq!(node.states(), [TaskRunning], "once");
    node.kill("t", None);
    assert_eq!(node.events(), [Type::Kill]);
    node.order(Order::ShutdownExecutor(node::ShutdownExecutor {
        framework_id: f,
        executor_id: e,
        term: 3,
    }));
    assert_eq!(node.events(), [Type::Shutdown]);
    node.sleep(Duration::from_secs(5));
    assert!(node.said.contains(&Effect::Destroy {
        container_id: container_id.clone()
    }));
    node.exit(&container_id, 9);
    let exited = node.said.iter().find_map(|it| match it {
        Effect::SendExited(exited) => Some(exited.status),
        _ => None,
    });
    assert_eq!(exited, Some(9));
    let last = node.drain().pop().expect("an update");
    assert_eq!(
        (last.state(), last.reason()),
        (TaskFailed, Reason::ExecutorTerminated)
    );
}

#[test]
fn executors_that_stay_away_are_destroyed() {
    let mut node = Node::running();
    node.run(executor_task("t"));
    let container_id = node.start();
    node.sleep(Duration::from_mins(1));
    assert!(node.said.contains(&Effect::Destroy {
        container_id: container_id.clone()
    }));
    node.exit(&container_id, 9);
    let last = node.drain().pop().expect("an update");
    assert_eq!(last.message(), "Executor did not register within 1mins");

    // The same after a restart, within two seconds.
    node.run(executor_task("t"));
    node.start();
    node.subscribe(1, Vec::new());
    node.executor_says(1, TaskRunning);
    let mut again = node.restart("boot");
    let container_id = again.core.containers.keys().next().expect("one").clone();
    let fate = Fate::Running {
        shim: mark(),
        pid: 42,
    };
    again.on(Input::ContainerRecovered {
        container_id: container_id.clone(),
        fate: fate.clone(),
    });
    again.sleep(Duration::from_secs(2));
    assert!(again.said.contains(&Effect::Destroy {
        container_id: container_id.clone()
    }));
    again.exit(&container_id, 9);
    again.connect();
    let last = again.drain().pop().expect("an update");
    assert_eq!(
        (last.state(), last.reason()),
        (TaskState::TaskGone, Reason::ExecutorReregistrationTimeout)
    );

    // One that is back in time goes on; a task it never saw is dropped.
    let mut again = node.restart("boot");
    again.on(Input::ContainerRecovered { container_id, fate });
    again.subscribe(7, Vec::new());
    again.connect();
    assert_eq!(again.states(), [TaskRunning]);
}

#[test]
fn what_cannot_be_run_is_refused_in_words() {
    let mut node = Node::running();
    let docker = tepui_protocol::v1::ContainerInfo {
        r#type: tepui_protocol::v1::container_info::Type::Docker as i32,
        ..Default::default()
    };
    node.run(TaskInfo {
        container: Some(docker),
        ..task("d")
    });
    let last = node.drain().pop().expect("an update");
    assert_eq!(
        (last.state(), last.reason()),
        (TaskFailed, Reason::ContainerLaunchFailed)
    );
    node.order(Order::RunTaskGroup(Box::new(node::RunTaskGroup {
        framework_info: framework(),
        executor: ExecutorInfo {
            executor_id: executor_id("g"),
            ..ExecutorInfo::default()
        },
        task_group: tepui_protocol::v1::TaskGroupInfo {
            tasks: vec![task("g1"), task("g2")],
        },
        launch_executor: true,
        term: 3,
    })));
    assert!(
        node.said
            .iter()
            .any(|it| matches!(it, Effect::SendExited(_)))
    );
    assert_eq!(node.states(), [TaskFailed, TaskFailed]);
    assert!(node.core.state().frameworks.is_empty());
}
