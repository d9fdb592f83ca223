//! Offers that frameworks refuse for long, so that the next leader does not ask again (Mesos forgets them).
//!
//! The allocator holds the filters and obeys them; here is only what outlives this master, and what an earlier one
//! was told. Refusals shorter than [`MIN_KEPT`] are not kept: they would hardly outlast a failover. The others are
//! written together a moment later and never more than so many at once, so declining costs no write; what was not
//! written when a leader died is offered once more, and no harm is done. A REVIVE is written at once: a framework
//! that wants offers must get them, whoever leads.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use prost::Message;
use tepui_messages::{
    UnixNanos,
    allocator::{Allocation, WorldChange},
};
use tepui_protocol::v1::{AgentId, Resource};
use tepui_registry::{Command, MAX_REFUSALS_PER_FRAMEWORK, Refused};

use crate::{
    core::{MasterCore, Pending, Turn},
    frameworks::framework_id,
    tables::OfferEntry,
    timers::Timer,
};

/// Refusals of less are not kept.
const MIN_KEPT: Duration = Duration::from_secs(15);
/// How long they wait for others to be written with.
const WRITE_DELAY: i64 = 2_000_000_000;
/// Refusals of one write.
const MAX_WRITTEN: usize = 1_000;

/// What a framework refuses of an agent under a role.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// In counted time.
    pub(crate) until: i64,
    pub(crate) resources: Arc<[Resource]>,
    /// From an earlier leader; the allocator has not been told.
    pub(crate) untold: bool,
}

/// By agent and role.
pub(crate) type Refusals = std::collections::BTreeMap<(String, String), Refusal>;

/// Framework, agent and role of those that wait to be written.
pub(crate) type Unwritten = BTreeSet<(String, String, String)>;

impl MasterCore {
    /// An offer came back with a filter.
    pub(crate) fn note_refusal(
        &mut self,
        entry: &OfferEntry,
        refused_for: Duration,
        turn: &mut Turn<'_>,
    ) {
        if refused_for < MIN_KEPT {
            return;
        }
        let now = self.counted(turn.now);
        let Some(framework) = self.frameworks.get_mut(&entry.framework_id) else {
            return;
        };
        let refusals = &mut framework.refusals;
        let key = (entry.agent_id.clone(), entry.role.clone());
        if refusals.len() >= MAX_REFUSALS_PER_FRAMEWORK && !refusals.contains_key(&key) {
            // One that declines many agents comes here with each.
            if now < framework.refusals_full_until {
                return;
            }
            refusals.retain(|_, refusal| refusal.until > now);
            if refusals.len() >= MAX_REFUSALS_PER_FRAMEWORK {
                let next = refusals.values().map(|refusal| refusal.until).min();
                framework.refusals_full_until = next.unwrap_or(now);
                return;
            }
        }
        let refusal = Refusal {
            until: now.saturating_add(refused_for.as_nanos() as i64),
            resources: Arc::clone(&entry.resources),
            untold: false,
        };
        self.refused_until = self.refused_until.max(refusal.until);
        refusals.insert(key.clone(), refusal);
        let (agent, role) = key;
        let id = entry.framework_id.clone();
        self.count_refusals(turn.now);
        self.unwritten_refusals.insert((id, agent, role));
        self.write_refusals_later(turn);
    }

    /// Whether a refusal that outlives this master has not ended.
    pub(crate) fn is_refused(&self, now: UnixNanos) -> bool {
        self.counted(now) < self.refused_until
    }

    /// What was refused under an earlier leader goes on ending.
    pub(crate) fn recall_refused_until(&mut self, now: UnixNanos) {
        let refusals = self.frameworks.values().flat_map(|it| it.refusals.values());
        self.refused_until = refusals.map(|it| it.until).max().unwrap_or(0);
        self.count_time_later(now);
    }

    fn write_refusals_later(&mut self, turn: &Turn<'_>) {
        if self.timers.due(&Timer::WriteRefusals).is_none() {
            let at = turn.now.saturating_add(WRITE_DELAY);
            self.timers.set(at, Timer::WriteRefusals);
        }
    }

    pub(crate) fn write_refusals(&mut self, turn: &mut Turn<'_>) {
        let now_nanos = self.counted(turn.now);
        let mut refused = Vec::new();
        while refused.len() < MAX_WRITTEN
            && let Some((framework, agent, role)) = self.unwritten_refusals.pop_first()
        {
            let known = self.frameworks.get(&framework);
            let key = (agent, role);
            let Some(refusal) = known.and_then(|known| known.refusals.get(&key)) else {
                continue;
            };
            if refusal.until > now_nanos {
                let (agent, role) = key;
                refused.push(Refused {
                    framework,
                    agent,
                    role,
                    until_nanos: refusal.until,
                    resources: encode(&refusal.resources),
                });
            }
        }
        if !refused.is_empty() {
            let command = Command::RefuseOffers { now_nanos, refused };
            self.write(turn, command, Pending::Nothing);
        }
        if !self.unwritten_refusals.is_empty() {
            self.write_refusals_later(turn);
        }
    }

    /// The framework wants to be asked again under these roles.
    pub(crate) fn forget_refusals(
        &mut self,
        id: &str,
        roles: &BTreeSet<String>,
        turn: &mut Turn<'_>,
    ) {
        let Some(framework) = self.frameworks.get_mut(id) else {
            return;
        };
        let before = framework.refusals.len();
        framework
            .refusals
            .retain(|(_, role), _| !roles.contains(role));
        if framework.refusals.len() < before {
            let command = Command::ForgetRefusals {
                id: id.to_string(),
                roles: roles.iter().cloned().collect(),
            };
            self.write(turn, command, Pending::Nothing);
        }
    }

    /// Whatever is refused on the agent is void.
    pub(crate) fn forget_refusals_on(&mut self, agent: &str, turn: &mut Turn<'_>) {
        let now_nanos = self.counted(turn.now);
        let mut refused = Vec::new();
        for (id, framework) in &mut self.frameworks {
            let on_it = (agent.to_string(), String::new())..;
            let roles = framework.refusals.range(on_it);
            let roles = roles.map(|(key, _)| key).take_while(|(on, _)| on == agent);
            for key in roles.cloned().collect::<Vec<_>>() {
                framework.refusals.remove(&key);
                let (agent, role) = key;
                let key = (id.clone(), agent, role);
                // An older one may be written also where this one is not.
                self.unwritten_refusals.remove(&key);
                refused.push(ended(key, now_nanos));
            }
        }
        for refused in refused.chunks(MAX_WRITTEN) {
            let refused = refused.to_vec();
            let command = Command::RefuseOffers { now_nanos, refused };
            self.write(turn, command, Pending::Nothing);
        }
    }

    /// A framework is back under this leader: the allocator is told what it refuses on agents that are back, too.
    pub(crate) fn restore_refusals_of(&mut self, id: &str, turn: &mut Turn<'_>) {
        let now = self.counted(turn.now);
        let Some(framework) = self.frameworks.get_mut(id) else {
            return;
        };
        for ((agent, role), refusal) in &mut framework.refusals {
            if refusal.untold && self.agents.contains_key(agent) {
                tell(id, agent, role, refusal, now, turn);
            }
        }
    }

    /// An agent is back under this leader.
    pub(crate) fn restore_refusals_on(&mut self, agent: &str, turn: &mut Turn<'_>) {
        let now = self.counted(turn.now);
        for (id, framework) in &mut self.frameworks {
            if framework.refusals.is_empty() || !framework.record.connected {
                continue;
            }
            let on_it = (agent.to_string(), String::new())..;
            let mut refusals = framework.refusals.range_mut(on_it);
            while let Some(((on, role), refusal)) = refusals.next()
                && on == agent
            {
                if refusal.untold {
                    tell(id, agent, role, refusal, now, turn);
                }
            }
        }
    }
}

fn tell(
    framework: &str,
    agent: &str,
    role: &str,
    refusal: &mut Refusal,
    now: i64,
    turn: &mut Turn<'_>,
) {
    refusal.untold = false;
    let Ok(left) = u64::try_from(refusal.until.saturating_sub(now)) else {
        return;
    };
    if left > 0 {
        turn.allocator(WorldChange::Refused {
            agent_id: AgentId {
                value: agent.to_string(),
            },
            allocation: Allocation {
                framework_id: framework_id(framework),
                role: role.to_string(),
                resources: Arc::clone(&refusal.resources),
            },
            refused_for: Duration::from_nanos(left),
        });
    }
}

/// In the place of one that is written: of nothing, and over.
fn ended((framework, agent, role): (String, String, String), now_nanos: i64) -> Refused {
    Refused {
        framework,
        agent,
        role,
        until_nanos: now_nanos,
        resources: bytes::Bytes::new(),
    }
}

/// Each behind its length.
fn encode(resources: &[Resource]) -> bytes::Bytes {
    let mut bytes = Vec::new();
    for resource in resources {
        bytes.extend(resource.encode_length_delimited_to_vec());
    }
    bytes.into()
}

/// What [`encode`] wrote; nothing where it cannot be read.
pub(crate) fn decode(mut bytes: &[u8]) -> Option<Vec<Resource>> {
    let mut resources = Vec::new();
    while !bytes.is_empty() {
        resources.push(Resource::decode_length_delimited(&mut bytes).ok()?);
    }
    Some(resources)
}

#[cfg(test)]
#[path = "refusals_tests.rs"]
mod tests;
