use std::time::Duration;

use serde_json::{Value, json};
use tepui_protocol::v1::{Task, TaskState};

use crate::stage::{Node, Scheduler, Stage};

const MOMENT: Duration = Duration::from_secs(14);

fn careless() -> Value {
    json!({"failover_timeout": 6000.0, "checkpoint": false})
}

fn careful() -> Value {
    json!({"failover_timeout": 6000.0, "checkpoint": true})
}

/// Two tasks that run on one agent.
fn running(info: Value) -> (Stage, Node, Scheduler) {
    let mut stage = Stage::new();
    let mut node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(info);
    for (uuid, id) in [(1, "a"), (2, "b")] {
        stage.run(&fw, &node, id, "cpus:1;mem:32");
        stage.update(&node, &fw, id, TaskState::TaskRunning, uuid);
        stage.acknowledge(&fw, &node, id, uuid);
    }
    stage.told(&fw);
    stage.ordered(&node);
    node.request.frameworks = vec![stage.core.frameworks[&fw.id].info().clone()];
    (stage, node, fw)
}

fn tasks(stage: &Stage, fw: &Scheduler) -> Vec<Task> {
    ["a", "b"].map(|id| stage.task(fw, id)).to_vec()
}

#[test]
fn a_connection_that_breaks_for_a_moment_loses_nothing() {
    let (mut stage, node, fw) = running(careless());
    let had = tasks(&stage, &fw);
    stage.lose(&node);
    stage.pass(MOMENT);
    let (_, registration) = stage.back(&node, had);
    assert!(registration.reconcile.is_empty());
    stage.pass(10 * MOMENT);
    assert!(stage.told(&fw).is_empty());
    for id in ["a", "b"] {
        assert_eq!(stage.state(&fw, id), Some(TaskState::TaskRunning));
    }
}

#[test]
fn tasks_without_checkpoints_are_lost_when_their_agent_is_not_soon_back() {
    let (mut stage, node, fw) = running(careless());
    stage.lose(&node);
    stage.pass(MOMENT + Duration::from_secs(2));
    let host = &stage.core.agents[&node.id].record.info.hostname;
    let lost =
        |id: &str| format!("{id} TASK_LOST REASON_AGENT_DISCONNECTED Agent {host} disconnected");
    let expected = [lost("a"), lost("b")];
    assert_eq!(stage.told(&fw), expected);
    assert_eq!(stage.ledger.free(&node.id), stage.ledger.totals[&node.id]);

    // It was only cut off: what it runs is booked again, and the scheduler hears of it.
    let mut stage = running(careless());
    let had = tasks(&stage.0, &stage.2);
    let (stage, node, fw) = (&mut stage.0, stage.1, stage.2);
    stage.lose(&node);
    stage.pass(2 * MOMENT);
    stage.told(&fw);
    stage.back(&node, had);
    let back = |id: &str| {
        format!("{id} TASK_RUNNING REASON_AGENT_REREGISTERED Unreachable agent re-reregistered")
    };
    assert_eq!(stage.told(&fw), [back("a"), back("b")]);
    assert_ne!(stage.ledger.free(&node.id), stage.ledger.totals[&node.id]);
}

#[test]
fn tasks_with_checkpoints_wait_for_their_agent() {
    let (mut stage, node, fw) = running(careful());
    stage.lose(&node);
    stage.pass(10 * MOMENT);
    assert!(stage.told(&fw).is_empty());
    assert_eq!(stage.state(&fw, "a"), Some(TaskState::TaskRunning));
}

#[test]
fn an_agent_that_recovers_for_long_is_not_given_up_by_its_silence() {
    let (mut stage, node, fw) = running(careful());
    let had = tasks(&stage, &fw);
    stage.lose(&node);
    // Longer than any number of unanswered pings, shorter than an agent may take to register again.
    stage.pass(Duration::from_secs(590));
    assert!(stage.core.unreachable_agents.is_empty());
    let call = json!({"type": "RECONCILE", "reconcile": {"tasks": [
        {"task_id": {"value": "a"}, "agent_id": {"value": node.id}}]}});
    stage.call(&fw, call);
    assert_eq!(
        stage.told(&fw),
        ["a TASK_RUNNING REASON_RECONCILIATION Reconciliation: Latest task state"]
    );
    stage.back(&node, had);
    assert!(stage.told(&fw).is_empty());
}

#[test]
fn an_executor_without_tasks_goes_too_and_its_framework_and_agent_end_in_peace() {
    let mut stage = Stage::new();
    let mut node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(careless());
    node.request.frameworks = vec![stage.core.frameworks[&fw.id].info().clone()];
    node.request.executors = vec![crate::stage::decode(&json!({
        "executor_id": {"value": "e"}, "framework_id": {"value": fw.id}, "type": "CUSTOM",
        "command": {"value": "x"}, "resources": crate::stage::to_json(&crate::stage::parse("cpus:1"))}))];
    let (node, _) = stage.back(&node, Vec::new());
    assert_eq!(stage.core.agents[&node.id].executors.len(), 1);
    stage.lose(&node);
    stage.pass(2 * MOMENT);
    assert!(stage.core.agents[&node.id].executors.is_empty());
    assert_eq!(stage.ledger.free(&node.id), stage.ledger.totals[&node.id]);
    stage.call(&fw, json!({"type": "TEARDOWN"}));
    stage.pass(Duration::from_secs(1_000));
    assert!(stage.core.unreachable_agents.contains_key(&node.id));
}
