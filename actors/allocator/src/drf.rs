//! The default policy: weighted, hierarchical dominant resource fairness, coarse-grained as in Mesos.
//!
//! Owns the walk over agents in random order; all that is free on one goes to the first client in fair
//! order that may take it. What that client may not have (reserved for others, say) goes to the next.
//! The order itself belongs to [`crate::sorter`].

use std::borrow::Cow;

use smallvec::SmallVec;
use tepui_kit::Random;

use crate::{
    eligible,
    places::PlaceSet,
    policy::{Candidates, Grant, Policy},
    slots::Place,
    sorter::Sorter,
    world::{AgentIx, ClientIx, Note, World},
};

/// Up to so many clients are sorted among themselves, if they are few among all; otherwise the order of
/// all is walked, and finds one of them soon.
const FEW_CLIENTS: usize = 8;

/// See the module.
#[derive(Debug, Default)]
pub struct Drf {
    sorter: Sorter,
}

impl Policy for Drf {
    fn name(&self) -> &'static str {
        "drf"
    }

    fn follow(&mut self, world: &World, note: Note) {
        match note {
            Note::ClientAdded(client) => {
                if world.clients.get(client).is_some() {
                    let name = &world.framework_id(client).value;
                    self.sorter.add(client, world.role(client), name);
                }
            }
            Note::ClientRemoved(client) => self.sorter.remove(client),
            Note::ClientActive(client) => {
                let place = world.clients.get(client);
                self.sorter
                    .set_active(client, place.is_some_and(|place| place.active));
            }
            Note::ClientHolds(client) => {
                if let Some(place) = world.clients.get(client) {
                    self.sorter.set_allocated(client, &place.allocated);
                }
            }
            Note::Totals => {
                let totals = (0_u32..).zip(&world.totals).map(|(index, total)| {
                    let excluded = world.excluded.contains(&Place::at(index));
                    if excluded { 0 } else { *total }
                });
                self.sorter.set_totals(totals);
            }
            Note::Weights => self.sorter.set_weights(world.weights.clone()),
            Note::ClientWants(_) | Note::AgentOffersMore(_) | Note::AgentRemoved(_) => {}
        }
    }

    fn allocate(
        &mut self,
        world: &World,
        candidates: &Candidates,
        random: &mut Random,
    ) -> Vec<Grant> {
        self.sorter.refresh();
        let mut agents: Vec<AgentIx> = if candidates.clients.is_empty() {
            candidates.agents.within(&world.offerable).collect()
        } else {
            world.offerable.iter().collect()
        };
        random.shuffle(&mut agents);
        let mut grants = Vec::with_capacity(agents.len());
        for agent in agents {
            let asked = if candidates.agents.contains(agent) {
                &world.active
            } else {
                &candidates.clients
            };
            self.give_away(world, asked, agent, &mut grants);
        }
        grants
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
        let mut clients = world.clients.iter();
        self.sorter.is_consistent()
            && clients.all(|(client, _)| self.sorter.share(client).is_some())
    }
}

impl Drf {
    /// All the sorter knows; for tests and explanations.
    pub fn sorter(&self) -> &Sorter {
        &self.sorter
    }

    /// Gives away what is free on one agent, to those of the `asked` who may have it.
    fn give_away(
        &mut self,
        world: &World,
        asked: &PlaceSet<ClientIx>,
        agent: AgentIx,
        grants: &mut Vec<Grant>,
    ) {
        let place = &world.agents[agent];
        let mut remaining = Cow::Borrowed(&place.free);
        let mut served: SmallVec<[ClientIx; 2]> = SmallVec::new();
        loop {
            let mut found = None;
            let will_do = |client: ClientIx| {
                if served.contains(&client) {
                    return false;
                }
                found = eligible::offer(world, agent, client, &remaining).map(Cow::into_owned);
                found.is_some()
            };
            let client = self.first_of(world, asked, agent, will_do);
            let (Some(client), Some(resources)) = (client, found) else {
                return;
            };
            self.sorter
                .grant(client, world.kinds.quantities(&resources));
            let everything = place.is_plain;
            if !everything {
                remaining.to_mut().subtract(&resources);
                served.push(client);
            }
            grants.push(Grant {
                agent,
                client,
                resources,
            });
            if everything || remaining.is_empty() {
                return;
            }
        }
    }

    /// The first in order of the `asked` for whom `will_do` holds. For nobody it does who refuses all that
    /// is free on the agent.
    fn first_of(
        &self,
        world: &World,
        asked: &PlaceSet<ClientIx>,
        agent: AgentIx,
        mut will_do: impl FnMut(ClientIx) -> bool,
    ) -> Option<ClientIx> {
        // Mostly the first of all takes it, and nothing need be known of the others.
        let first = self.sorter.first(|_| true)?;
        if asked.contains(first) && will_do(first) {
            return Some(first);
        }
        let refusing = world.filters.refusing(agent, &world.agents[agent].free);
        let least = asked.len() - refusing.map_or(0, PlaceSet::len).min(asked.len());
        if least <= FEW_CLIENTS {
            let nobody = PlaceSet::default();
            let open = asked.without(refusing.unwrap_or(&nobody));
            let mut few: SmallVec<[ClientIx; FEW_CLIENTS + 1]> =
                open.take(FEW_CLIENTS + 1).collect();
            let are_few = few.len() <= FEW_CLIENTS;
            if are_few && few.len() * FEW_CLIENTS < world.active.len() {
                self.sorter.sort(&mut few);
                return few.into_iter().find(|client| will_do(*client));
            }
        }
        self.sorter.first(|client| {
            asked.contains(client)
                && !refusing.is_some_and(|refusing| refusing.contains(client))
                && will_do(client)
        })
    }
}
