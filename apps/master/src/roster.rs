//! Who belongs to the group, as this master knows it, and the judgement on another master that says who it is. Pure.
//!
//! The registry's members count once there are any; before, the founders with the addresses of `--peers`. A master
//! that was away may know less than the others: an id above all it knows of is of a master that was added since.

use std::collections::BTreeMap;

use tepui_consensus::Identity;
use tepui_registry::Registry;

/// One master of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    /// `host:port` of its bridge: as the group knows it, then as `--peers` has it.
    pub addresses: Vec<String>,
    /// The disk it took its id for, where the group knows.
    pub disk: Option<String>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    pub members: BTreeMap<u64, Entry>,
    /// No id above it was ever given, as far as is known here.
    pub last_id: u64,
}

/// How another master calls itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) name: &'a str,
    /// None for one that waits to be let in.
    pub(crate) id: Option<u64>,
    /// Its founders, and whether it says the same cluster as this master.
    pub(crate) group: &'a str,
    pub(crate) same_cluster: bool,
}

/// Who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Member(u64),
    /// Added while this master was away.
    Newer(u64),
    /// Added and without an id; this is the one for it.
    Joiner(u64),
}

impl Roster {
    /// `peers` are the addresses of bridges, by name.
    pub fn of(
        registry: &Registry,
        identity: &Identity,
        peers: &BTreeMap<String, String>,
    ) -> Roster {
        let entry = |name: &str, known: Option<&String>, disk: Option<&String>| {
            let known = known.filter(|it| !it.is_empty());
            let mut addresses: Vec<String> =
                known.into_iter().chain(peers.get(name)).cloned().collect();
            addresses.dedup();
            Entry {
                name: name.to_owned(),
                addresses,
                disk: disk.cloned(),
            }
        };
        let founders = identity.founders.iter();
        let founders: BTreeMap<u64, Entry> = founders
            .map(|(id, name)| (*id, entry(name, None, None)))
            .collect();
        if registry.members.is_empty() {
            // One that joined knows nobody yet: it answers those that come, and hears from them who is a member.
            let is_founder = founders.contains_key(&identity.node_id);
            let members = if is_founder {
                founders
            } else {
                BTreeMap::new()
            };
            let last_id = members.keys().next_back().copied().unwrap_or(0);
            return Roster { members, last_id };
        }
        let members = registry.members.iter();
        Roster {
            members: members
                .map(|(id, it)| (*id, entry(&it.name, Some(&it.address), it.disk.as_ref())))
                .collect(),
            last_id: registry.last_member_id,
        }
    }

    pub(crate) fn id_of(&self, name: &str) -> Option<u64> {
        let mut members = self.members.iter();
        members.find(|(_, it)| it.name == name).map(|(id, _)| *id)
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.members.values().map(|it| it.name.as_str()).collect();
        names.join(",")
    }

    /// Who another master is. `is_counted_on`: Raft still has it. One that the registry has let go belongs to the group until
    /// Raft has too: a majority may need it, also for that.
    ///
    /// # Errors
    /// The text of the refusal, for both sides' logs.
    pub(crate) fn judge(
        &self,
        own: &Identity,
        theirs: Claim<'_>,
        is_counted_on: bool,
    ) -> Result<Verdict, String> {
        let Claim { name, group, .. } = theirs;
        // One that takes the other's place has its name, and its vote beside the other's until that is let go.
        let is_another = match theirs.id {
            Some(id) => theirs.same_cluster && id != own.node_id,
            None => self.id_of(name).is_some_and(|id| id != own.node_id),
        };
        if name == own.name && !is_another {
            return Err(format!(
                "both masters are named {name}; give each its own --name"
            ));
        }
        let Some(id) = theirs.id else {
            return self.id_of(name).map(Verdict::Joiner).ok_or_else(|| {
                format!(
                    "{name} is no master of this group yet, which is {}; add it: `tepui cluster add {name}=ADDRESS`",
                    self.names()
                )
            });
        };
        // Once both know their cluster, its id says more: the handshake has compared it.
        if !theirs.same_cluster && group != own.group() {
            return Err(format!(
                "this master's group is {}, the one of {name} is {group}; start all with the same --peers, or let \
                 {name} join: `tepui cluster add {name}=ADDRESS`, and start it with an empty directory and the \
                 others in --peers",
                own.group()
            ));
        }
        match self.members.get(&id) {
            Some(known) if known.name == name => Ok(Verdict::Member(id)),
            Some(known) => Err(format!(
                "{name} says it is member {id}, who is {}; correct --name or --peers",
                known.name
            )),
            // The group of a restored backup has the same cluster and other founders.
            None if is_counted_on && group == own.group() => Ok(Verdict::Member(id)),
            None if id > self.last_id && group == own.group() => Ok(Verdict::Newer(id)),
            None => Err(format!(
                "{name} (id {id}) is no master of this group, which is {}: it was removed, or replaced by another \
                 disk, or is of another cluster. Stop it; to have it back, give it an empty directory and add it: \
                 `tepui cluster add {name}=ADDRESS`",
                self.names()
            )),
        }
    }
}

#[cfg(test)]
#[path = "roster_tests.rs"]
mod tests;
