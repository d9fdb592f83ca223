//! Agents: admission, return, loss, end (INTERNALS 4.1).

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use tepui_messages::{
    UnixNanos,
    allocator::{Allocation, WorldChange},
    change::{AgentEnd, AgentRecord, Change, TaskKept},
    master::{Answer, PeerId},
};
use tepui_protocol::{
    node,
    resources::Resources,
    v1::{
        AgentId, AgentInfo, ExecutorInfo, FrameworkInfo, Resource, Task, TaskState,
        task_status::Reason,
    },
};
use tepui_registry::Command;

use crate::{
    commands,
    core::{Effect, MasterCore, Order, Pending, Token, Turn},
    frameworks::framework_id,
    status::{MasterStatus, failure_event, update_event},
    tables::{Agent, MAX_UNREACHABLE_TASKS, allocation_role, is_terminal, without_allocation},
    timers::Timer,
};

/// What was thought of an agent before it came.
#[derive(Debug, Clone, Copy)]
struct Back {
    /// Of the registry, awaited since the election.
    recovered: bool,
    unreachable: bool,
}

/// An agent that waits for the registry.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) token: Token,
    pub(crate) peer: PeerId,
    pub(crate) request: node::RegisterAgent,
    /// The connection broke while the write was under way.
    pub(crate) lost: bool,
}

impl MasterCore {
    pub(crate) fn agent_registers(
        &mut self,
        token: Token,
        peer: PeerId,
        address: IpAddr,
        mut request: Box<node::RegisterAgent>,
        turn: &mut Turn<'_>,
    ) {
        if let Err(reason) = check_agent(&request.agent_info) {
            tracing::warn!(%address, reason, "agent refused");
            return self.refuse_agent(token, &reason, false, turn);
        }
        if let Some(reason) = self.engaged(peer, request.agent_info.id.as_ref()) {
            return self.refuse_agent(token, &reason, false, turn);
        }
        let Some(id) = request.agent_info.id.clone() else {
            let id = format!("{}-S{}", self.config.info.id, self.next_agent);
            self.next_agent += 1;
            request.agent_info.id = Some(AgentId { value: id });
            self.replace_lost_agent_at(&request.pid, turn);
            return self.write_admission_of(token, peer, *request, false, turn);
        };
        let id = id.value;
        if self.gone_agents.contains_key(&id) {
            return self.refuse_agent(token, "Agent has been marked gone", true, turn);
        }
        if self.agents_in_transition.contains(&id) {
            return self.refuse_agent(
                token,
                "a write about this agent is under way; try again",
                false,
                turn,
            );
        }
        let known_info = self
            .agents
            .get(&id)
            .map(|agent| &agent.record.info)
            .or_else(|| self.recovered_agents.get(&id));
        let was_unreachable = self.unreachable_agents.contains_key(&id);
        if known_info == Some(&request.agent_info) && !was_unreachable {
            return self.admit(
                Admission {
                    token,
                    peer,
                    request: *request,
                    lost: false,
                },
                turn,
            );
        }
        self.write_admission_of(token, peer, *request, was_unreachable, turn);
    }

    /// Why this connection cannot register now: it stands for one agent, and asks one thing at a time.
    fn engaged(&self, peer: PeerId, id: Option<&AgentId>) -> Option<String> {
        let under_way = self
            .pending
            .values()
            .any(|pending| matches!(pending, Pending::AgentAdmission(other) if other.peer == peer));
        if under_way {
            return Some("a registration on this connection is under way; try again".to_string());
        }
        let known = self.peers.get(&peer)?;
        if id.is_some_and(|id| id.value == *known) {
            return None;
        }
        Some(format!(
            "agent {known} is registered on this connection; register with its id, or on another connection"
        ))
    }

    fn write_admission_of(
        &mut self,
        token: Token,
        peer: PeerId,
        request: node::RegisterAgent,
        was_unreachable: bool,
        turn: &mut Turn<'_>,
    ) {
        let id = agent_id_of(&request);
        let known = self.agents.contains_key(&id) || self.recovered_agents.contains_key(&id);
        let command = match (was_unreachable, known) {
            (true, _) => commands::mark_reachable(&request.agent_info),
            (false, true) => commands::update_agent(&request.agent_info),
            (false, false) => commands::admit_agent(&request.agent_info),
        };
        self.agents_in_transition.insert(id);
        let admission = Admission {
            token,
            peer,
            request,
            lost: false,
        };
        self.write(turn, command, Pending::AgentAdmission(Box::new(admission)));
    }

    pub(crate) fn admission_written(
        &mut self,
        admission: Admission,
        refused: Option<String>,
        turn: &mut Turn<'_>,
    ) {
        self.agents_in_transition
            .remove(&agent_id_of(&admission.request));
        match refused {
            Some(reason) => self.refuse_agent(admission.token, &reason, false, turn),
            None => self.admit(admission, turn),
        }
    }

    fn refuse_agent(&self, token: Token, reason: &str, shutdown: bool, turn: &mut Turn<'_>) {
        let registration = node::AgentRegistration {
            refusal: Some(reason.to_string()),
            shutdown: Some(shutdown),
            term: Some(self.term),
            ..Default::default()
        };
        turn.effects.push(Effect::AnswerAgent {
            token,
            registration: Box::new(registration),
        });
    }

    /// A new agent where a lost one answered HTTP: the old one will not come back.
    fn replace_lost_agent_at(&mut self, pid: &str, turn: &mut Turn<'_>) {
        let old = self
            .agents
            .values()
            .find(|agent| agent.record.pid == pid && agent.peer.is_none());
        if let Some(id) = old.map(|agent| agent.id().to_string()) {
            self.leave(&id, "a new agent registered from the same address", turn);
        }
    }

    /// The agent is in the registry: it is believed from here on.
    fn admit(&mut self, admission: Admission, turn: &mut Turn<'_>) {
        let Admission {
            token,
            peer,
            request,
            lost,
        } = admission;
        let id = agent_id_of(&request);
        self.timers.cancel(&Timer::Unreachable {
            agent_id: id.clone(),
        });
        let back = Back {
            recovered: self.recovered_agents.remove(&id).is_some(),
            unreachable: self.unreachable_agents.remove(&id).is_some(),
        };
        for framework in &request.frameworks {
            self.know_framework(framework, turn);
        }
        if self.agents.contains_key(&id) {
            self.reconnect_agent(&id, peer, &request, turn);
        } else {
            self.add_agent(&id, peer, &request, back, turn);
        }
        let reconcile = self.missing_tasks(&id, &request);
        let registration = node::AgentRegistration {
            agent_id: Some(AgentId { value: id.clone() }),
            term: Some(self.term),
            reconcile,
            shutdown_frameworks: self.ended_frameworks(&request),
            master_info: Some(self.config.info.clone()),
            ..Default::default()
        };
        turn.effects.push(Effect::AnswerAgent {
            token,
            registration: Box::new(registration),
        });
        self.repeat_kills(&id, turn);
        self.kill_copies(&id, &request, turn);
        if lost {
            self.agent_lost(peer, false, turn);
        }
    }

    /// A framework this master has not seen, found on an agent.
    fn know_framework(&mut self, info: &FrameworkInfo, turn: &mut Turn<'_>) {
        let id = info.id.clone().unwrap_or_default().value;
        if !self.frameworks.contains_key(&id) && !self.completed_frameworks.contains(&id) {
            self.add_unsubscribed(info.clone(), Vec::new(), turn);
            if let Some(framework) = self.frameworks.get_mut(&id) {
                framework.registered = false;
            }
        }
    }

    fn ended_frameworks(
        &self,
        request: &node::RegisterAgent,
    ) -> Vec<tepui_protocol::v1::FrameworkId> {
        let ids = request
            .frameworks
            .iter()
            .filter_map(|framework| framework.id.clone());
        ids.filter(|id| !self.frameworks.contains_key(&id.value))
            .collect()
    }

    fn add_agent(
        &mut self,
        id: &str,
        peer: PeerId,
        request: &node::RegisterAgent,
        back: Back,
        turn: &mut Turn<'_>,
    ) {
        let record = AgentRecord {
            info: request.agent_info.clone(),
            pid: request.pid.clone(),
            version: request.version.clone(),
            capabilities: request.capabilities.clone(),
            connected: true,
            active: true,
            deactivated: false,
            registered_at: turn.now,
            reregistered_at: (back.recovered || back.unreachable).then_some(turn.now),
            total: total_of(&request.agent_info.resources),
            drain_info: None,
            drain_started_at: None,
        };
        let agent = Agent {
            record: record.clone(),
            peer: Some(peer),
            tasks: BTreeSet::new(),
            executors: BTreeSet::new(),
            offers: BTreeSet::new(),
            killed: BTreeSet::new(),
        };
        self.agents.insert(id.to_string(), agent);
        self.peers.insert(peer, id.to_string());
        let used = self.take_over(id, request, back.unreachable, turn);
        self.change(turn, Change::AgentAdded(Arc::new(record.clone())));
        turn.allocator(WorldChange::AgentAdded {
            info: Arc::new(record.info),
            total: record.total,
            used,
            active: true,
        });
    }

    /// Believes the tasks and executors an agent brings; what they use, by framework and role.
    fn take_over(
        &mut self,
        id: &str,
        request: &node::RegisterAgent,
        was_unreachable: bool,
        turn: &mut Turn<'_>,
    ) -> Vec<Allocation> {
        let mut used = Vec::new();
        for task in &request.tasks {
            let framework = task.framework_id.value.clone();
            if !self.is_new_task(task) {
                continue;
            }
            self.forget_unreachable(&framework, &task.task_id.value, turn);
            if !is_terminal(task.state()) {
                used.push(allocation(&framework, &task.resources));
            }
            self.add_task(&framework, Arc::new(task.clone()), turn);
            if was_unreachable && !is_terminal(task.state()) {
                self.announce_return(&framework, task, turn);
            }
        }
        for executor in &request.executors {
            if let Some(framework) = self.framework_of_new_executor(id, executor) {
                used.push(allocation(&framework, &executor.resources));
                self.add_executor(id, &framework, executor, turn);
            }
        }
        used
    }

    /// Of a framework that lives, and the only one with its id. A second task with the id of a live one can only
    /// come from a time this master does not know of; [`Self::kill_copies`] ends it.
    fn is_new_task(&self, task: &Task) -> bool {
        let framework = self.frameworks.get(&task.framework_id.value);
        framework.is_some_and(|framework| !framework.tasks.contains_key(&task.task_id.value))
    }

    /// `None` where the executor is known, or its framework is not.
    fn framework_of_new_executor(&self, id: &str, executor: &ExecutorInfo) -> Option<String> {
        let framework = executor.framework_id.clone().unwrap_or_default().value;
        let key = (id.to_string(), executor.executor_id.value.clone());
        let known = &self.frameworks.get(&framework)?.executors;
        (!known.contains_key(&key)).then_some(framework)
    }

    /// Tasks whose ids live on another agent, too.
    fn kill_copies(&self, id: &str, request: &node::RegisterAgent, turn: &mut Turn<'_>) {
        let Some(peer) = self.agents[id].peer else {
            return;
        };
        for task in request
            .tasks
            .iter()
            .filter(|task| !is_terminal(task.state()))
        {
            let framework = &task.framework_id.value;
            let live = self.frameworks.get(framework);
            let live = live.and_then(|framework| framework.tasks.get(&task.task_id.value));
            if live.is_some_and(|live| live.task.agent_id.value != id) {
                tracing::warn!(
                    agent = id,
                    framework,
                    task = task.task_id.value,
                    "a task with this id lives on another agent; the copy is killed"
                );
                turn.order(peer, self.kill_order(framework, &task.task_id, None));
            }
        }
    }

    fn add_executor(
        &mut self,
        id: &str,
        framework: &str,
        executor: &ExecutorInfo,
        turn: &mut Turn<'_>,
    ) {
        let executor_id = executor.executor_id.value.clone();
        let executor = Arc::new(executor.clone());
        if let Some(framework) = self.frameworks.get_mut(framework) {
            framework
                .executors
                .insert((id.to_string(), executor_id.clone()), Arc::clone(&executor));
        }
        if let Some(agent) = self.agents.get_mut(id) {
            agent.executors.insert((framework.to_string(), executor_id));
        }
        self.change(
            turn,
            Change::ExecutorAdded {
                framework_id: framework_id(framework),
                agent_id: AgentId {
                    value: id.to_string(),
                },
                executor,
            },
        );
    }

    fn forget_unreachable(&mut self, framework: &str, task_id: &str, turn: &mut Turn<'_>) {
        let Some(entry) = self.frameworks.get_mut(framework) else {
            return;
        };
        let before = entry.unreachable.len();
        entry.unreachable.retain(|task| task != task_id);
        if entry.unreachable.len() < before {
            let task_id = tepui_protocol::v1::TaskId {
                value: task_id.to_string(),
            };
            self.change(
                turn,
                Change::TaskRemoved {
                    framework_id: framework_id(framework),
                    task_id,
                    kept: TaskKept::No,
                },
            );
        }
    }

    /// A scheduler that was told its task is lost or unreachable hears that it is back.
    fn announce_return(&self, framework: &str, task: &Task, turn: &mut Turn<'_>) {
        if let Some(stream_id) = self.frameworks[framework].stream_id.as_deref() {
            let status = MasterStatus::new(task.state())
                .reason(Reason::AgentReregistered)
                .message("Agent reregistered")
                .build(task, turn.now);
            turn.event(stream_id, update_event(status));
        }
    }

    /// An agent this master never gave up is back on a new connection.
    fn reconnect_agent(
        &mut self,
        id: &str,
        peer: PeerId,
        request: &node::RegisterAgent,
        turn: &mut Turn<'_>,
    ) {
        self.drop_executors_not_listed(id, request, turn);
        for allocation in self.take_over(id, request, false, turn) {
            turn.allocator(WorldChange::Used {
                agent_id: AgentId {
                    value: id.to_string(),
                },
                allocation,
            });
        }
        let agent = self
            .agents
            .get_mut(id)
            .expect("reconnect is called for a known agent");
        if let Some(old) = agent.peer.replace(peer) {
            self.peers.remove(&old);
        }
        self.peers.insert(peer, id.to_string());
        let total = total_of(&request.agent_info.resources);
        let resized = agent.record.total != total;
        let record = &mut agent.record;
        record.info = request.agent_info.clone();
        record.pid = request.pid.clone();
        record.version = request.version.clone();
        record.capabilities = request.capabilities.clone();
        record.connected = true;
        record.active = !record.deactivated;
        record.reregistered_at = Some(turn.now);
        record.total = total.clone();
        let record = Arc::new(record.clone());
        let agent_id = AgentId {
            value: id.to_string(),
        };
        if resized {
            turn.allocator(WorldChange::AgentTotal {
                agent_id: agent_id.clone(),
                total,
            });
        }
        turn.allocator(WorldChange::AgentActive {
            agent_id,
            active: record.active,
        });
        self.change(turn, Change::AgentUpdated(record));
    }

    /// An executor the agent no longer has: its resources are free (INTERNALS 9).
    fn drop_executors_not_listed(
        &mut self,
        id: &str,
        request: &node::RegisterAgent,
        turn: &mut Turn<'_>,
    ) {
        let listed: BTreeSet<(String, String)> = request
            .executors
            .iter()
            .map(|e| {
                (
                    e.framework_id.clone().unwrap_or_default().value,
                    e.executor_id.value.clone(),
                )
            })
            .collect();
        for (framework, executor) in self.agents[id].executors.clone() {
            if !listed.contains(&(framework.clone(), executor.clone())) {
                self.remove_executor(&framework, id, &executor, turn);
            }
        }
    }

    /// Tasks the master believes on the agent and the agent did not list: it will say what became of them.
    fn missing_tasks(&self, id: &str, request: &node::RegisterAgent) -> Vec<node::TaskKey> {
        let listed: BTreeSet<(&str, &str)> = request
            .tasks
            .iter()
            .map(|t| (t.framework_id.value.as_str(), t.task_id.value.as_str()))
            .collect();
        let tasks = self.agents[id].tasks.iter();
        tasks
            .filter(|(framework, task)| !listed.contains(&(framework.as_str(), task.as_str())))
            .map(|(framework, task)| node::TaskKey {
                framework_id: framework_id(framework),
                task_id: tepui_protocol::v1::TaskId {
                    value: task.clone(),
                },
            })
            .collect()
    }

    fn repeat_kills(&self, id: &str, turn: &mut Turn<'_>) {
        let agent = &self.agents[id];
        if let Some(peer) = agent.peer {
            for (framework, task) in &agent.killed {
                let task_id = tepui_protocol::v1::TaskId {
                    value: task.clone(),
                };
                turn.order(peer, self.kill_order(framework, &task_id, None));
            }
        }
    }

    pub(crate) fn agent_lost(&mut self, peer: PeerId, silent: bool, turn: &mut Turn<'_>) {
        for pending in self.pending.values_mut() {
            if let Pending::AgentAdmission(admission) = pending
                && admission.peer == peer
            {
                admission.lost = true;
            }
        }
        let Some(id) = self.peers.remove(&peer) else {
            return;
        };
        let Some(agent) = self
            .agents
            .get_mut(&id)
            .filter(|agent| agent.peer == Some(peer))
        else {
            return;
        };
        agent.peer = None;
        agent.record.connected = false;
        agent.record.active = false;
        let record = Arc::new(agent.record.clone());
        let timer = Timer::Unreachable {
            agent_id: id.clone(),
        };
        let patience = if silent {
            self.config.agent_silence_timeout
        } else {
            self.config.agent_reregister_timeout
        };
        self.timers
            .set(turn.now.saturating_add(patience.as_nanos() as i64), timer);
        turn.allocator(WorldChange::AgentActive {
            agent_id: AgentId { value: id.clone() },
            active: false,
        });
        self.rescind_offers_of_agent(&id, turn);
        self.change(turn, Change::AgentUpdated(record));
    }

    /// In the registry, not back yet: it has as long as one that was lost.
    pub(crate) fn recover_agent(&mut self, info: AgentInfo, turn: &mut Turn<'_>) {
        let id = info.id.clone().unwrap_or_default().value;
        self.change(turn, Change::AgentRecovered(Arc::new(info.clone())));
        self.recovered_agents.insert(id.clone(), info);
        let at = turn
            .now
            .saturating_add(self.config.agent_reregister_timeout.as_nanos() as i64);
        self.timers.set(at, Timer::Unreachable { agent_id: id });
    }

    pub(crate) fn timer(&mut self, timer: Timer, turn: &mut Turn<'_>) {
        match timer {
            Timer::Failover { framework_id } => self.failover_over(&framework_id, turn),
            Timer::Unreachable { agent_id } => {
                let lost = match self.agents.get(&agent_id) {
                    Some(agent) => agent.peer.is_none(),
                    None => self.recovered_agents.contains_key(&agent_id),
                };
                if lost && self.agents_in_transition.insert(agent_id.clone()) {
                    let command = Command::MarkUnreachable {
                        id: agent_id.clone(),
                        at_nanos: turn.now,
                    };
                    self.write(
                        turn,
                        command,
                        Pending::AgentUnreachable {
                            agent_id,
                            at: turn.now,
                        },
                    );
                }
            }
        }
    }

    pub(crate) fn unreachable_written(
        &mut self,
        id: &str,
        at: UnixNanos,
        refused: Option<String>,
        turn: &mut Turn<'_>,
    ) {
        self.agents_in_transition.remove(id);
        if let Some(reason) = refused {
            tracing::warn!(agent = id, reason, "agent not marked unreachable");
            return;
        }
        self.unreachable_agents.insert(id.to_string(), at);
        self.remove_agent(id, AgentEnd::Unreachable, at, turn);
    }

    /// MARK_AGENT_GONE: written first, then told.
    pub(crate) fn mark_gone(&mut self, token: Token, id: &str, turn: &mut Turn<'_>) {
        if self.gone_agents.contains_key(id) {
            return turn.answer(token, Answer::OK);
        }
        let known = self.agents.contains_key(id)
            || self.recovered_agents.contains_key(id)
            || self.unreachable_agents.contains_key(id);
        if !known {
            return turn.answer(
                token,
                Answer::refused(404, format!("Agent '{id}' not found")),
            );
        }
        if !self.agents_in_transition.insert(id.to_string()) {
            return turn.answer(
                token,
                Answer::refused(503, format!("Agent '{id}' is being changed; try again")),
            );
        }
        let command = Command::MarkGone {
            id: id.to_string(),
            at_nanos: turn.now,
        };
        self.write(
            turn,
            command,
            Pending::AgentGone {
                agent_id: id.to_string(),
                token,
                at: turn.now,
            },
        );
    }

    pub(crate) fn gone_written(
        &mut self,
        id: &str,
        token: Token,
        at: UnixNanos,
        refused: Option<String>,
        turn: &mut Turn<'_>,
    ) {
        self.agents_in_transition.remove(id);
        if let Some(reason) = refused {
            return turn.answer(token, Answer::refused(409, reason));
        }
        self.gone_agents.insert(id.to_string(), at);
        self.unreachable_agents.remove(id);
        self.shutdown_agent(id, "Agent has been marked gone", turn);
        self.remove_agent(id, AgentEnd::Gone, at, turn);
        turn.answer(token, Answer::OK);
    }

    fn shutdown_agent(&self, id: &str, reason: &str, turn: &mut Turn<'_>) {
        if let Some(peer) = self.agents.get(id).and_then(|agent| agent.peer) {
            turn.order(
                peer,
                Order::ShutdownAgent(node::ShutdownAgent {
                    reason: reason.to_string(),
                    term: self.term,
                }),
            );
        }
    }

    pub(crate) fn agent_leaves(&mut self, id: &str, turn: &mut Turn<'_>) {
        self.leave(id, "the agent unregistered", turn);
    }

    fn leave(&mut self, id: &str, reason: &str, turn: &mut Turn<'_>) {
        if self.agents_in_transition.insert(id.to_string()) {
            let pending = Pending::AgentRemoved {
                agent_id: id.to_string(),
                reason: reason.to_string(),
            };
            self.write(turn, Command::RemoveAgent { id: id.to_string() }, pending);
        }
    }

    pub(crate) fn agent_removed_written(&mut self, id: &str, reason: &str, turn: &mut Turn<'_>) {
        self.agents_in_transition.remove(id);
        tracing::info!(agent = id, reason, "agent removed");
        self.remove_agent(id, AgentEnd::Removed, turn.now, turn);
    }

    /// Takes an agent off the tables, with all that was on it, and tells every scheduler.
    fn remove_agent(&mut self, id: &str, end: AgentEnd, at: UnixNanos, turn: &mut Turn<'_>) {
        self.recovered_agents.remove(id);
        self.timers.cancel(&Timer::Unreachable {
            agent_id: id.to_string(),
        });
        if self.agents.contains_key(id) {
            self.rescind_offers_of_agent(id, turn);
            for (framework, task) in self.agents[id].tasks.clone() {
                self.lose_task(&framework, &task, end, at, turn);
            }
            for (framework, executor) in self.agents[id].executors.clone() {
                self.remove_executor(&framework, id, &executor, turn);
            }
            if let Some(peer) = self.agents.remove(id).and_then(|agent| agent.peer) {
                self.peers.remove(&peer);
            }
            turn.allocator(WorldChange::AgentRemoved {
                agent_id: AgentId {
                    value: id.to_string(),
                },
            });
        }
        self.change(
            turn,
            Change::AgentRemoved {
                agent_id: AgentId {
                    value: id.to_string(),
                },
                end,
                at,
            },
        );
        for framework in self.frameworks.values() {
            if let Some(stream_id) = &framework.stream_id {
                turn.event(stream_id, failure_event(id, None));
            }
        }
    }

    fn lose_task(
        &mut self,
        framework: &str,
        task_id: &str,
        end: AgentEnd,
        at: UnixNanos,
        turn: &mut Turn<'_>,
    ) {
        let Some(entry) = self
            .frameworks
            .get(framework)
            .and_then(|f| f.tasks.get(task_id))
        else {
            return;
        };
        let task = Arc::clone(&entry.task);
        if is_terminal(task.state()) {
            return self.remove_task(framework, task_id, TaskKept::Completed, turn);
        }
        let aware = self.is_partition_aware(framework);
        let (state, reason, message) = match (end, aware) {
            (AgentEnd::Unreachable, true) => (
                TaskState::TaskUnreachable,
                Reason::AgentRemoved,
                "Agent became unreachable",
            ),
            (AgentEnd::Gone, true) => (
                TaskState::TaskGoneByOperator,
                Reason::AgentRemovedByOperator,
                "Agent was marked gone",
            ),
            (AgentEnd::Removed, true) => {
                (TaskState::TaskGone, Reason::AgentRemoved, "Agent removed")
            }
            (_, false) => (TaskState::TaskLost, Reason::AgentRemoved, "Agent removed"),
        };
        let mut status = MasterStatus::new(state).reason(reason).message(message);
        if end == AgentEnd::Unreachable {
            status = status.unreachable_since(at);
        }
        let status = status.build(&task, turn.now);
        if let Some(stream_id) = self.frameworks[framework].stream_id.as_deref() {
            turn.event(stream_id, update_event(status.clone()));
        }
        self.set_task_state(framework, task_id, status, state, turn);
        let unreachable = end == AgentEnd::Unreachable;
        if unreachable {
            self.remember_unreachable(framework, &task);
        }
        let kept = if unreachable {
            TaskKept::Unreachable
        } else {
            TaskKept::Completed
        };
        self.remove_task(framework, task_id, kept, turn);
    }

    fn remember_unreachable(&mut self, framework: &str, task: &Task) {
        if let Some(framework) = self.frameworks.get_mut(framework) {
            if framework.unreachable.len() == MAX_UNREACHABLE_TASKS {
                framework.unreachable.pop_front();
            }
            framework.unreachable.push_back(task.task_id.value.clone());
        }
    }
}

fn agent_id_of(request: &node::RegisterAgent) -> String {
    request.agent_info.id.clone().unwrap_or_default().value
}

fn check_agent(info: &AgentInfo) -> Result<(), String> {
    Resources::from_proto(&info.resources)
        .map_err(|error| format!("invalid resources: {error}"))?;
    if let Some(id) = &info.id {
        tepui_protocol::validate::id::validate(&id.value)?;
    }
    Ok(())
}

/// An agent's resources with the role spelled out, as totals are shown.
fn total_of(resources: &[Resource]) -> Vec<Resource> {
    resources.to_vec()
}

fn allocation(framework: &str, resources: &[Resource]) -> Allocation {
    Allocation {
        framework_id: framework_id(framework),
        role: allocation_role(resources),
        resources: without_allocation(resources),
    }
}

#[cfg(test)]
#[path = "agents_tests.rs"]
mod tests;
