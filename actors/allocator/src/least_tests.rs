use std::time::Duration;

use tepui_messages::{
    allocator::{Whitelist, WorldChange},
    why::{Cause, Explain, Thousandths},
};
use tepui_protocol::v1::quota::QuotaConfig;

use crate::{
    core::{Config, Input},
    scene::{Scene, framework_added, framework_info, minimum},
};

/// Thousandths by name.
type Sets<'a> = &'a [&'a [(&'a str, i64)]];

fn scene(least: Sets<'_>) -> Scene {
    let mut config = Config::default();
    let set = |set: &&[(&str, i64)]| {
        let amounts = set.iter();
        amounts
            .map(|(name, amount)| (name.to_string(), *amount))
            .collect()
    };
    config.rules.min_allocatable = least.iter().map(set).collect();
    Scene::with(&config, 1)
}

/// Subscribes under the roles, of which the first has this minimum.
fn subscribe(scene: &mut Scene, framework: &str, roles: &[&str], least: Option<(&str, i64)>) {
    let mut info = framework_info(framework, roles, &[]);
    if let Some((name, amount)) = least {
        let filters = minimum(name, amount);
        info.offer_filters.insert(roles[0].to_owned(), filters);
    }
    scene.tell(framework_added(info));
}

fn offered(scene: &mut Scene) -> Vec<(String, String)> {
    let mut takers = scene.takers();
    takers.sort();
    takers
}

#[test]
fn ranges_and_sets_count_by_their_members_and_each_set_of_minimums_will_do() {
    let table: [(Sets<'_>, &str, bool); 9] = [
        (&[&[("ports", 2_000)]], "cpus:9;ports:[1-2]", true),
        (&[&[("ports", 3_000)]], "cpus:9;ports:[1-2]", false),
        (&[&[("names", 2_000)]], "names:{x,y}", true),
        (&[&[("names", 3_000)]], "names:{x,y}", false),
        (
            &[&[("cpus", 1_000), ("ports", 1_000)]],
            "cpus:1;ports:[7-7]",
            true,
        ),
        (&[&[("cpus", 1_000), ("ports", 1_000)]], "cpus:1", false),
        (
            &[&[("cpus", 2_000)], &[("mem", 64_000)]],
            "cpus:1;mem:64",
            true,
        ),
        (&[], "custom:0.001", true),
        (&[&[("nowhere", 1)]], "cpus:9", false),
    ];
    for (least, total, expected) in table {
        let mut scene = scene(least);
        scene.add_agent("a", total);
        subscribe(&mut scene, "f", &["r"], None);
        assert_eq!(
            !offered(&mut scene).is_empty(),
            expected,
            "{least:?} of {total}"
        );
    }
}

#[test]
fn a_role_of_a_framework_may_have_a_greater_or_a_lesser_minimum_than_the_cluster() {
    let mut scene = Scene::new();
    scene.add_agent("big", "cpus:4;mem:4096");
    scene.add_agent("crumb", "cpus:0.005;mem:8");
    subscribe(&mut scene, "greedy", &["g"], Some(("cpus", 8_000)));
    assert!(offered(&mut scene).is_empty(), "nothing is enough for it");
    subscribe(&mut scene, "plain", &["p"], None);
    let pair = |framework: &str, agent: &str| (framework.to_owned(), agent.to_owned());
    assert_eq!(offered(&mut scene), [pair("plain", "big")]);
    subscribe(&mut scene, "modest", &["m"], Some(("mem", 8_000)));
    assert_eq!(offered(&mut scene), [pair("modest", "crumb")]);
}

#[test]
fn a_minimum_holds_for_its_role_alone_and_can_be_changed() {
    let mut scene = Scene::new();
    scene.add_agent("a", "cpus:1;mem:1024");
    let mut info = framework_info("f", &["one", "two"], &[]);
    for role in ["one", "two"] {
        info.offer_filters
            .insert(role.to_owned(), minimum("cpus", 2_000));
    }
    scene.tell(framework_added(info.clone()));
    assert!(offered(&mut scene).is_empty());
    info.offer_filters.remove("two");
    scene.tell(WorldChange::FrameworkUpdated {
        info: info.into(),
        suppressed_roles: Vec::new(),
        offer_constraints: None,
    });
    let offers = scene.offers();
    assert_eq!(offers.len(), 1);
    assert_eq!(offers[0].1, "two");
}

#[test]
fn limits_that_leave_others_nothing_leave_crumbs_to_who_takes_them() {
    for (least, expected) in [(None, 0), (Some(("cpus", 5)), 1)] {
        let mut scene = Scene::new();
        scene.add_agent("a", "cpus:4");
        let scalar = |value| tepui_protocol::v1::value::Scalar { value };
        let config = QuotaConfig {
            role: "r".to_owned(),
            limits: [
                ("cpus".to_owned(), scalar(0.005)),
                ("mem".to_owned(), scalar(0.0)),
            ]
            .into(),
            ..QuotaConfig::default()
        };
        scene.tell(WorldChange::Quota(vec![config].into()));
        subscribe(&mut scene, "f", &["r"], least);
        assert_eq!(offered(&mut scene).len(), expected);
    }
}

#[test]
fn agents_that_are_not_listed_are_not_offered_and_why_says_so() {
    let mut scene = Scene::new();
    let list = |scene: &mut Scene, hosts: Option<&[&str]>| {
        let hosts = hosts.map(|hosts| hosts.iter().map(|host| host.to_string()).collect());
        scene.input(Input::Whitelist(Whitelist(hosts.map(std::sync::Arc::new))));
    };
    list(&mut scene, Some(&["host-a", "host-c"]));
    for agent in ["a", "b"] {
        scene.add_agent(agent, "cpus:1;mem:1024");
    }
    subscribe(&mut scene, "f", &["r"], None);
    let pair = |agent: &str| ("f".to_owned(), agent.to_owned());
    assert_eq!(offered(&mut scene), [pair("a")]);
    let explain = Explain {
        framework_id: "f".to_owned(),
        role: None,
        need: Thousandths::new(),
        most: 9,
    };
    let told = scene.core.explain(Duration::from_secs(1), &explain);
    let agents = &told.roles[0].agents;
    let b = agents.iter().find(|agent| agent.agent_id == "b").unwrap();
    assert_eq!(b.causes, [Cause::NotWhitelisted]);
    list(&mut scene, Some(&[]));
    scene.add_agent("c", "cpus:1;mem:1024");
    assert!(offered(&mut scene).is_empty(), "an empty list lists nobody");
    list(&mut scene, None);
    assert_eq!(offered(&mut scene), [pair("b"), pair("c")]);
}

#[test]
fn an_empty_list_of_minimums_takes_anything() {
    let mut scene = Scene::new();
    scene.add_agent("a", "cpus:0.005;mem:16;disk:128");
    let mut info = framework_info("f", &["r"], &[]);
    let mut filters = minimum("cpus", 1);
    let own = filters.min_allocatable_resources.as_mut();
    own.unwrap().quantities.clear();
    info.offer_filters.insert("r".to_owned(), filters);
    scene.tell(framework_added(info));
    assert_eq!(offered(&mut scene).len(), 1);
}
