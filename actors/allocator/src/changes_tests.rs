use std::{sync::Arc, time::Duration};

use tepui_messages::allocator::{Allocation, WorldChange};
use tepui_protocol::v1::{AgentInfo, Attribute};

use crate::{
    core::Config,
    invariants,
    scene::{Scene, agent_added, agent_id, agent_info, allocation, domain, framework_id, parse},
};

fn set_total(scene: &mut Scene, agent: &str, total: &str) {
    scene.tell(WorldChange::AgentTotal {
        agent_id: agent_id(agent),
        total: parse(total),
    });
}

fn use_on(scene: &mut Scene, framework: &str, role: &str, agent: &str, resources: &str) {
    scene.tell(WorldChange::Used {
        agent_id: agent_id(agent),
        allocation: allocation(framework, role, parse(resources)),
    });
}

fn set_active(scene: &mut Scene, framework: &str, active: bool) {
    scene.tell(WorldChange::FrameworkActive {
        framework_id: framework_id(framework),
        active,
    });
}

#[test]
fn what_an_agent_has_more_and_is_used_at_once_counts_for_who_uses_it() {
    let mut scene = Scene::new();
    for (framework, role) in [("f1", "r1"), ("f2", "r2")] {
        scene.add_framework(framework, &[role]);
        set_active(&mut scene, framework, false);
    }
    scene.add_agent("1", "cpus:1;mem:100;disk:10");
    set_total(&mut scene, "1", "cpus:3;mem:300;disk:30");
    use_on(&mut scene, "f1", "r1", "1", "cpus:2;mem:200;disk:20");
    set_active(&mut scene, "f2", true);
    assert_eq!(scene.takers(), [("f2".to_owned(), "1".to_owned())]);
    // Two thirds against one: the next goes to who has less.
    set_active(&mut scene, "f1", true);
    scene.add_agent("2", "cpus:1;mem:100;disk:10");
    assert_eq!(scene.takers(), [("f2".to_owned(), "2".to_owned())]);
    assert!(invariants::ledger_balances(scene.core.world()));
}

#[test]
fn of_what_is_used_already_only_the_rest_is_offered() {
    let mut scene = Scene::new();
    scene.add_agent("1", "cpus:2;mem:200;disk:20");
    scene.add_framework("f", &["r"]);
    set_active(&mut scene, "f", false);
    use_on(&mut scene, "f", "r", "1", "cpus:1;mem:100;disk:10");
    set_active(&mut scene, "f", true);
    assert_eq!(scene.offers()[0].3, "cpus:1; mem:100; disk:10");
}

#[test]
fn what_is_converted_into_nothing_is_offered_no_more() {
    let mut scene = Scene::new();
    scene.add_agent("1", "cpus:100;mem:100;disk:100");
    scene.add_framework("f", &["r"]);
    assert_eq!(scene.offers()[0].3, "cpus:100; mem:100; disk:100");
    scene.tell(WorldChange::Converted {
        agent_id: agent_id("1"),
        consumed: allocation("f", "r", parse("disk:100")),
        converted: Arc::default(),
        total: parse("cpus:100;mem:100"),
    });
    scene.recover("f", "r", "1", "cpus:100;mem:100");
    assert_eq!(scene.offers()[0].3, "cpus:100; mem:100");
    assert!(invariants::ledger_balances(scene.core.world()));
}

#[test]
fn an_agent_that_describes_itself_anew_is_refused_by_nobody() {
    let total = "cpus:1;mem:512";
    let mut scene = Scene::new();
    scene.add_framework("f", &["r"]);
    scene.add_agent("1", total);
    assert_eq!(scene.takers().len(), 1);
    scene.decline("f", "r", "1", total, Duration::from_secs(2));
    scene.advance(Duration::from_secs(1));
    assert_eq!(scene.takers(), []);
    let info = AgentInfo {
        attributes: vec![Attribute {
            name: "foo".to_owned(),
            ..Attribute::default()
        }],
        ..agent_info("1")
    };
    scene.tell(agent_added(info, parse(total)));
    assert_eq!(scene.takers(), [("f".to_owned(), "1".to_owned())]);
}

#[test]
fn an_agent_that_returns_with_other_attributes_or_from_elsewhere_is_looked_at_anew() {
    let total = "cpus:1;mem:512";
    let mut config = Config::default();
    config.rules.region = Some("here".to_owned());
    let mut scene = Scene::with(&config, 1);
    scene.add_framework("f", &["r"]);
    scene.add_agent("1", total);
    let one = [("f".to_owned(), "1".to_owned())];
    assert_eq!(scene.takers(), one);
    let described = |region: &str, rack: &str| {
        let attribute = Attribute {
            name: rack.to_owned(),
            ..Attribute::default()
        };
        let info = AgentInfo {
            domain: Some(domain(region)),
            attributes: vec![attribute],
            ..agent_info("1")
        };
        let info = Arc::new(info);
        WorldChange::AgentDescribed { info }
    };
    scene.tell(described("here", "a"));
    scene.decline("f", "r", "1", total, Duration::from_secs(60));
    scene.tell(described("here", "a"));
    assert_eq!(scene.takers(), [], "the refusal is of these attributes");
    scene.tell(described("here", "b"));
    assert_eq!(scene.takers(), one);
    scene.tell(described("there", "b"));
    scene.recover("f", "r", "1", total);
    assert_eq!(
        scene.takers(),
        [],
        "it does not know that there are regions"
    );
    scene.tell(described("here", "b"));
    assert_eq!(scene.takers(), one);
    assert!(invariants::ledger_balances(scene.core.world()));
}

#[test]
fn what_one_framework_reserved_and_declines_goes_to_another_of_its_role() {
    let mut scene = Scene::new();
    scene.add_agent("1", "cpus:2;mem:512");
    scene.add_framework("f1", &["r"]);
    assert_eq!(scene.takers().len(), 1);
    scene.add_framework("f2", &["r"]);
    scene.tell(WorldChange::Converted {
        agent_id: agent_id("1"),
        consumed: allocation("f1", "r", parse("cpus:1;mem:512")),
        converted: parse("cpus(r):1;mem(r):512").into(),
        total: parse("cpus:1;cpus(r):1;mem(r):512"),
    });
    let all = "cpus:1;cpus(r):1;mem(r):512";
    scene.decline("f1", "r", "1", all, Duration::from_secs(60));
    let offers = scene.offers();
    assert_eq!(offers.len(), 1);
    let (framework, role, _, resources) = &offers[0];
    assert_eq!((framework.as_str(), role.as_str()), ("f2", "r"));
    let reserved = "cpus(reservations: [(STATIC,r)]):1; mem(reservations: [(STATIC,r)]):512";
    assert!(resources.contains(reserved), "{resources}");
}

#[test]
fn a_forgotten_kind_does_not_come_back_in_the_place_of_a_new_one() {
    let mut scene = Scene::new();
    scene.add_framework("f", &["old"]);
    scene.add_agent("1", "cpus:1;mem:512;disk(old):10");
    scene.settle();
    // All comes back as it was offered, so the refusal is one with the agent's total.
    let offered = scene.take_proposals().remove(0).agents.remove(0).1;
    scene.tell(WorldChange::Recovered {
        agent_id: agent_id("1"),
        allocation: Allocation {
            framework_id: framework_id("f"),
            role: "old".to_owned(),
            resources: offered,
        },
        refused_for: Some(Duration::from_secs(1)),
    });
    scene.tell_suppressed("f");
    scene.advance(Duration::from_secs(3));
    // So many kinds that those nobody has are forgotten.
    let many = (0..1_100).map(|number| format!(";disk(r{number}):1"));
    set_total(
        &mut scene,
        "1",
        &format!("cpus:1{}", many.collect::<String>()),
    );
    set_total(&mut scene, "1", "cpus:1;mem:512;disk(new):10");
    scene.add_framework("g", &["new"]);
    let reserved = "cpus:1; mem:512; disk(reservations: [(STATIC,new)]):10";
    assert_eq!(scene.offers()[0].3, reserved);
}
