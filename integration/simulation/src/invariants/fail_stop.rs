//! I16: after the first write or sync that failed a member sends nothing and acknowledges nothing.

use std::{collections::BTreeMap, time::Duration};

use crate::history::{Check, ensure};

#[derive(Default)]
pub struct FailStop {
    /// By member and life: when.
    failed: BTreeMap<(u64, u64), Duration>,
}

impl FailStop {
    pub fn failed(&mut self, member: u64, life: u64, now: Duration) {
        self.failed.entry((member, life)).or_insert(now);
    }

    /// A client hears from the member. What it hears at the moment of the failure was said before it, in the same turn.
    pub fn heard(&mut self, member: u64, life: u64, what: &str, now: Duration) -> Check {
        match self.failed.get(&(member, life)) {
            Some(at) if *at == now => Ok(()),
            _ => self.speaks(member, life, what),
        }
    }

    /// The member says something to another one.
    pub fn speaks(&mut self, member: u64, life: u64, what: &str) -> Check {
        ensure("I16", !self.failed.contains_key(&(member, life)), || {
            format!("member {member} does {what} after its disk has failed")
        })
    }
}
