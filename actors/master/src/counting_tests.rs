use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tepui_messages::{
    change::{AgentEnd, Change},
    master::AgentMessage,
};
use tepui_protocol::{
    node,
    v1::{
        ExecutorId, OperationState, TaskState, TaskStatus,
        task_status::{Reason, Source},
    },
};

use crate::{
    frameworks::framework_id,
    stage::{Node, Scheduler, Stage, accept, task},
    stage_operations::{able, named, operation_update, reserve, reserved},
};

/// All that is not 0, without `master/`.
fn counted(stage: &Stage) -> BTreeMap<String, u64> {
    let all = stage.core.config.traffic.tally.all().into_iter();
    all.filter(|(_, value)| *value > 0.0)
        .map(|(name, value)| (name.trim_start_matches("master/").to_owned(), value as u64))
        .collect()
}

/// What was counted by `act`.
fn counts(stage: &mut Stage, act: impl FnOnce(&mut Stage)) -> Vec<(String, u64)> {
    let before = counted(stage);
    act(stage);
    let after = counted(stage).into_iter();
    let grown = after.map(|(name, value)| {
        let grown = value - before.get(&name).copied().unwrap_or(0);
        (name, grown)
    });
    grown.filter(|(_, value)| *value > 0).collect()
}

fn expect(stage: &mut Stage, expected: &[(&str, u64)], act: impl FnOnce(&mut Stage)) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, value)| ((*name).to_owned(), *value))
        .collect();
    assert_eq!(counts(stage, act), expected);
}

/// An agent, a framework, and an idle rest.
fn idle() -> (Stage, Node, Scheduler) {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({"failover_timeout": 6000.0, "checkpoint": true}));
    (stage, node, fw)
}

#[test]
fn calls_are_counted_as_mesos_counts_them() {
    let (mut stage, node, fw) = idle();
    let about =
        json!({"agent_id": {"value": node.id}, "executor_id": {"value": "e"}, "data": "ZA=="});
    let nowhere =
        json!({"agent_id": {"value": "x"}, "executor_id": {"value": "e"}, "data": "ZA=="});
    let launch = |tasks: Value| json!({"type": "LAUNCH", "launch": {"task_infos": tasks}});
    let calls: [(Value, &[(&str, u64)]); 11] = [
        (json!({"type": "REVIVE"}), &[("messages_revive_offers", 1)]),
        (
            json!({"type": "SUPPRESS"}),
            &[("messages_suppress_offers", 1)],
        ),
        (
            json!({"type": "DECLINE", "decline": {"offer_ids": [{"value": "x"}]}}),
            &[("messages_decline_offers", 1)],
        ),
        (
            accept(
                &[],
                json!([
                    launch(json!([])),
                    launch(json!([task("t", &node, "cpus:1")]))
                ]),
            ),
            &[
                ("messages_decline_offers", 1),
                ("messages_launch_tasks", 1),
                ("task_lost/source_master/reason_invalid_offers", 1),
                ("tasks_lost", 1),
            ],
        ),
        (
            json!({"type": "KILL", "kill": {"task_id": {"value": "x"}}}),
            &[("messages_kill_task", 1)],
        ),
        (
            json!({"type": "RECONCILE", "reconcile": {"tasks": []}}),
            &[("messages_reconcile_tasks", 1)],
        ),
        (
            json!({"type": "RECONCILE_OPERATIONS", "reconcile_operations": {"operations": []}}),
            &[("messages_reconcile_operations", 1)],
        ),
        (
            json!({"type": "REQUEST", "request": {"requests": []}}),
            &[("messages_resource_request", 1)],
        ),
        (
            json!({"type": "MESSAGE", "message": about}),
            &[
                ("messages_framework_to_executor", 1),
                ("valid_framework_to_executor_messages", 1),
            ],
        ),
        (
            json!({"type": "MESSAGE", "message": nowhere}),
            &[
                ("invalid_framework_to_executor_messages", 1),
                ("messages_framework_to_executor", 1),
            ],
        ),
        (
            json!({"type": "TEARDOWN"}),
            &[("messages_unregister_framework", 1)],
        ),
    ];
    for (call, expected) in calls {
        expect(&mut stage, expected, |stage| {
            stage.call(&fw, call);
        });
    }
}

#[test]
fn frameworks_and_agents_that_come_are_counted_as_new_or_known() {
    let mut stage = Stage::new();
    expect(&mut stage, &[("messages_register_slave", 1)], |stage| {
        stage.agent("cpus:4");
    });
    let mut known = None;
    let new = [("messages_register_framework", 1)];
    expect(&mut stage, &new, |stage| {
        known = Some(stage.subscribe(json!({"failover_timeout": 60.0})));
    });
    let again = [("messages_reregister_framework", 1)];
    expect(&mut stage, &again, |stage| {
        stage.resubscribe(&known.unwrap().id, json!({"failover_timeout": 60.0}));
    });
    let node = stage.agent("cpus:4");
    expect(&mut stage, &[("messages_reregister_slave", 1)], |stage| {
        stage.back(&node, Vec::new());
    });
}

#[test]
fn updates_and_their_acknowledgements_are_valid_or_not_and_ends_have_reasons() {
    let (mut stage, node, fw) = idle();
    stage.run(&fw, &node, "t", "cpus:1;mem:32");
    let valid = [("messages_status_update", 1), ("valid_status_updates", 1)];
    let invalid = [("invalid_status_updates", 1), ("messages_status_update", 1)];
    expect(&mut stage, &valid, |stage| {
        stage.update(&node, &fw, "t", TaskState::TaskRunning, 1);
    });
    expect(&mut stage, &invalid, |stage| {
        stage.update(&node, &fw, "x", TaskState::TaskRunning, 1);
    });
    let acknowledged = [
        ("messages_status_update_acknowledgement", 1),
        ("valid_status_update_acknowledgements", 1),
    ];
    let in_vain = [
        ("invalid_status_update_acknowledgements", 1),
        ("messages_status_update_acknowledgement", 1),
    ];
    expect(&mut stage, &in_vain, |stage| {
        stage.acknowledge(&fw, &node, "t", 9);
    });
    expect(&mut stage, &acknowledged, |stage| {
        stage.acknowledge(&fw, &node, "t", 1);
    });
    let failed = node::StatusUpdate {
        framework_id: framework_id(&fw.id),
        status: TaskStatus {
            task_id: stage.task(&fw, "t").task_id,
            state: TaskState::TaskFailed as i32,
            source: Some(Source::Agent as i32),
            reason: Some(Reason::ContainerLaunchFailed as i32),
            uuid: Some(vec![2; 16].into()),
            ..TaskStatus::default()
        },
        latest_state: TaskState::TaskFailed as i32,
    };
    let ended = [
        valid[0],
        ("task_failed/source_slave/reason_container_launch_failed", 1),
        valid[1],
    ];
    // The agent repeats it: the task has ended once.
    for expected in [&ended[..], &valid[..]] {
        let said = AgentMessage::StatusUpdate(Box::new(failed.clone()));
        expect(&mut stage, expected, |stage| stage.says(&node, said));
    }
    stage.lose_stream(&fw.stream);
    expect(&mut stage, &invalid, |stage| {
        stage.update(&node, &fw, "t", TaskState::TaskFailed, 2);
    });
}

#[test]
fn the_words_of_executors_and_of_agents_no_longer_known_are_counted() {
    let (mut stage, node, fw) = idle();
    let executor_id = ExecutorId {
        value: "e".to_string(),
    };
    let message = |framework: &str| {
        AgentMessage::ToFramework(node::ToFramework {
            framework_id: framework_id(framework),
            executor_id: executor_id.clone(),
            ..Default::default()
        })
    };
    let sent = ("messages_executor_to_framework", 1);
    let valid = [sent, ("valid_executor_to_framework_messages", 1)];
    let invalid = [("invalid_executor_to_framework_messages", 1), sent];
    expect(&mut stage, &valid, |stage| {
        stage.says(&node, message(&fw.id))
    });
    expect(&mut stage, &invalid, |stage| {
        stage.says(&node, message("x"))
    });
    let exited = AgentMessage::ExecutorExited(Default::default());
    expect(&mut stage, &[("messages_exited_executor", 1)], |stage| {
        stage.says(&node, exited)
    });
    let lent = AgentMessage::Oversubscribed(Default::default());
    expect(&mut stage, &[("messages_update_slave", 1)], |stage| {
        stage.says(&node, lent)
    });
    let leaves = [
        ("messages_unregister_slave", 1),
        ("slave_removals/reason_unregistered", 1),
    ];
    expect(&mut stage, &leaves, |stage| {
        stage.says(&node, AgentMessage::Leaves(Default::default()))
    });
    expect(&mut stage, &invalid, |stage| {
        stage.says(&node, message(&fw.id))
    });
}

#[test]
fn what_becomes_of_operations_is_counted() {
    let (mut stage, node, fw) = able();
    let reserve = named(reserve(reserved("cpus", 1.0)), "o");
    stage.operate(&fw, &node, json!([reserve]));
    let apply = stage.operations_ordered(&node).remove(0);
    let update = operation_update(&node, &apply, OperationState::OperationFinished);
    let said = AgentMessage::OperationUpdate(Box::new(update.clone()));
    let told = ("messages_operation_status_update", 1);
    let valid = [told, ("valid_operation_status_updates", 1)];
    expect(&mut stage, &valid, |stage| stage.says(&node, said.clone()));
    let asked = ("messages_operation_status_update_acknowledgement", 1);
    let invalid = [
        ("invalid_operation_status_update_acknowledgements", 1),
        asked,
    ];
    expect(&mut stage, &invalid, |stage| {
        stage.acknowledge_operation(&fw, &node, "o", &[7; 16]);
    });
    let valid = [asked, ("valid_operation_status_update_acknowledgements", 1)];
    expect(&mut stage, &valid, |stage| {
        stage.acknowledge_operation(&fw, &node, "o", &update.uuid);
    });
    let invalid = [("invalid_operation_status_updates", 1), told];
    expect(&mut stage, &invalid, |stage| stage.says(&node, said));
}

#[test]
fn agents_are_scheduled_to_be_unreachable_once_and_may_come_back_before() {
    let mut stage = Stage::new();
    let nodes: Vec<Node> = (0..5).map(|_| stage.agent("cpus:4")).collect();
    // Too many at once: none is given up before some are back.
    for node in &nodes {
        stage.lose(node);
    }
    let scheduled = [("slave_unreachable_scheduled", 5)];
    expect(&mut stage, &scheduled, |stage| {
        stage.pass(Duration::from_secs(660))
    });
    let back = [
        ("messages_reregister_slave", 4),
        ("slave_unreachable_canceled", 4),
    ];
    expect(&mut stage, &back, |stage| {
        for node in &nodes[1..] {
            stage.back(node, Vec::new());
        }
    });
    expect(&mut stage, &[], |stage| stage.pass(Duration::from_secs(60)));
    assert!(stage.core.given_up.is_empty());
    assert!(stage.core.unreachable_agents.contains_key(&nodes[0].id));
}

#[test]
fn an_agent_that_the_registry_has_and_that_stays_away_is_a_removal_of_recovery() {
    let mut stage = Stage::new();
    stage.agent("cpus:4");
    stage.fail_over();
    let lost = [
        ("recovery_slave_removals", 1),
        ("slave_unreachable_scheduled", 1),
    ];
    expect(&mut stage, &lost, |stage| {
        stage.pass(Duration::from_secs(601))
    });
}

#[test]
fn an_agent_replaced_at_its_address_is_told_from_one_that_left() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4");
    stage.lose(&node);
    let mut request = node.request.clone();
    request.agent_info.id = None;
    let replaced = [
        ("messages_register_slave", 1),
        ("slave_removals/reason_registered", 1),
    ];
    expect(&mut stage, &replaced, |stage| {
        stage.register(request);
    });
    let removed = |change: &Change| matches!(change, Change::AgentRemoved { end, .. } if *end == AgentEnd::Removed);
    assert!(stage.changes.iter().any(removed));
}

/// What its framework asked for, that is not 0.
fn asked(stage: &Stage, fw: &Scheduler) -> Vec<(String, f64)> {
    let all = stage.core.config.traffic.requests();
    let [(id, requests)] = &all[..] else {
        panic!("{all:?}");
    };
    assert_eq!((id, requests.name.as_str()), (&fw.id, "test"));
    let all = requests.all().into_iter();
    all.filter(|(_, value)| *value > 0.0).collect()
}

#[test]
fn calls_and_operations_are_counted_by_framework() {
    let named =
        |all: &[(&str, f64)]| -> Vec<_> { all.iter().map(|(n, v)| (n.to_string(), *v)).collect() };
    let (mut stage, node, fw) = idle();
    stage.run(&fw, &node, "t", "cpus:1;mem:32");
    stage.call(&fw, json!({"type": "REVIVE"}));
    stage.call_on(Some("other"), &fw.id, json!({"type": "REVIVE"}));
    let expected = [
        ("calls/subscribe", 1.0),
        ("calls/accept", 1.0),
        ("calls/revive", 1.0),
        ("calls", 3.0),
        ("operations/launch", 1.0),
        ("operations", 1.0),
    ];
    assert_eq!(asked(&stage, &fw), named(&expected));
    let (mut stage, node, fw) = able();
    stage.operate(&fw, &node, json!([reserve(reserved("cpus", 1.0))]));
    let expected = [
        ("calls/subscribe", 1.0),
        ("calls/accept", 1.0),
        ("calls", 2.0),
        ("operations/reserve", 1.0),
        ("operations", 1.0),
    ];
    assert_eq!(asked(&stage, &fw), named(&expected));
}
