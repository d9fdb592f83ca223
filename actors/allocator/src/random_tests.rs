use std::{collections::BTreeMap, sync::Arc};

use tepui_messages::allocator::WorldChange;

use crate::{core::Config, scene::Scene};

const AGENTS: usize = 6_000;

/// How many agents each framework got, each named as its role.
fn shares(weights: &[(&str, f64)], roles: &[&str], at_once: bool) -> BTreeMap<String, usize> {
    let config = Config {
        policy: "random".to_owned(),
        ..Config::default()
    };
    let mut scene = Scene::with(&config, 11);
    let weights = weights.iter();
    let weights: BTreeMap<String, f64> = weights
        .map(|(role, weight)| ((*role).to_owned(), *weight))
        .collect();
    scene.tell(WorldChange::Weights(Arc::new(weights)));
    for role in roles {
        scene.add_framework(role, &[role]);
    }
    let mut shares = BTreeMap::new();
    for agent in 0..AGENTS {
        scene.add_agent(&format!("a{agent}"), "cpus:1;mem:64");
        if at_once && agent + 1 < AGENTS {
            continue;
        }
        for (framework, _) in scene.takers() {
            *shares.entry(framework).or_default() += 1;
        }
    }
    shares
}

/// Within five standard deviations of a fair draw.
fn is_about(found: usize, expected: f64) -> bool {
    let chance = expected / AGENTS as f64;
    let deviation = (expected * (1.0 - chance)).sqrt();
    (found as f64 - expected).abs() < 5.0 * deviation
}

#[test]
fn each_gets_as_much_as_its_weight_says_in_one_run_and_in_many() {
    for at_once in [true, false] {
        let weights = [("a", 1.0), ("b", 2.0), ("c", 3.0)];
        let shares = shares(&weights, &["a", "b", "c"], at_once);
        for (role, expected) in [("a", 1_000.0), ("b", 2_000.0), ("c", 3_000.0)] {
            assert!(is_about(shares[role], expected), "{at_once}: {shares:?}");
        }
    }
}

#[test]
fn roles_below_divide_what_their_parent_draws() {
    let weights = [("a", 2.0), ("a/x", 3.0), ("b", 1.0)];
    let shares = shares(&weights, &["a/x", "a/y", "b"], true);
    for (role, expected) in [("a/x", 3_000.0), ("a/y", 1_000.0), ("b", 2_000.0)] {
        assert!(is_about(shares[role], expected), "{shares:?}");
    }
}

#[test]
fn one_that_comes_late_neither_makes_up_for_it_nor_waits() {
    let config = Config {
        policy: "random".to_owned(),
        ..Config::default()
    };
    let mut scene = Scene::with(&config, 2);
    scene.add_framework("early", &["early"]);
    let add = |scene: &mut Scene, from: usize| {
        for agent in from..from + 2_000 {
            scene.add_agent(&format!("a{agent}"), "cpus:1;mem:64");
        }
        let takers = scene.takers();
        takers
            .iter()
            .filter(|(framework, _)| framework == "late")
            .count()
    };
    add(&mut scene, 0);
    scene.add_framework("late", &["late"]);
    scene.settle();
    let late = add(&mut scene, 2_000);
    assert!((850..1_150).contains(&late), "{late} of 2000");
}
