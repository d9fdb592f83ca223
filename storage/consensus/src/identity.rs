//! Whose disk this is: the member's name and id, a number drawn once for the disk, and the founders of its group.
//! Owns the rule that a directory keeps its owner, and what is known of the others' disks.
//!
//! Founders take their ids from 1 on, in the order of their names, whatever the order in which they were listed:
//! each of them comes to the same ids without asking. Ids are never given twice: whoever joins later gets one
//! above all that were ever given, from the leader.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tepui_engine::keys::RAFT_META;
use tepui_engine::{Batch, Durability, Key, SharedEngine, record};

use crate::ConsensusError;
use crate::store::stored_member_id;

const VERSION: u8 = 1;
const NAME: u8 = b'n';
const DISK: u8 = b'd';
const ACKNOWLEDGED: u8 = b'k';
/// No member has this id.
const NOBODY: u64 = 0;

/// Who owns a directory; written once, before anything else is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub node_id: u64,
    pub name: String,
    /// Drawn when the disk was first used: a disk that was wiped, or is another's, has another one.
    pub disk: String,
    /// The members that founded the group, by id.
    pub founders: BTreeMap<u64, String>,
    /// The cluster it joined, for the time until its registry says so.
    #[serde(default)]
    pub cluster_id: Option<String>,
}

impl Identity {
    /// Reads who owns the directory, if anyone does.
    ///
    /// # Errors
    /// [`ConsensusError::WrongName`] where it is another one than `name`.
    pub fn read(engine: &SharedEngine, name: &str) -> Result<Option<Self>, ConsensusError> {
        let Some(sealed) = engine.get(RAFT_META, Key::new(NAME).as_bytes())? else {
            return Ok(None);
        };
        let known: Self = record::decode(VERSION, &sealed)
            .map_err(|error| ConsensusError::Damaged(format!("the owner: {error}")))?;
        if known.name == name {
            return Ok(Some(known));
        }
        Err(ConsensusError::WrongName {
            found: known.name,
            expected: name.to_owned(),
        })
    }

    /// Whether the directory has an owner, with a name or from before there were names.
    ///
    /// # Errors
    /// What reading it gives.
    pub fn is_owned(engine: &SharedEngine) -> Result<bool, ConsensusError> {
        let named = engine.get(RAFT_META, Key::new(NAME).as_bytes())?.is_some();
        Ok(named || stored_member_id(engine)?.is_some())
    }

    /// The number drawn for a directory without an owner; `fresh` is drawn where none was yet. One that waits to
    /// join takes its id for this number, and may restart before it has noted that.
    ///
    /// # Errors
    /// What reading and writing give.
    pub fn draw_disk(engine: &SharedEngine, fresh: &str) -> Result<String, ConsensusError> {
        let key = Key::new(DISK).number(NOBODY);
        if let Some(sealed) = engine.get(RAFT_META, key.as_bytes())? {
            return record::decode(VERSION, &sealed)
                .map_err(|error| ConsensusError::Damaged(format!("the drawn disk: {error}")));
        }
        let mut batch = Batch::new();
        batch.put(RAFT_META, key, record::encode(VERSION, &fresh));
        engine.write(&batch, Durability::Synced)?;
        Ok(fresh.to_owned())
    }

    /// Reads who owns the directory, or makes `name` its owner. `founders` are the names of a new group, with
    /// `name` among them, and without meaning for a directory that has an owner; `disk` is taken for one that has
    /// none.
    ///
    /// # Errors
    /// [`ConsensusError::WrongName`] where the directory says otherwise; [`ConsensusError::OtherFounders`] for one
    /// from before there were names that is to be of a group.
    pub fn open(
        engine: &SharedEngine,
        name: &str,
        founders: &[&str],
        disk: &str,
    ) -> Result<Self, ConsensusError> {
        if let Some(known) = Self::read(engine, name)? {
            return Ok(known);
        }
        let ids = founder_ids(founders);
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
            cluster_id: None,
        };
        identity.write(engine)?;
        Ok(identity)
    }

    /// Makes this the owner of a directory that has none: a member that joins a group under an id it was given.
    ///
    /// # Errors
    /// What writing gives.
    pub fn write(&self, engine: &SharedEngine) -> Result<(), ConsensusError> {
        let mut batch = Batch::new();
        self.put(&mut batch);
        engine.write(&batch, Durability::Synced)?;
        Ok(())
    }

    pub(crate) fn put(&self, batch: &mut Batch) {
        batch.put(RAFT_META, Key::new(NAME), record::encode(VERSION, self));
    }

    /// The voters with which its log begins: none for a member that joined.
    pub fn first_voters(&self) -> Vec<u64> {
        if self.founders.contains_key(&self.node_id) {
            return self.founders.keys().copied().collect();
        }
        Vec::new()
    }

    /// Refuses other founders than those this directory knows; for a group that has not begun.
    ///
    /// # Errors
    /// [`ConsensusError::OtherFounders`].
    pub fn expect_founders<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<(), ConsensusError> {
        let names: Vec<&str> = names.collect();
        let same = self.founders.len() == names.len()
            && names.iter().all(|name| self.id_of(name).is_some());
        if names.is_empty() || same {
            return Ok(());
        }
        Err(ConsensusError::OtherFounders {
            found: self.group(),
            expected: names.join(","),
        })
    }

    /// The founders' names, joined by commas; with their ids where those are not the first ones, as after a
    /// restored backup, so that no two groups of one cluster have the same text.
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
    pub fn recognise(
        engine: &SharedEngine,
        id: u64,
        disk: &str,
        name_of: impl FnOnce(u64) -> String,
    ) -> Result<(), String> {
        if Self::is_recognised(engine, id, disk, name_of)? {
            return Ok(());
        }
        let key = Key::new(DISK).number(id);
        let mut batch = Batch::new();
        batch.put(RAFT_META, key, record::encode(VERSION, &disk));
        engine
            .write(&batch, Durability::Buffered)
            .map_err(|error| error.to_string())
    }

    /// As [`Identity::recognise`], for one that only says it is a member: nothing is kept in mind. False where nothing
    /// was.
    ///
    /// # Errors
    /// The text of the refusal.
    pub fn is_recognised(
        engine: &SharedEngine,
        id: u64,
        disk: &str,
        name_of: impl FnOnce(u64) -> String,
    ) -> Result<bool, String> {
        let key = Key::new(DISK).number(id);
        let Some(known) = noted::<String>(engine, &key, id)? else {
            return Ok(false);
        };
        if known == disk {
            return Ok(true);
        }
        let name = name_of(id);
        Err(format!(
            "master {name} comes with another disk (it was {known}, it is {disk}): its directory was wiped or belongs \
             to another cluster; give it back the directory it had, or put it in its own place as a new master: \
             `tepui cluster add {name}=ADDRESS --replace`, and start it with an empty directory and the others in \
             --peers"
        ))
    }

    /// Whether the member `id` may come with a log that ends at `last`: it must hold what it acknowledged.
    /// `acknowledged` is what this member knows of that as the leader; the highest is kept in mind, not synced.
    ///
    /// # Errors
    /// The text of the refusal, or of the failed write.
    pub fn expect_log(
        engine: &SharedEngine,
        id: u64,
        name: &str,
        acknowledged: Option<u64>,
        last: u64,
    ) -> Result<(), String> {
        let key = Key::new(ACKNOWLEDGED).number(id);
        let noted: Option<u64> = noted(engine, &key, id)?;
        let highest = noted.max(acknowledged);
        if highest > noted {
            let mut batch = Batch::new();
            batch.put(RAFT_META, key, record::encode(VERSION, &highest));
            engine
                .write(&batch, Durability::Buffered)
                .map_err(|error| error.to_string())?;
        }
        match highest {
            Some(highest) if last < highest => Err(format!(
                "master {name} comes with an older disk: it acknowledged entries up to {highest}, its log ends at \
                 {last}; its directory was restored from a copy or lost its newest writes. Give it back the \
                 directory it had, or put it in its own place as a new master: `tepui cluster add {name}=ADDRESS \
                 --replace`, and start it with an empty directory and the others in --peers"
            )),
            _ => Ok(()),
        }
    }
}

/// What was noted of the member `id`. A note that is damaged is as one that is lost, and made anew: or this master would
/// refuse that member for good.
fn noted<T: DeserializeOwned>(
    engine: &SharedEngine,
    key: &Key,
    id: u64,
) -> Result<Option<T>, String> {
    let sealed = engine.get(RAFT_META, key.as_bytes());
    let sealed = sealed.map_err(|error| error.to_string())?;
    let noted = sealed.map(|sealed| record::decode(VERSION, &sealed));
    noted.transpose().or_else(|error| {
        tracing::warn!(
            member = id,
            %error,
            "what this master noted of another one's disk is damaged, and noted anew; look at its own disk"
        );
        Ok(None)
    })
}

fn founder_ids(founders: &[&str]) -> BTreeMap<u64, String> {
    let mut names: Vec<&str> = founders.to_vec();
    names.sort_unstable();
    names.dedup();
    (1..).zip(names.into_iter().map(str::to_owned)).collect()
}

fn listed(members: &BTreeMap<u64, String>) -> String {
    let names: Vec<String> = (1..)
        .zip(members)
        .map(|(rank, (id, name))| match *id == rank {
            true => name.clone(),
            false => format!("{name}#{id}"),
        })
        .collect();
    names.join(",")
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
