//! A master's own books for tests, kept with the resource algebra of the protocol, not with ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::prelude::*;
use tepui_messages::allocator::Proposal;
use tepui_protocol::resources::Resources;

use crate::mirror_quota::Quota;

pub(crate) type Holder = (String, String, String);

#[derive(Debug, Clone)]
pub(crate) struct MirroredFramework {
    pub(crate) active: bool,
    pub(crate) roles: BTreeSet<String>,
    pub(crate) suppressed: BTreeSet<String>,
    pub(crate) gpus: bool,
    pub(crate) region_aware: bool,
    /// What is worth an offer where it is not what is worth one to all: thousandths of a name, by role.
    pub(crate) least: BTreeMap<String, (&'static str, i64)>,
}

impl MirroredFramework {
    /// Whether so much is worth an offer under the role.
    pub(crate) fn is_worth(&self, role: &str, of: impl Fn(&str) -> i64) -> bool {
        match self.least.get(role) {
            Some((name, least)) => of(name) >= *least,
            None => of("cpus") >= 10 || of("mem") >= 32_000,
        }
    }
}

/// An agent that is there.
#[derive(Clone)]
pub(crate) struct MirroredAgent {
    pub(crate) total: Resources,
    pub(crate) active: bool,
    pub(crate) remote: bool,
}

/// A master's own books.
#[derive(Default)]
pub(crate) struct Mirror {
    pub(crate) totals: BTreeMap<String, MirroredAgent>,
    /// Agents that are offered, if not all.
    pub(crate) whitelist: Option<BTreeSet<String>>,
    pub(crate) frameworks: BTreeMap<String, MirroredFramework>,
    /// By agent, framework and role.
    pub(crate) held: BTreeMap<Holder, Resources>,
    /// What was refused, and a moment before which the refusal surely stands.
    pub(crate) refused: Vec<(Holder, Resources, Duration)>,
    pub(crate) quota: Quota,
}

impl Mirror {
    pub(crate) fn free(&self, agent: &str) -> Option<Resources> {
        let mut free = self.totals.get(agent)?.total.clone();
        for ((on, ..), resources) in &self.held {
            if on == agent {
                free = free.checked_sub(resources)?;
            }
        }
        Some(free)
    }

    pub(crate) fn take(&mut self, holder: Holder, resources: &Resources) {
        *self.held.entry(holder).or_default() += resources;
    }

    /// Whether the agent is offered, and to this framework, as far as agent and framework go.
    pub(crate) fn may_be_offered(&self, agent: &str, to: &MirroredFramework) -> bool {
        let known = &self.totals[agent];
        let list = self.whitelist.as_ref();
        known.active
            && list.is_none_or(|list| list.contains(agent))
            && (to.gpus || known.total.gpus().is_zero())
            && (to.region_aware || !known.remote)
    }

    pub(crate) fn forget_refusals(&mut self, framework: &str) {
        self.refused
            .retain(|((_, other, _), ..)| other != framework);
    }

    /// What the master must be able to rely on in each proposal.
    pub(crate) fn check(
        &mut self,
        now: Duration,
        proposals: &[Proposal],
    ) -> Result<(), TestCaseError> {
        let before = self.standing();
        for Proposal {
            framework_id,
            role,
            agents,
        } in proposals
        {
            let framework = &self.frameworks[&framework_id.value];
            prop_assert!(framework.active && framework.roles.contains(role));
            prop_assert!(!framework.suppressed.contains(role));
            for (agent, resources) in agents {
                let offer = Resources::from_proto(resources).unwrap();
                prop_assert!(
                    self.may_be_offered(&agent.value, &self.frameworks[&framework_id.value])
                );
                let amounts = offer.scalars().quantities();
                let amount = |name: &str| {
                    let mut amounts = amounts.iter();
                    let found = amounts.find(|(known, _)| known.as_str() == name);
                    found.map_or(0, |(_, amount)| amount.thousandths())
                };
                let framework = &self.frameworks[&framework_id.value];
                prop_assert!(framework.is_worth(role, amount), "{offer} is worth nothing");
                let free = self.free(&agent.value).unwrap();
                prop_assert!(free.contains(&offer), "{free} has no {offer}");
                prop_assert_eq!(&offer.allocatable_to(role), &offer);
                let holder = (
                    agent.value.clone(),
                    framework_id.value.clone(),
                    role.clone(),
                );
                let again = self.refused.iter().any(|(refuser, refused, until)| {
                    *refuser == holder && now < *until && refused.contains(&offer)
                });
                prop_assert!(!again, "{offer} was refused by {holder:?}");
                self.take(holder, &offer);
            }
        }
        self.quota.check(&before, &self.standing())
    }
}
