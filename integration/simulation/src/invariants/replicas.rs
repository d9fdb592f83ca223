//! I15: members that have applied the same are in the same state.

use std::collections::BTreeMap;

use crate::history::{Check, ensure};

#[derive(Default)]
pub struct Replicas {
    states: BTreeMap<u64, u64>,
    /// Voters and learners, by the index up to which everything was applied.
    groups: BTreeMap<u64, (Vec<u64>, Vec<u64>)>,
}

impl Replicas {
    /// `member` has applied everything up to `index` and holds a state with this digest.
    pub fn reached(&mut self, member: u64, index: u64, state: u64) -> Check {
        let first = *self.states.entry(index).or_insert(state);
        ensure("I15", first == state, || {
            format!(
                "member {member} holds another state at {index} than the first one to get there"
            )
        })
    }

    /// `member` has applied everything up to `index`, which makes this its group: voters and learners.
    pub fn belongs(&mut self, member: u64, index: u64, group: (Vec<u64>, Vec<u64>)) -> Check {
        let first = self.groups.entry(index).or_insert_with(|| group.clone());
        ensure("I15", *first == group, || {
            format!(
                "member {member} takes {group:?} for the group at {index}, another one {first:?}"
            )
        })
    }
}
