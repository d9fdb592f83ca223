use std::time::Duration;

use serde_json::{Value, json};
use tepui_protocol::v1::TaskState;

use crate::stage::{Scheduler, Stage};

const AWARE: &str = r#"{"capabilities": [{"type": "PARTITION_AWARE"}], "failover_timeout": 600.0}"#;

fn aware() -> Value {
    serde_json::from_str(AWARE).unwrap()
}

/// Asks about a task, with or without its agent.
fn ask(stage: &mut Stage, fw: &Scheduler, task: &str, agent: Option<&str>) -> Vec<Value> {
    let mut about = json!({"task_id": {"value": task}});
    if let Some(agent) = agent {
        about["agent_id"] = json!({"value": agent});
    }
    stage.events_of(&fw.stream);
    stage.call(
        fw,
        json!({"type": "RECONCILE", "reconcile": {"tasks": [about]}}),
    );
    let events = stage.events_of(&fw.stream);
    events
        .into_iter()
        .map(|event| event["update"]["status"].clone())
        .collect()
}

fn state(stage: &mut Stage, fw: &Scheduler, task: &str, agent: Option<&str>) -> String {
    match &ask(stage, fw, task, agent)[..] {
        [] => "no answer".to_string(),
        [status] => {
            assert_eq!(status["reason"], "REASON_RECONCILIATION");
            assert_eq!(status["source"], "SOURCE_MASTER");
            assert_eq!(status.get("uuid"), None);
            status["state"].as_str().unwrap().to_string()
        }
        more => panic!("{more:?}"),
    }
}

#[test]
fn a_known_task_is_in_the_state_that_was_sent_last() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(aware());
    stage.run(&fw, &node, "t", "cpus:1;mem:32");
    assert_eq!(state(&mut stage, &fw, "t", None), "TASK_STAGING");
    stage.update_behind(
        &node,
        &fw,
        "t",
        TaskState::TaskRunning,
        1,
        TaskState::TaskFinished,
    );
    let answers = ask(&mut stage, &fw, "t", Some("another agent"));
    assert_eq!(
        answers[0]["state"], "TASK_RUNNING",
        "though it has finished since"
    );
    assert_eq!(answers[0]["message"], "Reconciliation: Latest task state");
    assert_eq!(answers[0]["agent_id"]["value"], node.id);
    assert_eq!(answers[0].get("executor_id"), None, "a command task");
    assert!(answers[0]["timestamp"].is_f64());
}

#[test]
fn implicit_reconciliation_tells_of_every_live_task_of_the_framework() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(aware());
    let other = stage.subscribe(aware());
    stage.run(&other, &node, "x", "cpus:1;mem:32");
    for (task, uuid) in [("a", 1), ("b", 2), ("c", 3)] {
        stage.run(&fw, &node, task, "cpus:1;mem:32");
        stage.update(&node, &fw, task, TaskState::TaskRunning, uuid);
    }
    stage.update(&node, &fw, "b", TaskState::TaskFinished, 4);
    stage.update(&node, &fw, "c", TaskState::TaskFailed, 5);
    stage.acknowledge(&fw, &node, "c", 5);
    stage.told(&fw);
    stage.call(&fw, json!({"type": "RECONCILE", "reconcile": {}}));
    let text = "REASON_RECONCILIATION Reconciliation: Latest task state";
    assert_eq!(
        stage.told(&fw),
        [
            format!("a TASK_RUNNING {text}"),
            format!("b TASK_FINISHED {text}")
        ]
    );
}

/// Cases 3 to 6 of Mesos' `Master::reconcile`.
#[test]
fn unknown_tasks_are_judged_by_their_agent() {
    let mut stage = Stage::new();
    let registered = stage.agent("cpus:1");
    let lost = stage.agent("cpus:1");
    let gone = stage.agent("cpus:1");
    stage.lose(&lost);
    stage.pass(Duration::from_secs(600));
    let unreachable_since = stage.now;
    stage.operator(
        json!({"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": gone.id}}}),
    );
    let fw = stage.subscribe(aware());
    let plain = stage.subscribe(json!({}));
    let table = [
        (
            Some(registered.id.as_str()),
            "TASK_GONE",
            "Reconciliation: Task is unknown to the agent",
        ),
        (
            Some(lost.id.as_str()),
            "TASK_UNREACHABLE",
            "Reconciliation: Task is unreachable",
        ),
        (
            Some(gone.id.as_str()),
            "TASK_GONE_BY_OPERATOR",
            "Reconciliation: Task is gone",
        ),
        (
            Some("never seen"),
            "TASK_UNKNOWN",
            "Reconciliation: Task is unknown",
        ),
        (None, "TASK_UNKNOWN", "Reconciliation: Task is unknown"),
    ];
    for (agent, expected, message) in table {
        assert_eq!(state(&mut stage, &fw, "t", agent), expected);
        assert_eq!(state(&mut stage, &plain, "t", agent), "TASK_LOST");
        let answer = &ask(&mut stage, &fw, "t", agent)[0];
        assert_eq!(answer["message"], message);
        assert_eq!(answer["agent_id"]["value"].as_str(), agent);
        if expected == "TASK_UNREACHABLE" {
            assert_eq!(answer["unreachable_time"]["nanoseconds"], unreachable_since);
        }
    }
}

/// Case 2 of Mesos' `Master::reconcile`.
#[test]
fn there_is_no_answer_while_agents_may_still_come_back() {
    let mut stage = Stage::new();
    let mut node = stage.agent("cpus:4;mem:4096");
    let other = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(aware());
    stage.run(&fw, &node, "t", "cpus:1;mem:32");
    let task = stage.task(&fw, "t");
    node.request.frameworks = vec![stage.core.frameworks[&fw.id].info().clone()];
    stage.fail_over();
    let fw = stage.resubscribe(&fw.id, aware());
    assert_eq!(state(&mut stage, &fw, "t", Some(&node.id)), "no answer");
    assert_eq!(state(&mut stage, &fw, "t", None), "no answer");
    assert_eq!(
        state(&mut stage, &fw, "t", Some("never seen")),
        "TASK_UNKNOWN"
    );
    let (node, _) = stage.back(&node, vec![task]);
    assert_eq!(state(&mut stage, &fw, "t", None), "TASK_STAGING");
    assert_eq!(state(&mut stage, &fw, "u", Some(&node.id)), "TASK_GONE");
    assert_eq!(
        state(&mut stage, &fw, "u", None),
        "no answer",
        "of the other agent"
    );
    stage.pass(Duration::from_secs(600));
    assert_eq!(state(&mut stage, &fw, "u", None), "TASK_UNKNOWN");
    assert_eq!(
        state(&mut stage, &fw, "u", Some(&other.id)),
        "TASK_UNREACHABLE"
    );
}

#[test]
fn there_is_no_answer_while_an_agents_return_is_being_written() {
    let mut stage = Stage::new();
    let mut node = stage.agent("cpus:4;mem:4096");
    stage.fail_over();
    let fw = stage.subscribe(aware());
    node.request.agent_info.resources = crate::stage::parse("cpus:8;mem:4096");
    let peer = tepui_messages::master::PeerId(stage.next());
    stage.hold_writes = true;
    let token = stage.begin_registration(peer, node.request.clone());
    assert_eq!(stage.registration(token), None, "it waits for the registry");
    assert_eq!(state(&mut stage, &fw, "t", Some(&node.id)), "no answer");
    stage.release_writes();
    assert!(stage.registration(token).is_some());
    assert_eq!(state(&mut stage, &fw, "t", Some(&node.id)), "TASK_GONE");
}

#[test]
fn an_unreachable_agent_is_so_since_the_same_time_under_the_next_leader() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:1");
    stage.lose(&node);
    stage.pass(Duration::from_secs(600));
    let since = stage.now;
    stage.pass(Duration::from_secs(100));
    stage.fail_over();
    let fw = stage.subscribe(aware());
    let answer = &ask(&mut stage, &fw, "t", Some(&node.id))[0];
    assert_eq!(answer["state"], "TASK_UNREACHABLE");
    assert_eq!(answer["unreachable_time"]["nanoseconds"], since);
}

#[test]
fn unreachable_tasks_are_not_known() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(aware());
    stage.run(&fw, &node, "t", "cpus:1;mem:32");
    stage.lose(&node);
    assert_eq!(
        state(&mut stage, &fw, "t", None),
        "TASK_STAGING",
        "lost, not given up"
    );
    stage.pass(Duration::from_secs(600));
    assert_eq!(
        state(&mut stage, &fw, "t", Some(&node.id)),
        "TASK_UNREACHABLE"
    );
    assert_eq!(state(&mut stage, &fw, "t", None), "TASK_UNKNOWN");
}

#[test]
fn operations_are_judged_by_their_agent() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:1");
    let fw = stage.subscribe(aware());
    stage.told(&fw);
    let about = |agent: Option<&str>| {
        let mut operation = json!({"operation_id": {"value": "o"}});
        if let Some(agent) = agent {
            operation["agent_id"] = json!({"value": agent});
        }
        operation
    };
    let operations = [
        about(None),
        about(Some(&node.id)),
        about(Some("never seen")),
    ];
    stage.call(
        &fw,
        json!({"type": "RECONCILE_OPERATIONS", "reconcile_operations": {"operations": operations}}),
    );
    let events = stage.events_of(&fw.stream);
    let states: Vec<_> = events
        .iter()
        .map(|e| {
            e["update_operation_status"]["status"]["state"]
                .as_str()
                .unwrap()
        })
        .collect();
    assert_eq!(states, ["OPERATION_UNKNOWN"; 3]);
    assert_eq!(
        events[0]["update_operation_status"]["status"]["message"],
        "Reconciliation: Operation is unknown and no 'agent_id' was provided"
    );
}
