//! How the world changes by what the master tells.
//!
//! Owns the meaning of each [`WorldChange`]. Whatever names something unknown changes nothing: the
//! master may speak of a framework or an agent that has left in the meantime.

use std::{sync::Arc, time::Duration};

use smallvec::SmallVec;
use tepui_messages::allocator::{Allocation, WorldChange};
use tepui_protocol::v1::{AgentId, AgentInfo, Resource};

use crate::{
    bundle::Bundle,
    subscribers::Description,
    world::{Agent, AgentIx, ClientIx, Note, World},
};

/// Resources that came back with a refusal: the core sets the filter, since it knows the time.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) client: ClientIx,
    pub(crate) agent: AgentIx,
    pub(crate) refused: Bundle,
    pub(crate) refused_for: Duration,
}

impl World {
    /// Applies one change; what followed from it is in the notes.
    pub(crate) fn apply(&mut self, change: WorldChange) -> Option<Refusal> {
        match change {
            WorldChange::AgentAdded {
                info,
                total,
                used,
                active,
            } => self.add_agent(info, &total, &used, active),
            WorldChange::AgentTotal { agent_id, total } => self.set_total(&agent_id, &total),
            WorldChange::AgentDescribed { info } => self.describe_agent(info),
            WorldChange::AgentActive { agent_id, active } => {
                self.set_agent_active(&agent_id, active);
            }
            WorldChange::AgentRemoved { agent_id } => self.remove_agent(&agent_id),
            WorldChange::FrameworkAdded {
                info,
                suppressed_roles,
                offer_constraints: constraints,
                active,
                used,
            } => {
                let description = Description {
                    info,
                    suppressed_roles,
                    constraints,
                };
                self.add_framework(description, active, &used);
            }
            WorldChange::FrameworkUpdated {
                info,
                suppressed_roles,
                offer_constraints: constraints,
            } => {
                let known = info.id.as_ref().and_then(|id| self.known_framework(id));
                if let Some(framework) = known {
                    let description = Description {
                        info,
                        suppressed_roles,
                        constraints,
                    };
                    self.describe_framework(framework, &description);
                }
            }
            WorldChange::FrameworkActive {
                framework_id,
                active,
            } => self.set_framework_active(&framework_id, active),
            WorldChange::FrameworkRemoved { framework_id } => self.remove_framework(&framework_id),
            WorldChange::Used {
                agent_id,
                allocation,
            } => self.book_used(&agent_id, &allocation),
            WorldChange::Converted {
                agent_id,
                consumed,
                converted,
                total,
            } => self.convert(&agent_id, &consumed, converted, &total),
            WorldChange::Recovered {
                agent_id,
                allocation,
                refused_for,
            } => return self.recover(&agent_id, &allocation, refused_for),
            WorldChange::Refused {
                agent_id,
                allocation,
                refused_for,
            } => return self.refused_before(&agent_id, &allocation, refused_for),
            WorldChange::Revive {
                framework_id,
                roles,
            } => self.revive(&framework_id, &roles),
            WorldChange::Suppress {
                framework_id,
                roles,
            } => self.suppress(&framework_id, &roles),
            WorldChange::Weights(weights) => {
                self.weights = weights;
                self.notes.push(Note::Weights);
            }
            WorldChange::Quota(quota) => self.set_quota(&quota),
            WorldChange::Paused(paused) => self.paused = paused,
        }
        None
    }

    fn add_agent(
        &mut self,
        info: Arc<AgentInfo>,
        total: &[Resource],
        used: &[Allocation],
        active: bool,
    ) {
        let Some(id) = info.id.clone() else {
            return;
        };
        self.remove_agent(&id);
        let is_remote = self.is_elsewhere(&info);
        let listed = self.lists(&info);
        let agent = self.agents.insert(Agent {
            id: Arc::new(id.clone()),
            info,
            active,
            listed,
            total: Bundle::default(),
            free: Bundle::default(),
            held: SmallVec::new(),
            has_gpus: false,
            is_remote,
            is_plain: false,
        });
        self.agent_by_id.insert(id.value, agent);
        for allocation in used {
            self.book(agent, allocation);
        }
        self.replace_total(agent, total);
    }

    /// In another region than the master.
    fn is_elsewhere(&self, info: &AgentInfo) -> bool {
        let domain = info.domain.as_ref();
        let fault_domain = domain.and_then(|domain| domain.fault_domain.as_ref());
        self.region.as_ref().is_some_and(|here| {
            fault_domain.is_some_and(|fault_domain| fault_domain.region.name != *here)
        })
    }

    fn describe_agent(&mut self, info: Arc<AgentInfo>) {
        let Some(agent) = info.id.as_ref().and_then(|id| self.agent(id)) else {
            return;
        };
        let (is_remote, listed) = (self.is_elsewhere(&info), self.lists(&info));
        let place = &mut self.agents[agent];
        let is_plain = |kind| self.kinds.get(kind).is_plain;
        place.is_plain = !is_remote && place.total.kinds().all(is_plain);
        (place.is_remote, place.listed) = (is_remote, listed);
        let before = std::mem::replace(&mut place.info, info);
        if before.attributes != self.agents[agent].info.attributes {
            self.filters.clear_agent(agent);
            self.holds.clear_agent(agent);
        }
        self.settle_offerable(agent);
        self.notes.push(Note::AgentOffersMore(agent));
    }

    fn set_total(&mut self, id: &AgentId, total: &[Resource]) {
        if let Some(agent) = self.agent(id) {
            self.replace_total(agent, total);
        }
    }

    fn replace_total(&mut self, agent: AgentIx, total: &[Resource]) {
        let total = self.kinds.bundle(total);
        let total = self.shape(total);
        let has_shared =
            self.kinds.has_shared(&self.agents[agent].total) || self.kinds.has_shared(&total);
        if has_shared {
            self.count_holders(agent, -1);
        }
        let before = std::mem::take(&mut self.agents[agent].total);
        if before != total {
            self.count_totals(&before, -1);
            self.count_totals(&total, 1);
        }
        let kinds = || total.kinds().map(|kind| self.kinds.get(kind));
        let has_gpus = kinds().any(|kind| kind.is_gpus);
        let is_plain = kinds().all(|kind| kind.is_plain);
        let place = &mut self.agents[agent];
        place.has_gpus = has_gpus;
        place.is_plain = is_plain && !place.is_remote;
        place.total = total;
        if has_shared {
            self.count_holders(agent, 1);
        }
        self.refresh_free(agent);
    }

    fn set_agent_active(&mut self, id: &AgentId, active: bool) {
        if let Some(agent) = self.agent(id) {
            self.agents[agent].active = active;
            self.settle_offerable(agent);
            self.notes.push(Note::AgentOffersMore(agent));
        }
    }

    fn remove_agent(&mut self, id: &AgentId) {
        let Some(agent) = self.agent_by_id.remove(&id.value) else {
            return;
        };
        self.filters.clear_agent(agent);
        self.holds.clear_agent(agent);
        let held = self.agents[agent].held.clone();
        for (client, bundle) in &held {
            self.release(agent, *client, bundle);
            self.drop_if_idle(*client);
        }
        let total = std::mem::take(&mut self.agents[agent].total);
        self.count_totals(&total, -1);
        self.offerable.remove(agent);
        self.agents.remove(agent);
        self.notes.push(Note::AgentRemoved(agent));
    }

    pub(crate) fn book_used(&mut self, agent_id: &AgentId, allocation: &Allocation) {
        if let Some(agent) = self.agent(agent_id) {
            self.book(agent, allocation);
            self.refresh_free(agent);
        }
    }

    /// Books what runs on an agent; frameworks nobody told of yet come into being by it.
    fn book(&mut self, agent: AgentIx, allocation: &Allocation) {
        let bundle = self.kinds.bundle(&allocation.resources);
        if bundle.is_empty() {
            return;
        }
        let framework = self.framework(&allocation.framework_id);
        let client = self.client_under(framework, &allocation.role);
        self.hold(agent, client, bundle);
    }

    /// The client must not be dropped in between: what it holds only changes its form.
    fn convert(
        &mut self,
        agent_id: &AgentId,
        consumed: &Allocation,
        converted: Arc<[Resource]>,
        total: &[Resource],
    ) {
        let Some(agent) = self.agent(agent_id) else {
            return;
        };
        if let Some(client) = self.client(&consumed.framework_id, &consumed.role) {
            let bundle = self.kinds.bundle(&consumed.resources);
            self.release(agent, client, &bundle);
        }
        let converted = Allocation {
            resources: converted,
            ..consumed.clone()
        };
        self.book(agent, &converted);
        self.replace_total(agent, total);
    }

    fn recover(
        &mut self,
        agent_id: &AgentId,
        allocation: &Allocation,
        refused_for: Option<Duration>,
    ) -> Option<Refusal> {
        let agent = self.agent(agent_id)?;
        let client = self.client(&allocation.framework_id, &allocation.role)?;
        let bundle = self.recovered(agent, client, &allocation.resources);
        self.release(agent, client, &bundle);
        let subscribed = self.clients[client].subscribed;
        self.drop_if_idle(client);
        let refused_for = refused_for.filter(|_| subscribed && !bundle.is_empty())?;
        Some(Refusal {
            client,
            agent,
            refused: bundle,
            refused_for,
        })
    }

    /// Nothing is given back: the refusal is all there is.
    fn refused_before(
        &mut self,
        agent_id: &AgentId,
        allocation: &Allocation,
        refused_for: Duration,
    ) -> Option<Refusal> {
        let agent = self.agent(agent_id)?;
        let client = self.client(&allocation.framework_id, &allocation.role)?;
        let refused = self.kinds.bundle(&allocation.resources);
        // Mostly all that the agent has: then one bundle does for all who refuse it.
        let total = &self.agents[agent].total;
        let refused = if refused == *total {
            total.clone()
        } else {
            refused
        };
        let wanted = self.clients[client].subscribed && !refused.is_empty();
        wanted.then_some(Refusal {
            client,
            agent,
            refused,
            refused_for,
        })
    }

    /// What came back. Mostly that is all that was offered, in the very form it was proposed in: then there
    /// is nothing to translate, and the bundle goes on being one with the agent's total.
    fn recovered(
        &mut self,
        agent: AgentIx,
        client: ClientIx,
        resources: &Arc<[Resource]>,
    ) -> Bundle {
        match self.agents[agent].held_by(client) {
            Some(held) if held.is_protocol(resources) => held.clone(),
            _ => self.kinds.bundle(resources),
        }
    }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
