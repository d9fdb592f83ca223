//! What is open to offers at all: agents that take part, on the operator's list, with enough free to be worth an offer
//! to somebody.
//!
//! Owns which agents are in [`World::offerable`], and what is worth an offer to whom.

use std::{collections::BTreeSet, sync::Arc};

use tepui_protocol::v1::AgentInfo;

use crate::{
    bundle::Bundle,
    least::Minimums,
    world::{AgentIx, Client, ClientIx, Note, World},
};

impl World {
    /// Whether it is worth an offer to those without minimums of their own.
    pub fn is_allocatable(&self, bundle: &Bundle) -> bool {
        bundle.is_allocatable(|| self.min_allocatable.are_met(&self.kinds, bundle))
    }

    /// Whether it is worth an offer to this client.
    pub fn is_worth_offering(&self, client: &Client, bundle: &Bundle) -> bool {
        match &client.minimums {
            Some(own) => own.are_met(&self.kinds, bundle),
            None => self.is_allocatable(bundle),
        }
    }

    /// What must be there to be worth an offer to this client.
    pub(crate) fn minimums<'a>(&'a self, client: &'a Client) -> &'a Minimums {
        let own = client.minimums.as_ref();
        own.unwrap_or(&self.min_allocatable)
    }

    /// Whether it may be worth an offer to anybody.
    pub(crate) fn may_be_offered(&self, free: &Bundle) -> bool {
        self.is_allocatable(free) || (!self.choosy.is_empty() && !free.is_empty())
    }

    /// The list of hostnames that are offered changed.
    pub(crate) fn set_whitelist(&mut self, whitelist: Option<Arc<BTreeSet<String>>>) {
        self.whitelist = whitelist;
        let agents = self.agents.iter();
        let changed = agents.filter(|(_, agent)| self.lists(&agent.info) != agent.listed);
        for agent in changed.map(|(agent, _)| agent).collect::<Vec<_>>() {
            let place = &mut self.agents[agent];
            place.listed = !place.listed;
            self.settle_offerable(agent);
            self.notes.push(Note::AgentOffersMore(agent));
        }
    }

    pub(crate) fn lists(&self, info: &AgentInfo) -> bool {
        let list = self.whitelist.as_ref();
        list.is_none_or(|list| list.contains(&info.hostname))
    }

    /// What is worth an offer to a client changed.
    pub(crate) fn set_minimums(&mut self, client: ClientIx, minimums: Option<Minimums>) {
        if self.clients[client].minimums == minimums {
            return;
        }
        let had_none = self.choosy.is_empty();
        if minimums.is_some() {
            self.choosy.insert(client);
        } else {
            self.choosy.remove(client);
        }
        self.clients[client].minimums = minimums;
        self.notes.push(Note::ClientActive(client));
        if self.choosy.is_empty() != had_none {
            self.settle_all_offerable();
        }
    }

    fn settle_all_offerable(&mut self) {
        let agents: Vec<AgentIx> = self.agents.iter().map(|(agent, _)| agent).collect();
        for agent in agents {
            self.settle_offerable(agent);
        }
    }

    pub(crate) fn settle_offerable(&mut self, agent: AgentIx) {
        let place = &self.agents[agent];
        if place.is_open() && self.may_be_offered(&place.free) {
            self.offerable.insert(agent);
        } else {
            self.offerable.remove(agent);
        }
    }
}
