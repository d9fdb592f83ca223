//! A stage with quota.

use std::{collections::BTreeMap, sync::Arc};

use tepui_messages::allocator::WorldChange;
use tepui_protocol::v1::{quota::QuotaConfig, value::Scalar};

use crate::{invariants, scene::Scene};

pub(crate) const AGENT: &str = "cpus:1;mem:512";

fn scalars(amounts: &str) -> BTreeMap<String, Scalar> {
    let amounts = amounts.split(';').filter_map(|part| part.split_once(':'));
    amounts
        .map(|(name, value)| {
            let value = value.parse().unwrap();
            (name.to_owned(), Scalar { value })
        })
        .collect()
}

pub(crate) fn config(role: &str, guarantees: &str, limits: &str) -> QuotaConfig {
    QuotaConfig {
        role: role.to_owned(),
        guarantees: scalars(guarantees).into_iter().collect(),
        limits: scalars(limits).into_iter().collect(),
    }
}

/// Guaranteed, and no more than that.
pub(crate) fn exactly(role: &str, amounts: &str) -> QuotaConfig {
    config(role, amounts, amounts)
}

pub(crate) fn set_quota(scene: &mut Scene, configs: Vec<QuotaConfig>) {
    scene.tell(WorldChange::Quota(Arc::new(configs)));
}

pub(crate) fn scene(frameworks: &[(&str, &[&str])], quota: Vec<QuotaConfig>) -> Scene {
    let mut scene = Scene::new();
    set_quota(&mut scene, quota);
    for (framework, roles) in frameworks {
        scene.add_framework(framework, roles);
    }
    scene
}

/// What each framework was offered, one line an agent, sorted.
pub(crate) fn offers(scene: &mut Scene) -> Vec<String> {
    let offers = scene.offers().into_iter();
    let mut lines: Vec<String> = offers
        .map(|(framework, _, agent, resources)| format!("{framework} {agent} {resources}"))
        .collect();
    lines.sort();
    let world = scene.core.world();
    assert!(invariants::quota_balances(world) && invariants::nothing_is_overlooked(world));
    lines
}

pub(crate) fn takers(scene: &mut Scene) -> Vec<String> {
    let mut takers: Vec<String> = scene.takers().into_iter().map(|(taker, _)| taker).collect();
    takers.sort();
    takers
}
