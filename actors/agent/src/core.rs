//! The rules of the node as one plain struct: state, and what follows from each input.
//!
//! Owns the tables, the timers and the order of effects. Does no I/O, reads no clock, draws nothing random that
//! its seed does not give. What must not be forgotten comes out as one [`Effect::Keep`] before all other effects
//! of the same input.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tepui_messages::{
    UnixNanos,
    agent::{Draining, ExecutorPhase, NodeCounts, NodePhase},
};
use tepui_protocol::{
    node,
    resources::{Ranges, Resources},
    v1::{AgentInfo, ExecutorId, FrameworkId, MasterInfo, TaskId, executor},
};

use crate::{
    checks::ProbeKind,
    config::NodeConfig,
    effect::{Effect, Ending, ExecutorKey, Input, Keep, Now, Order, TaskKey},
    ends::Ends,
    guests::Guest,
    ids::Ids,
    operations::{OperationKey, Operations},
    oversubscription::{Oversubscription, Purpose},
    registration::Registration,
    sessions::EndedSessions,
    tables::{Executor, Framework},
    updates::Streams,
};

/// Orders that may wait for the answer to a registration that they overtook.
pub const MAX_EARLY_ORDERS: usize = 10_000;

/// The state of one agent.
#[derive(Debug)]
pub struct NodeCore {
    pub(crate) config: NodeConfig,
    pub(crate) ids: Ids,
    pub(crate) phase: NodePhase,
    /// What an earlier life kept has been taken in.
    pub(crate) remembered: bool,
    /// With its id, once there is one.
    pub(crate) info: Arc<AgentInfo>,
    /// The highest term of a leader seen, in this life or an earlier one: orders of lower ones are refused.
    pub(crate) term: u64,
    pub(crate) registration: Registration,
    pub(crate) master: Option<Arc<MasterInfo>>,
    pub(crate) registered_at: Option<UnixNanos>,
    pub(crate) frameworks: BTreeMap<String, Framework>,
    pub(crate) completed_frameworks: VecDeque<Framework>,
    pub(crate) streams: Streams,
    /// As configured, with what was reserved and created since.
    pub(crate) total: Resources,
    pub(crate) operations: Operations,
    pub(crate) oversubscription: Oversubscription,
    pub(crate) counts: NodeCounts,
    /// By directory, as found at the last look.
    pub(crate) disk_used: BTreeMap<PathBuf, u64>,
    /// Ports that containers were not given, by container, as found at the last look.
    pub(crate) stray_ports: BTreeMap<String, Ranges>,
    pub(crate) drain: Option<Draining>,
    /// Containers that have not ended.
    pub(crate) containers: BTreeMap<String, ExecutorKey>,
    /// Containers within those of executors that have not ended, with executor and task.
    pub(crate) children: BTreeMap<String, (ExecutorKey, String)>,
    /// Containers that clients of the API asked for.
    pub(crate) guests: BTreeMap<String, Guest>,
    pub(crate) ended_sessions: EndedSessions,
    pub(crate) ends: Ends,
    /// Containers of an earlier life whose fate is not known yet.
    pub(crate) recovering: BTreeSet<String>,
    /// Whether the executors' time to subscribe again is not over yet.
    pub(crate) window_open: bool,
    pub(crate) early_orders: VecDeque<Order>,
    pub(crate) sequence: u64,
    /// Set while the agent shuts down: how it ends once nothing is left.
    pub(crate) ending: Option<Ending>,
    pub(crate) timers: BTreeSet<(Duration, Timer)>,
    armed: Option<Duration>,
    pub(crate) ended: bool,
}

/// What a deadline is for. A timer whose reason has passed fires without effect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    Register,
    /// The executors' time to subscribe again is over.
    RecoveryWindow,
    Update(TaskKey),
    Operation(OperationKey),
    /// [`Executor::deadline`] of a container.
    Executor(String),
    Kill(String),
    MaxCompletion(String),
    /// The next try of a check of the task in that container.
    Probe(String, ProbeKind),
    /// The next look at what can be lent, or must be given back.
    Measure(Purpose),
    /// The next look at what containers hold.
    Disks,
    /// The next look at which ports they listen.
    Ports,
}

/// One input's worth of effects.
pub(crate) struct Turn<'a> {
    pub(crate) now: Now,
    pub(crate) out: &'a mut Vec<Effect>,
    keep: Vec<Keep>,
    synced: bool,
}

impl Turn<'_> {
    pub(crate) fn keep(&mut self, change: Keep) {
        self.keep.push(change);
    }

    /// As [`Self::keep`], and it must outlive the kernel.
    pub(crate) fn keep_synced(&mut self, change: Keep) {
        self.keep.push(change);
        self.synced = true;
    }

    pub(crate) fn deliver(&mut self, stream_id: u64, event: executor::Event) {
        self.out.push(Effect::ToExecutor {
            stream_id,
            event: Arc::new(event),
        });
    }
}

impl NodeCore {
    /// An agent that knows nothing yet: [`Input::Recovered`] comes first.
    pub fn new(config: NodeConfig) -> Self {
        Self {
            ids: Ids::new(config.seed),
            phase: NodePhase::Recovering,
            remembered: false,
            info: Arc::new(config.info.clone()),
            term: 0,
            registration: Registration::default(),
            master: None,
            registered_at: None,
            frameworks: BTreeMap::new(),
            completed_frameworks: VecDeque::new(),
            streams: Streams::new(config.update_retry_min, config.update_retry_max),
            total: Resources::from_proto_unchecked(&config.info.resources),
            operations: Operations::default(),
            oversubscription: Oversubscription::default(),
            counts: NodeCounts::default(),
            disk_used: BTreeMap::new(),
            stray_ports: BTreeMap::new(),
            drain: None,
            containers: BTreeMap::new(),
            children: BTreeMap::new(),
            guests: BTreeMap::new(),
            ended_sessions: EndedSessions::default(),
            ends: Ends::default(),
            recovering: BTreeSet::new(),
            window_open: false,
            early_orders: VecDeque::new(),
            sequence: 0,
            ending: None,
            timers: BTreeSet::new(),
            armed: None,
            ended: false,
            config,
        }
    }

    /// Takes one input and appends what follows from it.
    pub fn on(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) {
        if self.ended {
            return;
        }
        self.ends_are_told(now);
        let first = effects.len();
        let mut turn = Turn {
            now,
            out: effects,
            keep: Vec::new(),
            synced: false,
        };
        self.handle(&mut turn, input);
        self.end_drain(&mut turn);
        let Turn { keep, synced, .. } = turn;
        if !keep.is_empty() {
            let changes = keep;
            effects.insert(first, Effect::Keep { changes, synced });
        }
        let earliest = self.timers.first().map(|(at, _)| *at);
        if let Some(at) = earliest
            && self.armed != Some(at)
        {
            effects.push(Effect::WakeAt(at));
        }
        self.armed = earliest;
        debug_assert_eq!(self.broken_invariant(), None);
    }

    fn handle(&mut self, turn: &mut Turn<'_>, input: Input) {
        match input {
            Input::Recovered(remembered) => self.recover(turn, *remembered),
            Input::ContainerRecovered { container_id, fate } => {
                self.container_recovered(turn, &container_id, fate);
            }
            Input::MasterConnected { connection } => self.connected(turn, connection),
            Input::MasterLost { connection } => self.disconnected(connection),
            Input::RegistrationAnswered { connection, answer } => {
                self.registration_answered(turn, connection, answer);
            }
            Input::Order(order) => self.order(turn, order),
            Input::LaunchGuest(asked) if asked.is_session => self.launch_session(turn, *asked),
            Input::LaunchGuest(asked) => self.launch_guest(turn, *asked),
            Input::RemoveGuest { container_id } => self.remove_guest(turn, &container_id),
            Input::SignalContainer {
                container_id,
                signal,
            } => self.signal_container(turn, container_id, signal),
            Input::Networked {
                container_id,
                networks,
            } => self.networked(&container_id, networks),
            Input::ContainerStarted {
                container_id, pid, ..
            } if self.guests.contains_key(&container_id) => {
                self.guest_started(turn, &container_id, pid);
            }
            Input::LaunchFailed { container_id, .. } if self.guests.contains_key(&container_id) => {
                self.guest_failed(turn, &container_id);
            }
            Input::ContainerExited { container_id, exit }
                if self.guests.contains_key(&container_id) =>
            {
                self.guest_ended(turn, &container_id, Some(&exit));
            }
            Input::ContainerPrepared { container_id } => self.container_prepared(&container_id),
            Input::ContainerForked { container_id, pid } => {
                self.container_forked(turn, &container_id, pid);
            }
            Input::ContainerStarted {
                container_id, pid, ..
            } if self.children.contains_key(&container_id) => {
                self.child_started(turn, &container_id, pid);
            }
            Input::ContainerStarted {
                container_id,
                shim,
                pid,
            } => self.container_started(turn, &container_id, shim, pid),
            Input::ContainerInspected {
                container_id,
                inspected,
            } => self.container_inspected(&container_id, inspected),
            Input::LaunchFailed {
                container_id,
                message,
            } if self.children.contains_key(&container_id) => {
                self.child_launch_failed(turn, &container_id, &message);
            }
            Input::LaunchFailed {
                container_id,
                message,
            } => self.launch_failed(turn, &container_id, &message),
            Input::NoSandbox {
                container_id,
                message,
            } => self.sandbox_failed(turn, &container_id, &message),
            Input::NotGiven {
                container_id,
                message,
            } => self.means_not_given(turn, &container_id, &message),
            Input::ContainerExited { container_id, exit }
                if self.children.contains_key(&container_id) =>
            {
                self.child_ended(turn, &container_id, Some(&exit));
            }
            Input::ContainerExited { container_id, exit } => {
                self.container_exited(turn, &container_id, &exit);
            }
            Input::KillHangs { container_id, why } => self.kill_hangs(turn, &container_id, &why),
            Input::Probed {
                container_id,
                kind,
                outcome,
            } => self.probed(turn, &container_id, kind, &outcome),
            Input::ExecutorSubscribed {
                framework_id,
                executor_id,
                unacknowledged_tasks,
                unacknowledged_updates,
                stream_id,
            } => {
                let key = executor_key(&framework_id, &executor_id);
                self.executor_subscribed(
                    turn,
                    &key,
                    stream_id,
                    &unacknowledged_tasks,
                    unacknowledged_updates,
                );
            }
            Input::ExecutorCalled(call) => self.executor_called(turn, *call),
            Input::ExecutorStreamLost {
                framework_id,
                executor_id,
                stream_id,
            } => {
                let key = executor_key(&framework_id, &executor_id);
                self.executor_stream_lost(&key, stream_id);
            }
            Input::Measured { purpose, measured } => self.measured(turn, purpose, measured),
            Input::DisksWeighed(used) => self.disks_weighed(turn, used),
            Input::PortsSeen(listening) => self.ports_seen(turn, &listening),
            Input::End { leave } => self.end(turn, leave),
            Input::Woke => self.woke(turn),
        }
    }

    /// The master's order, if it is the leader's.
    pub(crate) fn order(&mut self, turn: &mut Turn<'_>, order: Order) {
        if order.term().is_some_and(|term| term < self.term) {
            return;
        }
        match self.phase {
            NodePhase::Running => {}
            // It overtook the answer to the registration.
            NodePhase::Disconnected if self.registration.is_asked() => {
                if self.early_orders.len() < MAX_EARLY_ORDERS {
                    self.early_orders.push_back(order);
                }
                return;
            }
            _ => return,
        }
        self.follow_term(turn, order.term());
        match order {
            Order::RunTask(order) => self.run_task(turn, *order),
            Order::RunTaskGroup(order) => self.run_task_group(turn, *order),
            Order::KillTask(order) => self.kill_task(turn, &order),
            Order::ShutdownExecutor(order) => {
                let key = executor_key(&order.framework_id, &order.executor_id);
                self.shutdown_executor(turn, &key);
            }
            Order::ShutdownFramework(order) => {
                self.shutdown_framework(turn, &order.framework_id.value);
            }
            Order::UpdateFramework(order) => self.update_framework(turn, order.framework_info),
            Order::DrainAgent(order) => self.drain(turn, order),
            Order::ShutdownAgent(_) => self.shut_down(turn, Ending::Asked),
            Order::AcknowledgeUpdate(order) => self.acknowledge(turn, &order),
            Order::ApplyOperation(order) => self.apply_operation(turn, *order),
            Order::AcknowledgeOperation(order) => self.acknowledge_operation(turn, &order),
            Order::ToExecutor(order) => self.message_to_executor(turn, order),
        }
    }

    /// It comes also where the scheduler is back, who hears at once of what it missed (Mesos: `Slave::updateFramework`).
    fn update_framework(&mut self, turn: &mut Turn<'_>, info: tepui_protocol::v1::FrameworkInfo) {
        let Some(id) = info.id.as_ref().map(|id| id.value.clone()) else {
            return;
        };
        let Some(framework) = self.frameworks.get_mut(&id) else {
            return;
        };
        if *framework.info != info {
            framework.info = Arc::new(info);
            turn.keep(Keep::Framework(Arc::clone(&framework.info)));
        }
        let waiting = self.streams.resume_framework(&id);
        self.forward_at_once(turn, waiting);
    }

    fn woke(&mut self, turn: &mut Turn<'_>) {
        while let Some((at, _)) = self.timers.first()
            && *at <= turn.now.monotonic
            && let Some((at, timer)) = self.timers.pop_first()
        {
            match timer {
                Timer::Register => self.register(turn),
                Timer::RecoveryWindow => self.recovery_window_closed(turn),
                Timer::Update(key) => self.forward(turn, &key),
                Timer::Operation(key) => self.forward_operation(turn, key),
                Timer::Executor(container_id) => self.executor_overdue(turn, &container_id, at),
                Timer::Probe(container_id, kind) => self.probe_due(turn, &container_id, kind, at),
                Timer::Measure(purpose) => self.measure(turn, purpose),
                Timer::Disks => self.watch_disks(turn),
                Timer::Ports => self.watch_ports(turn),
                Timer::Kill(id) if self.children.contains_key(&id) => {
                    self.child_kill_overdue(turn, &id, at);
                }
                Timer::MaxCompletion(id) if self.children.contains_key(&id) => {
                    self.child_completion_overdue(turn, &id, at);
                }
                Timer::Kill(container_id) => self.kill_overdue(turn, &container_id, at),
                Timer::MaxCompletion(container_id) => {
                    self.completion_overdue(turn, &container_id, at);
                }
            }
        }
    }

    fn end(&mut self, turn: &mut Turn<'_>, leave: bool) {
        if leave {
            turn.out.push(Effect::SendLeaves(node::AgentLeaves {
                reason: Some("Agent was asked to leave".to_owned()),
            }));
            self.shut_down(turn, Ending::Asked);
        } else {
            self.exit(turn, Ending::Asked);
        }
    }

    pub(crate) fn exit(&mut self, turn: &mut Turn<'_>, ending: Ending) {
        self.ended = true;
        turn.out.push(Effect::Exit(ending));
    }

    pub(crate) fn set_timer(&mut self, at: Duration, timer: Timer) {
        self.timers.insert((at, timer));
    }

    pub(crate) fn clear_timer(&mut self, at: Option<Duration>, timer: Timer) {
        if let Some(at) = at {
            self.timers.remove(&(at, timer));
        }
    }

    pub(crate) fn executor(&self, key: &ExecutorKey) -> Option<&Executor> {
        let framework = self.frameworks.get(&key.framework_id)?;
        framework.executors.get(&key.executor_id)
    }

    pub(crate) fn executor_mut(&mut self, key: &ExecutorKey) -> Option<&mut Executor> {
        let framework = self.frameworks.get_mut(&key.framework_id)?;
        framework.executors.get_mut(&key.executor_id)
    }

    pub(crate) fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// What must hold between inputs; the name of what does not.
    pub fn broken_invariant(&self) -> Option<&'static str> {
        for (id, key) in &self.containers {
            match self.executor(key) {
                Some(executor) if executor.container_id == *id => {}
                _ => return Some("every live container has its executor"),
            }
        }
        for (id, (key, task_id)) in &self.children {
            let entry = self.executor(key).and_then(|it| it.tasks.get(task_id));
            let child = entry.and_then(|entry| entry.child.as_ref());
            if child.is_none_or(|child| child.container_id != *id) {
                return Some("every live container within another one has its task");
            }
        }
        for framework in self.frameworks.values() {
            for executor in framework.executors.values() {
                let ended = executor.phase == ExecutorPhase::Terminated;
                if ended == self.containers.contains_key(&executor.container_id) {
                    return Some("an executor has a live container until it has terminated");
                }
                if ended && !executor.live_tasks().is_empty() {
                    return Some("a terminated executor has no live task");
                }
            }
        }
        None
    }
}

pub(crate) fn executor_key(framework: &FrameworkId, executor: &ExecutorId) -> ExecutorKey {
    ExecutorKey {
        framework_id: framework.value.clone(),
        executor_id: executor.value.clone(),
    }
}

pub(crate) fn task_key(framework_id: &str, task_id: &TaskId) -> TaskKey {
    TaskKey {
        framework_id: framework_id.to_owned(),
        task_id: task_id.value.clone(),
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
