//! The agent's actor: turns messages into inputs of the core and carries its effects out, in order. Owns the
//! handles to master, executors, containers and memory; knows no rule.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tepui_kit::{Actor, Answer, Context, Handler, Receive, TimerHandle, crash_point};
use tepui_messages::{
    agent::{
        Answer as HttpAnswer, ContainerUsage, ContainerUsageRecord, EndExecutorStream, EndNode,
        ExecutorCall, ExecutorStream, ExecutorStreamLost, ExecutorSubscribe, GetNodeState,
        MasterConnected, MasterLost, MasterPeer, NodeState,
    },
    containers::ContainerRuntime,
};
use tepui_protocol::{
    message::Message,
    node,
    v1::{ContainerId, FrameworkId, ResourceStatistics, executor},
};
use tokio::{sync::watch, time::Instant};

use crate::{
    amounts::{self, Most},
    config::NodeConfig,
    core::NodeCore,
    effect::{Effect, Ending, ExecutorKey, Input, Keep, Now, Order, Remembered},
    fetcher::Fetcher,
    waiting::Waiter,
};

/// What must not be forgotten, kept. Calls may block on the disk; those that are not `synced` must not take long.
pub trait Memory: Send + Sync {
    /// All changes in order, or none. With `synced` they and all earlier ones outlive the kernel.
    ///
    /// # Errors
    /// What failed, in words. The agent ends then: it could not keep its promises.
    fn commit(&self, changes: &[Keep], synced: bool) -> Result<(), String>;

    /// Whether a synced commit waits for a device, and so is made on another thread. Not so in a simulation, whose
    /// order must not depend on threads.
    fn waits(&self) -> bool {
        true
    }
}

/// What an agent is made of.
pub struct NodeParts {
    pub config: NodeConfig,
    pub memory: Arc<dyn Memory>,
    /// What `memory` had kept.
    pub remembered: Remembered,
    pub runtime: Arc<dyn ContainerRuntime>,
    pub fetcher: Fetcher,
    /// Called once, when the agent has ended and the process should.
    pub on_end: Box<dyn FnOnce(Ending) + Send>,
}

/// The actor. A panic would leave its state torn: spawn it with `OnPanic::ExitProcess`.
pub struct NodeActor {
    pub(crate) core: NodeCore,
    pub(crate) memory: Arc<dyn Memory>,
    remembered: Option<Remembered>,
    pub(crate) runtime: Arc<dyn ContainerRuntime>,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) on_end: Option<Box<dyn FnOnce(Ending) + Send>>,
    started_at: Instant,
    pub(crate) master: Option<(u64, Arc<dyn MasterPeer>)>,
    pub(crate) streams: BTreeMap<u64, Arc<dyn ExecutorStream>>,
    /// Launches under way, and whether they were called off.
    pub(crate) launching: BTreeMap<String, watch::Sender<bool>>,
    pub(crate) timer: Option<TimerHandle>,
    /// Effects behind a change that is on its way to the disk.
    pub(crate) waiting: VecDeque<Effect>,
    /// Clients who wait for containers they asked for.
    pub(crate) waiters: Vec<(String, Waiter)>,
    /// Containers whose limits are being changed, and what their executors wait for.
    pub(crate) limiting: BTreeMap<String, VecDeque<Effect>>,
    /// Nothing is carried out until the disk is done.
    pub(crate) committing: bool,
}

/// The core's next deadline.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wake;

impl Message for Wake {
    type Reply = ();
}

impl NodeActor {
    pub fn new(parts: NodeParts) -> Self {
        Self {
            core: NodeCore::new(parts.config),
            memory: parts.memory,
            remembered: Some(parts.remembered),
            runtime: parts.runtime,
            fetcher: Arc::new(parts.fetcher),
            on_end: Some(parts.on_end),
            started_at: Instant::now(),
            master: None,
            streams: BTreeMap::new(),
            launching: BTreeMap::new(),
            timer: None,
            waiting: VecDeque::new(),
            waiters: Vec::new(),
            limiting: BTreeMap::new(),
            committing: false,
        }
    }

    /// Gives the core one input and carries out what follows.
    pub(crate) fn input(&mut self, input: Input, ctx: &mut Context<Self>) {
        let now = self.now(ctx);
        crash_point("input", || &input);
        let mut effects = Vec::new();
        self.core.on(now, input, &mut effects);
        self.waiting.extend(effects);
        // Some ends are told to those who wait now, and to nobody else.
        self.answer_waiters();
        self.core.ends_are_told(now);
        self.carry_on(ctx);
    }

    pub(crate) fn now(&self, ctx: &Context<Self>) -> Now {
        Now {
            monotonic: ctx.now().saturating_duration_since(self.started_at),
            unix_nanos: i64::try_from(ctx.clock().unix_nanos()).unwrap_or(i64::MAX),
        }
    }

    pub(crate) fn instant(&self, since_start: Duration) -> Instant {
        self.started_at + since_start
    }
}

impl Actor for NodeActor {
    const NAME: &'static str = "agent";

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.started_at = ctx.now();
        let remembered = self.remembered.take().unwrap_or_default();
        self.input(Input::Recovered(Box::new(remembered)), ctx);
    }
}

impl Handler<Wake> for NodeActor {
    fn handle(&mut self, _: Wake, ctx: &mut Context<Self>) {
        self.timer = None;
        self.input(Input::Woke, ctx);
    }
}

impl Handler<MasterConnected> for NodeActor {
    fn handle(&mut self, message: MasterConnected, ctx: &mut Context<Self>) {
        let connection = message.connection;
        if self
            .master
            .as_ref()
            .is_some_and(|(newest, _)| *newest > connection)
        {
            return;
        }
        tracing::info!(connection, "connected to the leading master");
        self.master = Some((connection, message.peer));
        self.input(Input::MasterConnected { connection }, ctx);
    }
}

impl Handler<MasterLost> for NodeActor {
    fn handle(&mut self, message: MasterLost, ctx: &mut Context<Self>) {
        let connection = message.connection;
        if self
            .master
            .as_ref()
            .is_some_and(|(newest, _)| *newest == connection)
        {
            tracing::warn!(connection, "lost the leading master");
            self.master = None;
        }
        self.input(Input::MasterLost { connection }, ctx);
    }
}

macro_rules! orders {
    ($($message:ident => $order:expr;)*) => {
        $(
            impl Handler<node::$message> for NodeActor {
                fn handle(&mut self, message: node::$message, ctx: &mut Context<Self>) {
                    self.input(Input::Order($order(message)), ctx);
                }
            }
        )*
    };
}

orders! {
    RunTask => |it| Order::RunTask(Box::new(it));
    RunTaskGroup => |it| Order::RunTaskGroup(Box::new(it));
    KillTask => Order::KillTask;
    ShutdownExecutor => Order::ShutdownExecutor;
    ShutdownFramework => Order::ShutdownFramework;
    UpdateFramework => |it| Order::UpdateFramework(Box::new(it));
    DrainAgent => Order::DrainAgent;
    ShutdownAgent => Order::ShutdownAgent;
    AcknowledgeUpdate => Order::AcknowledgeUpdate;
    ApplyOperation => |it| Order::ApplyOperation(Box::new(it));
    AcknowledgeOperation => Order::AcknowledgeOperation;
    ToExecutor => Order::ToExecutor;
}

impl Handler<ExecutorSubscribe> for NodeActor {
    fn handle(&mut self, message: ExecutorSubscribe, ctx: &mut Context<Self>) -> HttpAnswer {
        let (framework_id, executor_id) = (message.framework_id, message.executor_id);
        let kind = executor::call::Type::Subscribe;
        let claims = message.claims.as_ref();
        let refusal = self.core.refusal(&framework_id, &executor_id, kind);
        let foreign = || {
            self.core
                .claims_refusal(claims, &framework_id, &executor_id)
        };
        if let Some(refusal) = refusal.or_else(foreign) {
            return refusal;
        }
        self.streams.insert(message.stream_id, message.stream);
        let input = Input::ExecutorSubscribed {
            framework_id,
            executor_id,
            unacknowledged_tasks: message.unacknowledged_tasks,
            unacknowledged_updates: message.unacknowledged_updates,
            stream_id: message.stream_id,
        };
        self.input(input, ctx);
        HttpAnswer::OK
    }
}

impl Handler<ExecutorCall> for NodeActor {
    fn handle(&mut self, message: ExecutorCall, ctx: &mut Context<Self>) -> HttpAnswer {
        let ExecutorCall { call, claims } = message;
        let (framework_id, executor_id) = (&call.framework_id, &call.executor_id);
        let refusal = self.core.refusal(framework_id, executor_id, call.r#type());
        // A heartbeat may come without a word on whose it is.
        let beats = call.r#type() == executor::call::Type::Heartbeat;
        let claims = claims.as_ref().filter(|_| !beats);
        let foreign = || self.core.claims_refusal(claims, framework_id, executor_id);
        if let Some(refusal) = refusal.or_else(foreign) {
            return refusal;
        }
        self.input(Input::ExecutorCalled(Box::new(call)), ctx);
        HttpAnswer::ACCEPTED
    }
}

impl Handler<ExecutorStreamLost> for NodeActor {
    fn handle(&mut self, message: ExecutorStreamLost, ctx: &mut Context<Self>) {
        let stream_id = message.stream_id;
        if let Some(stream) = self.streams.remove(&stream_id) {
            // Its connection is gone: whoever still listens gives up.
            let _ = stream.tell(EndExecutorStream);
        }
        let input = Input::ExecutorStreamLost {
            framework_id: message.framework_id,
            executor_id: message.executor_id,
            stream_id,
        };
        self.input(input, ctx);
    }
}

impl Handler<EndNode> for NodeActor {
    fn handle(&mut self, message: EndNode, ctx: &mut Context<Self>) {
        let leave = message.leave;
        self.input(Input::End { leave }, ctx);
    }
}

impl Handler<GetNodeState> for NodeActor {
    fn handle(&mut self, _: GetNodeState, _: &mut Context<Self>) -> Arc<NodeState> {
        Arc::new(self.core.state())
    }
}

/// `outer.inner` as the schema has it.
fn nested_id(dotted: &str) -> ContainerId {
    let parts = dotted.rsplit_once('.');
    ContainerId {
        value: parts.map_or(dotted, |(_, name)| name).to_owned(),
        parent: parts.map(|(outer, _)| Box::new(nested_id(outer))),
    }
}

/// What a container is allowed, whatever keeps it to that.
fn known_of(most: Most) -> ResourceStatistics {
    ResourceStatistics {
        cpus_limit: most.cpus,
        mem_limit_bytes: most.memory_bytes,
        ..ResourceStatistics::default()
    }
}

impl Receive<ContainerUsage> for NodeActor {
    fn receive(
        &mut self,
        _: ContainerUsage,
        answer: Answer<Vec<ContainerUsageRecord>>,
        ctx: &mut Context<Self>,
    ) {
        let mut asked = Vec::new();
        let state = self.core.state();
        for (id, pid) in state.guests {
            let record = ContainerUsageRecord {
                framework_id: FrameworkId::default(),
                info: Arc::default(),
                container_id: nested_id(&id),
                pid: Some(pid).filter(|pid| *pid != 0),
                networks: self.core.networks_of(&id).to_vec(),
                statistics: None,
            };
            asked.push((record, self.runtime.usage(id)));
        }
        for framework in state.frameworks {
            for executor in framework.executors {
                if executor.pid.is_none() {
                    continue;
                }
                let outer = executor.container_id.clone();
                let key = ExecutorKey {
                    framework_id: framework.info.id.clone().unwrap_or_default().value,
                    executor_id: executor.info.executor_id.value.clone(),
                };
                let (entry, config) = (self.core.executor(&key), &self.core.config);
                let most = entry.map(|it| amounts::most(config, it));
                let mut known = known_of(most.unwrap_or_default());
                self.core.add_disk_statistics(&key, &mut known);
                let mut ask = |container_id: ContainerId, pid, id: String, known| {
                    let record = ContainerUsageRecord {
                        framework_id: framework.info.id.clone().unwrap_or_default(),
                        info: Arc::clone(&executor.info),
                        container_id,
                        pid,
                        networks: self.core.networks_of(&id).to_vec(),
                        statistics: Some(known),
                    };
                    asked.push((record, self.runtime.usage(id)));
                };
                ask(outer.clone(), executor.pid, outer.value.clone(), known);
                for nested in &executor.nested {
                    let id = format!("{}.{}", outer.value, nested.name);
                    let container_id = ContainerId {
                        value: nested.name.clone(),
                        parent: Some(Box::new(outer.clone())),
                    };
                    let task_id = &nested.task.task_id.value;
                    let task = entry.and_then(|it| it.tasks.get(task_id));
                    let most = task.map(|it| amounts::most_within(config, &it.info));
                    let known = known_of(most.unwrap_or_default());
                    ask(container_id, Some(nested.pid), id, known);
                }
            }
        }
        ctx.spawn(async move {
            let mut records = Vec::with_capacity(asked.len());
            for (record, usage) in asked {
                let (measured, known) = (usage.await, record.statistics.unwrap_or_default());
                let statistics = measured.map(|measured| ResourceStatistics {
                    cpus_limit: known.cpus_limit,
                    mem_limit_bytes: known.mem_limit_bytes.or(measured.mem_limit_bytes),
                    disk_limit_bytes: known.disk_limit_bytes,
                    disk_used_bytes: known.disk_used_bytes,
                    disk_statistics: known.disk_statistics,
                    ..measured
                });
                records.push(ContainerUsageRecord {
                    statistics,
                    ..record
                });
            }
            answer.send(records);
        });
    }
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
