//! A second policy beside the one that decides: told of the same world, asked at the same moments, never obeyed.
//!
//! Owns the comparison. Both draw the same random numbers, so a policy in its own shadow differs in nothing.

use std::collections::BTreeSet;

use tepui_kit::Random;

use crate::{
    policy::{Candidates, Grant, Policy},
    world::{AgentIx, ClientIx, Note, World},
};

/// What it would have done, so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShadowCounts {
    pub runs: u64,
    /// Pairs of agent and client that it would have given something.
    pub grants: u64,
    /// Pairs that only one of both policies gave something.
    pub differences: u64,
}

/// See the module.
pub struct Shadow {
    policy: Box<dyn Policy>,
    counts: ShadowCounts,
}

impl Shadow {
    /// `policy` knows the world as it is.
    pub(crate) fn new(policy: Box<dyn Policy>) -> Self {
        Self {
            policy,
            counts: ShadowCounts::default(),
        }
    }

    pub fn policy(&self) -> &dyn Policy {
        &*self.policy
    }

    pub fn counts(&self) -> ShadowCounts {
        self.counts
    }

    pub(crate) fn follow(&mut self, world: &World, note: Note) {
        self.policy.follow(world, note);
    }

    /// What it would give. The world is as before the real grants are booked.
    pub(crate) fn imagine(
        &mut self,
        world: &World,
        candidates: &Candidates,
        mut random: Random,
    ) -> Vec<Grant> {
        self.policy.allocate(world, candidates, &mut random)
    }

    /// Compares with what was really given, and lets the policy forget what was not. The world has the real grants.
    pub(crate) fn compare(&mut self, world: &World, imagined: &[Grant], real: &[Grant]) {
        let (mine, theirs) = (pairs(imagined), pairs(real));
        self.counts.runs += 1;
        self.counts.grants += mine.len() as u64;
        self.counts.differences += mine.symmetric_difference(&theirs).count() as u64;
        for grant in imagined {
            self.policy.follow(world, Note::ClientHolds(grant.client));
        }
        if !world.quotas.is_empty() && !imagined.is_empty() {
            self.policy.follow(world, Note::Quota);
        }
    }
}

fn pairs(grants: &[Grant]) -> BTreeSet<(AgentIx, ClientIx)> {
    let grants = grants.iter();
    grants.map(|grant| (grant.agent, grant.client)).collect()
}

#[cfg(test)]
#[path = "shadow_tests.rs"]
mod tests;
