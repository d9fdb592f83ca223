//! A node for tests of the rules: a core with a clock, a model of its checkpoint, and what it said.

pub(crate) use std::{collections::BTreeMap, time::Duration};

pub(crate) use tepui_messages::{
    UnixNanos,
    agent::Draining,
    containers::{ContainerExit, ProcessMark},
};
pub(crate) use tepui_protocol::{
    node,
    v1::{
        AgentId, AgentInfo, CommandInfo, ContainerInfo, DurationInfo, ExecutorId, ExecutorInfo,
        FrameworkInfo, KillPolicy, Operation, Resource, TaskGroupInfo, TaskId, TaskInfo, TaskState,
        TaskStatus, container_info, executor, executor_info, framework_info,
        task_status::{Reason, Source},
        value,
    },
};

pub(crate) use crate::{
    config::NodeConfig,
    core::{NodeCore, Timer, task_key},
    effect::{
        Effect, Ending, Fate, Input, Keep, KeptContainer, KeptGuest, KeptTask, Launch, Now, Order,
        Past, Remembered, TaskKey,
    },
    status,
    tables::framework_id,
    updates,
};

mod made;

pub(crate) use made::*;

/// A core with a clock, what it kept, and what it said since it was last asked.
pub(crate) struct Node {
    pub(crate) core: NodeCore,
    pub(crate) now: Now,
    pub(crate) said: Vec<Effect>,
    pub(crate) kept: Kept,
}

/// The checkpoint as a model.
#[derive(Default, Clone)]
pub(crate) struct Kept {
    pub(crate) agent: Option<AgentInfo>,
    pub(crate) term: u64,
    pub(crate) drain: Option<Draining>,
    pub(crate) resources: Vec<Resource>,
    pub(crate) operations: BTreeMap<Vec<u8>, Operation>,
    pub(crate) frameworks: BTreeMap<String, FrameworkInfo>,
    pub(crate) containers: BTreeMap<String, KeptContainer>,
    pub(crate) tasks: BTreeMap<TaskKey, KeptTask>,
    pub(crate) streams: BTreeMap<TaskKey, Vec<(TaskStatus, bool)>>,
    /// Each with its path.
    pub(crate) past: BTreeMap<Vec<String>, (UnixNanos, Past)>,
    pub(crate) guests: BTreeMap<String, KeptGuest>,
}

impl Kept {
    pub(crate) fn apply(&mut self, change: Keep) {
        match change {
            Keep::Agent(info) => self.agent = Some((*info).clone()),
            Keep::ForgetAgent => {
                *self = Kept {
                    term: self.term,
                    resources: std::mem::take(&mut self.resources),
                    operations: std::mem::take(&mut self.operations),
                    ..Kept::default()
                };
            }
            Keep::Term(term) => self.term = term,
            Keep::Drain(drain) => self.drain = drain,
            Keep::Resources(resources) => self.resources = resources,
            Keep::Operation(operation) => {
                let uuid = operation.uuid.value.to_vec();
                self.operations.insert(uuid, (*operation).clone());
            }
            Keep::ForgetOperation(uuid) => drop(self.operations.remove(uuid.as_slice())),
            Keep::Framework(info) => {
                let id = info.id.clone().expect("an id").value;
                self.past.remove([id.clone()].as_slice());
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
            Keep::Acknowledged {
                key,
                uuid,
                replaces,
            } => {
                let stream = self.streams.get_mut(&key).expect("a stream");
                let before = stream.iter().rposition(|(_, acknowledged)| *acknowledged);
                if let Some(before) = before.filter(|_| replaces) {
                    stream.remove(before);
                }
                let update = stream
                    .iter_mut()
                    .find(|(it, _)| updates::uuid_of(it) == Some(uuid));
                update.expect("an update").1 = true;
            }
            Keep::ForgetStream(key) => drop(self.streams.remove(&key)),
            Keep::Past(at, past) => drop(self.past.insert(past.path(), (at, past))),
            Keep::ForgetPast(path) => self.past.retain(|it, _| !it.starts_with(&path)),
            Keep::Guest {
                container_id,
                guest,
            } => drop(self.guests.insert(container_id, guest)),
            Keep::ForgetGuest { container_id } => drop(self.guests.remove(&container_id)),
        }
    }
}

pub(crate) fn config() -> NodeConfig {
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
    pub(crate) fn blank() -> Self {
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
    pub(crate) fn running() -> Self {
        let mut node = Self::blank();
        node.on(Input::Recovered(Box::default()));
        node.connect();
        node.said.clear();
        node
    }

    pub(crate) fn connect(&mut self) {
        self.on(Input::MasterConnected { connection: 1 });
        assert!(
            matches!(self.said.last(), Some(Effect::Register { .. })),
            "{:?}",
            self.said
        );
        self.answer(registration());
    }

    pub(crate) fn answer(&mut self, answer: node::AgentRegistration) {
        self.on(Input::RegistrationAnswered {
            connection: 1,
            answer: Ok(Box::new(answer)),
        });
    }

    /// The leader of this term registers the agent.
    pub(crate) fn answer_of_term(&mut self, term: u64) {
        self.answer(node::AgentRegistration {
            term: Some(term),
            ..registration()
        });
    }

    pub(crate) fn on(&mut self, input: Input) {
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

    pub(crate) fn order(&mut self, order: Order) {
        self.on(Input::Order(order));
    }

    pub(crate) fn run(&mut self, task: TaskInfo) {
        let order = node::RunTask {
            framework_info: framework(),
            launch_executor: true,
            task,
            term: 3,
        };
        self.order(Order::RunTask(Box::new(order)));
    }

    pub(crate) fn shut_down_framework(&mut self) {
        self.order(Order::ShutdownFramework(node::ShutdownFramework {
            framework_id: framework_id("f"),
            term: 3,
        }));
    }

    pub(crate) fn kill(&mut self, task: &str, grace: Option<u64>) {
        self.order(Order::KillTask(node::KillTask {
            framework_id: framework_id("f"),
            task_id: task_id(task),
            kill_policy: grace.map(policy),
            term: 3,
        }));
    }

    pub(crate) fn sleep(&mut self, time: Duration) {
        self.now.monotonic += time;
        self.now.unix_nanos += i64::try_from(time.as_nanos()).expect("less than a century");
        self.on(Input::Woke);
    }

    pub(crate) fn launched(&mut self) -> Launch {
        let at = self
            .said
            .iter()
            .position(|it| matches!(it, Effect::Launch(_)));
        match self.said.remove(at.expect("a launch")) {
            Effect::Launch(launch) => *launch,
            _ => unreachable!(),
        }
    }

    pub(crate) fn prepared(&mut self, container_id: &str) {
        self.on(Input::ContainerPrepared {
            container_id: container_id.to_owned(),
        });
    }

    pub(crate) fn forked(&mut self, container_id: &str) {
        self.on(Input::ContainerForked {
            container_id: container_id.to_owned(),
            pid: 42,
        });
    }

    pub(crate) fn start(&mut self) -> String {
        let container_id = self.launched().order.container_id;
        self.forked(&container_id);
        let shim = mark();
        self.on(Input::ContainerStarted {
            container_id: container_id.clone(),
            shim,
            pid: 42,
        });
        container_id
    }

    pub(crate) fn exit(&mut self, container_id: &str, status: i32) {
        self.on(Input::ContainerExited {
            container_id: container_id.to_owned(),
            exit: ContainerExit {
                status: Some(status),
                limitation: None,
                is_forsaken: false,
            },
        });
    }

    /// What was recovered runs.
    pub(crate) fn found_running(&mut self, container_id: &str) {
        self.on(Input::ContainerRecovered {
            container_id: container_id.to_owned(),
            fate: Fate::Running {
                shim: mark(),
                pid: 42,
            },
        });
    }

    /// Acknowledges each update as it comes; gives back all of them.
    pub(crate) fn drain(&mut self) -> Vec<TaskStatus> {
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

    pub(crate) fn states(&mut self) -> Vec<TaskState> {
        self.drain().iter().map(TaskStatus::state).collect()
    }

    /// The agent's process dies; a new one begins from what was kept.
    pub(crate) fn restart(&self, boot_id: &str) -> Self {
        self.restart_with(|config| boot_id.clone_into(&mut config.boot_id))
    }

    /// As [`Self::restart`], with other settings.
    pub(crate) fn restart_with(&self, set: impl FnOnce(&mut NodeConfig)) -> Self {
        let mut node = Self::blank();
        // Each life has a seed of its own.
        let [seed, ..] = self.core.ids.clone().uuid();
        let mut config = NodeConfig {
            seed: [u64::from(seed), self.core.config.seed[1] + 1],
            ..config()
        };
        set(&mut config);
        node.core = NodeCore::new(config);
        node.now.unix_nanos = self.now.unix_nanos;
        node.kept = self.kept.clone();
        let kept = self.kept.clone();
        let mut past: Vec<_> = kept.past.into_values().collect();
        past.sort_by_key(|(at, _)| *at);
        node.on(Input::Recovered(Box::new(Remembered {
            agent: kept.agent.map(|info| (info, "boot".to_owned())),
            term: kept.term,
            drain: kept.drain,
            resources: kept.resources,
            operations: kept.operations.into_values().collect(),
            frameworks: kept.frameworks.into_values().collect(),
            containers: kept.containers.into_values().collect(),
            tasks: kept.tasks.into_values().collect(),
            streams: kept.streams,
            acknowledged: BTreeMap::new(),
            past: past.into_iter().map(|(_, past)| past).collect(),
            guests: kept.guests,
        })));
        node
    }

    pub(crate) fn subscribe(&mut self, stream_id: u64, tasks: Vec<TaskInfo>) {
        self.on(Input::ExecutorSubscribed {
            framework_id: framework_id("f"),
            executor_id: executor_id("e"),
            unacknowledged_tasks: tasks,
            unacknowledged_updates: Vec::new(),
            stream_id,
        });
    }

    pub(crate) fn events(&mut self) -> Vec<executor::event::Type> {
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

    pub(crate) fn executor_says(&mut self, number: u8, state: TaskState) {
        self.executor_says_of("e", "t", number, state);
    }

    pub(crate) fn executor_says_of(
        &mut self,
        executor: &str,
        task: &str,
        number: u8,
        state: TaskState,
    ) {
        let status = TaskStatus {
            task_id: task_id(task),
            state: state as i32,
            source: Some(Source::Executor as i32),
            uuid: Some(status::uuid_bytes([number; 16])),
            ..TaskStatus::default()
        };
        self.on(Input::ExecutorCalled(Box::new(executor::Call {
            executor_id: executor_id(executor),
            framework_id: framework_id("f"),
            r#type: Some(executor::call::Type::Update as i32),
            update: Some(executor::call::Update { status }),
            ..executor::Call::default()
        })));
    }
}
