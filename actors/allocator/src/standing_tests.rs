//! What counts for quota: reservations, roles below, and disks that cannot be divided.

use std::time::Duration;

use tepui_messages::allocator::WorldChange;
use tepui_protocol::v1::{
    Resource,
    resource::{
        DiskInfo,
        disk_info::{Source, source},
    },
};

use super::*;
use crate::{
    scene::{agent_added, agent_id, agent_info, framework_id, parse},
    scene_quota::{AGENT, config, exactly, offers, scene, takers},
};

/// Plain resources, and a disk that is mounted as a whole.
fn with_mount(resources: &str, mount: f64) -> Vec<Resource> {
    let mut resources = parse(resources);
    resources.push(Resource {
        disk: Some(Box::new(DiskInfo {
            source: Some(Source {
                r#type: source::Type::Mount.into(),
                ..Source::default()
            }),
            ..DiskInfo::default()
        })),
        ..parse(&format!("disk:{mount}")).remove(0)
    });
    resources
}

#[test]
fn reservations_consume_a_guarantee_given_away_or_not() {
    let quota = vec![exactly("q", "cpus:2;mem:512")];
    let mut scene = scene(&[("one", &["q"]), ("other", &["n"])], quota);
    scene.add_agent("1", "cpus(q):2;mem(q):512");
    assert_eq!(takers(&mut scene), ["one"]);
    scene.add_agent("2", AGENT);
    assert_eq!(
        takers(&mut scene),
        ["other"],
        "the guarantee is met by the reservation"
    );
    scene.recover("one", "q", "1", "cpus(q):2;mem(q):512");
    scene.add_agent("3", AGENT);
    assert_eq!(takers(&mut scene), ["one", "other"]);
}

#[test]
fn reservations_above_a_guarantee_are_no_headroom_of_others() {
    let quota = vec![
        exactly("q1", "cpus:1;mem:512"),
        exactly("q2", "cpus:1;mem:512"),
    ];
    let mut scene = scene(&[("other", &["n"])], quota);
    scene.add_agent("1", "cpus(q1):3;mem(q1):1536");
    scene.add_agent("2", AGENT);
    assert!(offers(&mut scene).is_empty(), "kept for the second role");
    scene.add_agent("3", AGENT);
    assert_eq!(takers(&mut scene), ["other"]);
}

#[test]
fn reservations_of_others_do_not_serve_as_headroom() {
    let mut scene = scene(&[("other", &["n"])], vec![exactly("q", "cpus:1;mem:512")]);
    scene.add_agent("1", "cpus:1;mem:512;cpus(n):1;mem(n):512");
    assert_eq!(offers(&mut scene).len(), 1);
    scene.recover("other", "n", "1", "cpus(n):1;mem(n):512");
    let offered = offers(&mut scene);
    assert_eq!(offered.len(), 1);
    assert!(
        offered[0].contains("(reservations"),
        "only what is reserved for it: {offered:?}"
    );
}

#[test]
fn a_reservation_above_given_to_a_role_below_counts_as_given() {
    let mut scene = scene(&[("below", &["a/b"])], vec![exactly("q", "cpus:1;mem:512")]);
    scene.add_agent("1", "cpus(a):1;mem(a):512");
    assert_eq!(takers(&mut scene), ["below"]);
    scene.add_framework("other", &["n"]);
    assert!(offers(&mut scene).is_empty());
    scene.add_agent("2", AGENT);
    scene.add_agent("3", AGENT);
    assert_eq!(takers(&mut scene), ["other"], "one of them is set aside");
}

#[test]
fn what_is_used_turned_into_a_reservation_is_charged_once() {
    let quota = vec![config("q", "", "cpus:2;mem:1024")];
    let mut scene = scene(&[("one", &["q"])], quota);
    scene.add_agent("1", AGENT);
    assert_eq!(offers(&mut scene).len(), 1);
    let reserved = "cpus(q):1;mem(q):512";
    scene.tell(WorldChange::AgentTotal {
        agent_id: agent_id("1"),
        total: parse(reserved),
    });
    scene.recover("one", "q", "1", AGENT);
    assert_eq!(
        offers(&mut scene).len(),
        1,
        "its reservation comes back to it"
    );
    scene.add_agent("2", "cpus:4;mem:4096");
    assert_eq!(
        offers(&mut scene),
        ["one 2 cpus:1; mem:512"],
        "the other half of the limit"
    );
    scene.tell(WorldChange::AgentTotal {
        agent_id: agent_id("1"),
        total: parse(AGENT),
    });
    scene.recover("one", "q", "1", reserved);
    assert_eq!(
        offers(&mut scene),
        ["one 1 cpus:1; mem:512"],
        "unreserved again, and allowed again"
    );
    scene.add_agent("3", AGENT);
    assert!(offers(&mut scene).is_empty());
}

#[test]
fn the_rule_that_stops_an_offer_has_a_name() {
    let quota = vec![config("a", "", "cpus:1"), exactly("q", "mem:1024")];
    let mut scene = scene(&[("below", &["a/b"])], quota);
    scene.add_agent("1", "cpus:4;mem:512");
    assert!(offers(&mut scene)[0].contains("cpus:1"));
    let world = scene.core.world();
    let client = world.client(&framework_id("below"), "a/b");
    let (_, agent) = world.agents.iter().next().unwrap();
    let rules = Standing::new(world).rules_against(client.unwrap(), &agent.total);
    let rules: Vec<QuotaRule> = rules.into_iter().map(|(_, rule)| rule).collect();
    assert_eq!(rules, [QuotaRule::Limit("a".into()), QuotaRule::Headroom]);
}

#[test]
fn a_disk_that_cannot_be_divided_is_offered_whole_or_not_at_all() {
    let quota = vec![exactly("q", "cpus:2;mem:2048;disk:150")];
    let mut scene = scene(&[("one", &["q"])], quota);
    let total = with_mount("cpus:0.5;mem:512", 100.0);
    scene.tell(agent_added(agent_info("1"), total.clone()));
    scene.tell(agent_added(agent_info("2"), total));
    let mut offered = offers(&mut scene);
    offered.sort_by_key(String::len);
    assert_eq!(offered.len(), 2);
    assert!(
        !offered[0].contains("disk") && offered[1].contains("disk"),
        "{offered:?}"
    );
    scene.add_agent("3", "cpus:2;mem:2048;disk:150");
    assert_eq!(offers(&mut scene), ["one 3 cpus:1; mem:1024; disk:50"]);
}

#[test]
fn what_is_offered_is_cut_to_the_limits_by_name() {
    // Limits, what the agent has, and what of it is offered.
    for (limits, total, offered) in [
        ("cpus:1", "cpus:1", "cpus:1"),
        ("cpus:1", "cpus:2", "cpus:1"),
        ("cpus:1;mem:64", "cpus:2;mem:128", "cpus:1; mem:64"),
        ("cpus:1;mem:64;disk:10", "cpus:2;mem:128", "cpus:1; mem:64"),
        ("cpus:1", "cpus:2;mem:128", "cpus:1; mem:128"),
        ("gpus:1", "cpus:2;mem:128", "cpus:2; mem:128"),
    ] {
        let mut scene = scene(&[("one", &["q"])], vec![config("q", "", limits)]);
        scene.add_agent("1", total);
        let expected = format!("one 1 {offered}");
        assert_eq!(offers(&mut scene), [expected], "{limits} of {total}");
    }
    // What cannot be divided and is too big is left out, and what is small enough is not.
    for (size, is_offered) in [(20.0, false), (10.0, true)] {
        let mut scene = scene(&[("one", &["q"])], vec![config("q", "", "disk:10")]);
        scene.tell(agent_added(agent_info("1"), with_mount("cpus:1", size)));
        let offered = offers(&mut scene);
        assert_eq!(offered[0].contains("disk"), is_offered, "{offered:?}");
    }
}

#[test]
fn several_disks_meet_one_guarantee_together() {
    let quota = vec![exactly("q", "cpus:1;mem:512;disk:100")];
    let mut scene = scene(&[("one", &["q"])], quota);
    let total = with_mount("cpus:1;mem:512;disk:50", 50.0);
    scene.tell(agent_added(agent_info("1"), total));
    let offered = offers(&mut scene);
    assert_eq!(offered.len(), 1);
    assert_eq!(offered[0].matches("disk").count(), 2, "{offered:?}");
}

#[test]
fn a_role_gets_its_reservation_also_while_all_else_is_kept() {
    let mut scene = scene(&[("one", &["q"])], vec![exactly("q", "cpus:2;mem:2048")]);
    scene.add_agent("1", "cpus:2;mem:2048;cpus(n):2;mem(n):2048");
    let unreserved = "cpus:2;mem:2048";
    assert_eq!(offers(&mut scene), ["one 1 cpus:2; mem:2048"]);
    scene.decline("one", "q", "1", unreserved, Duration::from_secs(600));
    scene.add_framework("other", &["n"]);
    let offered = offers(&mut scene);
    assert_eq!(offered.len(), 1);
    assert!(
        offered[0].starts_with("other 1") && offered[0].contains("reservations"),
        "{offered:?}"
    );
    assert!(!offered[0].contains("cpus:2"), "{offered:?}");
}

#[test]
fn reservations_below_a_role_are_part_of_what_it_consumes() {
    let mut scene = scene(&[("above", &["a"])], vec![exactly("a", "cpus:2;mem:200")]);
    scene.add_agent("1", "cpus(a/b):1;mem(a/b):100");
    assert!(offers(&mut scene).is_empty());
    scene.add_agent("2", "cpus:10;mem:1000");
    assert_eq!(offers(&mut scene), ["above 2 cpus:1; mem:100"]);
}

#[test]
fn agents_that_are_declined_for_long_are_not_offered_to_who_has_reservations_elsewhere() {
    let quota = vec![exactly("q", "cpus:4;mem:512")];
    let mut scene = scene(&[("one", &["q"]), ("other", &["n"])], quota);
    scene.add_agent("1", "cpus:4;mem:512");
    assert_eq!(takers(&mut scene), ["one"]);
    scene.add_agent("2", "cpus(n):4;mem(n):512");
    assert_eq!(takers(&mut scene), ["other"]);
    scene.decline("one", "q", "1", "cpus:4;mem:512", Duration::from_secs(600));
    scene.decline(
        "other",
        "n",
        "2",
        "cpus(n):4;mem(n):512",
        Duration::from_secs(600),
    );
    scene.advance(Duration::from_secs(5));
    assert!(
        offers(&mut scene).is_empty(),
        "the first is kept, the second was refused"
    );
}
