//! Draining: the master has taken this agent out of its offers and wants its tasks to end (Mesos: `Slave::drain`). Kept over
//! restarts, so that what ends before a master is reached is told as drained too; the master tells each agent that returns
//! while it drains again.

use std::time::Duration;

use tepui_messages::agent::Draining;
use tepui_protocol::{
    node,
    v1::{
        DurationInfo, FrameworkId, KillPolicy, TaskState, TaskStatus,
        framework_info::capability::Type, task_status::Reason,
    },
};

use crate::{
    core::{NodeCore, Turn},
    effect::Keep,
    status::{self, Verdict, duration},
    tables::{Stage, TaskEntry},
};

impl NodeCore {
    pub(crate) fn drain(&mut self, turn: &mut Turn<'_>, order: node::DrainAgent) {
        if self.is_idle() {
            return;
        }
        let since = self
            .drain
            .as_ref()
            .map_or(turn.now.unix_nanos, |drain| drain.since);
        let drain = Draining {
            config: order.config,
            since,
        };
        if self.drain.replace(drain) != Some(drain) {
            turn.keep_synced(Keep::Drain(Some(drain)));
        }
        self.kill_drained(turn);
    }

    /// Kills what runs on an agent that drains.
    pub(crate) fn kill_drained(&mut self, turn: &mut Turn<'_>) {
        let Some(drain) = &self.drain else {
            return;
        };
        let (longest, term) = (drain.config.max_grace_period.map(duration), self.term);
        let kills: Vec<node::KillTask> = self
            .frameworks
            .iter()
            .flat_map(|(framework_id, framework)| {
                let executors = framework.executors.values();
                let entries = executors.flat_map(|executor| executor.tasks.values());
                let live = entries.filter(|entry| entry.stage != Stage::Terminated);
                live.map(move |entry| kill(framework_id, entry, longest, term))
            })
            .collect();
        for order in kills {
            self.kill_task(turn, &order);
        }
    }

    fn is_idle(&self) -> bool {
        self.frameworks.is_empty() && self.operations.open.is_empty()
    }

    /// What is drained may run tasks again, once the master offers it.
    pub(crate) fn end_drain(&mut self, turn: &mut Turn<'_>) {
        // One whose start was refused knows only what it has restored.
        if self.drain.is_some() && self.is_idle() && !self.ended {
            self.drain = None;
            turn.keep(Keep::Drain(None));
        }
    }

    /// Why a task that comes now is not run.
    pub(crate) fn draining_verdict(&self, framework_id: &str) -> Option<Verdict> {
        self.drain.as_ref()?;
        let framework = self.frameworks.get(framework_id);
        let state = framework.map_or(TaskState::TaskLost, |it| status::dropped(&it.info));
        Some(Verdict::agent(
            state,
            Reason::AgentDraining,
            "Task was received while agent was already draining",
        ))
    }

    /// Tells of a kill while the agent drains as of draining.
    pub(crate) fn tell_of_drain(&self, framework_id: &str, status: &mut TaskStatus) {
        let Some(drain) = &self.drain else {
            return;
        };
        if !matches!(
            status.state(),
            TaskState::TaskKilling | TaskState::TaskKilled
        ) {
            return;
        }
        status.reason = Some(Reason::AgentDraining as i32);
        let framework = self.frameworks.get(framework_id);
        let aware =
            framework.is_some_and(|it| status::has_capability(&it.info, Type::PartitionAware));
        // Only an end is told as another one: what is being killed still runs.
        if drain.config.mark_gone() && aware && status.state() == TaskState::TaskKilled {
            status.state = TaskState::TaskGoneByOperator as i32;
        }
    }
}

/// With the shorter grace, if the task's own is longer or not said.
fn kill(
    framework_id: &str,
    entry: &TaskEntry,
    longest: Option<Duration>,
    term: u64,
) -> node::KillTask {
    let own = entry.info.kill_policy.as_ref();
    let own = own.and_then(|policy| policy.grace_period).map(duration);
    let shortened = longest.filter(|longest| own.is_none_or(|own| *longest < own));
    node::KillTask {
        framework_id: FrameworkId {
            value: framework_id.to_owned(),
        },
        task_id: entry.info.task_id.clone(),
        kill_policy: shortened.map(|grace| KillPolicy {
            grace_period: Some(DurationInfo {
                nanoseconds: i64::try_from(grace.as_nanos()).unwrap_or(i64::MAX),
            }),
        }),
        term,
    }
}

#[cfg(test)]
#[path = "drain_tests.rs"]
mod tests;
