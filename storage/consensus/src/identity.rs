//! Whose disk this is: the member's name and id, a number drawn once for the disk, and the founders of its group.
//! Owns the rule that a name keeps its id, and what is known of the others' disks.
//!
//! Founders take their ids from 1 on, in the order of their names, whatever the order in which they were listed:
//! each of them comes to the same ids without asking. Ids are never given twice: whoever joins later gets one
//! above all that were ever given, from the leader.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tepui_engine::keys::RAFT_META;
use tepui_engine::{Batch, Durability, Key, SharedEngine, record};

use crate::ConsensusError;
use crate::store::stored_member_id;

const VERSION: u8 = 1;
const NAME: u8 = b'n';
const DISK: u8 = b'd';

/// Who owns a directory; written once, before anything else is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub node_id: u64,
    pub name: String,
    /// Drawn when the disk was first used: a disk that was wiped, or is another's, has another one.
    pub disk: String,
    /// The members that founded the group, by id.
    pub founders: BTreeMap<u64, String>,
}

impl Identity {
    /// Reads who owns the directory, or makes `name` its owner. `founders` are the names of a new group, with
    /// `name` among them; `disk` is taken for a directory that has no owner.
    ///
    /// # Errors
    /// [`ConsensusError::WrongName`] and [`ConsensusError::OtherFounders`] where the directory says otherwise.
    pub fn open(
        engine: &SharedEngine,
        name: &str,
        founders: &[&str],
        disk: &str,
    ) -> Result<Self, ConsensusError> {
        let ids = founder_ids(founders);
        let key = Key::new(NAME);
        if let Some(sealed) = engine.get(RAFT_META, key.as_bytes())? {
            let known: Self = record::decode(VERSION, &sealed)
                .map_err(|error| ConsensusError::Damaged(format!("the owner: {error}")))?;
            return known.expect(name, ids);
        }
        // A directory of a program that knew no names belongs to a master that led alone.
        let node_id = match stored_member_id(engine)? {
            Some(_) if ids.len() > 1 => {
                return Err(ConsensusError::OtherFounders {
                    found: name.to_owned(),
                    expected: listed(&ids),
                });
            }
            Some(id) => Some(id),
            None => ids.iter().find(|(_, it)| *it == name).map(|(id, _)| *id),
        };
        let node_id = node_id.ok_or_else(|| {
            ConsensusError::Options(format!("{name} is not among {}", listed(&ids)))
        })?;
        let identity = Self {
            node_id,
            name: name.to_owned(),
            disk: disk.to_owned(),
            founders: ids,
        };
        let mut batch = Batch::new();
        batch.put(RAFT_META, key, record::encode(VERSION, &identity));
        engine.write(&batch, Durability::Synced)?;
        Ok(identity)
    }

    fn expect(self, name: &str, founders: BTreeMap<u64, String>) -> Result<Self, ConsensusError> {
        if self.name != name {
            return Err(ConsensusError::WrongName {
                found: self.name,
                expected: name.to_owned(),
            });
        }
        if self.founders != founders {
            return Err(ConsensusError::OtherFounders {
                found: listed(&self.founders),
                expected: listed(&founders),
            });
        }
        Ok(self)
    }

    /// The founders' names, joined by commas.
    pub fn group(&self) -> String {
        listed(&self.founders)
    }

    /// The id that belongs to a name.
    pub fn id_of(&self, name: &str) -> Option<u64> {
        let mut members = self.founders.iter();
        members.find(|(_, it)| *it == name).map(|(id, _)| *id)
    }

    /// Whether the member `id` may come with this disk. The first one it comes with is kept in mind; not synced,
    /// since a lost note is only made anew.
    ///
    /// # Errors
    /// The text of the refusal, or of the failed write.
    pub fn recognise(&self, engine: &SharedEngine, id: u64, disk: &str) -> Result<(), String> {
        let key = Key::new(DISK).number(id);
        let known = engine
            .get(RAFT_META, key.as_bytes())
            .map_err(|error| error.to_string())?;
        if let Some(sealed) = known {
            let known: String =
                record::decode(VERSION, &sealed).map_err(|error| error.to_string())?;
            let name = self.founders.get(&id).map_or("?", String::as_str);
            return if known == disk {
                Ok(())
            } else {
                Err(format!(
                    "master {name} comes with another disk (it was {known}, it is {disk}): its directory was wiped \
                     or belongs to another cluster; give it back the directory it had"
                ))
            };
        }
        let mut batch = Batch::new();
        batch.put(RAFT_META, key, record::encode(VERSION, &disk));
        engine
            .write(&batch, Durability::Buffered)
            .map_err(|error| error.to_string())
    }
}

fn founder_ids(founders: &[&str]) -> BTreeMap<u64, String> {
    let mut names: Vec<&str> = founders.to_vec();
    names.sort_unstable();
    names.dedup();
    (1..).zip(names.into_iter().map(str::to_owned)).collect()
}

fn listed(members: &BTreeMap<u64, String>) -> String {
    let names: Vec<&str> = members.values().map(String::as_str).collect();
    names.join(",")
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
