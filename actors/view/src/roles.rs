//! The roles that are known, and what each holds with its subroles.
//!
//! A role is known while a framework is subscribed to it or uses something of it, while something is
//! reserved for it, or while it has a weight or a quota; so are those the operator lets frameworks have, where
//! they are listed. Its ancestors are known with a role (Mesos `Master::knownRoles`).

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::{
    roles::{ANY, ancestors},
    v1::{FrameworkId, Resource, Role, quota::QuotaConfig, value},
};

use crate::world::{Amounts, RoleTotals, World};

/// One role, subroles included.
#[derive(Debug, Default)]
pub(crate) struct KnownRole<'a> {
    pub(crate) weight: f64,
    pub(crate) quota: Option<&'a QuotaConfig>,
    pub(crate) totals: RoleTotals,
    /// Subscribed to exactly this role, or using something of it.
    pub(crate) frameworks: BTreeSet<&'a str>,
}

impl KnownRole<'_> {
    pub(crate) fn allocated_and_offered(&self) -> Amounts {
        let mut sum = self.totals.allocated.clone();
        sum.add(&self.totals.offered);
        sum
    }

    /// What counts against its quota: all that is reserved, and what is allocated beside it.
    pub(crate) fn consumed(&self) -> Amounts {
        let mut sum = self.totals.reserved.clone();
        sum.add(&self.totals.unreserved_allocated);
        sum
    }
}

/// By name.
pub(crate) fn known_roles(world: &World) -> BTreeMap<&str, KnownRole<'_>> {
    let mut roles = BTreeMap::<&str, KnownRole<'_>>::new();
    for (role, totals) in &world.totals.roles {
        roles.entry(role).or_default().totals.add(totals);
        for ancestor in ancestors(role) {
            roles.entry(ancestor).or_default().totals.add(totals);
        }
    }
    for (id, framework) in &world.frameworks {
        let held = framework.used.iter().chain(framework.offered.iter());
        let held = held.filter_map(|entry| entry.allocation_role());
        for role in framework.roles().chain(held) {
            roles.entry(role).or_default().frameworks.insert(id);
        }
    }
    for config in world.quota.iter() {
        roles.entry(&config.role).or_default().quota = Some(config);
    }
    for role in world.weights.keys() {
        roles.entry(role).or_default();
    }
    if let Some(listed) = world.master.as_ref().and_then(|it| it.roles.as_ref()) {
        for role in listed.iter().map(String::as_str).chain([ANY]) {
            roles.entry(role).or_default();
        }
    }
    let all: BTreeSet<&str> = roles.keys().copied().flat_map(ancestors).collect();
    for ancestor in all {
        roles.entry(ancestor).or_default();
    }
    roles.retain(|name, _| world.shows_role(name));
    for (name, role) in &mut roles {
        role.weight = world.weights.get(*name).copied().unwrap_or(1.0);
    }
    roles
}

/// As GET_ROLES shows them.
pub(crate) fn role_messages(world: &World) -> Vec<Role> {
    let roles = known_roles(world).into_iter();
    let message = |(name, role): (&str, KnownRole<'_>)| Role {
        name: name.to_owned(),
        weight: role.weight,
        frameworks: role.frameworks.iter().map(|id| framework_id(id)).collect(),
        resources: scalars(&role.allocated_and_offered()),
    };
    roles.map(message).collect()
}

fn framework_id(id: &str) -> FrameworkId {
    FrameworkId {
        value: id.to_owned(),
    }
}

/// Ranges and sets are left out, as Mesos does here and not in `/roles`.
fn scalars(amounts: &Amounts) -> Vec<Resource> {
    let scalars = amounts.iter().filter(|(_, amount)| amount.is_scalar);
    let resource = |(name, value)| scalar(name, value);
    scalars
        .map(|(name, amount)| (name, amount.quantity.to_f64()))
        .map(resource)
        .collect()
}

pub(crate) fn scalar(name: &str, value: f64) -> Resource {
    Resource {
        name: name.to_owned(),
        r#type: value::Type::Scalar as i32,
        scalar: Some(value::Scalar { value }),
        ..Resource::default()
    }
}

#[cfg(test)]
#[path = "roles_tests.rs"]
mod tests;
