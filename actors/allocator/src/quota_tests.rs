//! Quota as a master sees it: who is offered what.

use std::time::Duration;

use super::*;
use crate::{
    scene::{Scene, framework_id, parse},
    scene_quota::{AGENT, config, exactly, offers, scene, set_quota, takers},
};

#[test]
fn a_guarantee_is_kept_for_a_role_that_declines() {
    let quota = vec![exactly("q", "cpus:2;mem:1024")];
    let mut scene = scene(&[("quota", &["q"]), ("other", &["n"])], quota);
    scene.add_agent("1", AGENT);
    assert_eq!(takers(&mut scene), ["quota"]);
    scene.add_agent("2", AGENT);
    assert_eq!(takers(&mut scene), ["quota"]);
    scene.decline("quota", "q", "2", AGENT, Duration::from_secs(2));
    scene.advance(Duration::from_millis(1_500));
    assert!(
        offers(&mut scene).is_empty(),
        "the other role does not get it meanwhile"
    );
    scene.advance(Duration::from_secs(3));
    assert_eq!(takers(&mut scene), ["quota"]);
}

#[test]
fn a_limit_chops_offers_and_holds_for_all_frameworks_and_roles_below_it_together() {
    for (role, taker) in [("*", "*"), ("q", "q"), ("q", "q/r")] {
        let quota = vec![config(role, "", "cpus:3;mem:768")];
        let mut scene = scene(&[("one", &[taker]), ("two", &[taker])], quota);
        scene.add_agent("1", "cpus:2;mem:512;disk:10;ports:[1-2]");
        assert_eq!(takers(&mut scene).len(), 1);
        scene.add_agent("2", "cpus:2;mem:512;disk:10;ports:[1-2]");
        let chopped = offers(&mut scene);
        assert_eq!(chopped.len(), 1);
        assert!(
            chopped[0].contains("cpus(*):1; ") || chopped[0].contains("cpus:1"),
            "{chopped:?}"
        );
        scene.add_agent("3", AGENT);
        assert!(offers(&mut scene).is_empty());
    }
}

#[test]
fn what_frees_a_limit_makes_it_possible_on_any_agent() {
    let quota = vec![config("q", "", "cpus:1;mem:512")];
    let mut scene = scene(&[("one", &["q"])], quota);
    scene.add_agent("1", AGENT);
    scene.add_agent("2", AGENT);
    let (_, first) = scene.takers().remove(0);
    let second = if first == "1" { "2" } else { "1" };
    // The agent it comes back on is refused, so only the other will do.
    scene.decline("one", "q", &first, AGENT, Duration::from_secs(60));
    assert_eq!(scene.takers(), [("one".to_owned(), second.to_owned())]);
    set_quota(&mut scene, vec![config("q", "", "cpus:1")]);
    assert!(
        offers(&mut scene).is_empty(),
        "the first agent is still refused"
    );
    scene.add_agent("3", AGENT);
    assert_eq!(offers(&mut scene).len(), 1, "memory is no longer limited");
    set_quota(&mut scene, Vec::new());
    assert_eq!(offers(&mut scene), ["one 3 cpus:1"]);
}

#[test]
fn removed_quota_lets_go_of_what_was_kept_for_it() {
    let mut scene = scene(&[("other", &["n"])], vec![exactly("q", "cpus:2;mem:1024")]);
    scene.add_agent("1", AGENT);
    scene.add_agent("2", AGENT);
    assert!(
        offers(&mut scene).is_empty(),
        "kept for a role that nobody is in"
    );
    scene.add_agent("3", AGENT);
    assert_eq!(takers(&mut scene), ["other"]);
    set_quota(&mut scene, Vec::new());
    assert_eq!(takers(&mut scene), ["other", "other"]);
}

#[test]
fn what_is_kept_for_absent_frameworks_is_an_amount_and_not_an_agent() {
    let mut scene = scene(&[("other", &["n"])], vec![exactly("q", "cpus:1;mem:512")]);
    scene.add_agent("1", AGENT);
    scene.add_agent("2", AGENT);
    assert_eq!(takers(&mut scene), ["other"], "one of two is enough");
    scene.add_framework("quota", &["q"]);
    assert_eq!(takers(&mut scene), ["quota"]);
}

#[test]
fn several_guarantees_are_met_before_others_get_anything() {
    let quota = vec![
        exactly("q1", "cpus:1;mem:256"),
        exactly("q2", "cpus:2;mem:512"),
    ];
    let frameworks: &[(&str, &[&str])] = &[("one", &["q1"]), ("two", &["q2"]), ("other", &["n"])];
    let mut scene = scene(frameworks, quota);
    scene.add_agent("1", "cpus:2;mem:1024");
    scene.add_agent("2", "cpus:1;mem:256");
    let held = |scene: &Scene, framework: &str, role: &str| {
        let world = scene.core.world();
        let client = world.client(&framework_id(framework), role);
        world.clients[client.unwrap()].allocated.as_slice()[..2].to_vec()
    };
    scene.settle();
    assert_eq!(held(&scene, "one", "q1"), [1_000, 256_000]);
    assert_eq!(held(&scene, "two", "q2"), [2_000, 512_000]);
    assert_eq!(
        held(&scene, "other", "n"),
        [0, 512_000],
        "the rest, which nobody is guaranteed"
    );
}

#[test]
fn only_what_is_still_missing_of_a_guarantee_is_offered() {
    let mut scene = scene(&[("one", &["q"])], vec![exactly("q", "cpus:4;mem:1024")]);
    scene.add_agent("1", "cpus:2;mem:1024");
    assert_eq!(offers(&mut scene), ["one 1 cpus:2; mem:1024"]);
    scene.add_agent("2", "cpus:2;mem:1024");
    assert_eq!(offers(&mut scene), ["one 2 cpus:2"]);
}

#[test]
fn resources_without_quota_come_with_those_that_have_it() {
    let mut scene = scene(
        &[("one", &["q"]), ("other", &["n"])],
        vec![exactly("q", "cpus:2")],
    );
    scene.add_agent("1", "cpus:4;mem:100;disk:5;ports:[1-3]");
    let offered = offers(&mut scene);
    assert_eq!(
        offered[1..],
        ["other 1 cpus:2"],
        "what is above the limit is all that is left"
    );
    for part in ["one 1", "cpus:2", "mem:100", "disk:5", "ports:[1-3]"] {
        assert!(offered[0].contains(part), "{offered:?}");
    }
    scene.add_framework("late", &["n"]);
    assert!(offers(&mut scene).is_empty());
}

#[test]
fn a_starving_role_is_offered_what_is_missing_of_a_new_guarantee() {
    let mut scene = scene(&[("one", &["q"]), ("other", &["n"])], Vec::new());
    scene.add_agent("1", AGENT);
    let first = takers(&mut scene);
    scene.add_agent("2", AGENT);
    let second = takers(&mut scene);
    assert_eq!([first, second].concat().len(), 2, "one each");
    set_quota(&mut scene, vec![exactly("q", "cpus:2;mem:1024")]);
    assert!(offers(&mut scene).is_empty());
    let agent = scene.core.world().agents.iter().find_map(|(_, agent)| {
        let (client, _) = agent.held[0];
        let role = scene.core.world().role(client);
        (role == "n").then(|| agent.id.value.clone())
    });
    scene.recover("other", "n", &agent.unwrap(), AGENT);
    assert_eq!(takers(&mut scene), ["one"]);
}

#[test]
fn roles_below_consume_the_quota_of_those_above() {
    let quota = vec![
        exactly("a", "cpus:2;mem:1024"),
        exactly("q", "cpus:1;mem:512"),
    ];
    let mut scene = scene(&[("below", &["a/b"])], quota);
    scene.add_agent("1", AGENT);
    scene.add_agent("2", AGENT);
    assert_eq!(
        takers(&mut scene),
        ["below", "below"],
        "and may draw on its guarantee"
    );
    scene.add_agent("3", AGENT);
    assert!(
        offers(&mut scene).is_empty(),
        "its limit is reached, and that of `q` not"
    );
    scene.add_framework("above", &["a"]);
    assert!(offers(&mut scene).is_empty());
    scene.add_framework("other", &["n"]);
    assert!(offers(&mut scene).is_empty(), "kept for `q`");
}

#[test]
fn a_guarantee_below_is_kept_also_from_the_role_above() {
    let quota = vec![
        config("a", "cpus:3;mem:1536", ""),
        exactly("a/b", "cpus:2;mem:1024"),
    ];
    let mut scene = scene(&[("above", &["a"]), ("other", &["n"])], quota);
    for agent in ["1", "2", "3", "4"] {
        scene.add_agent(agent, AGENT);
    }
    let mut taken = takers(&mut scene);
    taken.dedup();
    assert!(taken.contains(&"above".to_owned()), "{taken:?}");
    assert_eq!(
        scene.core.world().offerable.len(),
        2,
        "two are kept for `a/b`"
    );
    scene.add_framework("below", &["a/b"]);
    assert_eq!(takers(&mut scene), ["below", "below"]);
}

#[test]
fn frameworks_of_a_role_share_its_guarantee_and_may_use_it_up_for_each_other() {
    let quota = vec![exactly("q", "cpus:4;mem:2048")];
    let mut scene = scene(&[("a", &["q"]), ("other", &["n"])], quota);
    scene.add_agent("1", AGENT);
    assert_eq!(takers(&mut scene), ["a"]);
    scene.add_framework("b", &["q"]);
    scene.add_agent("2", "cpus:2;mem:1024");
    assert_eq!(
        takers(&mut scene),
        ["b"],
        "it has less of what the role has"
    );
    scene.add_agent("3", AGENT);
    assert_eq!(takers(&mut scene), ["a"]);
    scene.decline("a", "q", "3", AGENT, Duration::from_secs(10));
    assert_eq!(
        takers(&mut scene),
        ["b"],
        "nothing is kept for one framework of a role"
    );
}

#[test]
fn what_has_no_quota_comes_with_what_has_unless_it_is_kept_for_others() {
    let mut scene = scene(&[("one", &["q1"])], vec![exactly("q1", "cpus:2")]);
    let agent = "cpus:1;mem:1024;ports:[31000-32000]";
    scene.add_agent("1", agent);
    assert_eq!(
        offers(&mut scene),
        ["one 1 cpus:1; mem:1024; ports:[31000-32000]"]
    );
    set_quota(
        &mut scene,
        vec![exactly("q1", "cpus:2"), exactly("q2", "mem:2048")],
    );
    scene.add_agent("2", agent);
    assert_eq!(offers(&mut scene), ["one 2 cpus:1; ports:[31000-32000]"]);
}

#[test]
fn a_limit_of_nothing_stops_a_role_and_a_higher_one_lets_it_go_on() {
    let quota = vec![config("q", "", "cpus:0;mem:0;disk:0")];
    let mut scene = scene(&[("one", &["q"])], quota);
    let agent = "cpus:2;mem:1024;disk:1024";
    scene.add_agent("1", agent);
    assert!(offers(&mut scene).is_empty());
    scene.add_framework("other", &["n"]);
    assert_eq!(takers(&mut scene), ["other"]);
    set_quota(&mut scene, vec![config("q", "", "cpus:1;mem:512;disk:512")]);
    scene.add_agent("2", agent);
    let half = "cpus:1; mem:512; disk:512";
    assert_eq!(
        offers(&mut scene),
        [format!("one 2 {half}"), format!("other 2 {half}")]
    );
}

#[test]
fn what_is_left_when_guarantees_are_met_goes_by_fair_share() {
    let quota = vec![exactly("q", "cpus:0.25;mem:128")];
    let mut scene = scene(&[("one", &["q"]), ("other", &["n"])], quota);
    scene.add_agent("1", AGENT);
    assert_eq!(
        offers(&mut scene),
        ["one 1 cpus:0.25; mem:128", "other 1 cpus:0.75; mem:384"]
    );
    scene.add_framework("late", &["m"]);
    scene.add_agent("2", AGENT);
    assert_eq!(takers(&mut scene), ["late"]);
}

#[test]
fn limits_leave_what_is_not_consumed_and_never_less_than_nothing() {
    // Limits, what is consumed, and what is left of cpus, mem and disk; None where there is no limit.
    let cases: [(&str, &str, [Option<i64>; 3]); 8] = [
        ("", "", [None, None, None]),
        ("", "cpus:10", [None, None, None]),
        ("cpus:1", "", [Some(1), None, None]),
        ("cpus:1", "cpus:1", [Some(0), None, None]),
        ("cpus:1", "cpus:2", [Some(0), None, None]),
        ("cpus:1;mem:10", "cpus:1", [Some(0), Some(10), None]),
        ("cpus:1;mem:10", "cpus:1;disk:10", [Some(0), Some(10), None]),
        (
            "cpus:1;mem:10",
            "cpus:1;mem:5;disk:10",
            [Some(0), Some(5), None],
        ),
    ];
    for (limits, consumed, left) in cases {
        let mut kinds = Kinds::default();
        let names = ["cpus", "mem", "disk"].map(|name| kinds.name(name).unwrap());
        let mut quotas = Quotas::new(&[config("q", "", limits)], &mut kinds, Minimums::default());
        let role = quotas.of("q").unwrap();
        let bundle = kinds.bundle(&parse(consumed));
        for (name, amount) in kinds.charged_by_name(&bundle) {
            quotas.change(Some(role), name, (amount, -amount), &mut Vec::new());
        }
        let place = quotas.get(role).unwrap();
        let rest = names.map(|name| place.rest(quotas.account(role), name));
        let expected = left.map(|units| units.map_or(i64::MAX, |units| units * 1000));
        assert_eq!(rest, expected, "{limits} less {consumed}");
    }
}
