use std::{collections::BTreeMap, sync::Arc};

use tepui_messages::allocator::WorldChange;

use crate::{core::Config, scene::Scene};

fn scene(weights: &[(&str, f64)]) -> Scene {
    let config = Config {
        policy: "priority".to_owned(),
        ..Config::default()
    };
    let mut scene = Scene::with(&config, 3);
    let weights = weights.iter();
    let weights: BTreeMap<String, f64> = weights
        .map(|(role, weight)| ((*role).to_owned(), *weight))
        .collect();
    scene.tell(WorldChange::Weights(Arc::new(weights)));
    scene
}

fn takers(scene: &mut Scene) -> Vec<String> {
    let takers = scene.takers().into_iter();
    takers.map(|(framework, _)| framework).collect()
}

#[test]
fn the_greatest_weight_is_served_until_it_wants_no_more() {
    let mut scene = scene(&[("low", 0.5), ("high", 2.0)]);
    scene.add_framework("f-low", &["low"]);
    scene.add_framework("f-high", &["high"]);
    scene.add_framework("f-default", &["other"]);
    for agent in ["a1", "a2", "a3"] {
        scene.add_agent(agent, "cpus:4;mem:512");
        assert_eq!(takers(&mut scene), ["f-high"]);
    }
    scene.tell_suppressed("f-high");
    for agent in ["a4", "a5"] {
        scene.add_agent(agent, "cpus:4;mem:512");
        assert_eq!(takers(&mut scene), ["f-default"]);
    }
}

#[test]
fn equals_share_fairly_and_roles_below_count_at_their_own_level() {
    let mut scene = scene(&[("a", 3.0), ("a/x", 0.1), ("b", 3.0), ("c", 1.0)]);
    for (framework, role) in [("fx", "a/x"), ("fb", "b"), ("fc", "c")] {
        scene.add_framework(framework, &[role]);
    }
    let mut got = Vec::new();
    for agent in 0..4 {
        scene.add_agent(&format!("a{agent}"), "cpus:4;mem:512");
        got.extend(takers(&mut scene));
    }
    got.sort();
    assert_eq!(got, ["fb", "fb", "fx", "fx"]);
}
