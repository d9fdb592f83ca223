use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tepui_messages::allocator::WorldChange;
use tepui_protocol::v1::{Resource, resource::SharedInfo};

use super::*;
use crate::{
    core::Config,
    scene::{Scene, agent_added, agent_id, agent_info, allocation, framework_id, parse},
    scene_quota::{config, set_quota},
    world::Rules,
};

fn told(scene: &Scene) -> BTreeMap<String, f64> {
    let numbers = numbers(&scene.core).into_iter();
    let short = numbers.map(|(name, value)| {
        let name = name.strip_prefix("allocator/mesos/").expect("the prefix");
        (name.to_owned(), value)
    });
    short.collect()
}

/// cpus, mem and disk.
fn resources(scene: &Scene, what: &str) -> [f64; 3] {
    let told = told(scene);
    NAMES.map(|name| told[&format!("resources/{name}/{what}")])
}

fn dominant(scene: &Scene) -> Vec<(String, f64)> {
    let told = told(scene).into_iter();
    let shares = told.filter_map(|(name, value)| {
        let role = name
            .strip_prefix("roles/")?
            .strip_suffix("/shares/dominant")?;
        Some((role.to_owned(), value))
    });
    shares.collect()
}

fn shares(pairs: &[(&str, f64)]) -> Vec<(String, f64)> {
    let pairs = pairs.iter();
    pairs
        .map(|(role, share)| ((*role).to_owned(), *share))
        .collect()
}

#[test]
fn resources_are_what_all_agents_have_and_what_is_not_free_of_it() {
    let mut scene = Scene::new();
    assert_eq!(resources(&scene, "total"), [0.0; 3]);
    assert_eq!(resources(&scene, "offered_or_allocated"), [0.0; 3]);
    scene.add_agent("1", "cpus:2;mem:1024");
    scene.settle();
    assert_eq!(resources(&scene, "total"), [2.0, 1024.0, 0.0]);
    assert_eq!(resources(&scene, "offered_or_allocated"), [0.0; 3]);
    scene.add_framework("f", &["r"]);
    scene.settle();
    assert_eq!(
        resources(&scene, "offered_or_allocated"),
        [2.0, 1024.0, 0.0]
    );
    scene.tell(WorldChange::AgentRemoved {
        agent_id: agent_id("1"),
    });
    assert_eq!(resources(&scene, "total"), [0.0; 3]);
    assert_eq!(resources(&scene, "offered_or_allocated"), [0.0; 3]);
}

#[test]
fn a_shared_volume_is_one_volume() {
    let volume = Resource {
        shared: Some(SharedInfo {}),
        ..parse("disk(r):50").remove(0)
    };
    let mut scene = Scene::new();
    scene.tell(agent_added(agent_info("1"), vec![volume.clone()]));
    for framework in ["a", "b"] {
        scene.tell(WorldChange::Used {
            agent_id: agent_id("1"),
            allocation: allocation(framework, "r", vec![volume.clone()]),
        });
    }
    assert_eq!(resources(&scene, "offered_or_allocated"), [0.0, 0.0, 50.0]);
    assert_eq!(dominant(&scene), shares(&[("r", 1.0)]));
}

#[test]
fn quota_is_told_as_far_as_it_is_set() {
    let mut scene = Scene::new();
    let of_quota = |scene: &Scene| {
        let told = told(scene).into_iter();
        let mine = told.filter(|(name, _)| name.starts_with("quota/"));
        mine.collect::<Vec<(String, f64)>>()
    };
    assert_eq!(of_quota(&scene), []);
    set_quota(&mut scene, vec![config("r", "cpus:1", "mem:1024")]);
    scene.add_framework("f", &["r/below"]);
    scene.add_agent("1", "cpus:3;mem:512;disk:7");
    scene.settle();
    let name = |rest: &str| format!("quota/roles/r/resources/{rest}");
    let expected = [
        (name("cpus/guarantee"), 1.0),
        (name("cpus/offered_or_allocated"), 3.0),
        (name("mem/limit"), 1024.0),
        (name("mem/offered_or_allocated"), 512.0),
    ];
    assert_eq!(of_quota(&scene), expected);
    set_quota(&mut scene, vec![config("r", "cpus:2", "")]);
    assert_eq!(told(&scene)[&name("cpus/guarantee")], 2.0);
    assert_eq!(of_quota(&scene).len(), 2);
    set_quota(&mut scene, Vec::new());
    assert_eq!(of_quota(&scene), []);
}

#[test]
fn runs_are_counted_and_so_is_how_long_they_were_waited_for() {
    let mut scene = Scene::new();
    let first = told(&scene);
    assert_eq!(first["allocation_runs"], 0.0);
    assert!(!first.keys().any(|name| name.contains("_ms")), "{first:?}");
    scene.add_agent("1", "cpus:2;mem:1024");
    scene.settle();
    scene.add_framework("f", &["r"]);
    scene.now += Duration::from_millis(30);
    scene.settle();
    scene.core.ran_for(scene.now, Duration::from_millis(4));
    scene.core.ran_for(scene.now, Duration::from_millis(6));
    let told = told(&scene);
    assert_eq!(told["allocation_runs"], 2.0);
    assert_eq!(told["allocation_run_ms"], 6.0);
    assert_eq!(told["allocation_run_ms/p50"], 5.0);
    assert_eq!(told["allocation_run_latency_ms"], 30.0);
    for rest in [
        "count", "min", "max", "p50", "p90", "p95", "p99", "p999", "p9999",
    ] {
        assert!(
            told.contains_key(&format!("allocation_run_ms/{rest}")),
            "{rest}"
        );
        let latency = format!("allocation_run_latency_ms/{rest}");
        assert!(told.contains_key(&latency), "{rest}");
    }
    assert_eq!(told["allocation_run_latency_ms/min"], 0.0);
}

#[test]
fn refusals_that_stand_are_counted_by_role() {
    let total = "cpus:2;mem:1024";
    let mut scene = Scene::new();
    scene.add_agent("1", total);
    let active = |scene: &Scene| {
        let told = told(scene);
        let of = |role: &str| {
            told.get(&format!("offer_filters/roles/{role}/active"))
                .copied()
        };
        [of("a"), of("b")]
    };
    let long = Duration::from_secs(100);
    for (framework, role, expected) in [
        ("f1", "a", [Some(1.0), None]),
        ("f2", "b", [Some(1.0), Some(1.0)]),
        ("f3", "a", [Some(2.0), Some(1.0)]),
    ] {
        scene.add_framework(framework, &[role]);
        assert_eq!(scene.takers().len(), 1);
        scene.decline(framework, role, "1", total, long);
        assert_eq!(active(&scene), expected);
    }
    scene.tell_revived("f3");
    assert_eq!(active(&scene), [Some(1.0), Some(1.0)]);
    scene.advance(long + Duration::from_secs(2));
    assert_eq!(active(&scene), [Some(0.0), Some(0.0)]);
}

#[test]
fn shares_are_told_of_each_role_that_somebody_is_in() {
    let total = "cpus:1;mem:1024";
    let mut scene = Scene::new();
    scene.add_agent("1", total);
    scene.add_framework("f1", &["a"]);
    scene.settle();
    assert_eq!(dominant(&scene), shares(&[("a", 1.0)]));
    scene.recover("f1", "a", "1", total);
    assert_eq!(dominant(&scene), shares(&[("a", 0.0)]));
    scene.tell_suppressed("f1");
    scene.add_framework("f2", &["b"]);
    scene.settle();
    scene.tell_revived("f1");
    assert_eq!(dominant(&scene), shares(&[("a", 0.0), ("b", 1.0)]));
    scene.add_agent("2", total);
    scene.settle();
    assert_eq!(dominant(&scene), shares(&[("a", 0.5), ("b", 0.5)]));
    scene.tell(WorldChange::Weights(Arc::new(BTreeMap::from([(
        "a".to_owned(),
        2.0,
    )]))));
    assert_eq!(dominant(&scene)[0].1, 0.25);
    scene.tell(WorldChange::FrameworkRemoved {
        framework_id: framework_id("f2"),
    });
    assert_eq!(dominant(&scene), shares(&[("a", 0.25)]));
}

#[test]
fn what_does_not_count_for_fairness_counts_for_no_share() {
    let rules = Rules {
        fair_sharing_excluded: vec!["gpus".to_owned()],
        ..Rules::default()
    };
    let mut scene = Scene::with(
        &Config {
            rules,
            ..Config::default()
        },
        1,
    );
    scene.add_agent("1", "cpus:1;mem:100;gpus:1");
    scene.tell(WorldChange::Used {
        agent_id: agent_id("1"),
        allocation: allocation("f", "r", parse("cpus:0.5;gpus:1")),
    });
    assert_eq!(dominant(&scene), shares(&[("r", 0.5)]));
}
