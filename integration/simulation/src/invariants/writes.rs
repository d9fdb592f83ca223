//! I2: an acknowledged write of the registry survives whatever crashes.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Check, ensure};

/// Commands are known by their digests.
#[derive(Default)]
pub struct Writes {
    applied: BTreeMap<u64, u64>,
    commands: BTreeSet<u64>,
    acknowledged: BTreeMap<u64, u64>,
}

impl Writes {
    /// A member applies what stands at `index`: the same everywhere and for ever.
    pub fn applied(&mut self, member: u64, index: u64, command: u64) -> Check {
        self.commands.insert(command);
        let first = *self.applied.entry(index).or_insert(command);
        ensure("I2", first == command, || {
            format!("member {member} applies another command at {index} than was applied before")
        })
    }

    /// A client hears that its command stands at `index`.
    pub fn acknowledged(&mut self, index: u64, command: u64) -> Check {
        self.acknowledged.insert(index, command);
        ensure("I2", self.applied.get(&index) == Some(&command), || {
            format!("the command at {index} is acknowledged and was not applied there")
        })
    }

    /// A master hears that its command is written; nobody says where.
    pub fn believed(&mut self, command: u64) -> Check {
        ensure("I2", self.commands.contains(&command), || {
            "a master was told that a command is written which nobody has applied".to_owned()
        })
    }

    /// After all is healed, a leader has applied everything up to `applied_index`.
    pub fn last(&self, applied_index: u64) -> Check {
        let last = self.acknowledged.keys().next_back().copied().unwrap_or(0);
        ensure("I2", applied_index >= last, || {
            format!("the log ends at {applied_index}, and {last} was acknowledged")
        })
    }

    pub fn count(&self) -> usize {
        self.acknowledged.len()
    }
}
