//! A follower of the change stream in tests: knows of the master only what the stream says, as the view does.

use std::collections::{BTreeMap, BTreeSet};

use tepui_messages::change::{
    AgentEnd, AgentRecord, Change, FrameworkRecord, MaintenanceRecord, Numbered, OperationKey,
    TaskKept,
};
use tepui_protocol::v1::{Operation, Task, allocator::InverseOfferStatus, quota::QuotaConfig};

use crate::{core::MasterCore, invariants::ensure, tables::is_terminal};

/// What a follower of the change stream knows, as the view does.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    number: u64,
    recovered: BTreeSet<String>,
    /// Agents that were given up.
    lost: BTreeSet<String>,
    agents: BTreeMap<String, AgentRecord>,
    frameworks: BTreeMap<String, FrameworkRecord>,
    tasks: BTreeMap<(String, String), Task>,
    unreachable: BTreeSet<(String, String)>,
    executors: BTreeSet<(String, String, String)>,
    offers: BTreeSet<String>,
    inverse_offers: BTreeSet<String>,
    answers: BTreeMap<String, Vec<InverseOfferStatus>>,
    operations: BTreeMap<(String, OperationKey), Operation>,
    weights: BTreeMap<String, f64>,
    quota: Vec<QuotaConfig>,
    maintenance: MaintenanceRecord,
}

impl Replay {
    pub(crate) fn follow(&mut self, numbered: &Numbered) -> Result<(), String> {
        self.number += 1;
        ensure(numbered.number == self.number, || {
            format!("change {} came as {}", self.number, numbered.number)
        })?;
        let first = matches!(numbered.change, Change::Elected(_));
        ensure(first == (self.number == 1), || {
            "Elected is the first change, and only the first".to_string()
        })?;
        match &numbered.change {
            Change::Elected(_) => Ok(()),
            Change::Weights(weights) => {
                self.weights = (**weights).clone();
                Ok(())
            }
            Change::Quota(quota) => {
                self.quota = (**quota).clone();
                Ok(())
            }
            Change::Maintenance(maintenance) => {
                self.maintenance = (**maintenance).clone();
                Ok(())
            }
            Change::TaskAdded(_)
            | Change::TaskUpdated { .. }
            | Change::TaskEndedAway { .. }
            | Change::TaskRemoved { .. } => self.follow_task(&numbered.change),
            other => self.follow_others(other),
        }
    }

    fn follow_task(&mut self, change: &Change) -> Result<(), String> {
        match change {
            Change::TaskAdded(task) => {
                let framework = &task.framework_id.value;
                ensure(self.frameworks.contains_key(framework), || {
                    format!("a task of {framework}, which is not known")
                })?;
                let key = key(framework, &task.task_id.value);
                let new = self.tasks.insert(key, (**task).clone()).is_none();
                ensure(new, || "the task is there already".to_string())
            }
            Change::TaskEndedAway { task, .. } => {
                let key = key(&task.framework_id.value, &task.task_id.value);
                ensure(self.unreachable.remove(&key), || {
                    "no such unreachable task".to_string()
                })?;
                ensure(is_terminal(task.state()), || {
                    "a task ended in a state that is no end".to_string()
                })
            }
            Change::TaskUpdated { task, status, .. } => {
                let key = key(&task.framework_id.value, &task.task_id.value);
                let old = self.tasks.insert(key, (**task).clone());
                ensure(status.task_id == task.task_id, || {
                    "the status is of another task".to_string()
                })?;
                let old = old.ok_or("an update of a task that is not there")?;
                ensure(
                    !is_terminal(old.state()) || old.state() == task.state(),
                    || "a terminal state changed".to_string(),
                )
            }
            Change::TaskRemoved {
                framework_id,
                task_id,
                kept,
            } => {
                let key = key(&framework_id.value, &task_id.value);
                let removed = self.tasks.remove(&key);
                match kept {
                    TaskKept::No => ensure(self.unreachable.remove(&key), || {
                        "no such unreachable task".to_string()
                    }),
                    TaskKept::Unreachable => {
                        self.unreachable.insert(key);
                        ensure(removed.is_some(), || "no such task".to_string())
                    }
                    TaskKept::Completed => {
                        let state = removed.ok_or("no such task")?.state();
                        ensure(is_terminal(state), || format!("completed as {state:?}"))
                    }
                }
            }
            _ => Ok(()),
        }
    }

    fn follow_others(&mut self, change: &Change) -> Result<(), String> {
        let fits = match change {
            Change::AgentRecovered(info) => self.recovered.insert(id_of(info.id.as_ref())),
            Change::AgentAdded(record) => {
                let id = id_of(record.info.id.as_ref());
                self.recovered.remove(&id);
                self.lost.remove(&id);
                self.agents.insert(id, (**record).clone()).is_none()
            }
            Change::AgentUpdated(record) => {
                let id = id_of(record.info.id.as_ref());
                self.agents.insert(id, (**record).clone()).is_some()
            }
            Change::AgentRemoved { agent_id, end, .. } => {
                let id = &agent_id.value;
                self.lost.remove(id);
                if *end == AgentEnd::Unreachable {
                    self.lost.insert(id.clone());
                }
                let bare = self.tasks.values().all(|task| task.agent_id.value != *id)
                    && self.executors.iter().all(|(_, agent, _)| agent != id)
                    && self.operations.keys().all(|(agent, _)| agent != id);
                self.recovered.remove(id);
                self.agents.remove(id);
                bare
            }
            Change::AgentStillUnreachable { agent_id, .. } => {
                self.lost.insert(agent_id.value.clone())
            }
            Change::AgentForgotten { agent_id } => {
                self.lost.remove(&agent_id.value);
                !self.agents.contains_key(&agent_id.value)
            }
            Change::FrameworkAdded(record) => {
                let id = framework(record);
                self.frameworks.insert(id, (**record).clone()).is_none()
            }
            Change::FrameworkUpdated(record) | Change::FrameworkMarked(record) => {
                let id = framework(record);
                self.frameworks.insert(id, (**record).clone()).is_some()
            }
            Change::FrameworkRemoved { framework_id, .. } => {
                let id = &framework_id.value;
                self.unreachable
                    .iter()
                    .all(|(framework, _)| framework != id)
                    && self.tasks.keys().all(|(framework, _)| framework != id)
                    && self
                        .executors
                        .iter()
                        .all(|(framework, _, _)| framework != id)
                    && self.frameworks.remove(id).is_some()
            }
            Change::ExecutorAdded {
                framework_id,
                agent_id,
                executor,
            } => self.executors.insert((
                framework_id.value.clone(),
                agent_id.value.clone(),
                executor.executor_id.value.clone(),
            )),
            Change::ExecutorRemoved {
                framework_id,
                agent_id,
                executor_id,
            } => self.executors.remove(&(
                framework_id.value.clone(),
                agent_id.value.clone(),
                executor_id.value.clone(),
            )),
            Change::OperationAdded(operation) => self
                .operations
                .insert(operation_key(operation), (**operation).clone())
                .is_none(),
            Change::OperationUpdated(operation) => self
                .operations
                .insert(operation_key(operation), (**operation).clone())
                .is_some(),
            Change::OperationRemoved { agent_id, uuid } => {
                let key = (agent_id.value.clone(), *uuid);
                self.operations.remove(&key).is_some()
            }
            Change::OfferAdded { offer, .. } => self.offers.insert(offer.id.value.clone()),
            Change::OfferRemoved { offer_id, .. } => self.offers.remove(&offer_id.value),
            Change::InverseOfferAdded(offer) => self.inverse_offers.insert(offer.id.value.clone()),
            Change::InverseOfferRemoved { offer_id, .. } => {
                self.inverse_offers.remove(&offer_id.value)
            }
            Change::InverseOffersAnswered { agent_id, answers } => {
                let before = if answers.is_empty() {
                    self.answers.remove(&agent_id.value)
                } else {
                    self.answers
                        .insert(agent_id.value.clone(), answers.to_vec())
                };
                before.as_deref() != Some(&**answers)
            }
            _ => true,
        };
        ensure(fits, || {
            "the change does not fit what was there".to_string()
        })
    }

    fn check_inverse(&self, core: &MasterCore) -> Result<(), String> {
        let standing = core.inverse.offers.values();
        let standing = standing.map(|it| &it.offer.id.value);
        ensure(
            self.inverse_offers
                .iter()
                .eq(standing.collect::<BTreeSet<_>>()),
            || "inverse offers".to_string(),
        )?;
        let agents = core.inverse.agents.iter();
        let answered = agents.filter(|(_, agent)| !agent.answers.is_empty());
        let answered = answered.map(|(id, agent)| (id, agent.answers.values().collect::<Vec<_>>()));
        let mine = self
            .answers
            .iter()
            .map(|(id, told)| (id, told.iter().collect::<Vec<_>>()));
        ensure(mine.eq(answered), || {
            "answers to inverse offers".to_string()
        })
    }

    /// A follower knows what the master knows.
    pub(crate) fn check(&self, core: &MasterCore) -> Result<(), String> {
        ensure(self.number == core.changes(), || {
            "the count of changes".to_string()
        })?;
        let agents = core.agents.iter().map(|(id, agent)| (id, &*agent.record));
        ensure(self.agents.iter().eq(agents), || "agents".to_string())?;
        ensure(
            self.recovered.iter().eq(core.recovered_agents.keys()),
            || "recovered agents".to_string(),
        )?;
        ensure(self.lost.iter().eq(core.unreachable_agents.keys()), || {
            "unreachable agents".to_string()
        })?;
        let frameworks = core.frameworks.iter().map(|(id, f)| (id, &f.record));
        ensure(self.frameworks.iter().eq(frameworks), || {
            "frameworks".to_string()
        })?;
        let tasks = core.frameworks.iter().flat_map(|(id, framework)| {
            let tasks = framework.tasks.iter();
            tasks.map(move |(task, entry)| (key(id, task), &*entry.task))
        });
        let mine = self.tasks.iter().map(|(key, task)| (key.clone(), task));
        ensure(mine.eq(tasks), || "tasks".to_string())?;
        let executors: BTreeSet<_> = core
            .frameworks
            .iter()
            .flat_map(|(id, framework)| {
                let executors = framework.executors.keys();
                executors.map(move |(agent, e)| (id.clone(), agent.clone(), e.clone()))
            })
            .collect();
        ensure(self.executors == executors, || "executors".to_string())?;
        let operations = core.agents.iter().flat_map(|(id, agent)| {
            let operations = agent.operations.iter();
            operations.map(move |(key, operation)| ((id.clone(), *key), &**operation))
        });
        let mine = self.operations.iter().map(|(key, it)| (key.clone(), it));
        ensure(mine.eq(operations), || "operations".to_string())?;
        let offers: BTreeSet<_> = core
            .offers
            .values()
            .map(|o| o.offer.id.value.clone())
            .collect();
        ensure(self.offers == offers, || "offers".to_string())?;
        self.check_inverse(core)?;
        ensure(
            self.weights == core.weights
                && self.quota == core.quota
                && self.maintenance == core.maintenance,
            || "weights, quota or maintenance".to_string(),
        )
        .map_err(|what| format!("a follower knows otherwise: {what}"))
    }
}

fn key(framework: &str, task: &str) -> (String, String) {
    (framework.to_string(), task.to_string())
}

fn operation_key(operation: &Operation) -> (String, OperationKey) {
    let uuid = operation.uuid.value.as_ref().try_into();
    (id_of(operation.agent_id.as_ref()), uuid.expect("16 bytes"))
}

fn id_of(id: Option<&tepui_protocol::v1::AgentId>) -> String {
    id.map(|id| id.value.clone()).unwrap_or_default()
}

fn framework(record: &FrameworkRecord) -> String {
    record.info.id.clone().unwrap_or_default().value
}
