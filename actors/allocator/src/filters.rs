//! Offer filters: what a framework refused under a role on an agent, and until when it is not asked again.
//!
//! Owns the rule of containment and the expiry. Never reads a clock. Source of the rules: Mesos
//! `src/master/allocator/mesos/hierarchical.cpp`, `RefusedOfferFilter` and `_recoverResources`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use smallvec::SmallVec;

use crate::{
    bundle::Bundle,
    slots::Column,
    world::{AgentIx, ClientIx},
};

/// Refusals that stand beside each other for one framework, role and agent. More of them than this are
/// different smaller and smaller offers within one refusal time; the one that ends first gives way.
pub const MAX_FILTERS_PER_PAIR: usize = 8;
/// Nobody refuses for longer (Mesos cuts `refuse_seconds` at 365 days).
pub const MAX_REFUSAL: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[derive(Debug)]
struct Filter {
    refused: Box<Bundle>,
    /// It falls at this moment, which is always one of the interval.
    falls_at: Duration,
}

/// What one client refuses on one agent.
type Refusals = (ClientIx, SmallVec<[Filter; 1]>);

/// All filters of the cluster.
#[derive(Debug, Default)]
pub struct Filters {
    /// Ascending by client.
    by_agent: Column<AgentIx, Vec<Refusals>>,
    by_client: Column<ClientIx, BTreeSet<AgentIx>>,
    /// How many filters of a pair fall at a moment.
    falling: BTreeMap<(Duration, AgentIx, ClientIx), u32>,
}

impl Filters {
    /// Whether some refusal contains `offer`. A bigger offer, or one of another kind, gets through.
    pub fn block(&self, client: ClientIx, agent: AgentIx, offer: &Bundle) -> bool {
        let Some(pairs) = self.by_agent.get(agent) else {
            return false;
        };
        pairs
            .binary_search_by_key(&client, |(client, _)| *client)
            .is_ok_and(|at| {
                let filters = &pairs[at].1;
                filters.iter().any(|filter| filter.refused.contains(offer))
            })
    }

    /// Sets a filter until `falls_at`. Refusals that add nothing to others are not kept.
    pub fn set(&mut self, client: ClientIx, agent: AgentIx, refused: Bundle, falls_at: Duration) {
        let pairs = self.by_agent.at(agent);
        let at = match pairs.binary_search_by_key(&client, |(client, _)| *client) {
            Ok(at) => at,
            Err(at) => {
                pairs.insert(at, (client, SmallVec::new()));
                at
            }
        };
        let filters = &mut pairs[at].1;
        if filters
            .iter()
            .any(|filter| filter.falls_at >= falls_at && filter.refused.contains(&refused))
        {
            return;
        }
        let falling = &mut self.falling;
        filters.retain(|filter| {
            let needed = filter.falls_at > falls_at || !refused.contains(&filter.refused);
            if !needed {
                forget_fall(falling, (filter.falls_at, agent, client));
            }
            needed
        });
        if filters.len() == MAX_FILTERS_PER_PAIR {
            let first = (0..filters.len())
                .min_by_key(|at| filters[*at].falls_at)
                .expect("a full list is not empty");
            let filter = filters.remove(first);
            forget_fall(falling, (filter.falls_at, agent, client));
        }
        filters.push(Filter {
            refused: Box::new(refused),
            falls_at,
        });
        *falling.entry((falls_at, agent, client)).or_default() += 1;
        self.by_client.at(client).insert(agent);
    }

    /// The moment at which the next filter falls.
    pub fn next_fall(&self) -> Option<Duration> {
        let (&(falls_at, ..), _) = self.falling.first_key_value()?;
        Some(falls_at)
    }

    /// Lets fall what is due; the agents that may be offered again.
    pub fn fall(&mut self, now: Duration) -> BTreeSet<AgentIx> {
        let mut agents = BTreeSet::new();
        while let Some((&(falls_at, agent, client), _)) = self.falling.first_key_value()
            && falls_at <= now
        {
            self.falling.pop_first();
            agents.insert(agent);
            let pairs = self.by_agent.at(agent);
            let Ok(at) = pairs.binary_search_by_key(&client, |(client, _)| *client) else {
                continue;
            };
            pairs[at].1.retain(|filter| filter.falls_at > now);
            if pairs[at].1.is_empty() {
                pairs.remove(at);
                self.by_client.at(client).remove(&agent);
            }
        }
        agents
    }

    /// Forgets every refusal of a framework under a role.
    pub fn clear_client(&mut self, client: ClientIx) {
        for agent in self.by_client.take(client) {
            let pairs = self.by_agent.at(agent);
            if let Ok(at) = pairs.binary_search_by_key(&client, |(client, _)| *client) {
                for filter in pairs.remove(at).1 {
                    forget_fall(&mut self.falling, (filter.falls_at, agent, client));
                }
            }
        }
    }

    /// Forgets every refusal on an agent.
    pub fn clear_agent(&mut self, agent: AgentIx) {
        for (client, filters) in self.by_agent.take(agent) {
            self.by_client.at(client).remove(&agent);
            for filter in filters {
                forget_fall(&mut self.falling, (filter.falls_at, agent, client));
            }
        }
    }

    /// How many filters stand; those of one pair that fall at one moment count as one.
    pub fn count(&self) -> usize {
        self.falling.len()
    }

    /// The refusals for a pair and when they fall; for tests and explanations.
    pub fn of(
        &self,
        client: ClientIx,
        agent: AgentIx,
    ) -> impl Iterator<Item = (&Bundle, Duration)> {
        let pairs = self.by_agent.get(agent).map_or(&[][..], Vec::as_slice);
        pairs
            .iter()
            .filter(move |(other, _)| *other == client)
            .flat_map(|(_, filters)| filters.iter())
            .map(|filter| (&*filter.refused, filter.falls_at))
    }

    /// Every refused bundle.
    pub(crate) fn refused(&self) -> impl Iterator<Item = &Bundle> {
        let pairs = self
            .falling
            .keys()
            .map(|(_, agent, client)| (*client, *agent))
            .collect::<BTreeSet<_>>();
        pairs
            .into_iter()
            .flat_map(|(client, agent)| self.of(client, agent).map(|(refused, _)| refused))
    }
}

fn forget_fall(
    falling: &mut BTreeMap<(Duration, AgentIx, ClientIx), u32>,
    key: (Duration, AgentIx, ClientIx),
) {
    if let Some(count) = falling.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            falling.remove(&key);
        }
    }
}

#[cfg(test)]
#[path = "filters_tests.rs"]
mod tests;
