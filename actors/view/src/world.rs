//! The world as the change stream tells it: agents, frameworks, tasks, offers, and their sums.
//!
//! Owns the tables and keeps every sum at each change, so that no question adds up more than it prints.
//! Never writes JSON, reads no clock, forgets what the bounds of Mesos forget.

mod agents;
mod frameworks;
mod held;
mod invariants;
mod maintenance;
mod offers;
mod operations;
mod sight;
mod tasks;
mod totals;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use tepui_messages::change::{Change, Kept, MaintenanceRecord, MasterRecord};
use tepui_protocol::{
    acls::{Action, Subject},
    v1::{AgentInfo, Operation, allocator::InverseOfferStatus, quota::QuotaConfig},
};

pub use agents::{Agent, Unreachable, Usage};
pub use frameworks::Framework;
pub use held::Held;
pub(crate) use maintenance::{key as machine_key, key_of as machine_key_of};
pub use offers::{EndedOffer, MAX_ENDED_OFFERS, OfferHabits, OpenOffer};
pub use operations::OperationCounts;
pub(crate) use sight::Sight;
pub use totals::{Amount, Amounts, Counters, RoleTotals, Sums, TaskCounts, Totals};

/// Everything the change stream has told so far.
#[derive(Debug, Default)]
pub struct World {
    /// `None` until a master leads.
    pub master: Option<Arc<MasterRecord>>,
    /// Registered agents by id.
    pub agents: BTreeMap<String, Box<Agent>>,
    /// Agents of the registry that have not come back yet.
    pub recovered: BTreeMap<String, Arc<AgentInfo>>,
    pub unreachable: BTreeMap<String, Unreachable>,
    /// What is on each agent. Tasks may be told before their agent and kept after it, so this stands apart.
    pub usage: BTreeMap<String, Box<Usage>>,
    /// Registered frameworks by id, subscribed or not.
    pub frameworks: BTreeMap<String, Framework>,
    /// Oldest first.
    pub completed: VecDeque<Framework>,
    /// By agent and uuid: what agents were ordered to reserve or create, until it is acknowledged.
    pub operations: BTreeMap<(String, Vec<u8>), Arc<Operation>>,
    pub weights: Arc<BTreeMap<String, f64>>,
    pub quota: Arc<Vec<QuotaConfig>>,
    pub maintenance: Arc<MaintenanceRecord>,
    /// By agent: what frameworks said when they were asked to leave it.
    pub answers: BTreeMap<String, Arc<[InverseOfferStatus]>>,
    /// Oldest first.
    pub ended_offers: VecDeque<EndedOffer>,
    pub totals: Totals,
    pub counters: Counters,
    /// Whose view of the world this is; `None` is everything.
    pub(crate) viewer: Option<Subject>,
}

impl World {
    /// Takes in the next change. False if it concerned nothing that is known, so that nobody needs to hear.
    pub fn apply(&mut self, change: &Change) -> bool {
        match change {
            Change::Elected(record) => {
                *self = Self::default();
                self.master = Some(Arc::clone(record));
            }
            Change::AgentRecovered(info) => self.recover_agent(info),
            Change::AgentAdded(record) => self.add_agent(record),
            Change::AgentUpdated(record) => return self.update_agent(record),
            Change::AgentRemoved { agent_id, end, at } => {
                return self.remove_agent(&agent_id.value, *end, *at);
            }
            Change::AgentStillUnreachable { agent_id, at } => {
                self.unreachable
                    .insert(agent_id.value.clone(), Unreachable::new(None, *at));
            }
            Change::AgentForgotten { agent_id } => {
                self.unreachable.remove(&agent_id.value);
                return false;
            }
            Change::FrameworkAdded(record)
            | Change::FrameworkUpdated(record)
            | Change::FrameworkMarked(record) => {
                self.put_framework(record);
            }
            Change::FrameworkRemoved { framework_id, at } => {
                return self.remove_framework(&framework_id.value, *at);
            }
            Change::FrameworkCompleted { record, at } => self.recall_framework(record, *at),
            Change::TaskCompleted(task) => return self.recall_task(task),
            Change::ExecutorAdded {
                framework_id,
                agent_id,
                executor,
            } => return self.add_executor(&framework_id.value, &agent_id.value, executor),
            Change::ExecutorRemoved {
                framework_id,
                agent_id,
                executor_id,
            } => {
                return self.remove_executor(
                    &framework_id.value,
                    &agent_id.value,
                    &executor_id.value,
                );
            }
            Change::TaskAdded(task) => return self.add_task(task),
            Change::TaskUpdated { task, .. } => return self.update_task(task),
            Change::CompletedTaskForgotten {
                framework_id,
                task_id,
            } => return self.forget_completed(&framework_id.value, &task_id.value),
            Change::TaskEndedAway { task, .. } => return self.end_unreachable(task),
            Change::TaskRemoved {
                framework_id,
                task_id,
                kept,
            } => return self.remove_task(&framework_id.value, &task_id.value, *kept),
            Change::OfferAdded { offer, at } => return self.add_offer(offer, *at),
            Change::OfferRemoved {
                framework_id,
                offer_id,
                end,
                at,
            } => return self.end_offer(&framework_id.value, &offer_id.value, *end, *at),
            Change::OperationAdded(operation) | Change::OperationUpdated(operation) => {
                self.put_operation(operation);
            }
            Change::OperationRemoved { agent_id, uuid } => {
                return self.remove_operation(agent_id, uuid);
            }
            Change::InverseOfferAdded(offer) => return self.add_inverse_offer(offer),
            Change::InverseOfferRemoved {
                framework_id,
                offer_id,
            } => return self.end_inverse_offer(&framework_id.value, &offer_id.value),
            Change::InverseOffersAnswered { agent_id, answers } => {
                self.note_answers(&agent_id.value, answers);
            }
            Change::Weights(weights) => self.weights = Arc::clone(weights),
            Change::Quota(quota) => self.quota = Arc::clone(quota),
            Change::Maintenance(record) => self.maintenance = Arc::clone(record),
        }
        true
    }

    /// How much is remembered of what has ended.
    pub(crate) fn kept(&self) -> Kept {
        self.master.as_ref().map(|it| it.kept).unwrap_or_default()
    }

    /// Registered frameworks, then the completed ones.
    pub fn all_frameworks(&self) -> impl Iterator<Item = &Framework> {
        self.frameworks.values().chain(&self.completed)
    }

    /// What is on an agent; nothing if it is unknown.
    pub fn usage_of(&self, agent_id: &str) -> &Usage {
        static NOTHING: std::sync::LazyLock<Usage> = std::sync::LazyLock::new(Usage::default);
        self.usage.get(agent_id).map_or(&NOTHING, |usage| usage)
    }

    /// Whether the role may be shown.
    pub(crate) fn shows_role(&self, role: &str) -> bool {
        let viewer = self.viewer.as_ref();
        viewer.is_none_or(|viewer| Sight(viewer).role(role))
    }

    /// Whether the master's flags may be shown.
    pub(crate) fn shows_flags(&self) -> bool {
        let viewer = self.viewer.as_ref();
        viewer.is_none_or(|viewer| viewer.may(Action::ViewFlags, None))
    }

    /// How many registered agents are active.
    pub fn active_agents(&self) -> usize {
        let agents = self.agents.values();
        agents.filter(|agent| agent.record.active).count()
    }
}

#[cfg(test)]
#[path = "world_tests.rs"]
mod tests;
