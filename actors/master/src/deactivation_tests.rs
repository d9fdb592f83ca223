use std::time::Duration;

use serde_json::{Value, json};
use tepui_messages::{allocator::WorldChange, master::Answer};

use crate::stage::Stage;

fn deactivate(id: &str) -> Value {
    json!({"type": "DEACTIVATE_AGENT", "deactivate_agent": {"agent_id": {"value": id}}})
}

fn reactivate(id: &str) -> Value {
    json!({"type": "REACTIVATE_AGENT", "reactivate_agent": {"agent_id": {"value": id}}})
}

/// What the allocator was told last of the agent.
fn is_offered(stage: &Stage, id: &str) -> bool {
    let told = stage.world.iter().rev().find_map(|change| match change {
        WorldChange::AgentActive { agent_id, active } if agent_id.value == id => Some(*active),
        WorldChange::AgentAdded { info, active, .. } => {
            let of = info.id.as_ref().is_some_and(|it| it.value == id);
            of.then_some(*active)
        }
        _ => None,
    });
    told.unwrap()
}

#[test]
fn a_deactivated_agent_runs_on_and_is_offered_to_nobody_until_it_is_reactivated() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({"failover_timeout": 600.0}));
    stage.run(&fw, &node, "t", "cpus:1;mem:32");
    let offer = stage.offer(&fw, &node, "cpus:1");
    stage.told(&fw);
    assert_eq!(stage.operator(deactivate(&node.id)), Answer::OK);
    assert_eq!(stage.told(&fw), [format!("RESCIND {offer}")]);
    let record = stage.core.agents[&node.id].record.clone();
    assert!(record.connected && record.deactivated && !record.active);
    assert!(stage.state(&fw, "t").is_some());
    // Neither a second call nor a new connection changes that.
    assert_eq!(stage.operator(deactivate(&node.id)), Answer::OK);
    let task = stage.task(&fw, "t");
    stage.lose(&node);
    stage.back(&node, vec![task]);
    assert!(!is_offered(&stage, &node.id));
    assert_eq!(stage.operator(reactivate(&node.id)), Answer::OK);
    assert!(is_offered(&stage, &node.id));
    stage.offer(&fw, &node, "cpus:1");
}

#[test]
fn it_outlives_the_leader_and_the_agents_absence() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4");
    stage.operator(deactivate(&node.id));
    stage.fail_over();
    stage.back(&node, Vec::new());
    assert!(!is_offered(&stage, &node.id));
    let node = stage.back(&node, Vec::new()).0;
    stage.lose(&node);
    stage.pass(Duration::from_secs(601));
    assert!(stage.core.unreachable_agents.contains_key(&node.id));
    stage.fail_over();
    stage.back(&node, Vec::new());
    assert!(!is_offered(&stage, &node.id));
}

#[test]
fn agents_that_are_away_can_be_deactivated_and_those_that_left_are_forgotten() {
    let mut stage = Stage::new();
    for (call, text) in [
        (deactivate("nope"), "Unknown agent"),
        (reactivate("nope"), "Agent is not deactivated"),
    ] {
        assert_eq!(stage.operator(call), Answer::refused(400, text));
    }
    let node = stage.agent("cpus:4");
    stage.fail_over();
    assert_eq!(stage.operator(deactivate(&node.id)), Answer::OK);
    stage.back(&node, Vec::new());
    assert!(!is_offered(&stage, &node.id));
    let gone =
        json!({"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": node.id}}});
    stage.hold_writes = true;
    let token = stage.operator_asks(gone);
    let busy = "Agent is currently being marked gone";
    assert_eq!(
        stage.operator(deactivate(&node.id)),
        Answer::refused(409, busy)
    );
    let late = stage.operator_asks(reactivate(&node.id));
    stage.release_writes();
    assert_eq!(stage.answer(token), Some(Answer::OK));
    let removed = "Agent removed while processing the call";
    assert_eq!(stage.answer(late), Some(Answer::refused(409, removed)));
    let answer = stage.operator(reactivate(&node.id));
    assert_eq!(answer, Answer::refused(400, "Agent is not deactivated"));
}
