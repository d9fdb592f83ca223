//! Who gets the next agent, as Mesos' own suite of its allocator asks it: shares of roles and frameworks, reservations,
//! revocable resources, and totals that change.

use std::{collections::BTreeMap, time::Duration};

use tepui_messages::allocator::WorldChange;
use tepui_protocol::v1::{Resource, framework_info::capability::Type, resource::RevocableInfo};

use crate::{
    core::Config,
    scene::{
        Scene, agent_added, agent_id, agent_info, allocation, framework_added, framework_info,
        parse,
    },
};

/// Adds an agent, and says who is offered it.
fn next(scene: &mut Scene, agent: &str, total: &str) -> String {
    scene.add_agent(agent, total);
    let takers = scene.takers();
    let [(framework, on)] = takers.as_slice() else {
        panic!("one taker, not {takers:?}");
    };
    assert_eq!(on, agent);
    framework.clone()
}

fn subscribe(scene: &mut Scene, framework: &str, role: &str, capabilities: &[Type]) {
    let info = framework_info(framework, &[role], capabilities);
    scene.tell(framework_added(info));
}

#[test]
fn the_role_then_the_framework_of_least_share_gets_the_next_agent() {
    // GPUs that are left out of shares change nothing.
    for gpus in ["", ";gpus:1"] {
        let mut config = Config::default();
        config.rules.fair_sharing_excluded = vec!["gpus".to_owned()];
        let mut scene = Scene::with(&config, 1);
        subscribe(&mut scene, "f1", "one", &[Type::GpuResources]);
        let first = format!("cpus:2;mem:1024{gpus}");
        assert_eq!(next(&mut scene, "a1", &first), "f1");
        scene.add_framework("f2", &["two"]);
        assert_eq!(next(&mut scene, "a2", "cpus:1;mem:512"), "f2");
        assert_eq!(next(&mut scene, "a3", "cpus:3;mem:2048"), "f2");
        scene.add_framework("f3", &["one"]);
        assert_eq!(next(&mut scene, "a4", "cpus:4;mem:4096"), "f3");
        // f4 has nothing, but its role has most.
        scene.add_framework("f4", &["one"]);
        assert_eq!(next(&mut scene, "a5", "cpus:1;mem:512"), "f2");
    }
}

#[test]
fn what_is_left_out_of_shares_would_else_decide() {
    for (excluded, expected) in [(vec!["gpus".to_owned()], "f1"), (Vec::new(), "f2")] {
        let mut config = Config::default();
        config.rules.fair_sharing_excluded = excluded;
        let mut scene = Scene::with(&config, 1);
        subscribe(&mut scene, "f1", "one", &[Type::GpuResources]);
        next(&mut scene, "a1", "cpus:1;mem:512;gpus:1");
        scene.add_framework("f2", &["two"]);
        assert_eq!(next(&mut scene, "a2", "cpus:2;mem:1024"), "f2");
        assert_eq!(next(&mut scene, "a3", "cpus:1;mem:512"), expected);
    }
}

#[test]
fn reservations_count_for_the_share_of_their_role_and_are_shared_within_it() {
    let mut scene = Scene::new();
    scene.add_framework("f1", &["one"]);
    let total = "cpus:1;mem:512;cpus(one):1;mem(one):512";
    assert_eq!(next(&mut scene, "a1", total), "f1");
    scene.add_framework("f2", &["two"]);
    assert_eq!(next(&mut scene, "a2", "cpus:1;mem:256"), "f2");
    // Without its reservation `one` would have no more than `two`.
    assert_eq!(next(&mut scene, "a3", "cpus:0.5;mem:128"), "f2");
    scene.add_framework("f3", &["one"]);
    assert_eq!(next(&mut scene, "a4", "cpus(one):2;mem(one):1024"), "f3");
}

#[test]
fn frameworks_of_equal_share_take_turns() {
    let mut scene = Scene::new();
    for framework in ["f1", "f2"] {
        scene.add_framework(framework, &["r"]);
    }
    scene.add_agent("a", "cpus:2;mem:1024");
    let mut turns: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..10 {
        let (framework, _) = scene.takers().remove(0);
        scene.recover(&framework, "r", "a", "cpus:2;mem:1024");
        *turns.entry(framework).or_default() += 1;
    }
    assert_eq!(turns.into_values().collect::<Vec<_>>(), [5, 5]);
}

#[test]
fn all_agents_are_offered_at_once() {
    let mut scene = Scene::new();
    scene.add_framework("f", &["*"]);
    scene.settle();
    let runs = scene.core.counts().runs;
    for agent in 0..10 {
        scene.add_agent(&format!("a{agent}"), "cpus:2;mem:1024");
    }
    assert_eq!(scene.offers().len(), 10);
    assert_eq!(scene.core.counts().runs, runs + 1);
}

#[test]
fn one_that_cannot_take_an_agent_does_not_stop_those_behind_it() {
    let mut scene = Scene::new();
    // Of least share, and first by name.
    for framework in ["a1", "a2"] {
        scene.add_framework(framework, &["*"]);
    }
    subscribe(&mut scene, "b", "*", &[Type::GpuResources]);
    assert_eq!(next(&mut scene, "with", "cpus:1;mem:512;gpus:1"), "b");
    assert_eq!(next(&mut scene, "without", "cpus:1;mem:512"), "a1");
}

fn revocable(cpus: &str) -> Vec<Resource> {
    let cpus = parse(cpus).into_iter();
    cpus.map(|resource| Resource {
        revocable: Some(RevocableInfo {}),
        ..resource
    })
    .collect()
}

fn set_total(scene: &mut Scene, total: Vec<Resource>) {
    scene.tell(WorldChange::AgentTotal {
        agent_id: agent_id("a"),
        total,
    });
}

#[test]
fn revocable_resources_come_and_go_with_the_total_and_only_to_those_who_take_them() {
    let both = |revoked: &str| [parse("cpus:2;mem:512"), revocable(revoked)].concat();
    let mut scene = Scene::new();
    scene.add_framework("plain", &["*"]);
    scene.tell(agent_added(agent_info("a"), both("cpus:10")));
    let offers = scene.offers();
    assert_eq!(offers.len(), 1);
    assert!(!offers[0].3.contains("{REV}"), "{offers:?}");
    subscribe(&mut scene, "able", "*", &[Type::RevocableResources]);
    let offers = scene.offers();
    assert_eq!((offers.len(), &*offers[0].0), (1, "able"));
    // What the agent can spare grows: the rest is offered; it shrinks: nothing is.
    set_total(&mut scene, both("cpus:12"));
    let more = scene.offers();
    assert_eq!(more.len(), 1);
    assert!(more[0].3.contains(":2"), "{more:?}");
    set_total(&mut scene, both("cpus:5"));
    assert!(scene.offers().is_empty());
    // Given back, only what there still is comes again.
    scene.tell(WorldChange::Recovered {
        agent_id: agent_id("a"),
        allocation: allocation("able", "*", revocable("cpus:12")),
        refused_for: None,
    });
    let again = scene.offers();
    assert_eq!(again.len(), 1);
    assert!(again[0].3.contains(":5"), "{again:?}");
}

#[test]
fn a_total_that_grows_is_offered_and_one_that_shrinks_takes_nothing_from_its_holder() {
    let mut scene = Scene::new();
    scene.add_framework("f", &["*"]);
    assert_eq!(next(&mut scene, "a", "cpus:4;mem:1024"), "f");
    set_total(&mut scene, parse("cpus:6;mem:1024"));
    let offers = scene.offers();
    assert_eq!((offers.len(), &*offers[0].3), (1, "cpus:2"));
    set_total(&mut scene, parse("cpus:1;mem:1024"));
    assert!(scene.offers().is_empty());
    scene.recover("f", "*", "a", "cpus:6;mem:1024");
    assert_eq!(scene.offers()[0].3, "cpus:1; mem:1024");
}

#[test]
fn what_comes_back_of_an_agent_that_left_changes_nothing() {
    let mut scene = Scene::new();
    scene.add_framework("f", &["*"]);
    next(&mut scene, "a", "cpus:4;mem:1024");
    next(&mut scene, "b", "cpus:1;mem:512");
    let agent_id = agent_id("a");
    scene.tell(WorldChange::AgentRemoved { agent_id });
    scene.recover("f", "*", "a", "cpus:4;mem:1024");
    assert!(scene.offers().is_empty());
    assert_eq!(next(&mut scene, "a", "cpus:2;mem:256"), "f");
}

#[test]
fn what_runs_is_not_offered_whoever_comes_back_first() {
    for framework_first in [true, false] {
        let mut scene = Scene::new();
        if framework_first {
            scene.add_framework("f", &["*"]);
        }
        scene.tell(WorldChange::AgentAdded {
            info: agent_info("a").into(),
            total: parse("cpus:4;mem:1024"),
            used: vec![allocation("f", "*", parse("cpus:3;mem:512"))],
            active: true,
        });
        if !framework_first {
            let info = framework_info("f", &["*"], &[]);
            scene.tell(WorldChange::FrameworkAdded {
                info: info.into(),
                suppressed_roles: Vec::new(),
                offer_constraints: None,
                active: true,
                used: vec![(agent_id("a"), allocation("f", "*", parse("cpus:3;mem:512")))],
            });
        }
        let offers = scene.offers();
        assert_eq!((offers.len(), &*offers[0].3), (1, "cpus:1; mem:512"));
    }
}

#[test]
fn roles_that_are_added_or_wanted_again_are_offered_and_suppressed_ones_are_not() {
    let mut scene = Scene::new();
    scene.add_agent("a", "cpus:4;mem:1024");
    let update = |scene: &mut Scene, roles: &[&str], suppressed: &[&str]| {
        let suppressed = suppressed.iter().map(|role| role.to_string());
        scene.tell(WorldChange::FrameworkUpdated {
            info: framework_info("f", roles, &[]).into(),
            suppressed_roles: suppressed.collect(),
            offer_constraints: None,
        });
    };
    scene.tell(framework_added(framework_info("f", &[], &[])));
    assert!(scene.offers().is_empty(), "it has no role");
    update(&mut scene, &["one"], &["one"]);
    assert!(scene.offers().is_empty(), "the role is suppressed");
    update(&mut scene, &["one", "two"], &["one"]);
    let offers = scene.offers();
    assert_eq!((offers.len(), &*offers[0].1), (1, "two"));
    // Refused for long under both; that a role is no longer suppressed ends what was refused under it.
    scene.decline(
        "f",
        "two",
        "a",
        "cpus:4;mem:1024",
        Duration::from_secs(9_999),
    );
    update(&mut scene, &["one", "two"], &["two"]);
    let offers = scene.offers();
    assert_eq!((offers.len(), &*offers[0].1), (1, "one"));
    scene.decline(
        "f",
        "one",
        "a",
        "cpus:4;mem:1024",
        Duration::from_secs(9_999),
    );
    assert!(scene.offers().is_empty());
    update(&mut scene, &["two"], &[]);
    let offers = scene.offers();
    assert_eq!((offers.len(), &*offers[0].1), (1, "two"));
}
