//! I16: after the first write or sync that failed a member sends nothing and acknowledges nothing.

use std::collections::BTreeSet;

use crate::history::{Check, ensure};

#[derive(Default)]
pub struct FailStop {
    /// Member and life.
    failed: BTreeSet<(u64, u64)>,
}

impl FailStop {
    pub fn failed(&mut self, member: u64, life: u64) {
        self.failed.insert((member, life));
    }

    /// The member says something, to another one or to a client.
    pub fn speaks(&mut self, member: u64, life: u64, what: &str) -> Check {
        ensure("I16", !self.failed.contains(&(member, life)), || {
            format!("member {member} does {what} after its disk has failed")
        })
    }
}
