//! How what clients hold comes into their fair shares.
//!
//! Owns the amounts a client is counted with; the order that follows from them is [`crate::sorter`]'s. Of
//! what is shared a client has one copy to use, however many it holds, so that counts once on each agent. What
//! of it counts once for a role is in [`crate::doubles`].

use smallvec::SmallVec;

use crate::{
    bundle::Bundle,
    world::{AgentIx, ClientIx, World},
};

/// Whether all that the client holds on the agent has to be counted anew.
#[must_use]
pub(crate) struct Recount(bool);

impl World {
    /// Counts that a client is about to hold `bundle` more (`sign` 1) or less (-1) on an agent; to be followed by
    /// [`World::count_changed`] once it does.
    pub(crate) fn count_change(
        &mut self,
        agent: AgentIx,
        client: ClientIx,
        bundle: &Bundle,
        sign: i64,
    ) -> Recount {
        let is_plain = self.agents[agent].is_plain && self.doubles.is_empty();
        if !is_plain && self.kinds.has_shared(bundle) {
            self.count_all_of(agent, client, -1);
            return Recount(true);
        }
        let allocated = &mut self.clients[client].allocated;
        allocated.count(self.kinds.quantities(bundle), sign);
        Recount(false)
    }

    pub(crate) fn count_changed(&mut self, agent: AgentIx, client: ClientIx, recount: Recount) {
        if recount.0 {
            self.count_all_of(agent, client, 1);
            self.settle_doubles(agent);
        }
    }

    /// Counts (`sign` 1) all that anybody holds on an agent, or no longer (-1): how much a copy is depends
    /// on the agent's total.
    pub(crate) fn count_holders(&mut self, agent: AgentIx, sign: i64) {
        let held = self.agents[agent].held.iter();
        let clients: SmallVec<[ClientIx; 4]> = held.map(|(client, _)| *client).collect();
        for client in clients {
            self.count_all_of(agent, client, sign);
            self.note_holds(client);
        }
        if sign > 0 {
            self.settle_doubles(agent);
        }
    }

    fn count_all_of(&mut self, agent: AgentIx, client: ClientIx, sign: i64) {
        let place = &self.agents[agent];
        let Some(held) = place.held_by(client) else {
            return;
        };
        let allocated = &mut self.clients[client].allocated;
        for (name, amount) in self.kinds.shares(held, &place.total) {
            *allocated.at(name) += sign * amount;
        }
    }
}
