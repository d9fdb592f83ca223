//! The allocator's numbers in Mesos' names.
//!
//! Owns the names. Sums are made when somebody asks, over clients and roles, never over agents or refusals; the
//! world only counts what it counts anyway. Source: Mesos `src/master/allocator/mesos/metrics.cpp`.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use tepui_protocol::roles;

use crate::{
    amounts::Amounts, core::AllocatorCore, doubles::Level, kinds::NameIx, quota::QuotaRole,
    world::World,
};

/// Roles that are told of one by one, the first ones by name: whoever watches keeps a series for each.
pub const MAX_ROLES: usize = 1000;
/// Names that are told of, whether the cluster has them or not.
const NAMES: [&str; 3] = ["cpus", "mem", "disk"];

/// What is told of a role.
#[derive(Default)]
struct Role {
    filters: usize,
    /// Held by its own clients.
    allocated: Amounts,
}

/// All numbers but the length of the queue, which the mailbox knows.
pub fn numbers(core: &AllocatorCore) -> Vec<(String, f64)> {
    let world = core.world();
    let mut numbers = Vec::new();
    let mut put = |name: String, value: f64| {
        numbers.push((format!("allocator/mesos/{name}"), value));
    };
    put("allocation_runs".to_owned(), core.counts().runs as f64);
    core.run_times().tell("allocation_run_ms", &mut put);
    core.latencies().tell("allocation_run_latency_ms", &mut put);
    resources(world, &mut put);
    for (role, told) in all_roles(world).into_iter().take(MAX_ROLES) {
        put(
            format!("offer_filters/roles/{role}/active"),
            told.filters as f64,
        );
        let share = dominant_share(world, &told.allocated) / weight(world, role);
        put(format!("roles/{role}/shares/dominant"), share);
    }
    quota(world, &mut put);
    numbers
}

fn resources(world: &World, put: &mut impl FnMut(String, f64)) {
    let mut held = Amounts::default();
    for (_, client) in world.clients.iter() {
        for (name, amount) in client.allocated.iter() {
            *held.at(name) += amount;
        }
    }
    for double in world.doubles.values().flatten() {
        *held.at(double.name) -= double.thousandths;
    }
    for name in NAMES {
        let at = world.kinds.known_name(name);
        let of = |amounts: &Amounts| units(at.map_or(0, |name| amounts.get(name)));
        put(format!("resources/{name}/total"), of(&world.totals));
        put(format!("resources/{name}/offered_or_allocated"), of(&held));
    }
}

/// Every role somebody subscribes to or holds something under.
fn all_roles(world: &World) -> BTreeMap<&Arc<str>, Role> {
    let mut roles: BTreeMap<&Arc<str>, Role> = BTreeMap::new();
    for (place, client) in world.clients.iter() {
        let role = roles.entry(&client.role).or_default();
        role.filters += world.filters.count_of(place);
        for (name, amount) in client.allocated.iter() {
            *role.allocated.at(name) += amount;
        }
    }
    for double in world.doubles.values().flatten() {
        if let Level::Clients(role) = &double.level
            && let Some(role) = roles.get_mut(role)
        {
            *role.allocated.at(double.name) -= double.thousandths;
        }
    }
    roles
}

fn dominant_share(world: &World, allocated: &Amounts) -> f64 {
    let shares = allocated.iter().map(|(name, amount)| {
        let total = world.totals.get(name);
        if total > 0 && !world.excluded.contains(&name) {
            amount as f64 / total as f64
        } else {
            0.0
        }
    });
    shares.fold(0.0, |most, share| match share.total_cmp(&most) {
        Ordering::Greater => share,
        _ => most,
    })
}

fn weight(world: &World, role: &str) -> f64 {
    let weight = world.weights.get(role).copied();
    weight.filter(|weight| weight.is_normal()).unwrap_or(1.0)
}

fn quota(world: &World, put: &mut impl FnMut(String, f64)) {
    for role in world.quotas.roles.iter().take(MAX_ROLES) {
        let held = held_below(world, role);
        let guarantees = role.guarantees.iter().filter(|(_, amount)| *amount > 0);
        let guarantees: BTreeMap<NameIx, i64> = guarantees.collect();
        let limits: BTreeMap<NameIx, i64> = role.limits.iter().copied().collect();
        let mut names: Vec<NameIx> = guarantees.keys().chain(limits.keys()).copied().collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let prefix = format!(
                "quota/roles/{}/resources/{}",
                role.role,
                world.kinds.name_of(name)
            );
            let told = [
                ("guarantee", guarantees.get(&name).copied()),
                ("limit", limits.get(&name).copied()),
                ("offered_or_allocated", Some(held.get(name))),
            ];
            for (what, amount) in told {
                if let Some(amount) = amount {
                    put(format!("{prefix}/{what}"), units(amount));
                }
            }
        }
    }
}

/// What all clients in and below a role hold, one volume once.
fn held_below(world: &World, role: &QuotaRole) -> Amounts {
    let mut held = Amounts::default();
    for client in role.clients.iter() {
        for (name, amount) in world.clients[client].allocated.iter() {
            *held.at(name) += amount;
        }
    }
    for double in world.doubles.values().flatten() {
        let (Level::Clients(level) | Level::Role(level)) = &double.level;
        if *level == role.role || roles::is_strict_subrole_of(level, &role.role) {
            *held.at(double.name) -= double.thousandths;
        }
    }
    held
}

fn units(thousandths: i64) -> f64 {
    thousandths as f64 / 1000.0
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
