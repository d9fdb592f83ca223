use std::{collections::BTreeMap, sync::Arc};

use tepui_messages::allocator::WorldChange;

use super::*;
use crate::{core::Config, scene::Scene};

fn scene(policy: &str, shadow: &str) -> Scene {
    let config = Config {
        policy: policy.to_owned(),
        shadow: Some(shadow.to_owned()),
        ..Config::default()
    };
    let mut scene = Scene::with(&config, 5);
    let weights = BTreeMap::from([("high".to_owned(), 9.0)]);
    scene.tell(WorldChange::Weights(Arc::new(weights)));
    for (framework, role) in [("f1", "high"), ("f2", "low"), ("f3", "low")] {
        scene.add_framework(framework, &[role]);
    }
    for agent in 0..12 {
        scene.add_agent(&format!("a{agent}"), "cpus:4;mem:512");
    }
    scene.settle();
    for agent in 12..20 {
        scene.add_agent(&format!("a{agent}"), "cpus:2;mem:1024");
        scene.settle();
    }
    scene
}

fn counts(scene: &Scene) -> ShadowCounts {
    scene.core.shadow().unwrap().counts()
}

#[test]
fn a_policy_in_its_own_shadow_differs_in_nothing() {
    for name in crate::policy::names() {
        let scene = scene(name, name);
        let counts = counts(&scene);
        assert_eq!((counts.grants, counts.differences), (20, 0), "{name}");
        assert_eq!(counts.runs, scene.core.counts().runs);
    }
}

#[test]
fn another_policy_is_compared_and_never_obeyed() {
    let mut shadowed = scene("drf", "priority");
    let mut alone = scene("drf", "drf");
    assert_eq!(shadowed.takers(), alone.takers());
    let counts = counts(&shadowed);
    // Strict priority would have given all to one: fewer of its grants are the same than not.
    assert!(
        counts.differences > 0 && counts.differences <= 40,
        "{counts:?}"
    );
    shadowed.core.choose_shadow(None).unwrap();
    assert!(shadowed.core.shadow().is_none());
}

#[test]
fn a_policy_that_is_chosen_later_knows_the_world() {
    let mut scene = scene("drf", "drf");
    scene.take_proposals();
    scene.core.choose("priority").unwrap();
    scene.add_agent("late", "cpus:4;mem:512");
    assert_eq!(scene.takers(), [("f1".to_owned(), "late".to_owned())]);
    assert!(scene.core.choose("fifo").is_err());
    assert_eq!(scene.core.policy().name(), "priority");
}
