use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tepui_kit::Random;
use tepui_messages::allocator::WorldChange;
use tepui_protocol::{
    resources::Resources,
    v1::{
        DomainInfo, Resource, domain_info::FaultDomain, framework_info::capability, resource, value,
    },
};

use crate::{
    core::{AllocatorCore, Config},
    invariants, policy,
    scene::{
        Scene, agent_added, agent_id, agent_info, allocation, framework_added, framework_id,
        framework_info, one, parse, recovered,
    },
    world::Rules,
};

const SECOND: Duration = Duration::from_secs(1);

/// Mesos' architecture page, "Example of resource offer".
#[test]
fn the_worked_example_of_mesos_architecture() {
    let mut scene = Scene::new();
    scene.add_agent("a1", "cpus:4;mem:4096");
    scene.add_framework("f1", &["*"]);
    scene.settle();
    scene.add_framework("f2", &["*"]);
    assert_eq!(scene.offers(), one("f1", "*", "a1", "cpus:4;mem:4096"));

    // Framework 1 launches <2 cpus, 1 GB> and <1 cpu, 2 GB>; the rest is an implicit decline.
    scene.decline("f1", "*", "a1", "cpus:1;mem:1024", 5 * SECOND);
    assert_eq!(scene.offers(), one("f2", "*", "a1", "cpus:1;mem:1024"));

    // Framework 2 has no use for it either, and the tasks end: everything is offered again, at once, to
    // whom it is not the same as was refused.
    scene.decline("f2", "*", "a1", "cpus:1;mem:1024", 5 * SECOND);
    assert_eq!(scene.offers(), []);
    scene.recover("f1", "*", "a1", "cpus:2;mem:1024");
    scene.recover("f1", "*", "a1", "cpus:1;mem:2048");
    let offers = scene.offers();
    assert_eq!(offers.len(), 1);
    assert_eq!(
        offers[0].3,
        Resources::parse("cpus:4;mem:4096", "*")
            .unwrap()
            .to_string()
    );
    assert!(invariants::ledger_balances(scene.core.world()));
}

#[test]
fn what_was_refused_is_offered_again_when_the_refusal_ends_on_an_interval() {
    let mut scene = Scene::new();
    scene.add_agent("a1", "cpus:4;mem:4096");
    scene.add_framework("f1", &["*"]);
    scene.settle();
    scene.take_proposals();

    // At 0.3 s for 2 s: until 2.3 s, so with the interval that begins at 3 s.
    scene.decline("f1", "*", "a1", "cpus:4;mem:4096", 2 * SECOND);
    scene.advance(Duration::from_millis(2_600));
    assert_eq!(scene.offers(), []);
    scene.advance(Duration::from_millis(200));
    assert_eq!(scene.takers().len(), 1);

    // No refusal is shorter than the interval.
    scene.decline("f1", "*", "a1", "cpus:4;mem:4096", Duration::from_millis(1));
    scene.advance(SECOND);
    assert_eq!(scene.offers(), []);
    scene.advance(SECOND);
    assert_eq!(scene.takers().len(), 1);
}

#[test]
fn what_an_earlier_leader_was_told_is_refused_without_being_given_back() {
    let mut scene = Scene::new();
    scene.add_framework("f1", &["*"]);
    scene.add_agent("a1", "cpus:4;mem:4096");
    let refused = |resources| WorldChange::Refused {
        agent_id: agent_id("a1"),
        allocation: allocation("f1", "*", parse(resources)),
        refused_for: 2 * SECOND,
    };
    scene.tell(refused("cpus:4;mem:4096"));
    scene.settle();
    assert_eq!(scene.offers(), []);
    assert!(invariants::ledger_balances(scene.core.world()));
    scene.advance(4 * SECOND);
    assert_eq!(scene.offers(), one("f1", "*", "a1", "cpus:4;mem:4096"));
}

#[test]
fn what_a_framework_reserves_stays_in_its_hands_and_is_offered_when_it_comes_back() {
    let mut scene = Scene::new();
    scene.add_agent("a1", "cpus:4;mem:4096");
    scene.add_framework("f1", &["dev"]);
    scene.settle();
    scene.take_proposals();
    scene.tell(WorldChange::Converted {
        agent_id: agent_id("a1"),
        consumed: allocation("f1", "dev", parse("cpus:1")),
        converted: parse("cpus(dev):1").into(),
        total: parse("cpus:3;mem:4096;cpus(dev):1"),
    });
    assert!(invariants::ledger_balances(scene.core.world()));
    scene.advance(2 * SECOND);
    assert_eq!(scene.offers(), [], "all of it is still in its hands");
    scene.decline("f1", "dev", "a1", "cpus:3;mem:4096", 1000 * SECOND);
    scene.tell(WorldChange::Recovered {
        agent_id: agent_id("a1"),
        allocation: allocation("f1", "dev", parse("cpus(dev):1")),
        refused_for: None,
    });
    let offers = scene.offers();
    let [(_, _, _, resources)] = &offers[..] else {
        panic!("{offers:?}");
    };
    assert!(
        resources.contains("cpus(reservations: [(STATIC,dev)]):1"),
        "{resources}"
    );
    assert!(invariants::ledger_balances(scene.core.world()));
}

#[test]
fn a_bigger_offer_passes_a_filter_and_a_smaller_one_does_not() {
    let mut scene = Scene::new();
    scene.add_agent("a1", "cpus:4;mem:4096");
    scene.add_framework("f1", &["*"]);
    scene.settle();
    scene.take_proposals();
    let year = 365 * 24 * 60 * 60 * SECOND;
    scene.decline("f1", "*", "a1", "cpus:2;mem:1024", year);
    assert_eq!(scene.offers(), []);
    // 3 cpus are more than the 2 that were refused.
    scene.recover("f1", "*", "a1", "cpus:1");
    assert_eq!(scene.offers(), one("f1", "*", "a1", "cpus:3;mem:1024"));
    scene.decline("f1", "*", "a1", "cpus:3;mem:1024", year);
    // The total shrinks, so what would be offered is less than what was refused.
    scene.tell(WorldChange::AgentTotal {
        agent_id: agent_id("a1"),
        total: parse("cpus:3;mem:4000"),
    });
    scene.advance(100 * SECOND);
    assert_eq!(scene.offers(), []);
}

#[test]
fn a_framework_is_offered_agents_under_each_of_its_roles() {
    let mut scene = Scene::new();
    scene.add_framework("f1", &["r1", "r2"]);
    scene.add_agent("a1", "cpus:1;mem:1024");
    scene.add_agent("a2", "cpus:1;mem:1024");
    let mut roles: Vec<String> = scene.offers().into_iter().map(|it| it.1).collect();
    roles.sort();
    assert_eq!(roles, ["r1", "r2"]);
}

#[test]
fn revive_clears_filters_and_suppress_ends_offers() {
    let mut scene = Scene::new();
    scene.add_agent("a1", "cpus:4;mem:4096");
    scene.add_framework("f1", &["r1", "r2"]);
    scene.settle();
    scene.take_proposals();
    scene.decline("f1", "r1", "a1", "cpus:4;mem:4096", 1000 * SECOND);
    scene.advance(SECOND);
    assert_eq!(scene.offers(), one("f1", "r2", "a1", "cpus:4;mem:4096"));
    scene.decline("f1", "r2", "a1", "cpus:4;mem:4096", 1000 * SECOND);

    let roles = |roles: &[&str]| roles.iter().map(|role| (*role).to_owned()).collect();
    scene.tell(WorldChange::Suppress {
        framework_id: framework_id("f1"),
        roles: roles(&[]),
    });
    scene.tell(WorldChange::Revive {
        framework_id: framework_id("f1"),
        roles: roles(&["r2"]),
    });
    assert_eq!(scene.offers(), one("f1", "r2", "a1", "cpus:4;mem:4096"));
    scene.tell(WorldChange::Suppress {
        framework_id: framework_id("f1"),
        roles: roles(&["r2"]),
    });
    scene.recover("f1", "r2", "a1", "cpus:4;mem:4096");
    assert_eq!(scene.offers(), []);

    // An update replaces suppression as a whole; r1 revives with it, r2 stays suppressed.
    scene.tell(WorldChange::FrameworkUpdated {
        info: Arc::new(framework_info("f1", &["r1", "r2"], &[])),
        suppressed_roles: roles(&["r2"]),
        offer_constraints: None,
    });
    assert_eq!(scene.offers(), one("f1", "r1", "a1", "cpus:4;mem:4096"));
}

#[test]
fn a_refusal_for_no_time_lets_others_have_it_first() {
    let mut scene = Scene::new();
    scene.add_agent("a1", "cpus:4;mem:4096");
    scene.add_framework("f1", &["*"]);
    scene.settle();
    scene.take_proposals();
    scene.decline("f1", "*", "a1", "cpus:4;mem:4096", Duration::ZERO);
    assert_eq!(scene.offers(), []);
    scene.advance(Duration::from_millis(700));
    assert_eq!(scene.takers(), [("f1".to_owned(), "a1".to_owned())]);
}

#[test]
fn changes_of_one_moment_are_one_run() {
    let mut scene = Scene::new();
    for number in 0..20 {
        scene.add_agent(&format!("a{number}"), "cpus:4;mem:4096");
        scene.add_framework(&format!("f{number}"), &["*"]);
    }
    let mut takers = scene.takers();
    assert_eq!(scene.core.counts().runs, 1);
    takers.sort();
    takers.dedup_by(|left, right| left.0 == right.0);
    assert_eq!(
        takers.len(),
        20,
        "twenty equal agents, one for each framework"
    );
    // Nothing changed, so nothing is looked at.
    scene.advance(100 * SECOND);
    assert_eq!(scene.core.counts().runs, 1);
}

#[test]
fn nobody_inactive_is_offered_anything() {
    let mut scene = Scene::new();
    scene.add_agent("a1", "cpus:4;mem:4096");
    let active = |active| WorldChange::FrameworkActive {
        framework_id: framework_id("f1"),
        active,
    };
    let agent_active = |active| WorldChange::AgentActive {
        agent_id: agent_id("a1"),
        active,
    };
    scene.tell(WorldChange::Paused(true));
    scene.add_framework("f1", &["*"]);
    assert_eq!(scene.offers(), []);
    scene.tell(active(false));
    scene.tell(WorldChange::Paused(false));
    assert_eq!(scene.offers(), []);
    scene.tell(agent_active(false));
    scene.tell(active(true));
    assert_eq!(scene.offers(), []);
    scene.tell(agent_active(true));
    assert_eq!(scene.takers().len(), 1);
}

#[test]
fn crumbs_are_not_offered() {
    let mut scene = Scene::new();
    scene.add_agent("a1", "cpus:0.009;mem:31.9;disk:1000");
    scene.add_agent("a2", "mem:32");
    scene.add_agent("a3", "cpus:0.01");
    scene.add_framework("f1", &["*"]);
    let mut agents: Vec<String> = scene.takers().into_iter().map(|(_, agent)| agent).collect();
    agents.sort();
    assert_eq!(agents, ["a2", "a3"]);
}

#[test]
fn gpu_agents_are_kept_for_frameworks_that_use_gpus() {
    let mut scene = Scene::new();
    scene.add_agent("a1", "cpus:4;mem:4096;gpus:1");
    scene.add_framework("f1", &["*"]);
    assert_eq!(scene.offers(), []);
    let info = framework_info("f2", &["*"], &[capability::Type::GpuResources]);
    scene.tell(framework_added(info));
    assert_eq!(
        scene.offers(),
        one("f2", "*", "a1", "cpus:4;mem:4096;gpus:1")
    );
}

#[test]
fn reservations_go_to_their_role_and_those_below() {
    let mut scene = Scene::new();
    scene.add_agent("a1", "cpus(a):2;mem(a):64;cpus:1;cpus(b/c):1;disk(b/c):7");
    scene.add_framework("f1", &["a/x"]);
    let offers = scene.offers();
    let expected = Resources::parse("cpus(a):2;mem(a):64;cpus:1", "*").unwrap();
    assert_eq!(offers.len(), 1);
    assert_eq!(offers[0].3, expected.to_string());
    // What nobody else may have goes to the next, even on the same agent.
    scene.add_framework("f2", &["b"]);
    assert_eq!(scene.offers(), []);
    scene.add_framework("f3", &["b/c"]);
    let expected = Resources::parse("cpus(b/c):1;disk(b/c):7", "*").unwrap();
    assert_eq!(scene.offers()[0].3, expected.to_string());
}

#[test]
fn shared_resources_are_offered_again_and_again_to_those_who_can_share() {
    let volume = |amount| Resource {
        name: "disk".into(),
        r#type: value::Type::Scalar.into(),
        scalar: Some(value::Scalar { value: amount }),
        shared: Some(resource::SharedInfo {}),
        ..Resource::default()
    };
    let mut scene = Scene::new();
    let mut total = parse("cpus:4;mem:4096");
    total.push(volume(10.0));
    scene.tell(agent_added(agent_info("a1"), total));
    let shares = [capability::Type::SharedResources];
    scene.tell(framework_added(framework_info("f1", &["*"], &shares)));
    scene.settle();
    let first = scene.take_proposals();
    assert_eq!(first[0].agents[0].1.len(), 3);

    scene.tell(framework_added(framework_info("f2", &["*"], &shares)));
    scene.recover("f1", "*", "a1", "cpus:2;mem:1024");
    scene.settle();
    let second = scene.take_proposals();
    let has_volume = second[0].agents[0]
        .1
        .iter()
        .any(|resource| resource.shared.is_some());
    assert!(has_volume, "the volume is still there: {second:?}");
    assert!(invariants::ledger_balances(scene.core.world()));
}

#[test]
fn other_regions_are_for_frameworks_that_know_of_regions() {
    let rules = Rules {
        region: Some("here".into()),
        ..Rules::default()
    };
    let config = Config {
        rules,
        ..Config::default()
    };
    let mut scene = Scene::with(&config, 1);
    let mut info = agent_info("a1");
    let mut domain = FaultDomain::default();
    domain.region.name = "there".into();
    info.domain = Some(DomainInfo {
        fault_domain: Some(domain),
    });
    scene.tell(agent_added(info, parse("cpus:4;mem:4096")));
    scene.add_framework("f1", &["*"]);
    assert_eq!(scene.offers(), []);
    let aware = [capability::Type::RegionAware];
    scene.tell(framework_added(framework_info("f2", &["*"], &aware)));
    assert_eq!(scene.takers(), [("f2".to_owned(), "a1".to_owned())]);
}

#[test]
fn weights_decide_how_much_a_role_gets() {
    let mut scene = Scene::new();
    let weights = BTreeMap::from([("big".to_owned(), 3.0)]);
    scene.tell(WorldChange::Weights(Arc::new(weights)));
    scene.add_framework("f1", &["big"]);
    scene.add_framework("f2", &["small"]);
    for number in 0..40 {
        scene.add_agent(&format!("a{number}"), "cpus:1;mem:1024");
    }
    let takers = scene.takers();
    let big = takers
        .iter()
        .filter(|(framework, _)| framework == "f1")
        .count();
    assert_eq!((big, takers.len()), (30, 40));
}

#[test]
fn what_the_master_could_not_take_is_proposed_again_with_the_next_interval() {
    let mut scene = Scene::new();
    scene.add_agent("a1", "cpus:4;mem:4096");
    scene.add_framework("f1", &["*"]);
    scene.lose_next = true;
    assert_eq!(scene.offers(), []);
    assert!(invariants::ledger_balances(scene.core.world()));
    assert_eq!(scene.offers(), []);
    scene.advance(SECOND);
    assert_eq!(scene.takers().len(), 1);
}

#[test]
fn what_runs_counts_before_its_framework_is_known_and_after_it_left_the_role() {
    let mut scene = Scene::new();
    let used = allocation("f1", "r1", parse("cpus:3;mem:1024"));
    scene.tell(WorldChange::AgentAdded {
        info: Arc::new(agent_info("a1")),
        total: parse("cpus:4;mem:4096"),
        used: vec![used.clone()],
        active: true,
    });
    scene.tell(WorldChange::FrameworkAdded {
        info: Arc::new(framework_info("f1", &["r1"], &[])),
        suppressed_roles: Vec::new(),
        offer_constraints: None,
        active: true,
        used: vec![(agent_id("a1"), used)],
    });
    assert_eq!(scene.offers(), one("f1", "r1", "a1", "cpus:1;mem:3072"));
    scene.tell(WorldChange::FrameworkUpdated {
        info: Arc::new(framework_info("f1", &["r2"], &[])),
        suppressed_roles: Vec::new(),
        offer_constraints: None,
    });
    scene.recover("f1", "r1", "a1", "cpus:1;mem:3072");
    assert_eq!(scene.offers(), one("f1", "r2", "a1", "cpus:1;mem:3072"));
    assert!(
        scene
            .core
            .world()
            .client(&framework_id("f1"), "r1")
            .is_some()
    );
    scene.recover("f1", "r1", "a1", "cpus:3;mem:1024");
    assert!(
        scene
            .core
            .world()
            .client(&framework_id("f1"), "r1")
            .is_none()
    );
    // What comes back twice, or from nobody, frees nothing.
    scene.recover("f1", "r1", "a1", "cpus:3;mem:1024");
    scene.recover("f1", "r2", "a1", "cpus:100;mem:3072");
    scene.tell(recovered("f9", "*", "a1", "cpus:1", Some(SECOND)));
    assert!(invariants::ledger_balances(scene.core.world()));
    scene.tell(WorldChange::FrameworkRemoved {
        framework_id: framework_id("f1"),
    });
    assert_eq!(scene.core.world().clients.count(), 0);
    assert_eq!(scene.core.world().frameworks.count(), 0);
    assert!(invariants::ledger_balances(scene.core.world()));
}

#[test]
fn nothing_is_free_on_an_agent_that_has_less_than_is_held() {
    let mut scene = Scene::new();
    scene.add_agent("a1", "cpus:4;mem:4096");
    scene.add_framework("f1", &["*"]);
    scene.settle();
    scene.take_proposals();
    scene.tell(WorldChange::AgentTotal {
        agent_id: agent_id("a1"),
        total: parse("cpus:2;mem:4096"),
    });
    // 3 of 4 cpus are still held, of an agent that has 2.
    scene.recover("f1", "*", "a1", "cpus:1");
    assert_eq!(scene.offers(), []);
    scene.recover("f1", "*", "a1", "cpus:2");
    assert_eq!(scene.offers(), one("f1", "*", "a1", "cpus:1"));
    assert!(invariants::ledger_balances(scene.core.world()));
}

#[test]
fn an_unknown_policy_is_refused_with_the_names_of_those_there_are() {
    let config = Config {
        policy: "fifo".into(),
        ..Config::default()
    };
    let error = AllocatorCore::new(&config, Random::seeded(1))
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "there is no allocation policy `fifo`; choose one of: {}",
            policy::names().join(", ")
        )
    );
}
