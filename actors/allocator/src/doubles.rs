//! What several clients hold of one shared volume, so that their role is counted with it once.
//!
//! Owns the answer up to which role a client's copy counts. Each who holds a copy is counted with the volume;
//! a role in or below which several hold one has it once, as in Mesos (`sorter/drf/sorter.hpp`,
//! `Allocation::add`). So of those below a role one is counted for it: the others' copies count only up to
//! where they meet somebody with a lower integer. Only agents with shared resources are looked at.

use std::{collections::BTreeMap, sync::Arc};

use smallvec::SmallVec;
use tepui_protocol::roles;

use crate::{
    kinds::{KindIx, NameIx},
    slots::Place,
    world::{AgentIx, ClientIx, Note, World},
};

/// Where a copy counts no more: there, and in every role above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Level {
    /// Among the clients of the role itself.
    Clients(Arc<str>),
    /// In the role with those below it; the empty name is the whole cluster.
    Role(Arc<str>),
}

/// So much of a name is counted for others from the level up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Double {
    pub(crate) level: Level,
    pub(crate) name: NameIx,
    pub(crate) thousandths: i64,
}

/// By agent and client; nobody without one is in it.
pub(crate) type Doubles = BTreeMap<(AgentIx, ClientIx), Vec<Double>>;

impl World {
    /// Finds out anew who holds the same on the agent, and notes for whom that changed.
    pub(crate) fn settle_doubles(&mut self, agent: AgentIx) {
        let now = self.doubles_on(agent);
        let known = self.doubles.range(all_of(agent));
        let before: Vec<ClientIx> = known.map(|((_, client), _)| *client).collect();
        for client in before {
            if !now.contains_key(&client) {
                self.doubles.remove(&(agent, client));
                self.notes.push(Note::ClientDoubles(agent, client));
            }
        }
        for (client, doubles) in now {
            if self.doubles.get(&(agent, client)) != Some(&doubles) {
                self.doubles.insert((agent, client), doubles);
                self.notes.push(Note::ClientDoubles(agent, client));
            }
        }
    }

    /// Whose copies on the agent do not count everywhere.
    pub(crate) fn doubles_on(&self, agent: AgentIx) -> BTreeMap<ClientIx, Vec<Double>> {
        let mut doubles: BTreeMap<ClientIx, Vec<Double>> = BTreeMap::new();
        let mut holders: BTreeMap<KindIx, Vec<(ClientIx, i64)>> = BTreeMap::new();
        let place = &self.agents[agent];
        for (client, held) in &place.held {
            for (kind, amount) in held
                .scalars()
                .filter(|(kind, _)| self.is_counted_once(*kind))
            {
                let one = place.total.scalar(kind);
                let amount = one.map_or(amount, |one| amount.min(one));
                holders.entry(kind).or_default().push((*client, amount));
            }
        }
        for (kind, holders) in holders {
            let Some(name) = self.kinds.get(kind).name else {
                continue;
            };
            // The first client of each role, with its amount.
            let mut seen: SmallVec<[(&Arc<str>, i64); 4]> = SmallVec::new();
            for (client, amount) in holders {
                let role = &self.clients[client].role;
                let meets = seen
                    .iter()
                    .map(|(other, theirs)| (meeting(role, other), *theirs));
                // The nearest is the one whose name is longest; a role's own clients are nearer than the role.
                let nearest = meets.max_by_key(|(level, _)| level.depth());
                if let Some((level, theirs)) = nearest {
                    doubles.entry(client).or_default().push(Double {
                        level,
                        name,
                        thousandths: amount.min(theirs),
                    });
                }
                if !seen.iter().any(|(other, _)| *other == role) {
                    seen.push((role, amount));
                }
            }
        }
        doubles
    }

    fn is_counted_once(&self, kind: KindIx) -> bool {
        let kind = self.kinds.get(kind);
        kind.is_shared && kind.name.is_some()
    }
}

/// The keys of an agent.
fn all_of(agent: AgentIx) -> std::ops::RangeInclusive<(AgentIx, ClientIx)> {
    (agent, ClientIx::at(0))..=(agent, ClientIx::at(u32::MAX))
}

/// The lowest place in the tree of roles that two roles have in common.
fn meeting(role: &Arc<str>, other: &Arc<str>) -> Level {
    if role == other {
        return Level::Clients(Arc::clone(role));
    }
    let mut own = std::iter::once(&**role).chain(roles::ancestors(role));
    let common = own.find(|path| *path == &**other || roles::is_strict_subrole_of(other, path));
    Level::Role(common.unwrap_or_default().into())
}

impl Level {
    fn depth(&self) -> (usize, bool) {
        match self {
            Self::Clients(role) => (role.len(), true),
            Self::Role(role) => (role.len(), false),
        }
    }
}

#[cfg(test)]
#[path = "doubles_tests.rs"]
mod tests;
