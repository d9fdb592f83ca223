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
    policy::{Candidates, Grant, Policy},
    slots::Place,
    sorter::Sorter,
    world::{AgentIx, ClientIx, Note, World},
};

/// Up to so many candidate clients are sorted among themselves; for more, the order of all is walked.
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
            let agents = candidates.agents.iter().copied();
            agents
                .filter(|agent| world.offerable.contains(agent))
                .collect()
        } else {
            world.offerable.iter().copied().collect()
        };
        random.shuffle(&mut agents);
        let mut grants = Vec::with_capacity(agents.len());
        for agent in agents {
            let open_to_all = candidates.agents.contains(&agent);
            self.give_away(world, candidates, agent, open_to_all, &mut grants);
        }
        grants
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

    /// Gives away what is free on one agent.
    fn give_away(
        &mut self,
        world: &World,
        candidates: &Candidates,
        agent: AgentIx,
        open_to_all: bool,
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
            let client = if open_to_all {
                self.sorter.first(will_do)
            } else {
                self.first_of(candidates, will_do)
            };
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

    /// The first of the candidate clients in order for which `will_do` holds.
    fn first_of(
        &self,
        candidates: &Candidates,
        mut will_do: impl FnMut(ClientIx) -> bool,
    ) -> Option<ClientIx> {
        if candidates.clients.len() > FEW_CLIENTS {
            return self
                .sorter
                .first(|client| candidates.clients.contains(&client) && will_do(client));
        }
        let mut clients: SmallVec<[ClientIx; FEW_CLIENTS]> =
            candidates.clients.iter().copied().collect();
        self.sorter.sort(&mut clients);
        clients.into_iter().find(|client| will_do(*client))
    }
}
