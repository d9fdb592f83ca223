//! The default policy: weighted, hierarchical dominant resource fairness, coarse-grained as in Mesos.
//!
//! Owns the walk over agents in random order; all that is free on one goes to the first client in fair
//! order that may take it. What that client may not have (reserved for others, say, or beyond its quota)
//! goes to the next. Before that, agents go to those whose guarantees are not met, in the same order among
//! them. The order itself belongs to [`crate::sorter`].
//!
//! Clients that quota keeps from everything but reservations are not in the order at all, so that nobody
//! passes over them for each agent; they are found by what is reserved.

use std::borrow::Cow;

use smallvec::SmallVec;
use tepui_kit::Random;

use crate::{
    bundle::Bundle,
    eligible,
    places::PlaceSet,
    policy::{Candidates, Grant, Policy},
    quota::QuotaIx,
    slots::Column,
    sorter::Sorter,
    standing::Standing,
    world::{self, AgentIx, ClientIx, Note, World},
};

/// Up to so many clients are sorted among themselves, if they are few among all; otherwise the order of
/// all is walked, and finds one of them soon.
const FEW_CLIENTS: usize = 8;

/// Puts the agents of a run into the order in which they are given away.
pub(crate) type Arrange = fn(&World, &mut [AgentIx], &mut Random);

/// See the module. Other policies are this one with another order of clients or agents.
#[derive(Debug)]
pub struct Drf {
    name: &'static str,
    arrange: Arrange,
    /// Active clients whose limits leave room for an offer.
    sorter: Sorter,
    /// With the same shares, active clients whose guarantees are not met. None without guarantees.
    unsatisfied: Option<Box<Sorter>>,
}

/// What a run has so far.
struct Run<'w> {
    world: &'w World,
    candidates: &'w Candidates,
    standing: Standing<'w>,
    /// Of agents that guarantees took something of.
    left: Column<AgentIx, Option<Box<Left>>>,
    grants: Vec<Grant>,
}

/// What is left of an agent in a run, and who got something of it.
#[derive(Default)]
struct Left {
    remaining: Bundle,
    served: SmallVec<[ClientIx; 2]>,
}

impl Policy for Drf {
    fn name(&self) -> &'static str {
        self.name
    }

    fn follow(&mut self, world: &World, note: Note) {
        match note {
            Note::ClientAdded(client) => {
                if world.clients.get(client).is_some() {
                    let name = &world.framework_id(client).value;
                    self.each_sorter(|sorter| sorter.add(client, world.role(client), name));
                }
            }
            Note::ClientRemoved(client) => self.each_sorter(|sorter| sorter.remove(client)),
            Note::ClientActive(client) => self.settle(world, &Standing::new(world), client),
            Note::ClientHolds(client) => {
                if let Some(place) = world.clients.get(client) {
                    self.each_sorter(|sorter| sorter.set_allocated(client, &place.allocated));
                }
            }
            Note::ClientDoubles(agent, client) => {
                let doubles = world.doubles.get(&(agent, client));
                let doubles = doubles.map_or(&[][..], Vec::as_slice);
                self.each_sorter(|sorter| sorter.set_doubles(client, agent, doubles));
            }
            Note::Totals => self.each_sorter(|sorter| {
                let totals = world.totals.iter().map(|(name, total)| {
                    let excluded = world.excluded.contains(&name);
                    if excluded { 0 } else { total }
                });
                sorter.set_totals(totals);
            }),
            Note::Weights => {
                self.each_sorter(|sorter| sorter.set_weights(world.weights.clone()));
            }
            Note::Quota => self.look_at_quota_anew(world),
            Note::QuotaPhase(role) => self.settle_role(world, &Standing::new(world), role),
            Note::ClientWants(_)
            | Note::AgentOffersMore(_)
            | Note::AgentRemoved(_)
            | Note::QuotaFreed(_)
            | Note::HeadroomGrew => {}
        }
    }

    fn allocate(
        &mut self,
        world: &World,
        candidates: &Candidates,
        random: &mut Random,
    ) -> Vec<Grant> {
        self.each_sorter(|sorter| {
            sorter.reseed(random);
            sorter.refresh();
        });
        let mut agents: Vec<AgentIx> = if candidates.clients.is_empty() {
            candidates.agents.within(&world.offerable).collect()
        } else {
            world.offerable.iter().collect()
        };
        (self.arrange)(world, &mut agents, random);
        let mut run = Run {
            world,
            candidates,
            standing: Standing::new(world),
            left: Column::default(),
            grants: Vec::with_capacity(agents.len()),
        };
        if run.standing.has_unsatisfied() {
            for agent in &agents {
                self.satisfy(&mut run, *agent);
            }
            (self.arrange)(world, &mut agents, random);
        }
        for few in agents.chunks(world::AT_ONCE) {
            world.fetch_to_offer(few);
            for agent in few {
                self.give_away(&mut run, *agent);
            }
        }
        run.grants
    }

    fn ahead(&self, world: &World, client: ClientIx) -> Option<usize> {
        if !world.active.contains(client) {
            return None;
        }
        let mut ahead = 0;
        self.sorter.first(|other| {
            let found = other == client;
            ahead += usize::from(!found);
            found
        })?;
        Some(ahead)
    }

    fn is_consistent(&self, world: &World) -> bool {
        let standing = Standing::new(world);
        let mut clients = world.clients.iter();
        let is_listed_right = |client: ClientIx| {
            let is_active = world.clients[client].active;
            let is_open = is_active && !standing.is_full(client);
            let is_unsatisfied = is_active && standing.is_unsatisfied(client);
            let unsatisfied = self.unsatisfied.as_ref();
            self.sorter.is_active(client) == is_open
                && unsatisfied.is_none_or(|sorter| sorter.is_active(client) == is_unsatisfied)
        };
        self.sorter.is_consistent()
            && (self.unsatisfied.as_ref()).is_none_or(|sorter| sorter.is_consistent())
            && self.unsatisfied.is_some() == world.quotas.has_guarantees()
            && clients
                .all(|(client, _)| self.sorter.share(client).is_some() && is_listed_right(client))
    }
}

impl<'w> Run<'w> {
    /// Those who are asked about an agent.
    fn asked(&self, agent: AgentIx) -> &'w PlaceSet<ClientIx> {
        if self.candidates.agents.contains(agent) {
            &self.world.active
        } else {
            &self.candidates.clients
        }
    }

    /// What the client would get of `remaining`, if anything.
    fn offer(&self, agent: AgentIx, client: ClientIx, remaining: &Bundle) -> Option<Bundle> {
        eligible::offer(self.world, &self.standing, agent, client, remaining).map(Cow::into_owned)
    }
}

impl Default for Drf {
    fn default() -> Self {
        Self::with("drf", Sorter::default(), shuffled)
    }
}

/// Agents in random order, so that nobody gets the same ones each time.
pub(crate) fn shuffled(_: &World, agents: &mut [AgentIx], random: &mut Random) {
    random.shuffle(agents);
}

impl Drf {
    /// A policy that differs from the default by its order of clients or agents.
    pub(crate) fn with(name: &'static str, sorter: Sorter, arrange: Arrange) -> Self {
        Self {
            name,
            arrange,
            sorter,
            unsatisfied: None,
        }
    }

    /// All the sorter knows; for tests and explanations.
    pub fn sorter(&self) -> &Sorter {
        &self.sorter
    }

    fn each_sorter(&mut self, mut change: impl FnMut(&mut Sorter)) {
        change(&mut self.sorter);
        if let Some(unsatisfied) = &mut self.unsatisfied {
            change(unsatisfied);
        }
    }

    fn look_at_quota_anew(&mut self, world: &World) {
        let has_guarantees = world.quotas.has_guarantees();
        self.unsatisfied = has_guarantees.then(|| Box::new(self.sorter.clone()));
        let standing = Standing::new(world);
        for (client, _) in world.clients.iter() {
            self.settle(world, &standing, client);
        }
    }

    fn settle_role(&mut self, world: &World, standing: &Standing<'_>, role: QuotaIx) {
        if let Some(role) = world.quotas.get(role) {
            for client in role.clients.iter() {
                self.settle(world, standing, client);
            }
        }
    }

    /// Puts a client into the orders in which it is to be asked.
    fn settle(&mut self, world: &World, standing: &Standing<'_>, client: ClientIx) {
        let Some(place) = world.clients.get(client) else {
            return self.each_sorter(|sorter| sorter.set_active(client, false));
        };
        let is_open = place.active && !standing.is_full(client);
        self.sorter.set_active(client, is_open);
        if let Some(unsatisfied) = &mut self.unsatisfied {
            unsatisfied.set_active(client, place.active && standing.is_unsatisfied(client));
        }
    }

    /// Gives of one agent to those whose guarantees it brings nearer.
    fn satisfy(&mut self, run: &mut Run<'_>, agent: AgentIx) {
        let place = &run.world.agents[agent];
        let mut left = Left {
            remaining: place.free.clone(),
            served: SmallVec::new(),
        };
        while let Some(order) = &self.unsatisfied
            && run.standing.is_required(&left.remaining)
        {
            let mut found = None;
            let will_do = |client: ClientIx| {
                if left.served.contains(&client) {
                    return false;
                }
                let offer = run.offer(agent, client, &left.remaining);
                found = offer.filter(|offer| run.standing.is_progress(client, offer));
                found.is_some()
            };
            let client = first_of(order, run.world, run.asked(agent), agent, will_do);
            let (Some(client), Some(resources)) = (client, found) else {
                break;
            };
            left.remaining.subtract(&resources);
            left.served.push(client);
            self.grant(run, agent, client, resources);
        }
        if !left.served.is_empty() {
            *run.left.at(agent) = Some(Box::new(left));
        }
    }

    /// Gives away what is left of one agent.
    fn give_away(&mut self, run: &mut Run<'_>, agent: AgentIx) {
        let place = &run.world.agents[agent];
        let left = run.left.take(agent);
        let (mut remaining, mut served) = match left {
            Some(left) => (Cow::Owned(left.remaining), left.served),
            None => (Cow::Borrowed(&place.free), SmallVec::new()),
        };
        while !remaining.is_empty() {
            let Some((client, resources)) = self.next(run, agent, &remaining, &served) else {
                return;
            };
            let everything = place.is_plain && remaining.is_same(&resources);
            if !everything {
                remaining.to_mut().subtract(&resources);
                served.push(client);
            }
            self.grant(run, agent, client, resources);
            if everything {
                return;
            }
        }
    }

    /// The next client for what is left of an agent, and what it gets.
    fn next(
        &self,
        run: &Run<'_>,
        agent: AgentIx,
        remaining: &Bundle,
        served: &[ClientIx],
    ) -> Option<(ClientIx, Bundle)> {
        let mut found = None;
        let mut will_do = |client: ClientIx| {
            if served.contains(&client) {
                return false;
            }
            found = run.offer(agent, client, remaining);
            found.is_some()
        };
        let asked = run.asked(agent);
        if !run.world.is_allocatable(remaining) {
            let client = self.first_choosy(run, asked, will_do);
            return Some((client?, found?));
        }
        let is_plain = run.world.agents[agent].is_plain;
        let mut client = None;
        if run.standing.has_surplus() && (is_plain || is_worth_asking_all(run.world, remaining)) {
            client = first_of(&self.sorter, run.world, asked, agent, &mut will_do);
        }
        if client.is_none() {
            client = self.first_choosy(run, asked, &mut will_do);
        }
        if client.is_none() && !is_plain {
            let takers = self.takers_of_the_special(run, remaining);
            let mut takers = takers.into_iter().filter(|client| asked.contains(*client));
            client = takers.find(|client| will_do(*client));
        }
        Some((client?, found?))
    }

    /// The first in fair order of those who have minimums of their own, and may take what is little to others.
    fn first_choosy(
        &self,
        run: &Run<'_>,
        asked: &PlaceSet<ClientIx>,
        mut will_do: impl FnMut(ClientIx) -> bool,
    ) -> Option<ClientIx> {
        let choosy = &run.world.choosy;
        if choosy.is_empty() {
            return None;
        }
        let mut takers: Vec<ClientIx> = asked.within(choosy).collect();
        self.sorter.sort(&mut takers);
        takers.into_iter().find(|client| will_do(*client))
    }

    /// Whom reservations and revocable resources may go to whatever quota says, in fair order.
    fn takers_of_the_special(&self, run: &Run<'_>, remaining: &Bundle) -> Vec<ClientIx> {
        let world = run.world;
        let kinds = || remaining.kinds().map(|kind| world.kinds.get(kind));
        let mut owners: SmallVec<[&str; 4]> =
            kinds().filter_map(|kind| kind.reserved_role()).collect();
        owners.sort_unstable();
        owners.dedup();
        let mut takers: Vec<ClientIx> = owners
            .into_iter()
            .flat_map(|owner| self.sorter.clients_in(owner))
            .collect();
        if !run.standing.is_free() && kinds().any(|kind| kind.is_revocable) {
            takers.extend(world.active.iter().filter(|client| {
                let framework = world.clients[*client].framework;
                world.frameworks[framework].capabilities.revocable
            }));
        }
        takers.sort_unstable();
        takers.dedup();
        self.sorter.sort(&mut takers);
        takers
    }

    fn grant(&mut self, run: &mut Run<'_>, agent: AgentIx, client: ClientIx, resources: Bundle) {
        let world = run.world;
        self.each_sorter(|sorter| sorter.grant(client, world.kinds.quantities(&resources)));
        for role in run.standing.grant(client, &resources) {
            self.settle_role(world, &run.standing, role);
        }
        run.grants.push(Grant {
            agent,
            client,
            resources,
        });
    }
}

/// Whether what is not reserved is enough for an offer: otherwise only those can take something that some
/// of it is reserved for.
fn is_worth_asking_all(world: &World, remaining: &Bundle) -> bool {
    let is_reserved = |kind| world.kinds.get(kind).reserved_role().is_some();
    if !remaining.kinds().any(is_reserved) {
        return true;
    }
    let mut unreserved = remaining.clone();
    unreserved.retain(|kind| !is_reserved(kind));
    world.is_allocatable(&unreserved)
}

/// The first in order of the `asked` for whom `will_do` holds. For nobody it does who refuses all that is
/// free on the agent.
fn first_of(
    sorter: &Sorter,
    world: &World,
    asked: &PlaceSet<ClientIx>,
    agent: AgentIx,
    mut will_do: impl FnMut(ClientIx) -> bool,
) -> Option<ClientIx> {
    // Mostly the first of all takes it, and nothing need be known of the others.
    let first = sorter.first(|_| true)?;
    if asked.contains(first) && will_do(first) {
        return Some(first);
    }
    let refusing = world.filters.refusing(agent, &world.agents[agent].free);
    let least = asked.len() - refusing.map_or(0, PlaceSet::len).min(asked.len());
    if least <= FEW_CLIENTS {
        let nobody = PlaceSet::default();
        let open = asked.without(refusing.unwrap_or(&nobody));
        let mut few: SmallVec<[ClientIx; FEW_CLIENTS + 1]> = open.take(FEW_CLIENTS + 1).collect();
        let are_few = few.len() <= FEW_CLIENTS;
        if are_few && few.len() * FEW_CLIENTS < world.active.len() {
            sorter.sort(&mut few);
            return few.into_iter().find(|client| will_do(*client));
        }
    }
    sorter.first(|client| {
        asked.contains(client)
            && !refusing.is_some_and(|refusing| refusing.contains(client))
            && will_do(client)
    })
}

#[cfg(test)]
#[path = "drf_tests.rs"]
mod tests;
