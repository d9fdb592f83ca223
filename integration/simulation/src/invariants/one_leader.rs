//! I1: at most one leader a term; at most one master acts at any moment, and no agent obeys a lower term.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Check, ensure};

#[derive(Default)]
pub struct OneLeader {
    by_term: BTreeMap<u64, u64>,
    /// The highest term in which anybody acted, and who.
    acted: (u64, u64),
    /// The highest term in which a majority confirmed a leader, and whom.
    confirmed: (u64, u64),
    /// Tasks whose order came with a term below the one the agent was registered in.
    stale: BTreeSet<String>,
}

impl OneLeader {
    /// `member` leads in `term`.
    pub fn elected(&mut self, term: u64, member: u64) -> Check {
        let leader = *self.by_term.entry(term).or_insert(member);
        ensure("I1", leader == member, || {
            format!("members {leader} and {member} both lead in term {term}")
        })
    }

    /// These members, each with its term, believe that they may act, all at this moment.
    pub fn together(&mut self, members: &[(u64, u64)]) -> Check {
        let newest = members.iter().map(|(member, term)| (*term, *member)).max();
        self.confirmed = self.confirmed.max(newest.unwrap_or_default());
        ensure("I1", members.len() < 2, || {
            format!("these may act at the same time, member and term: {members:?}")
        })
    }

    /// An order or an event leaves the master `member`, which leads in `term`.
    pub fn acted(&mut self, term: u64, member: u64, what: &str) -> Check {
        let (highest, by) = self.acted.max(self.confirmed);
        self.acted = self.acted.max((term, member));
        ensure("I1", term >= highest, || {
            format!(
                "member {member} does {what} in term {term}; member {by} may act in term {highest}"
            )
        })
    }

    /// An order to run `task` reaches an agent that has registered in `known`.
    pub fn ordered(&mut self, task: &str, term: u64, known: u64) {
        if term < known {
            self.stale.insert(task.to_owned());
        }
    }

    /// An agent starts `task`.
    pub fn obeyed(&mut self, agent: &str, task: &str) -> Check {
        ensure("I1", !self.stale.contains(task), || {
            format!("{agent} runs {task}, which a leader of an earlier term ordered")
        })
    }
}
