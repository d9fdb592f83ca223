use serde_json::{Value, json};

use super::*;
use crate::stage::{Node, Scheduler, Stage};

fn info() -> Value {
    json!({"roles": ["a", "b"], "capabilities": [{"type": "MULTI_ROLE"}], "failover_timeout": 600.0})
}

fn decline(stage: &mut Stage, fw: &Scheduler, role: &str, node: &Node, seconds: f64) {
    let offer = stage.offer_as(fw, role, node, "cpus:1;mem:32");
    let call = json!({"type": "DECLINE", "decline": {
        "offer_ids": [{"value": offer}], "filters": {"refuse_seconds": seconds},
    }});
    stage.call(fw, call);
}

/// Role and seconds of what the allocator was told that is refused, since the last look.
fn told(stage: &mut Stage) -> Vec<(String, u64)> {
    let world = std::mem::take(&mut stage.world);
    let refused = world.into_iter().filter_map(|change| match change {
        WorldChange::Refused {
            allocation,
            refused_for,
            ..
        } => Some((allocation.role, refused_for.as_secs())),
        _ => None,
    });
    refused.collect()
}

fn under(role: &str, seconds: u64) -> (String, u64) {
    (role.to_owned(), seconds)
}

fn in_registry(stage: &Stage) -> usize {
    let registry = stage.registry.reader().copy();
    let agents = registry
        .refusals
        .values()
        .flat_map(|agents| agents.values());
    agents.map(std::collections::BTreeMap::len).sum()
}

fn second() -> Duration {
    Duration::from_secs(1)
}

/// A framework refuses an agent for 600 s under one role and for 20 s under the other.
fn refusing() -> (Stage, Node, Scheduler) {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(info());
    decline(&mut stage, &fw, "a", &node, 600.0);
    decline(&mut stage, &fw, "b", &node, 20.0);
    (stage, node, fw)
}

/// Nothing else ends by counted time here, and yet it is written.
#[test]
fn refusals_end_in_time_however_often_leaders_change() {
    let (mut stage, mut node, fw) = refusing();
    for _ in 0..3 {
        stage.pass(second() * 24);
        stage.fail_over();
        (node, _) = stage.back(&node, vec![]);
        stage.resubscribe(&fw.id, info());
    }
    let left = told(&mut stage).pop().expect("it is told");
    // Of each 24 s the last 4 at most are not written.
    assert_eq!(left, under("a", 600 - 3 * 20));
}

#[test]
fn long_refusals_outlive_the_leader_whoever_is_back_first() {
    for agent_first in [true, false] {
        let (mut stage, node, fw) = refusing();
        stage.pass(second() * 5);
        stage.fail_over_after(second() * 5);
        told(&mut stage);
        if agent_first {
            stage.back(&node, vec![]);
            assert!(told(&mut stage).is_empty(), "its framework is not there");
            stage.resubscribe(&fw.id, info());
        } else {
            stage.resubscribe(&fw.id, info());
            assert!(told(&mut stage).is_empty(), "its agent is not there");
            stage.back(&node, vec![]);
        }
        let at = |change: &WorldChange| matches!(change, WorldChange::Refused { .. });
        let added = |change: &WorldChange| {
            matches!(
                change,
                WorldChange::AgentAdded { .. } | WorldChange::FrameworkActive { active: true, .. }
            )
        };
        let first = stage.world.iter().position(at).expect("it is told");
        let known = stage.world.iter().position(added).expect("it is there");
        assert!(known < first, "the allocator must know whom it is about");
        // Counted time was written with them after 2 s, and the next leader counted 5 s.
        assert_eq!(told(&mut stage), [under("a", 593), under("b", 13)]);
        // Said once: what the framework or a loss of the agent ends later does not come back.
        stage.lose(&node);
        stage.back(&node, vec![]);
        assert!(told(&mut stage).is_empty());
        // The next leader, too.
        stage.fail_over();
        stage.back(&node, vec![]);
        stage.resubscribe(&fw.id, info());
        assert!(!told(&mut stage).is_empty());
    }
}

#[test]
fn declining_is_written_together_and_short_refusals_not_at_all() {
    let mut stage = Stage::new();
    let fw = stage.subscribe(info());
    let nodes: Vec<_> = (0..50).map(|_| stage.agent("cpus:4;mem:4096")).collect();
    let before = stage.writes();
    for node in &nodes {
        decline(&mut stage, &fw, "a", node, 120.0);
        decline(&mut stage, &fw, "b", node, 5.0);
    }
    assert_eq!(stage.writes(), before);
    stage.pass(second() * 3);
    assert_eq!(stage.writes(), before + 1);
    assert_eq!(in_registry(&stage), 50);
    // From then on only how much time has been counted, as long as one of them lasts.
    stage.pass(second() * 60);
    assert_eq!(stage.writes(), before + 1 + 6);
    stage.pass(second() * 300);
    assert_eq!(stage.writes(), before + 1 + 11);
}

#[test]
fn many_refusals_are_written_in_parts() {
    let mut stage = Stage::new();
    let fw = stage.subscribe(info());
    let node = stage.agent("cpus:4;mem:4096");
    decline(&mut stage, &fw, "a", &node, 120.0);
    let (agent, refusal) = {
        let refusals = &stage.core.frameworks[&fw.id].refusals;
        let ((agent, _), refusal) = refusals.first_key_value().unwrap();
        (agent.clone(), refusal.clone())
    };
    let framework = stage.core.frameworks.get_mut(&fw.id).unwrap();
    for number in 0..MAX_WRITTEN {
        let key = (format!("{agent}-{number}"), "a".to_owned());
        framework.refusals.insert(key.clone(), refusal.clone());
        let (agent, role) = key;
        stage
            .core
            .unwritten_refusals
            .insert((fw.id.clone(), agent, role));
    }
    stage.pass(second() * 3);
    assert_eq!(in_registry(&stage), MAX_WRITTEN);
    stage.pass(second() * 2);
    assert_eq!(in_registry(&stage), MAX_WRITTEN + 1);
}

#[test]
fn whoever_wants_offers_again_gets_them_from_the_next_leader_too() {
    let revive = |roles: Value| json!({"type": "REVIVE", "revive": {"roles": roles}});
    for (written, roles, left) in [
        (true, json!([]), vec![]),
        (true, json!(["b"]), vec![under("a", 597)]),
        (false, json!(["a"]), vec![]),
    ] {
        let (mut stage, node, fw) = refusing();
        if written {
            stage.pass(second() * 3);
        }
        stage.call(&fw, revive(roles));
        stage.pass(Duration::ZERO);
        stage.fail_over_after(if written { second() } else { Duration::ZERO });
        stage.back(&node, vec![]);
        stage.resubscribe(&fw.id, info());
        assert_eq!(told(&mut stage), left);
    }
}

/// As in Mesos, a scheduler that comes back is asked about everything again.
#[test]
fn a_framework_that_was_away_refuses_nothing_under_this_leader_or_the_next() {
    let (mut stage, node, fw) = refusing();
    stage.pass(second() * 3);
    assert_eq!(in_registry(&stage), 2);
    stage.lose_stream(&fw.stream);
    assert_eq!(in_registry(&stage), 0);
    stage.resubscribe(&fw.id, info());
    stage.pass(second() * 3);
    stage.fail_over();
    stage.back(&node, vec![]);
    stage.resubscribe(&fw.id, info());
    assert!(told(&mut stage).is_empty());
}

#[test]
fn roles_that_are_left_or_asked_for_again_are_refused_nothing() {
    let (mut stage, node, fw) = refusing();
    stage.call(
        &fw,
        json!({"type": "SUPPRESS", "suppress": {"roles": ["a"]}}),
    );
    stage.pass(second() * 3);
    stage.fail_over();
    stage.back(&node, vec![]);
    // It subscribes without suppressing `a` any more, and without `b`.
    let only = json!({"roles": ["a"], "capabilities": [{"type": "MULTI_ROLE"}], "failover_timeout": 600.0});
    stage.resubscribe(&fw.id, only);
    assert!(told(&mut stage).is_empty());
    assert_eq!(in_registry(&stage), 0);
}

#[test]
fn resources_read_back() {
    let resources = crate::stage::parse("cpus:1;mem:32;ports:[1-9]");
    assert_eq!(decode(&encode(&resources)), Some(resources));
    assert_eq!(decode(&[9, 1]), None);
}

/// `--reconfiguration-policy=additive`.
#[test]
fn an_agent_that_is_back_with_other_attributes_is_refused_by_nobody() {
    let (mut stage, mut node, fw) = refusing();
    let other = stage.agent("cpus:4;mem:4096");
    decline(&mut stage, &fw, "a", &other, 600.0);
    stage.pass(second() * 3);
    assert_eq!(in_registry(&stage), 3);
    decline(&mut stage, &fw, "b", &node, 700.0);
    node.request.agent_info.attributes = vec![crate::stage::decode(
        &json!({"name": "rack", "type": "TEXT", "text": {"value": "b"}}),
    )];
    stage.world.clear();
    let (node, _) = stage.back(&node, vec![]);
    let described = stage.world.iter().filter_map(|change| match change {
        WorldChange::AgentDescribed { info } => Some(info.attributes.len()),
        _ => None,
    });
    assert_eq!(described.collect::<Vec<_>>(), [1]);
    let left: Vec<_> = stage.core.frameworks[&fw.id].refusals.keys().collect();
    assert_eq!(left, [&(other.id.clone(), "a".to_owned())]);
    stage.pass(second() * 3);
    // The next leader knows nothing of them either.
    stage.fail_over();
    told(&mut stage);
    let fw = stage.resubscribe(&fw.id, info());
    let (mut node, _) = stage.back(&node, vec![]);
    assert_eq!(told(&mut stage), []);
    stage.back(&other, vec![]);
    assert_eq!(told(&mut stage).len(), 1);
    // Described anew only when that is so.
    stage.lose(&node);
    stage.world.clear();
    (node, _) = stage.back(&node, vec![]);
    let describes = |change: &WorldChange| matches!(change, WorldChange::AgentDescribed { .. });
    assert!(!stage.world.iter().any(describes));
    // Nor do refusals stand of what it was under the last leader.
    decline(&mut stage, &fw, "a", &node, 600.0);
    stage.pass(second() * 3);
    stage.fail_over();
    told(&mut stage);
    stage.resubscribe(&fw.id, info());
    node.request.agent_info.attributes.clear();
    stage.back(&node, vec![]);
    assert_eq!(told(&mut stage), []);
}
