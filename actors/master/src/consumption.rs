//! What roles consume of their quota, as the master's tables have it, and which offers stand in the way of it.
//!
//! Owns nothing. It looks at every task and offer, and only an operator who changes quota asks. Taking back is
//! at best effort, as in Mesos: the allocator may have proposals under way. Source: Mesos
//! `master/quota_handler.cpp`, `_update`.

use std::collections::BTreeMap;

use tepui_protocol::{resources::Quantity, roles, v1::Resource};

use crate::{
    core::{MasterCore, Turn},
    tables::{OfferEntry, allocation_role},
};

/// By name of resource.
pub(crate) type Quantities = BTreeMap<String, Quantity>;

impl MasterCore {
    /// All that is reserved for the role or below, and what is used under it beside that.
    pub(crate) fn consumed_by(&self, role: &str) -> Quantities {
        let mut consumed = Quantities::new();
        for agent in self.agents.values() {
            let total = agent.record.total.iter();
            let reserved =
                total.filter(|resource| owner(resource).is_some_and(|owner| is_in(owner, role)));
            add_scalars(&mut consumed, reserved);
        }
        for framework in self.frameworks.values() {
            let tasks = framework.tasks.values();
            let tasks = tasks.filter(|entry| entry.holds_resources);
            let executors = framework.executors.values();
            let used = (tasks.map(|entry| &entry.task.resources[..]))
                .chain(executors.map(|executor| &executor.resources[..]));
            for resources in used.filter(|used| is_in(&allocation_role(used), role)) {
                let charged = |resource: &&Resource| {
                    owner(resource).is_none() && resource.revocable.is_none()
                };
                add_scalars(&mut consumed, resources.iter().filter(charged));
            }
        }
        consumed
    }

    /// Takes back offers of the role until it is within its limits, and offers of others until what comes
    /// free may be enough for its guarantees.
    pub(crate) fn rescind_for_quota(
        &mut self,
        role: &str,
        guarantees: &Quantities,
        limits: &Quantities,
        turn: &mut Turn<'_>,
    ) {
        let mut has = self.consumed_by(role);
        let (mine, others): (Vec<u64>, Vec<u64>) = self
            .offers
            .keys()
            .partition(|number| is_in(&self.offers[number].role, role));
        for number in &mine {
            add_scalars(&mut has, self.offers[number].resources.iter());
        }
        for number in mine {
            if is_within(&has, limits) {
                break;
            }
            for (name, amount) in offered(&self.offers[&number]) {
                let rest = has.entry(name).or_default();
                *rest = rest.saturating_sub_at_zero(amount);
            }
            self.rescind_offer(number, turn);
        }
        for number in others {
            if covers(&has, guarantees) {
                break;
            }
            add_scalars(&mut has, self.offers[&number].resources.iter());
            self.rescind_offer(number, turn);
        }
    }
}

fn offered(entry: &OfferEntry) -> Quantities {
    let mut offered = Quantities::new();
    add_scalars(&mut offered, entry.resources.iter());
    offered
}

/// Whom it is reserved for, in either form.
fn owner(resource: &Resource) -> Option<&str> {
    let refined = resource.reservations.last();
    let owner = refined.map_or(resource.role.as_deref(), |it| it.role.as_deref());
    owner.filter(|role| *role != roles::ANY)
}

fn is_in(role: &str, above: &str) -> bool {
    role == above || roles::is_strict_subrole_of(role, above)
}

/// Whether no amount is above its limit; names that have none are unlimited.
pub(crate) fn is_within(amounts: &Quantities, limits: &Quantities) -> bool {
    let mut amounts = amounts.iter();
    amounts.all(|(name, amount)| limits.get(name).is_none_or(|limit| amount <= limit))
}

/// Whether there is as much as is wanted of everything.
pub(crate) fn covers(there: &Quantities, wanted: &Quantities) -> bool {
    let mut wanted = wanted.iter();
    wanted.all(|(name, wanted)| there.get(name).copied().unwrap_or_default() >= *wanted)
}

pub(crate) fn add_scalars<'a>(
    sum: &mut Quantities,
    resources: impl IntoIterator<Item = &'a Resource>,
) {
    for resource in resources {
        if let Some(scalar) = &resource.scalar {
            *sum.entry(resource.name.clone()).or_default() += quantity(scalar.value);
        }
    }
}

pub(crate) fn quantity(value: f64) -> Quantity {
    Quantity::from_f64(value).unwrap_or_default()
}

/// `cpus:8; mem:8192`, as Mesos prints resource quantities.
pub(crate) fn text(quantities: &Quantities) -> String {
    if quantities.is_empty() {
        return "{}".to_string();
    }
    let parts: Vec<String> = quantities
        .iter()
        .map(|(name, value)| format!("{name}:{value}"))
        .collect();
    parts.join("; ")
}
