//! Lending what nobody uses: when estimator and controller are asked, what the master is told, and how those are
//! preempted who must give back (Mesos `slave.cpp`, `_forwardOversubscribed` and `_qosCorrections`).
//! What can be lent and who is preempted is said by [`crate::estimators`] and [`crate::controllers`].

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tepui_messages::agent::{ExecutorPhase, NodePhase};
use tepui_protocol::{
    node,
    resources::Resources,
    v1::{
        Resource, ResourceStatistics, TaskState, framework_info::capability, task_status::Reason,
    },
};

use crate::{
    core::{NodeCore, Timer, Turn},
    effect::{Effect, ExecutorKey, Measured},
    status::{self, Verdict},
    tables::{Executor, Framework, Stage},
    usage::{ExecutorUsage, Usage},
};

/// A controller is not asked more often, whatever `--qos-correction-interval-min` says: nothing it looks at changes
/// faster.
const SHORTEST_CORRECTION_INTERVAL: Duration = Duration::from_secs(1);

/// How far the node is with lending.
#[derive(Debug, Default)]
pub(crate) struct Oversubscription {
    /// What is lent or can be, in all; `None` before the first estimate.
    pub(crate) total: Option<Resources>,
}

/// Who asks for a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// What can be lent?
    Estimate,
    /// Who must give back?
    Correct,
}

impl NodeCore {
    /// From the end of recovery on, for as long as the agent lives.
    pub(crate) fn begin_oversubscription(&mut self, turn: &mut Turn<'_>) {
        if self.config.estimator.is_some() {
            self.measure(turn, Purpose::Estimate);
        }
        if self.config.controller.is_some() {
            self.measure(turn, Purpose::Correct);
        }
    }

    pub(crate) fn measure(&mut self, turn: &mut Turn<'_>, purpose: Purpose) {
        turn.out.push(Effect::Measure {
            purpose,
            containers: self.containers.keys().cloned().collect(),
        });
    }

    /// The answer to [`Effect::Measure`]: the next one is asked for an interval later.
    pub(crate) fn measured(&mut self, turn: &mut Turn<'_>, purpose: Purpose, measured: Measured) {
        let Measured { statistics, load } = measured;
        let usage = self.usage(statistics);
        let interval = match purpose {
            Purpose::Estimate => {
                self.estimate(turn, &usage);
                self.config.oversubscribed_resources_interval
            }
            Purpose::Correct => {
                if let Some(controller) = self.config.controller.clone() {
                    for key in controller.corrections(&usage, load) {
                        self.preempt(turn, &key);
                    }
                }
                let interval = self.config.qos_correction_interval_min;
                interval.max(SHORTEST_CORRECTION_INTERVAL)
            }
        };
        self.set_timer(turn.now.monotonic + interval, Timer::Measure(purpose));
    }

    /// What runs here, with what was measured of it.
    pub(crate) fn usage(&self, mut statistics: BTreeMap<String, ResourceStatistics>) -> Usage {
        let mut executors = Vec::new();
        for (framework_id, framework) in &self.frameworks {
            for (executor_id, executor) in &framework.executors {
                if executor.phase == ExecutorPhase::Terminated {
                    continue;
                }
                executors.push(ExecutorUsage {
                    key: ExecutorKey {
                        framework_id: framework_id.clone(),
                        executor_id: executor_id.clone(),
                    },
                    info: Arc::clone(&executor.info),
                    container_id: executor.container_id.clone(),
                    allocated: allocated(executor),
                    tasks: live(executor)
                        .map(|entry| Arc::clone(&entry.task))
                        .collect(),
                    statistics: statistics.remove(&executor.container_id),
                });
            }
        }
        Usage {
            total: self.total.clone(),
            executors,
        }
    }

    fn estimate(&mut self, turn: &mut Turn<'_>, usage: &Usage) {
        let Some(estimator) = self.config.estimator.clone() else {
            return;
        };
        // Whatever an estimator says: only what can be taken back is lent.
        let more = estimator.oversubscribable(usage).revocable().unallocated();
        let lent = usage.executors.iter().map(|it| it.allocated.revocable());
        let total = lent.fold(more, |total, lent| total + &lent);
        let is_news = self.oversubscription.total.as_ref() != Some(&total);
        self.oversubscription.total = Some(total);
        if is_news {
            self.tell_of_oversubscribed(turn);
        }
    }

    /// At each change, and at each registration.
    pub(crate) fn tell_of_oversubscribed(&self, turn: &mut Turn<'_>) {
        if self.phase == NodePhase::Running && self.oversubscription.total.is_some() {
            let resources = self.oversubscribed();
            let message = node::OversubscribedResources { resources };
            turn.out.push(Effect::SendOversubscribed(message));
        }
    }

    /// What is lent or can be, as the master is told.
    pub(crate) fn oversubscribed(&self) -> Vec<Resource> {
        let total = self.oversubscription.total.as_ref();
        total.map(Resources::to_proto).unwrap_or_default()
    }

    /// What the node has in all, with what it lends.
    pub(crate) fn total_with_oversubscribed(&self) -> Vec<Resource> {
        let mut total = self.total.to_proto();
        total.extend(self.oversubscribed());
        total
    }

    /// Kills an executor with its tasks, since others need what was lent to it.
    fn preempt(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey) {
        let framework = self.frameworks.get(&key.framework_id);
        let Some(framework) = framework.filter(|framework| !framework.terminating) else {
            return;
        };
        let verdict = preempted(framework);
        if self.end_with(turn, key, &verdict) {
            self.counts.preempted_executors += 1;
        }
    }
}

/// What the tasks of a preempted executor end with: they ran, and are certainly gone.
fn preempted(framework: &Framework) -> Verdict {
    let aware = capability::Type::PartitionAware;
    let state = if status::has_capability(&framework.info, aware) {
        TaskState::TaskGone
    } else {
        TaskState::TaskLost
    };
    let reason = Reason::ContainerPreempted;
    Verdict::agent(state, reason, "Container preempted by QoS correction")
}

fn live(executor: &Executor) -> impl Iterator<Item = &crate::tables::TaskEntry> {
    let entries = executor.tasks.values();
    entries.filter(|entry| entry.stage != Stage::Terminated)
}

fn allocated(executor: &Executor) -> Resources {
    let tasks = live(executor).flat_map(|entry| &entry.info.resources);
    let all: Vec<Resource> = executor
        .info
        .resources
        .iter()
        .chain(tasks)
        .cloned()
        .collect();
    Resources::from_proto_unchecked(&all).unallocated()
}

#[cfg(test)]
#[path = "oversubscription_tests.rs"]
mod tests;
