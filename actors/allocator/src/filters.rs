//! Offer filters: what a framework refused under a role on an agent, and until when it is not asked again. With
//! frameworks in place of clients, what one refused under any of its roles.
//!
//! Owns the rule of containment and the expiry. Never reads a clock. Source of the rules: Mesos
//! `src/master/allocator/mesos/hierarchical.cpp`, `RefusedOfferFilter` and `_recoverResources`.

use std::{collections::BTreeSet, ops::Range, time::Duration};

use smallvec::SmallVec;

use crate::{
    bundle::Bundle,
    places::PlaceSet,
    slots::{Column, Place},
    world::{AgentIx, ClientIx},
};

/// Refusals that stand beside each other for one framework, role and agent. More of them than this are
/// different smaller and smaller offers within one refusal time; the one that ends first gives way.
pub const MAX_FILTERS_PER_PAIR: usize = 8;

#[derive(Debug)]
struct Filter<C> {
    client: C,
    refused: Bundle,
    /// It falls at this moment, which is always one of the interval.
    falls_at: Duration,
}

/// What is refused on one agent.
#[derive(Debug)]
struct OnAgent<C: Place> {
    /// Ascending by client; those of one client in the order in which they came.
    filters: Vec<Filter<C>>,
    /// What was refused last: mostly what is free, so that many refuse the same.
    last: Bundle,
    /// Who refuses `last`.
    refusing: PlaceSet<C>,
    /// No filter falls before. That one may be gone again.
    next_fall: Option<Duration>,
}

/// All filters of the cluster.
#[derive(Debug)]
pub struct Filters<C: Place = ClientIx> {
    by_agent: Column<AgentIx, OnAgent<C>>,
    by_client: Column<C, PlaceSet<AgentIx>>,
    /// How many each client has.
    counts: Column<C, usize>,
    /// Each agent that has filters, by its next fall.
    falling: BTreeSet<(Duration, AgentIx)>,
    count: usize,
}

impl<C: Place> Default for OnAgent<C> {
    fn default() -> Self {
        Self {
            filters: Vec::new(),
            last: Bundle::default(),
            refusing: PlaceSet::default(),
            next_fall: None,
        }
    }
}

impl<C: Place> Default for Filters<C> {
    fn default() -> Self {
        Self {
            by_agent: Column::default(),
            by_client: Column::default(),
            counts: Column::default(),
            falling: BTreeSet::new(),
            count: 0,
        }
    }
}

impl<C: Place> OnAgent<C> {
    /// Where the filters of a client are, or would be.
    fn of(&self, client: C) -> Range<usize> {
        let begin = self
            .filters
            .partition_point(|filter| filter.client < client);
        let mine = self.filters[begin..].iter();
        let count = mine.take_while(|filter| filter.client == client).count();
        begin..begin + count
    }

    /// Whether some refusal of the client contains `offer`.
    fn block(&self, client: C, offer: &Bundle) -> bool {
        if self.refusing.contains(client) && self.last.contains(offer) {
            return true;
        }
        let mut mine = self.filters[self.of(client)].iter();
        mine.any(|filter| filter.refused.contains(offer))
    }

    /// Remembers who refuses this bundle, until another is refused.
    fn look_at(&mut self, refused: &Bundle) {
        if self.last == *refused {
            return;
        }
        self.last = refused.clone();
        let refusing = self.filters.iter();
        let refusing = refusing.filter(|filter| filter.refused.contains(refused));
        self.refusing = refusing.map(|filter| filter.client).collect();
    }

    /// Settles for a client of whom a filter went; whether it has none left.
    fn settle(&mut self, client: C) -> bool {
        self.refusing.remove(client);
        if self.block(client, &self.last) {
            self.refusing.insert(client);
        }
        self.of(client).is_empty()
    }
}

impl<C: Place> Filters<C> {
    /// Whether some refusal contains `offer`. A bigger offer, or one of another kind, gets through.
    pub fn block(&self, client: C, agent: AgentIx, offer: &Bundle) -> bool {
        let refuses = self.by_client.get(client);
        refuses.is_some_and(|agents| agents.contains(agent)) && {
            let place = self.by_agent.get(agent);
            place.is_some_and(|place| place.block(client, offer))
        }
    }

    /// Clients that refuse `free` and so whatever is in it, as far as that is known at a glance.
    pub fn refusing(&self, agent: AgentIx, free: &Bundle) -> Option<&PlaceSet<C>> {
        let place = self.by_agent.get(agent)?;
        (!place.refusing.is_empty() && place.last.contains(free)).then_some(&place.refusing)
    }

    /// Sets a filter until `falls_at`. Refusals that add nothing to others are not kept.
    pub fn set(&mut self, client: C, agent: AgentIx, refused: Bundle, falls_at: Duration) {
        let place = self.by_agent.at(agent);
        place.look_at(&refused);
        place.refusing.insert(client);
        let adds_nothing =
            |filter: &Filter<C>| filter.falls_at >= falls_at && filter.refused.contains(&refused);
        let mut mine = place.of(client);
        if place.filters[mine.clone()].iter().any(adds_nothing) {
            return;
        }
        for at in mine.clone().rev() {
            let filter = &place.filters[at];
            if filter.falls_at <= falls_at && refused.contains(&filter.refused) {
                place.filters.remove(at);
                mine.end -= 1;
                self.count -= 1;
                *self.counts.at(client) -= 1;
            }
        }
        if mine.len() == MAX_FILTERS_PER_PAIR {
            let first = mine
                .clone()
                .min_by_key(|at| place.filters[*at].falls_at)
                .expect("a full list is not empty");
            place.filters.remove(first);
            mine.end -= 1;
            self.count -= 1;
            *self.counts.at(client) -= 1;
        }
        let filter = Filter {
            client,
            refused,
            falls_at,
        };
        place.filters.insert(mine.end, filter);
        self.count += 1;
        *self.counts.at(client) += 1;
        self.by_client.at(client).insert(agent);
        if place.next_fall.is_none_or(|next| falls_at < next) {
            self.plan_fall(agent, Some(falls_at));
        }
    }

    /// The moment at which the next filter falls, or one before it.
    pub fn next_fall(&self) -> Option<Duration> {
        let (falls_at, _) = self.falling.first()?;
        Some(*falls_at)
    }

    /// Lets fall what is due; the agents that may be offered again.
    pub fn fall(&mut self, now: Duration) -> Vec<AgentIx> {
        let mut agents = Vec::new();
        while let Some(&(falls_at, agent)) = self.falling.first()
            && falls_at <= now
        {
            let place = self.by_agent.at(agent);
            let mut fallen: SmallVec<[C; 8]> = SmallVec::new();
            place.filters.retain(|filter| {
                let stands = filter.falls_at > now;
                if !stands {
                    fallen.push(filter.client);
                }
                stands
            });
            self.count -= fallen.len();
            for client in &fallen {
                *self.counts.at(*client) -= 1;
            }
            if !fallen.is_empty() {
                agents.push(agent);
            }
            fallen.dedup();
            for client in fallen {
                if place.settle(client) {
                    self.by_client.at(client).remove(agent);
                }
            }
            let next = place.filters.iter().map(|filter| filter.falls_at).min();
            self.plan_fall(agent, next);
        }
        agents
    }

    /// Forgets every refusal of a framework under a role.
    pub fn clear_client(&mut self, client: C) {
        self.counts.take(client);
        for agent in self.by_client.take(client).iter() {
            let place = self.by_agent.at(agent);
            let mine = place.of(client);
            self.count -= mine.len();
            place.filters.drain(mine);
            place.refusing.remove(client);
            if place.filters.is_empty() {
                self.plan_fall(agent, None);
            }
        }
    }

    /// Forgets every refusal on an agent.
    pub fn clear_agent(&mut self, agent: AgentIx) {
        self.plan_fall(agent, None);
        let place = self.by_agent.take(agent);
        self.count -= place.filters.len();
        for filter in place.filters {
            self.by_client.at(filter.client).remove(agent);
            *self.counts.at(filter.client) -= 1;
        }
    }

    fn plan_fall(&mut self, agent: AgentIx, next: Option<Duration>) {
        let place = self.by_agent.at(agent);
        if let Some(before) = std::mem::replace(&mut place.next_fall, next) {
            self.falling.remove(&(before, agent));
        }
        if let Some(next) = next {
            self.falling.insert((next, agent));
        }
    }

    /// How many filters stand.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many of a framework under a role stand.
    pub fn count_of(&self, client: C) -> usize {
        self.counts.get(client).copied().unwrap_or(0)
    }

    /// The refusals for a pair and when they fall; for tests and explanations.
    pub fn of(&self, client: C, agent: AgentIx) -> impl Iterator<Item = (&Bundle, Duration)> {
        let place = self.by_agent.get(agent);
        let mine = place.map_or(&[][..], |place| &place.filters[place.of(client)]);
        mine.iter().map(|filter| (&filter.refused, filter.falls_at))
    }

    /// Every bundle that is compared with others: what is refused, and what was refused last.
    pub(crate) fn compared(&self) -> impl Iterator<Item = &Bundle> {
        let last = self.by_agent.values().map(|place| &place.last);
        self.refused().chain(last)
    }

    /// Every refused bundle.
    pub(crate) fn refused(&self) -> impl Iterator<Item = &Bundle> {
        let filters = self.by_agent.values().flat_map(|place| &place.filters);
        filters.map(|filter| &filter.refused)
    }
}

#[cfg(test)]
#[path = "filters_tests.rs"]
mod tests;
