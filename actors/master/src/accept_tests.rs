use std::time::Duration;

use serde_json::{Value, json};
use tepui_messages::{allocator::WorldChange, master::Answer};
use tepui_protocol::{resources::Resources, v1::TaskState};

use super::MAX_CONVERSIONS;
use crate::stage::{Node, Scheduler, Stage, accept, parse, task, to_json};

fn stage() -> (Stage, Node, Scheduler) {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({"capabilities": [{"type": "PARTITION_AWARE"}]}));
    (stage, node, fw)
}

/// `task`, with an executor of its own in place of the command.
fn with_executor(mut task: Value, executor: &str, resources: &str) -> Value {
    task.as_object_mut().unwrap().remove("command");
    task["executor"] = json!({
        "executor_id": {"value": executor}, "command": {"value": "run"},
        "resources": to_json(&parse(resources)),
    });
    task
}

#[test]
fn a_launch_takes_its_part_and_the_rest_goes_back_with_the_filter() {
    let (mut stage, node, fw) = stage();
    let offer = stage.offer(&fw, &node, "cpus:4;mem:4096");
    stage.told(&fw);
    stage.world.clear();
    let launch =
        json!([{"type": "LAUNCH", "launch": {"task_infos": [task("t", &node, "cpus:1;mem:32")]}}]);
    let mut call = accept(&[&offer], launch);
    call["accept"]["filters"] = json!({"refuse_seconds": 30.0});
    assert_eq!(stage.call(&fw, call), Answer::ACCEPTED);
    assert_eq!(stage.ordered(&node), ["run t"]);
    assert!(stage.told(&fw).is_empty());
    let [
        WorldChange::Recovered {
            allocation,
            refused_for,
            ..
        },
    ] = &stage.world[..]
    else {
        panic!("{:?}", stage.world);
    };
    assert_eq!(*allocation.resources, *parse("cpus:3;mem:4064"));
    assert_eq!(*refused_for, Some(Duration::from_secs(30)));
    let record = stage.task(&fw, "t");
    assert_eq!(record.state(), TaskState::TaskStaging);
    assert_eq!(record.user, None, "only what the task itself names");
    assert_eq!(record.executor_id, None);
}

#[test]
fn an_accept_without_operations_is_a_decline() {
    let (mut stage, node, fw) = stage();
    let offer = stage.offer(&fw, &node, "cpus:4");
    stage.world.clear();
    stage.call(&fw, accept(&[&offer], json!([])));
    assert!(matches!(
        &stage.world[..],
        [WorldChange::Recovered { refused_for: Some(five), .. }] if five.as_secs() == 5
    ));
}

#[test]
fn one_bad_offer_poisons_the_call_and_returns_the_good_ones() {
    let (stage, node, fw) = stage();
    poison(stage, node, fw, "TASK_DROPPED");
}

#[test]
fn frameworks_unaware_of_partitions_hear_that_their_poisoned_tasks_are_lost() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({}));
    poison(stage, node, fw, "TASK_LOST");
}

fn poison(mut stage: Stage, node: Node, fw: Scheduler, state: &str) {
    let other = stage.subscribe(json!({}));
    let its = stage.offer(&other, &node, "cpus:1");
    let far = stage.agent("cpus:1;mem:64");
    let gone = stage.offer(&fw, &node, "cpus:1");
    stage.call(&fw, accept(&[&gone], json!([])));
    let prefix = format!("{state} REASON_INVALID_OFFERS Task launched with invalid offers:");
    let table: [(&[&str], String); 5] = [
        (&[], "No offers specified".to_string()),
        (&[&gone], format!("Offer {gone} is no longer valid")),
        (&["X"], "Offer X is no longer valid".to_string()),
        (
            &[&its],
            format!(
                "Offer {its} has invalid framework {} while framework {} is expected",
                other.id, fw.id
            ),
        ),
        (
            &["GOOD", "GOOD"],
            "Duplicate offer GOOD in offer list".to_string(),
        ),
    ];
    for (offers, reason) in table {
        let good = stage.offer(&fw, &node, "cpus:2;mem:512");
        stage.told(&fw);
        let mut ids: Vec<&str> = offers
            .iter()
            .map(|id| if *id == "GOOD" { good.as_str() } else { id })
            .collect();
        if !offers.is_empty() {
            ids.push(&good);
        }
        stage.accept(&fw, &ids, &[task("t", &node, "cpus:1;mem:32")]);
        let reason = reason.replace("GOOD", &good);
        assert_eq!(stage.told(&fw), [format!("t {prefix} {reason}")]);
        assert_eq!(
            stage.core.offers.len(),
            if offers.is_empty() { 2 } else { 1 },
            "{offers:?}"
        );
        assert_eq!(stage.state(&fw, "t"), None);
        stage.call(&fw, accept(&[&good], json!([])));
        stage.told(&fw);
    }
    let here = stage.offer(&fw, &node, "cpus:1");
    let there = stage.offer(&fw, &far, "cpus:1");
    stage.told(&fw);
    stage.accept(&fw, &[&here, &there], &[task("t", &node, "cpus:1;mem:32")]);
    assert_eq!(
        stage.told(&fw),
        [format!(
            "t {prefix} Aggregated offers must belong to one single agent. Offer {there} uses agent {} and agent {}",
            far.id, node.id
        )]
    );
    assert!(!stage.ordered(&node).contains(&"run t".to_string()));
}

#[test]
fn offers_of_one_agent_and_role_are_pooled_and_of_two_roles_refused() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw =
        stage.subscribe(json!({"roles": ["a", "b"], "capabilities": [{"type": "MULTI_ROLE"}]}));
    let first = stage.offer_as(&fw, "a", &node, "cpus:2;mem:64");
    let second = stage.offer_as(&fw, "a", &node, "cpus:2;mem:64");
    stage.accept(
        &fw,
        &[&first, &second],
        &[task("t", &node, "cpus:3;mem:100")],
    );
    assert_eq!(stage.state(&fw, "t"), Some(TaskState::TaskStaging));
    let role = &stage.task(&fw, "t").resources[0].allocation_info;
    assert_eq!(role.as_ref().unwrap().role(), "a", "filled in");
    let in_a = stage.offer_as(&fw, "a", &node, "cpus:0.5");
    let in_b = stage.offer_as(&fw, "b", &node, "cpus:0.5");
    stage.told(&fw);
    stage.accept(&fw, &[&in_a, &in_b], &[task("u", &node, "cpus:1")]);
    assert_eq!(
        stage.told(&fw),
        [format!(
            "u TASK_LOST REASON_INVALID_OFFERS Task launched with invalid offers: Aggregated offers must be allocated to the same role. Offer {in_b} uses role 'b but another is using role 'a"
        )],
        "TASK_LOST where the framework is not aware of partitions"
    );
}

#[test]
fn a_bad_task_does_not_stop_the_others() {
    let (mut stage, node, fw) = stage();
    let offer = stage.offer(&fw, &node, "cpus:2;mem:256");
    stage.told(&fw);
    let tasks = [
        task("too-big", &node, "cpus:8;mem:32"),
        task("good", &node, "cpus:1;mem:32"),
        task("good", &node, "cpus:1;mem:32"),
        task("rest", &node, "cpus:1;mem:32"),
        task("none-left", &node, "cpus:1;mem:32"),
    ];
    stage.accept(&fw, &[&offer], &tasks);
    assert_eq!(stage.ordered(&node), ["run good", "run rest"]);
    let told = stage.told(&fw);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("too-big TASK_ERROR REASON_TASK_INVALID Total resources cpus(allocated: *):8; mem(allocated: *):32 required by task and its executor is more than available "), "{}", told[0]);
    assert_eq!(
        told[1],
        "good TASK_ERROR REASON_TASK_INVALID Task has duplicate ID: good"
    );
    assert!(told[2].starts_with("none-left TASK_ERROR"), "{}", told[2]);
    // What no task took is free: half of the offered memory less what two tasks have.
    let free = stage.world.iter().rev().find_map(|change| match change {
        WorldChange::Recovered { allocation, .. } => Some(allocation.resources.clone()),
        _ => None,
    });
    let free = Resources::from_proto(&free.unwrap()).unwrap();
    assert_eq!(free.to_string(), "mem:192");
}

#[test]
fn masters_statuses_name_the_agent_and_have_no_uuid() {
    let (mut stage, node, fw) = stage();
    stage.told(&fw);
    stage.accept(&fw, &["X"], &[task("t6", &node, "cpus:1")]);
    let mut status = stage.events_of(&fw.stream)[0]["update"]["status"].clone();
    assert!(status["timestamp"].as_f64().unwrap() > 0.0);
    status.as_object_mut().unwrap().remove("timestamp");
    assert_eq!(
        status,
        json!({"task_id": {"value": "t6"}, "state": "TASK_DROPPED",
            "message": "Task launched with invalid offers: Offer X is no longer valid",
            "source": "SOURCE_MASTER", "reason": "REASON_INVALID_OFFERS",
            "agent_id": {"value": node.id}})
    );
}

#[test]
fn an_executor_is_counted_once_on_an_agent() {
    let (mut stage, node, fw) = stage();
    let offer = stage.offer(&fw, &node, "cpus:4;mem:1024");
    let tasks = ["t1", "t2"]
        .map(|id| with_executor(task(id, &node, "cpus:1;mem:32"), "e", "cpus:1;mem:64"));
    stage.accept(&fw, &[&offer], &tasks);
    assert_eq!(stage.ordered(&node), ["run t1", "run t2"]);
    assert_eq!(
        stage.ledger.free(&node.id).to_proto(),
        parse("cpus:1;mem:3968"),
        "two tasks, one executor"
    );
    assert_eq!(stage.task(&fw, "t1").executor_id.unwrap().value, "e");
    let offer = stage.offer(&fw, &node, "cpus:1;mem:64");
    stage.told(&fw);
    stage.accept(
        &fw,
        &[&offer],
        &[with_executor(
            task("t3", &node, "cpus:1;mem:32"),
            "e",
            "cpus:2;mem:64",
        )],
    );
    let told = stage.told(&fw);
    assert!(told[0].starts_with("t3 TASK_ERROR REASON_TASK_INVALID ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID"), "{told:?}");
}

#[test]
fn executors_with_one_id_on_two_agents_may_differ() {
    let (mut stage, node, fw) = stage();
    let far = stage.agent("cpus:4;mem:4096");
    for (id, node, executor) in [
        ("t1", &node, "cpus:1;mem:64"),
        ("t2", &far, "cpus:2;mem:64"),
    ] {
        let offer = stage.offer(&fw, node, "cpus:4;mem:1024");
        let task = with_executor(task(id, node, "cpus:1;mem:32"), "e", executor);
        stage.accept(&fw, &[&offer], &[task]);
        assert_eq!(stage.ordered(node), [format!("run {id}")]);
    }
}

#[test]
fn what_schedulers_may_leave_out_is_filled_in() {
    let (mut stage, node, fw) = stage();
    let offer = stage.offer(&fw, &node, "cpus:4;mem:1024");
    let mut checked = task("t1", &node, "cpus:1;mem:32");
    checked["health_check"] = json!({"command": {"value": "true"}});
    let custom = with_executor(task("t2", &node, "cpus:1;mem:32"), "e", "cpus:1;mem:64");
    stage.accept(&fw, &[&offer], &[checked, custom]);
    let kind = stage.task(&fw, "t1").health_check.unwrap().r#type();
    assert_eq!(kind, tepui_protocol::v1::health_check::Type::Command);
    let executor = stage.core.frameworks[&fw.id]
        .executors
        .values()
        .next()
        .unwrap();
    assert_eq!(executor.framework_id.as_ref().unwrap().value, fw.id);
}

#[test]
fn operations_that_are_not_built_fail_loudly_and_only_themselves() {
    let (mut stage, node, fw) = stage();
    let offer = stage.offer(&fw, &node, "cpus:2;mem:256");
    stage.told(&fw);
    let operations = json!([
        {"type": "LAUNCH", "id": {"value": "no"}, "launch": {"task_infos": [task("with-id", &node, "cpus:1")]}},
        {"type": "RESERVE", "id": {"value": "r"}, "reserve": {"resources": []}},
        {"type": "RESERVE", "reserve": {"resources": []}},
        {"type": "LAUNCH", "launch": {"task_infos": [task("good", &node, "cpus:1;mem:32")]}},
    ]);
    stage.call(&fw, accept(&[&offer], operations));
    let told = stage.told(&fw);
    assert_eq!(
        told,
        [
            "with-id TASK_ERROR REASON_TASK_INVALID The `id` field cannot be set on LAUNCH operations",
            "UPDATE_OPERATION_STATUS",
        ],
        "a failed operation without an id is silent"
    );
    assert_eq!(stage.ordered(&node), ["run good"]);
}

#[test]
fn a_task_may_need_only_cpus_or_only_memory() {
    for resources in ["cpus:2", "mem:4096"] {
        let mut stage = Stage::new();
        let node = stage.agent(resources);
        let fw = stage.subscribe(json!({}));
        stage.run(&fw, &node, "t", resources);
        assert_eq!(stage.ordered(&node).len(), 1, "{resources}");
    }
}

#[test]
fn a_call_full_of_operations_is_refused_whole() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:2;mem:4096");
    let fw = stage.subscribe(json!({}));
    let offer = stage.offer(&fw, &node, "cpus:2;mem:4096");
    stage.told(&fw);
    let mut operations =
        vec![json!({"type": "DESTROY", "destroy": {"volumes": []}}); MAX_CONVERSIONS + 1];
    operations[0] =
        json!({"type": "LAUNCH", "launch": {"task_infos": [task("t", &node, "cpus:1;mem:32")]}});
    operations
        .push(json!({"type": "UNRESERVE", "id": {"value": "o"}, "unreserve": {"resources": []}}));
    stage.call(&fw, accept(&[&offer], json!(operations)));
    let told = stage.told(&fw);
    let text =
        "The call has 1001 operations on reservations and volumes; at most 1000 are taken at once";
    assert!(
        told[0].starts_with("t TASK_") && told[0].ends_with(text),
        "{told:?}"
    );
    assert_eq!(told[1..], ["UPDATE_OPERATION_STATUS"]);
    assert!(stage.core.offers.is_empty() && stage.ordered(&node).is_empty());
}

/// Mesos: `validateAndUpgradeResources`.
#[test]
fn resources_that_nobody_understands_fail_all_that_is_launched_with_them() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({}));
    let offer = stage.offer(&fw, &node, "cpus:1;mem:64");
    let mut bad = task("bad", &node, "cpus:1;mem:32");
    bad["resources"][0]["scalar"]["value"] = json!(-1.0);
    stage.told(&fw);
    stage.accept(
        &fw,
        &[&offer],
        &[task("good", &node, "cpus:0.5;mem:32"), bad],
    );
    let why = "TASK_ERROR REASON_TASK_INVALID Resource 'cpus:-1' is invalid: Invalid scalar resource: value <= 0";
    assert_eq!(
        stage.told(&fw),
        [format!("good {why}"), format!("bad {why}")]
    );
    assert!(!stage.ordered(&node).contains(&"run good".to_string()));
}
