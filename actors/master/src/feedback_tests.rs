use std::time::Duration;

use serde_json::{Value, json};
use tepui_messages::master::AgentMessage;
use tepui_protocol::{node, resources::Resources, v1::OperationState};

use crate::{
    core::Input,
    stage::{Node, Scheduler, Stage},
    stage_operations::{
        Applied, able, create, framework, named, operation_update, reserve, reserved, volume,
    },
};

/// One operation with an id, on its way to the agent.
fn ordered() -> (Stage, Node, Scheduler) {
    let (mut stage, node, fw) = able();
    stage.operate(
        &fw,
        &node,
        json!([named(reserve(reserved("cpus", 1.0)), "o")]),
    );
    assert!(stage.operations_told(&fw).is_empty());
    (stage, node, fw)
}

fn shown(told: &[(String, Vec<u8>)]) -> Vec<&str> {
    told.iter().map(|(shown, _)| shown.as_str()).collect()
}

fn ask(stage: &mut Stage, fw: &Scheduler, id: &str, agent: Option<&str>) -> String {
    let mut operation = json!({"operation_id": {"value": id}});
    if let Some(agent) = agent {
        operation["agent_id"] = json!({"value": agent});
    }
    stage.reconcile_operations(fw, json!([operation]));
    let told = stage.operations_told(fw);
    let [(shown, uuid)] = &told[..] else {
        panic!("{told:?}");
    };
    assert!(uuid.is_empty(), "an answer is not acknowledged");
    shown.clone()
}

#[test]
fn the_agents_word_reaches_the_scheduler_and_its_acknowledgement_the_agent() {
    let (mut stage, node, fw) = ordered();
    let keys = stage.finish_operations(&node);
    let told = stage.operations_told(&fw);
    assert_eq!(
        told,
        [("o OPERATION_FINISHED".to_string(), keys[0].to_vec())]
    );
    stage.acknowledge_operation(&fw, &node, "o", &[7; 16]);
    stage.acknowledge_operation(&fw, &node, "p", &keys[0]);
    assert!(
        stage.ordered(&node).is_empty(),
        "not the status, not the operation"
    );
    stage.acknowledge_operation(&fw, &node, "o", &keys[0]);
    assert_eq!(stage.ordered(&node), ["acknowledge operation"]);
    assert!(stage.core.agents[&node.id].operations.is_empty());
    stage.acknowledge_operation(&fw, &node, "o", &keys[0]);
    assert!(stage.ordered(&node).is_empty(), "it is known no more");
}

#[test]
fn the_agent_repeats_its_word_and_the_scheduler_hears_it_each_time() {
    let (mut stage, node, fw) = ordered();
    let apply = stage.operations_ordered(&node).remove(0);
    let update = operation_update(&node, &apply, OperationState::OperationFinished);
    for _ in 0..3 {
        let said = AgentMessage::OperationUpdate(Box::new(update.clone()));
        stage.says(&node, said);
        assert_eq!(shown(&stage.operations_told(&fw)), ["o OPERATION_FINISHED"]);
    }
    stage.acknowledge_operation(&fw, &node, "o", &update.uuid);
    assert_eq!(stage.ordered(&node), ["acknowledge operation"]);
    // The acknowledgement was lost on its way.
    stage.says(&node, AgentMessage::OperationUpdate(Box::new(update)));
    assert_eq!(stage.ordered(&node), ["acknowledge operation"]);
    assert!(stage.operations_told(&fw).is_empty());
}

#[test]
fn what_nobody_asked_to_hear_of_the_master_acknowledges_itself() {
    let (mut stage, node, fw) = able();
    stage.operate(&fw, &node, json!([reserve(reserved("cpus", 1.0))]));
    assert_eq!(stage.core.agents[&node.id].operations.len(), 1);
    stage.finish_operations(&node);
    assert!(stage.operations_told(&fw).is_empty());
    assert_eq!(stage.ordered(&node), ["acknowledge operation"]);
    assert!(stage.core.agents[&node.id].operations.is_empty());
}

#[test]
fn questions_about_operations_are_answered_by_what_is_known() {
    let (mut stage, node, fw) = ordered();
    let id = node.id.clone();
    assert_eq!(ask(&mut stage, &fw, "o", Some(&id)), "o OPERATION_PENDING");
    stage.reconcile_operations(&fw, json!([]));
    assert_eq!(shown(&stage.operations_told(&fw)), ["o OPERATION_PENDING"]);
    let keys = stage.finish_operations(&node);
    stage.operate(
        &fw,
        &node,
        json!([named(reserve(reserved("mem", 1.0)), "p")]),
    );
    stage.reconcile_operations(&fw, json!([]));
    let told = stage.operations_told(&fw);
    assert_eq!(
        shown(&told),
        ["o OPERATION_FINISHED", "p OPERATION_PENDING"]
    );
    stage.acknowledge_operation(&fw, &node, "o", &keys[0]);
    assert_eq!(
        ask(&mut stage, &fw, "o", Some(&id)),
        "o OPERATION_UNKNOWN Reconciliation: Operation is unknown"
    );
    assert_eq!(
        ask(&mut stage, &fw, "o", Some("nope")),
        "o OPERATION_UNKNOWN Reconciliation: Both operation and agent are unknown"
    );
    assert_eq!(
        ask(&mut stage, &fw, "o", None),
        "o OPERATION_UNKNOWN Reconciliation: Operation is unknown and no 'agent_id' was provided"
    );
}

#[test]
fn operations_of_agents_that_are_lost_are_told_and_known_no_more() {
    let (mut stage, node, fw) = ordered();
    let id = node.id.clone();
    stage.lose(&node);
    stage.pass(Duration::from_secs(601));
    assert_eq!(
        shown(&stage.operations_told(&fw)),
        ["o OPERATION_UNREACHABLE Agent was marked unreachable"]
    );
    assert_eq!(
        ask(&mut stage, &fw, "o", Some(&id)),
        "o OPERATION_UNREACHABLE Reconciliation: Agent is unreachable"
    );
    let gone = json!({"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": id}}});
    stage.operator(gone);
    assert_eq!(
        ask(&mut stage, &fw, "o", Some(&id)),
        "o OPERATION_GONE_BY_OPERATOR Reconciliation: Agent marked gone by operator"
    );
    let (mut stage, node, fw) = ordered();
    let gone =
        json!({"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": node.id}}});
    stage.operator(gone);
    assert_eq!(
        shown(&stage.operations_told(&fw)),
        ["o OPERATION_GONE_BY_OPERATOR Agent has been marked gone"]
    );
}

/// The agent comes back with what it remembers.
fn back(stage: &mut Stage, node: &Node, applied: &Applied) -> Node {
    let mut request = node.request.clone();
    applied.tell(&mut request);
    let (node, registration) = stage.register(request);
    assert_eq!(registration.refusal, None);
    node
}

#[test]
fn an_order_that_was_lost_is_dropped_and_one_that_arrived_is_not() {
    let (mut stage, node, fw) = ordered();
    let before = stage.operations_ordered(&node).remove(0);
    let mut applied = Applied::new(&node);
    applied.apply(&node, &before);
    let reached = stage.total(&node);
    stage.operate(&fw, &node, json!([named(create(volume(5.0)), "p")]));
    let lost = stage.operations_ordered(&node).remove(0);
    assert_ne!(stage.total(&node), reached);

    let node = back(&mut stage, &node, &applied);
    let told = stage.operations_told(&fw);
    let dropped = "p OPERATION_DROPPED The operation did not reach the agent";
    assert_eq!(told, [(dropped.to_string(), Vec::new())], "and no uuid");
    assert_eq!(stage.total(&node), reached, "nothing of it is left");
    assert!(stage.operations_ordered(&node).is_empty());
    let id = node.id.clone();
    assert_eq!(ask(&mut stage, &fw, "o", Some(&id)), "o OPERATION_FINISHED");
    assert_eq!(
        ask(&mut stage, &fw, "p", Some(&id)),
        "p OPERATION_UNKNOWN Reconciliation: Operation is unknown"
    );
    stage.acknowledge_operation(&fw, &node, "o", &before.uuid);
    assert_eq!(stage.ordered(&node), ["acknowledge operation"]);

    // The scheduler was told once, whatever the agent says of it.
    let update = operation_update(&node, &lost, OperationState::OperationDropped);
    stage.says(&node, AgentMessage::OperationUpdate(Box::new(update)));
    assert!(stage.operations_told(&fw).is_empty());
    assert_eq!(stage.ordered(&node), ["acknowledge operation"]);
}

#[test]
fn an_order_that_was_lost_and_nobody_would_miss_is_given_again() {
    let (mut stage, node, fw) = able();
    stage.operate(&fw, &node, json!([reserve(reserved("cpus", 1.0))]));
    let total = stage.total(&node);
    let lost = stage.operations_ordered(&node).remove(0);
    let mut applied = Applied::new(&node);
    let node = back(&mut stage, &node, &applied);
    assert_eq!(stage.total(&node), total, "it will have it");
    assert_eq!(stage.operations_ordered(&node), std::slice::from_ref(&lost));
    applied.apply(&node, &lost);
    let node = back(&mut stage, &node, &applied);
    assert!(stage.operations_ordered(&node).is_empty());
    assert_eq!(stage.total(&node), total);
    assert!(stage.operations_told(&fw).is_empty());
}

#[test]
fn an_order_on_the_connection_that_the_agent_asks_on_again_is_not_lost() {
    let (mut stage, node, fw) = ordered();
    let total = stage.total(&node);
    let order = stage.operations_ordered(&node).remove(0);
    let mut request = node.request.clone();
    Applied::new(&node).tell(&mut request);
    stage.register_on(node.peer, request);
    assert!(stage.operations_told(&fw).is_empty());
    assert_eq!(stage.total(&node), total);
    assert_eq!(
        stage.operations_ordered(&node),
        std::slice::from_ref(&order)
    );
}

#[test]
fn a_new_leader_learns_reservations_and_operations_from_the_agent() {
    let (mut stage, node, fw) = ordered();
    let mut applied = Applied::new(&node);
    let apply = stage.operations_ordered(&node).remove(0);
    let update = applied.apply(&node, &apply).unwrap();
    let total = stage.total(&node);
    stage.fail_over();
    let fw = stage.resubscribe(&fw.id, framework());
    let id = node.id.clone();
    assert_eq!(
        ask(&mut stage, &fw, "o", Some(&id)),
        "o OPERATION_RECOVERING Reconciliation: Agent is recovered but has not re-registered"
    );
    let node = back(&mut stage, &node, &applied);
    assert_eq!(stage.total(&node), total);
    assert_eq!(ask(&mut stage, &fw, "o", Some(&id)), "o OPERATION_FINISHED");
    stage.says(&node, AgentMessage::OperationUpdate(Box::new(update)));
    let told = stage.operations_told(&fw);
    assert_eq!(
        told,
        [("o OPERATION_FINISHED".to_string(), apply.uuid.to_vec())]
    );
    stage.acknowledge_operation(&fw, &node, "o", &apply.uuid);
    assert_eq!(stage.ordered(&node), ["acknowledge operation"]);
}

#[test]
fn an_operation_of_an_earlier_leader_that_did_not_arrive_is_unknown() {
    let (mut stage, node, fw) = ordered();
    let applied = Applied::new(&node);
    stage.fail_over();
    let fw = stage.resubscribe(&fw.id, framework());
    let node = back(&mut stage, &node, &applied);
    assert!(!stage.total(&node).contains("DYNAMIC"));
    assert_eq!(
        ask(&mut stage, &fw, "o", Some(&node.id.clone())),
        "o OPERATION_UNKNOWN Reconciliation: Operation is unknown"
    );
    assert!(stage.operations_ordered(&node).is_empty());
}

#[test]
fn the_word_of_an_agent_that_failed_counts() {
    let (mut stage, node, fw) = ordered();
    let apply = stage.operations_ordered(&node).remove(0);
    stage.operate(&fw, &node, json!([named(create(volume(5.0)), "p")]));
    let mut update = operation_update(&node, &apply, OperationState::OperationFailed);
    update.status.message = Some("no".to_string());
    stage.says(&node, AgentMessage::OperationUpdate(Box::new(update)));
    assert_eq!(
        shown(&stage.operations_told(&fw)),
        ["o OPERATION_FAILED no"]
    );
    let total = stage.total(&node);
    assert!(!total.contains("DYNAMIC"), "{total}");
    assert!(
        total.contains("[v:c]:5"),
        "what is on its way stays: {total}"
    );
}

#[test]
fn operations_of_a_framework_that_ended_are_acknowledged_by_the_master() {
    let (mut stage, node, fw) = ordered();
    let apply = stage.operations_ordered(&node).remove(0);
    stage.operate(&fw, &node, json!([named(create(volume(5.0)), "p")]));
    stage.finish_operations(&node);
    stage.call(&fw, json!({"type": "TEARDOWN"}));
    assert_eq!(
        stage.ordered(&node),
        ["shutdown framework", "acknowledge operation"],
        "of the one that is finished"
    );
    let update = operation_update(&node, &apply, OperationState::OperationFinished);
    stage.says(&node, AgentMessage::OperationUpdate(Box::new(update)));
    assert_eq!(stage.ordered(&node), ["acknowledge operation"]);
    assert!(stage.core.agents[&node.id].operations.is_empty());
    assert!(stage.core.operations_of_frameworks.is_empty());
}

#[test]
fn operations_of_a_framework_nobody_knows_are_kept_for_ten_minutes() {
    let (mut stage, node, _) = ordered();
    let mut applied = Applied::new(&node);
    let apply = stage.operations_ordered(&node).remove(0);
    let mut update = applied.apply(&node, &apply).unwrap();
    let stranger = Some(tepui_protocol::v1::FrameworkId {
        value: "stranger".to_string(),
    });
    applied.operations[0].framework_id.clone_from(&stranger);
    update.framework_id = stranger;
    stage.fail_over();
    let node = back(&mut stage, &node, &applied);
    let says = |stage: &mut Stage| {
        let said = AgentMessage::OperationUpdate(Box::new(update.clone()));
        stage.says(&node, said);
        stage.ordered(&node)
    };
    assert!(says(&mut stage).is_empty());
    stage.pass(Duration::from_secs(599));
    assert!(says(&mut stage).is_empty());
    stage.pass(Duration::from_secs(1));
    assert_eq!(says(&mut stage), ["acknowledge operation"]);
}

#[test]
fn an_agent_whose_configuration_lacks_what_it_keeps_is_refused() {
    let (mut stage, node, _) = ordered();
    let mut request: node::RegisterAgent = node.request;
    let kept = json!([reserved("cpus", 100.0)]);
    let kept: Vec<Value> = serde_json::from_value(kept).unwrap();
    request.checkpointed_resources = kept.iter().map(crate::stage::decode).collect();
    let (_, registration) = stage.register(request);
    let refusal = registration.refusal.expect("a refusal");
    assert!(refusal.contains("does not contain cpus:100"), "{refusal}");
}

#[test]
fn answers_of_strangers_and_without_a_uuid_change_nothing() {
    let (mut stage, node, fw) = ordered();
    let apply = stage.operations_ordered(&node).remove(0);
    for uuid in [vec![], vec![1; 15], vec![1; 17]] {
        let mut update = operation_update(&node, &apply, OperationState::OperationFinished);
        update.uuid = uuid.into();
        stage.says(&node, AgentMessage::OperationUpdate(Box::new(update)));
    }
    assert!(stage.operations_told(&fw).is_empty());
    let known = Resources::from_proto_unchecked(&stage.core.agents[&node.id].record.total);
    assert!(!known.to_checkpoint().is_empty());
    stage.input(Input::AgentLost {
        peer: node.peer,
        silent: false,
    });
    assert_eq!(stage.core.agents[&node.id].operations.len(), 1);
}
