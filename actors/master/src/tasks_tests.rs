use serde_json::json;
use tepui_messages::master::AgentMessage;
use tepui_protocol::{
    node,
    v1::{ExecutorId, FrameworkId, TaskState},
};

use crate::{
    stage::{Node, Scheduler, Stage, accept, parse},
    tables::is_terminal,
};

fn running() -> (Stage, Node, Scheduler) {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({"failover_timeout": 60.0}));
    stage.run(&fw, &node, "t", "cpus:1;mem:32");
    stage.update(&node, &fw, "t", TaskState::TaskRunning, 1);
    stage.told(&fw);
    stage.ordered(&node);
    (stage, node, fw)
}

fn kill(task: &str) -> serde_json::Value {
    json!({"type": "KILL", "kill": {"task_id": {"value": task}}})
}

#[test]
fn the_terminal_states_are_mesos_eight() {
    use TaskState::*;
    let terminal: Vec<TaskState> = (0..=13)
        .filter_map(|number| TaskState::try_from(number).ok())
        .filter(|state| is_terminal(*state))
        .collect();
    assert_eq!(
        terminal,
        [
            TaskFinished,
            TaskFailed,
            TaskKilled,
            TaskLost,
            TaskError,
            TaskDropped,
            TaskGone,
            TaskGoneByOperator
        ]
    );
}

#[test]
fn resources_are_free_at_the_terminal_state_and_the_task_goes_with_the_acknowledgement() {
    let (mut stage, node, fw) = running();
    assert_eq!(
        stage.ledger.free(&node.id).to_proto(),
        parse("cpus:3;mem:4064")
    );
    stage.update(&node, &fw, "t", TaskState::TaskFinished, 2);
    assert_eq!(
        stage.ledger.free(&node.id).to_proto(),
        parse("cpus:4;mem:4096")
    );
    assert_eq!(
        stage.state(&fw, "t"),
        Some(TaskState::TaskFinished),
        "until acknowledged"
    );
    stage.acknowledge(&fw, &node, "t", 2);
    assert_eq!(stage.state(&fw, "t"), None);
    assert_eq!(stage.ordered(&node), ["acknowledge t"]);
}

#[test]
fn only_the_update_sent_last_is_acknowledged() {
    let (mut stage, node, fw) = running();
    stage.update(&node, &fw, "t", TaskState::TaskFinished, 2);
    stage.acknowledge(&fw, &node, "t", 1);
    assert!(stage.ordered(&node).is_empty());
    assert!(stage.state(&fw, "t").is_some());
    stage.acknowledge(&fw, &node, "unknown", 9);
    assert_eq!(
        stage.ordered(&node),
        ["acknowledge unknown"],
        "the agent knows better"
    );
    stage.lose(&node);
    stage.acknowledge(&fw, &node, "t", 2);
    assert!(
        stage.state(&fw, "t").is_some(),
        "dropped: the agent will send the update again"
    );
}

#[test]
fn the_acknowledgement_of_an_earlier_update_does_not_end_a_task_that_has_ended_since() {
    let (mut stage, node, fw) = running();
    stage.update_behind(
        &node,
        &fw,
        "t",
        TaskState::TaskKilling,
        2,
        TaskState::TaskKilled,
    );
    assert_eq!(
        stage.state(&fw, "t"),
        Some(TaskState::TaskKilled),
        "the latest state counts"
    );
    assert_eq!(stage.ledger.free(&node.id), stage.ledger.totals[&node.id]);
    stage.acknowledge(&fw, &node, "t", 2);
    assert!(stage.state(&fw, "t").is_some());
    stage.update(&node, &fw, "t", TaskState::TaskKilled, 3);
    stage.acknowledge(&fw, &node, "t", 3);
    assert_eq!(stage.state(&fw, "t"), None);
}

#[test]
fn a_terminal_state_is_final() {
    let (mut stage, node, fw) = running();
    stage.update(&node, &fw, "t", TaskState::TaskFailed, 2);
    stage.update(&node, &fw, "t", TaskState::TaskRunning, 3);
    stage.update(&node, &fw, "t", TaskState::TaskFinished, 4);
    assert_eq!(stage.state(&fw, "t"), Some(TaskState::TaskFailed));
    let told = stage.told(&fw);
    assert_eq!(
        told,
        ["t TASK_FAILED", "t TASK_RUNNING", "t TASK_FINISHED"],
        "forwarded all the same"
    );
}

#[test]
fn updates_of_unknown_tasks_are_forwarded_too() {
    let (mut stage, node, fw) = running();
    stage.update(&node, &fw, "never heard of", TaskState::TaskFailed, 2);
    assert_eq!(stage.told(&fw), ["never heard of TASK_FAILED"]);
    let stranger = Scheduler {
        id: "nobody".to_string(),
        stream: String::new(),
    };
    stage.update(&node, &stranger, "t", TaskState::TaskFailed, 2);
}

#[test]
fn statuses_keep_the_newest_of_each_run_without_data() {
    let (mut stage, node, fw) = running();
    stage.update(&node, &fw, "t", TaskState::TaskRunning, 2);
    stage.update(&node, &fw, "t", TaskState::TaskKilling, 3);
    stage.update(&node, &fw, "t", TaskState::TaskRunning, 4);
    let task = stage.task(&fw, "t");
    let kept: Vec<_> = task
        .statuses
        .iter()
        .map(|s| (s.state(), s.uuid()[0]))
        .collect();
    assert_eq!(
        kept,
        [
            (TaskState::TaskRunning, 2),
            (TaskState::TaskKilling, 3),
            (TaskState::TaskRunning, 4)
        ]
    );
}

#[test]
fn a_disconnected_framework_is_told_nothing() {
    let (mut stage, node, fw) = running();
    stage.lose_stream(&fw.stream);
    stage.update(&node, &fw, "t", TaskState::TaskFinished, 2);
    assert_eq!(stage.state(&fw, "t"), Some(TaskState::TaskFinished));
    let fw = stage.resubscribe(&fw.id, json!({}));
    stage.update(&node, &fw, "t", TaskState::TaskFinished, 2);
    assert_eq!(
        stage.told(&fw),
        ["t TASK_FINISHED"],
        "when the agent sends it again"
    );
}

#[test]
fn every_kill_is_forwarded() {
    let (mut stage, node, fw) = running();
    stage.call(&fw, kill("t"));
    stage.call(&fw, kill("t"));
    let mut elsewhere = kill("t");
    elsewhere["kill"]["agent_id"] = json!({"value": "other"});
    stage.call(&fw, elsewhere);
    assert_eq!(stage.ordered(&node), ["kill t", "kill t"]);
    assert!(stage.told(&fw).is_empty());
}

#[test]
fn the_kill_of_an_unknown_task_is_a_question_about_it() {
    let (mut stage, node, fw) = running();
    stage.call(&fw, kill("unknown"));
    assert_eq!(
        stage.told(&fw),
        ["unknown TASK_LOST REASON_RECONCILIATION Reconciliation: Task is unknown"]
    );
    assert!(stage.ordered(&node).is_empty());
}

#[test]
fn kills_are_repeated_to_an_agent_that_returns() {
    let (mut stage, node, fw) = running();
    stage.lose(&node);
    stage.call(&fw, kill("t"));
    assert!(stage.ordered(&node).is_empty());
    let task = stage.task(&fw, "t");
    let (node, _) = stage.back(&node, vec![task]);
    assert_eq!(stage.ordered(&node), ["kill t"]);
}

#[test]
fn a_task_id_may_be_used_again_once_it_is_completed() {
    let (mut stage, node, fw) = running();
    stage.update(&node, &fw, "t", TaskState::TaskFinished, 2);
    stage.acknowledge(&fw, &node, "t", 2);
    stage.run(&fw, &node, "t", "cpus:1;mem:32");
}

#[test]
fn an_executors_end_frees_its_resources_and_is_a_failure_event() {
    let (mut stage, node, fw) = running();
    let offer = stage.offer(&fw, &node, "cpus:3;mem:1024");
    let mut task = crate::stage::task("u", &node, "cpus:1;mem:32");
    task.as_object_mut().unwrap().remove("command");
    task["executor"] = json!({"executor_id": {"value": "e"}, "command": {"value": "run"},
        "resources": crate::stage::to_json(&parse("cpus:1;mem:64"))});
    let launch = json!([{"type": "LAUNCH", "launch": {"task_infos": [task]}}]);
    stage.call(&fw, accept(&[&offer], launch));
    stage.told(&fw);
    let before = stage.ledger.free(&node.id);
    let exited = node::ExecutorExited {
        framework_id: FrameworkId {
            value: fw.id.clone(),
        },
        executor_id: ExecutorId {
            value: "e".to_string(),
        },
        status: 9,
    };
    stage.says(&node, AgentMessage::ExecutorExited(exited));
    let free = stage.ledger.free(&node.id);
    assert_eq!(
        free.checked_sub(&before).unwrap().to_proto(),
        parse("cpus:1;mem:64")
    );
    assert_eq!(
        stage.events_of(&fw.stream),
        [json!({"type": "FAILURE", "failure": {
            "agent_id": {"value": node.id}, "executor_id": {"value": "e"}, "status": 9}})]
    );
}

#[test]
fn messages_of_executors_reach_their_framework() {
    let (mut stage, node, fw) = running();
    let message = node::ToFramework {
        framework_id: FrameworkId {
            value: fw.id.clone(),
        },
        executor_id: ExecutorId {
            value: "e".to_string(),
        },
        data: "hi".into(),
    };
    stage.says(&node, AgentMessage::ToFramework(message));
    assert_eq!(
        stage.events_of(&fw.stream),
        [json!({"type": "MESSAGE", "message": {
            "agent_id": {"value": node.id}, "executor_id": {"value": "e"}, "data": "aGk="}})]
    );
}

fn executor() -> ExecutorId {
    ExecutorId {
        value: "e".to_string(),
    }
}

#[test]
fn after_a_failover_the_new_scheduler_alone_is_heard_and_told() {
    let (mut stage, node, old) = running();
    let new = stage.resubscribe(&old.id, json!({}));
    stage.told(&old);
    stage.ordered(&node);
    let message = json!({"type": "MESSAGE", "message": {"agent_id": {"value": node.id}, "executor_id": {"value": "e"}, "data": "aGk="}});
    for call in [kill("t"), message.clone()] {
        assert_eq!(stage.call(&old, call).status, 400);
    }
    assert!(stage.ordered(&node).is_empty());
    stage.call(&new, message);
    assert_eq!(stage.ordered(&node), ["message e"]);
    let message = node::ToFramework {
        framework_id: crate::frameworks::framework_id(&new.id),
        executor_id: executor(),
        data: "hi".into(),
    };
    stage.says(&node, AgentMessage::ToFramework(message));
    assert!(stage.told(&old).is_empty());
    assert_eq!(stage.told(&new), ["MESSAGE"]);
    stage.call(&new, kill("t"));
    assert_eq!(stage.ordered(&node), ["kill t"]);
}

#[test]
fn under_the_next_leader_an_executor_ends_with_and_without_tasks() {
    for with_task in [true, false] {
        let (mut stage, mut node, fw) = running();
        let mut task = stage.task(&fw, "t");
        task.executor_id = Some(executor());
        let id = crate::frameworks::framework_id(&fw.id);
        node.request.frameworks = vec![stage.core.frameworks[&fw.id].info().clone()];
        node.request.executors = vec![tepui_protocol::v1::ExecutorInfo {
            executor_id: executor(),
            framework_id: Some(id.clone()),
            resources: parse("cpus:1;mem:64"),
            ..Default::default()
        }];
        let exited = AgentMessage::ExecutorExited(node::ExecutorExited {
            framework_id: id,
            executor_id: executor(),
            status: 9,
        });
        stage.fail_over();
        let tasks = if with_task { vec![task] } else { vec![] };
        let (node, _) = stage.back(&node, tasks);
        if with_task {
            // Before its framework is back, and before the end of its task is told.
            stage.says(&node, exited);
            let fw = stage.resubscribe(&fw.id, json!({}));
            assert_eq!(stage.state(&fw, "t"), Some(TaskState::TaskRunning));
            stage.update(&node, &fw, "t", TaskState::TaskFailed, 2);
            assert_eq!(stage.told(&fw), ["t TASK_FAILED"]);
        } else {
            let fw = stage.resubscribe(&fw.id, json!({}));
            stage.says(&node, exited);
            assert_eq!(stage.told(&fw), ["FAILURE"]);
        }
        assert_eq!(stage.ledger.free(&node.id), stage.ledger.totals[&node.id]);
    }
}
