//! Becoming and staying a member: asking the leading master, again with growing random waits, and what its
//! answer means. Owns the phases DISCONNECTED and RUNNING.

use std::{sync::Arc, time::Duration};

use tepui_messages::agent::NodePhase;
use tepui_protocol::{
    codec::protobuf,
    node, task,
    v1::{Task, TaskState, framework_info::capability::Type as Capability, task_status::Reason},
};

use crate::{
    core::{NodeCore, Timer, Turn, task_key},
    effect::{Effect, Ending, Keep},
    status::{Verdict, has_capability},
    tables::{Executor, Stage, TaskEntry},
    updates::is_terminal,
};

/// Backoff stops doubling here; the cap of the configuration comes earlier.
const MAX_DOUBLINGS: u32 = 16;

/// Tasks that have ended, told with one registration: a new leader with many agents has enough to do.
const MAX_COMPLETED_TOLD: usize = 1_000;
/// Bytes of them, about: what runs has the rest of a frame.
const MAX_COMPLETED_BYTES: usize = 4 << 20;

/// Bytes of the statuses of what runs; beyond them a task is told with its last one.
const MAX_STATUSES_TOLD_BYTES: usize = 16 << 20;

/// How far the agent is with the master of the moment.
#[derive(Debug, Default)]
pub(crate) struct Registration {
    connection: Option<u64>,
    /// A question is under way.
    asked: bool,
    attempts: u32,
    retry_at: Option<Duration>,
    /// Ends of executors that the question under way names as living.
    untold_exits: Vec<node::ExecutorExited>,
    /// The master asks after tasks that are being ended with a framework: told as unknown once they are.
    ending: Vec<node::TaskKey>,
}

impl Registration {
    pub(crate) fn is_asked(&self) -> bool {
        self.asked
    }

    /// Keeps the end of an executor until there is a master to tell, if one believes that it lives.
    pub(crate) fn keep_exit(&mut self, exited: node::ExecutorExited) {
        if self.asked {
            self.untold_exits.push(exited);
        }
    }
}

impl NodeCore {
    pub(crate) fn connected(&mut self, turn: &mut Turn<'_>, connection: u64) {
        if self.registration.connection > Some(connection) {
            return;
        }
        self.leave_master();
        self.registration.connection = Some(connection);
        self.register(turn);
    }

    pub(crate) fn disconnected(&mut self, connection: u64) {
        if self.registration.connection == Some(connection) {
            self.leave_master();
        }
    }

    fn leave_master(&mut self) {
        self.clear_timer(self.registration.retry_at, Timer::Register);
        self.registration = Registration::default();
        self.early_orders.clear();
        self.streams.pause();
        if self.phase == NodePhase::Running {
            self.phase = NodePhase::Disconnected;
        }
    }

    /// Asks now, if there is somebody to ask and nothing under way.
    pub(crate) fn register(&mut self, turn: &mut Turn<'_>) {
        let Some(connection) = self.registration.connection else {
            return;
        };
        if self.phase != NodePhase::Disconnected || self.registration.asked {
            return;
        }
        self.registration.asked = true;
        self.registration.untold_exits.clear();
        self.registration.retry_at = None;
        turn.out.push(Effect::Register {
            connection,
            request: Box::new(self.registration_request()),
        });
    }

    fn registration_request(&self) -> node::RegisterAgent {
        let live = self.frameworks.values().filter(|known| !known.terminating);
        let mut tasks: Vec<Task> = Vec::new();
        let mut executors = Vec::new();
        let mut frameworks = Vec::new();
        let mut room = MAX_STATUSES_TOLD_BYTES;
        for framework in live {
            frameworks.push((*framework.info).clone());
            let id = framework.info.id.as_ref().map_or("", |id| &id.value);
            for executor in framework.executors.values() {
                for stage in [Stage::Queued, Stage::Launched, Stage::Terminated] {
                    let entries = executor.at(stage).into_iter();
                    tasks.extend(entries.map(|entry| self.told_task(id, entry, &mut room)));
                }
                // The master does not know of those that the agent plays.
                let ended = !self.containers.contains_key(&executor.container_id);
                if !executor.command_task && !ended {
                    executors.push((*executor.info).clone());
                }
            }
        }
        node::RegisterAgent {
            agent_info: (*self.info).clone(),
            version: self.config.version.clone(),
            capabilities: self.config.capabilities.clone(),
            pid: self.config.pid(),
            shortcoming: self.config.shortcoming.clone(),
            checkpointed_resources: self.kept_resources(),
            tasks,
            executors,
            frameworks,
            completed: self.completed_tasks(),
            operations: self
                .operations
                .open
                .values()
                .map(|entry| (*entry.operation).clone())
                .collect(),
            oversubscribed_resources: self.oversubscribed(),
        }
    }

    /// A task with its newest state, and with the state that its framework was told of.
    /// `room`: bytes for statuses.
    fn told_task(&self, framework_id: &str, entry: &TaskEntry, room: &mut usize) -> Task {
        let mut task = (*entry.task).clone();
        task::fit_statuses(&mut task.statuses, room);
        if let Some(head) = self.streams.head(&task_key(framework_id, &task.task_id)) {
            task.status_update_state = Some(head.state);
            task.status_update_uuid.clone_from(&head.uuid);
        }
        task
    }

    /// What ended here and is remembered, framework by framework, the newest executors first.
    fn completed_tasks(&self) -> Vec<node::CompletedTasks> {
        let (mut room, mut bytes) = (MAX_COMPLETED_TOLD, MAX_COMPLETED_BYTES);
        let mut told = Vec::new();
        let completed = self.completed_frameworks.iter().rev();
        for framework in self.frameworks.values().chain(completed) {
            let executors = framework.executors.values();
            let tasks = executors.flat_map(|executor| executor.completed.iter().rev());
            let tasks = tasks.chain(framework.completed.iter().rev().flat_map(last_tasks));
            // Of a framework that was shut down some are as they were.
            let tasks = tasks.filter(|task| is_terminal(task.state()));
            let mut left = bytes.checked_sub(protobuf::size(&*framework.info));
            let tasks = tasks.take(room).map_while(|task| {
                left = left?.checked_sub(protobuf::size(&**task));
                left.is_some().then(|| (**task).clone())
            });
            let tasks: Vec<Task> = tasks.collect();
            room -= tasks.len();
            if !tasks.is_empty() {
                bytes = left.unwrap_or(0);
                told.push(node::CompletedTasks {
                    framework_info: (*framework.info).clone(),
                    tasks,
                });
            }
        }
        told
    }

    pub(crate) fn registration_answered(
        &mut self,
        turn: &mut Turn<'_>,
        connection: u64,
        answer: Result<Box<node::AgentRegistration>, String>,
    ) {
        if self.registration.connection != Some(connection) || !self.registration.asked {
            return;
        }
        self.registration.asked = false;
        let Ok(answer) = answer else {
            return self.register_later(turn);
        };
        if answer.term.is_some_and(|term| term < self.term) {
            return self.register_later(turn);
        }
        let Some(agent_id) = answer.agent_id.clone() else {
            let text = answer.refusal.clone().unwrap_or_default();
            if answer.shutdown.unwrap_or(false) {
                self.master = None;
                return self.shut_down(turn, Ending::Refused(text));
            }
            return self.register_later(turn);
        };
        match &self.info.id {
            Some(id) if *id != agent_id => {
                let text = format!(
                    "the master registered this agent as {} but its id is {}; it belongs to another cluster: \
                     use another work directory",
                    agent_id.value, id.value
                );
                return self.exit(turn, Ending::Refused(text));
            }
            Some(_) => {}
            None => {
                Arc::make_mut(&mut self.info).id = Some(agent_id);
                turn.keep_synced(Keep::Agent(Arc::clone(&self.info)));
            }
        }
        self.registered(turn, *answer);
    }

    fn registered(&mut self, turn: &mut Turn<'_>, answer: node::AgentRegistration) {
        self.phase = NodePhase::Running;
        self.registration.attempts = 0;
        self.follow_term(turn, answer.term);
        self.registered_at = Some(turn.now.unix_nanos);
        self.master = answer.master_info.map(Arc::new);
        for framework in &answer.shutdown_frameworks {
            self.shutdown_framework(turn, &framework.value);
        }
        let waiting = self.streams.resume();
        self.forward_at_once(turn, waiting);
        let exits = std::mem::take(&mut self.registration.untold_exits);
        turn.out.extend(exits.into_iter().map(Effect::SendExited));
        self.forward_all_operations(turn);
        self.tell_of_oversubscribed(turn);
        // First: what overtook the answer is not unknown any more (MESOS-1696).
        for order in std::mem::take(&mut self.early_orders) {
            self.order(turn, order);
        }
        self.registration.ending.clear();
        for unknown in answer.reconcile {
            self.reconcile(turn, &unknown);
        }
    }

    /// A framework has ended here, and all that it ran: the tasks that the master asked after are unknown now.
    pub(crate) fn reconcile_ended(&mut self, turn: &mut Turn<'_>, framework_id: &str) {
        let ending = std::mem::take(&mut self.registration.ending);
        let is_its = |it: &node::TaskKey| it.framework_id.value == framework_id;
        let (ended, ending) = ending.into_iter().partition(is_its);
        self.registration.ending = ending;
        let ended: Vec<node::TaskKey> = ended;
        for unknown in &ended {
            self.reconcile(turn, unknown);
        }
    }

    /// The master has a task that the agent did not list: it was never launched here, or it came meanwhile.
    fn reconcile(&mut self, turn: &mut Turn<'_>, unknown: &node::TaskKey) {
        let key = task_key(&unknown.framework_id.value, &unknown.task_id);
        let framework = self.frameworks.get(&key.framework_id);
        let known = framework.and_then(|framework| framework.executor_of(&key.task_id));
        if known.is_some() && framework.is_some_and(|it| it.terminating) {
            // To be told of now would give away what it still uses.
            self.registration.ending.push(unknown.clone());
            return;
        }
        if known.is_some() || self.streams.contains(&key) {
            return;
        }
        let told = unknown.partition_aware.unwrap_or(false);
        let aware = framework.map_or(told, |framework| {
            has_capability(&framework.info, Capability::PartitionAware)
        });
        let state = if aware {
            TaskState::TaskDropped
        } else {
            TaskState::TaskLost
        };
        let verdict = Verdict::agent(
            state,
            Reason::Reconciliation,
            "Reconciliation: task unknown to the agent",
        );
        self.update(turn, &key.framework_id, None, verdict.status(&key.task_id));
    }

    /// A leader of a lower term has nothing to say any more, also after a restart: on disk before this one is obeyed.
    pub(crate) fn follow_term(&mut self, turn: &mut Turn<'_>, term: Option<u64>) {
        if let Some(term) = term.filter(|term| *term > self.term) {
            self.term = term;
            turn.keep_synced(Keep::Term(term));
        }
    }

    fn register_later(&mut self, turn: &mut Turn<'_>) {
        let doublings = self.registration.attempts.min(MAX_DOUBLINGS);
        self.registration.attempts += 1;
        let bound = self.config.registration_backoff * (1 << doublings);
        let bound = bound.min(self.config.registration_backoff_max);
        let at = turn.now.monotonic + self.ids.wait(bound);
        self.registration.retry_at = Some(at);
        self.set_timer(at, Timer::Register);
    }
}

/// The tasks of a completed executor, the newest first.
fn last_tasks(executor: &Executor) -> impl Iterator<Item = &Arc<Task>> {
    let left = executor.at(Stage::Terminated).into_iter().rev();
    let left = left.map(|entry| &entry.task);
    left.chain(executor.completed.iter().rev())
}

#[cfg(test)]
#[path = "registration_tests.rs"]
mod tests;
