use serde_json::{Value, json};
use tepui_messages::allocator::WorldChange;
use tepui_protocol::v1::agent_info::capability::Type as Ability;

use crate::{
    stage::{Node, Scheduler, Stage, accept, parse, task, to_json},
    stage_operations::{TOTAL, able, create, reserve, reserved, volume, with_agent},
};

/// Accepts an offer of everything with one operation; the message of its refusal.
fn refusal(stage: &mut Stage, node: &Node, fw: &Scheduler, mut operation: Value) -> String {
    let offer = stage.offer_as(fw, "r", node, TOTAL);
    stage.told(fw);
    operation["id"] = json!({"value": "o"});
    stage.call(fw, accept(&[&offer], json!([operation])));
    let events = stage.events_of(&fw.stream);
    let [event] = &events[..] else {
        panic!("{events:?}");
    };
    let status = &event["update_operation_status"]["status"];
    assert_eq!(status["state"], "OPERATION_ERROR");
    assert_eq!(status["operation_id"]["value"], "o");
    assert_eq!(stage.ledger.free(&node.id).to_proto(), parse(TOTAL));
    status["message"].as_str().unwrap().to_string()
}

#[test]
fn what_breaks_a_rule_is_refused_in_mesos_words() {
    let (mut stage, node, fw) = able();
    let on_agent = format!(
        "; on agent {} at {} ({})",
        node.id, node.request.pid, node.request.agent_info.hostname
    );
    let mut fixed = reserved("cpus", 1.0);
    fixed["reservations"][0]["type"] = json!("STATIC");
    let mut others = reserved("cpus", 1.0);
    others["reservations"][0]["principal"] = json!("q");
    let mut other_role = reserved("cpus", 1.0);
    other_role["reservations"][0]["role"] = json!("s");
    let plain = json!({"name": "disk", "type": "SCALAR", "scalar": {"value": 1.0}});
    let table = [
        (
            reserve(fixed),
            "Resource cpus(allocated: r)(reservations: [(STATIC,r,p)]):1 is not dynamically reserved",
        ),
        (
            reserve(others),
            "A reserve operation was attempted by authenticated principal 'p', which does not match a reserved resource in the request with principal 'q'",
        ),
        (
            reserve(other_role),
            "A reserve operation was attempted for a resource with role 's', but the resource was allocated to role 'r'",
        ),
        (
            json!({"type": "UNRESERVE", "unreserve": {"resources": [plain]}}),
            "Resource disk(allocated: r):1 is not dynamically reserved",
        ),
        (
            create(plain.clone()),
            "Not a persistent volume: Resource disk(allocated: r):1 does not have DiskInfo",
        ),
        (
            json!({"type": "DESTROY", "destroy": {"volumes": [volume(1.0)]}}),
            "Persistent volumes not found",
        ),
        (
            json!({"type": "GROW_VOLUME", "grow_volume": {"volume": volume(1.0), "addition": plain}}),
            "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields",
        ),
        (
            json!({"type": "SHRINK_VOLUME", "shrink_volume": {"volume": volume(1.0), "subtract": {"value": 1.0}}}),
            "Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'",
        ),
        (
            json!({"type": "CREATE_DISK", "create_disk": {"source": plain, "target_type": "MOUNT"}}),
            "'source' is not managed by a resource provider",
        ),
        (
            json!({"type": "DESTROY_DISK", "destroy_disk": {"source": plain}}),
            "'source' is not managed by a resource provider",
        ),
        (json!({"type": "RESERVE"}), "The operation has no body"),
    ];
    for (operation, expected) in table {
        let shown = operation.to_string();
        let said = refusal(&mut stage, &node, &fw, operation);
        assert_eq!(said, format!("{expected}{on_agent}"), "{shown}");
    }
}

#[test]
fn resources_that_are_none_are_refused_before_the_operation_is_looked_at() {
    let (mut stage, node, fw) = able();
    let mut again = reserve(reserved("cpus", 1.0));
    again["reserve"]["source"] = json!([reserved("cpus", 1.0)]);
    for (operation, reason) in [
        (
            reserve(reserved("cpus", -1.0)),
            "Resource 'cpus(reservations: [(DYNAMIC,r,p)]):-1' is invalid: Invalid scalar resource: value <= 0",
        ),
        (
            again,
            "Reservation updates are not yet implemented for the scheduler API.",
        ),
    ] {
        let said = refusal(&mut stage, &node, &fw, operation);
        let expected = format!("Operation attempted with invalid resources: {reason}");
        assert_eq!(said, expected);
    }
}

#[test]
fn an_operation_consumes_what_was_offered_and_no_more() {
    let (mut stage, node, fw) = able();
    let grow = json!({"type": "GROW_VOLUME", "grow_volume": {"volume": volume(1.0), "addition":
        {"name": "disk", "type": "SCALAR", "scalar": {"value": 1.0}, "reservations": [{"type": "STATIC", "role": "r"}]}}});
    let raw = json!({"name": "disk", "type": "SCALAR", "scalar": {"value": 1.0}, "provider_id": {"value": "x"},
        "disk": {"source": {"type": "RAW", "profile": "y"}}});
    for (operation, start, end) in [
        (
            reserve(reserved("cpus", 8.0)),
            "cpus(allocated: r):4; ",
            " does not contain cpus(allocated: r):8",
        ),
        (
            create(volume(2048.0)),
            "cpus(allocated: r):4; ",
            " does not contain disk(allocated: r)(reservations: [(STATIC,r)]):2048",
        ),
        (
            grow,
            "Invalid GROW_VOLUME operation: cpus(allocated: r):4; ",
            "[v:c]:1; disk(allocated: r)(reservations: [(STATIC,r)]):1",
        ),
        (
            json!({"type": "CREATE_DISK", "create_disk": {"source": raw, "target_type": "MOUNT"}}),
            "Invalid CREATE_DISK Operation: cpus(allocated: r):4; ",
            ":1",
        ),
    ] {
        let said = refusal(&mut stage, &node, &fw, operation);
        assert!(said.starts_with(start) && said.ends_with(end), "{said}");
    }
}

#[test]
fn a_volume_larger_than_the_disk_leaves_the_offer_as_it_was() {
    let (mut stage, node, fw) = able();
    let offered = parse(TOTAL);
    for _ in 0..2 {
        let offer = stage.offer_as(&fw, "r", &node, TOTAL);
        stage.told(&fw);
        stage.world.clear();
        let mut call = accept(&[&offer], json!([create(volume(2048.0))]));
        call["accept"]["filters"] = json!({"refuse_seconds": 0.0});
        stage.call(&fw, call);
        assert!(stage.told(&fw).is_empty(), "no id, no answer");
        assert!(stage.ordered(&node).is_empty());
        let [WorldChange::Recovered { allocation, .. }] = &stage.world[..] else {
            panic!("{:?}", stage.world);
        };
        assert_eq!(*allocation.resources, *offered);
    }
}

#[test]
fn feedback_comes_from_agents_that_can_give_it() {
    let (mut stage, node, fw) = with_agent(&[]);
    let id = &node.id;
    assert_eq!(
        refusal(&mut stage, &node, &fw, reserve(reserved("cpus", 1.0))),
        format!(
            "Operation requested feedback, but agent {id} does not have the required RESOURCE_PROVIDER capability"
        )
    );
    let (mut stage, node, fw) = with_agent(&[Ability::ResourceProvider]);
    let id = &node.id;
    assert_eq!(
        refusal(&mut stage, &node, &fw, reserve(reserved("cpus", 1.0))),
        format!(
            "Operation on agent default resources requested feedback, but agent {id} does not have the required AGENT_OPERATION_FEEDBACK and RESOURCE_PROVIDER capabilities"
        )
    );
}

/// A group of role `r` under `executor`; the one message all its tasks end with.
fn group_refusal(
    stage: &mut Stage,
    node: &Node,
    fw: &Scheduler,
    executor: &Value,
    tasks: &[Value],
) -> String {
    let offer = stage.offer_as(fw, "r", node, "cpus:4;mem:2048;disk:512");
    let free = stage.ledger.free(&node.id);
    stage.told(fw);
    let group = json!([{"type": "LAUNCH_GROUP", "launch_group": {"executor": executor, "task_group": {"tasks": tasks}}}]);
    stage.call(fw, accept(&[&offer], group));
    let events = stage.events_of(&fw.stream);
    assert_eq!(events.len(), tasks.len(), "{events:?}");
    let statuses = events.iter().map(|event| &event["update"]["status"]);
    let mut messages: Vec<&str> = Vec::new();
    for (status, task) in statuses.zip(tasks) {
        assert_eq!(status["task_id"], task["task_id"]);
        assert_eq!(status["state"], "TASK_ERROR");
        assert_eq!(status["reason"], "REASON_TASK_GROUP_INVALID");
        messages.push(status["message"].as_str().unwrap());
    }
    messages.dedup();
    let [message] = messages[..] else {
        panic!("{messages:?}");
    };
    assert!(stage.ordered(node).is_empty());
    assert_ne!(stage.ledger.free(&node.id), free, "the offer is back");
    message.to_string()
}

fn pod(fw: &Scheduler) -> Value {
    json!({"type": "DEFAULT", "executor_id": {"value": "e"}, "framework_id": {"value": fw.id},
        "resources": to_json(&parse("cpus:0.5;mem:32;disk:32"))})
}

fn with(mut value: Value, field: &str, content: Value) -> Value {
    value[field] = content;
    value
}

fn cgroups(share: bool) -> Value {
    json!({"type": "MESOS", "linux_info": {"share_cgroups": share}})
}

#[test]
fn one_bad_task_or_executor_fails_the_whole_group() {
    let (mut stage, node, fw) = able();
    let one = || task("1", &node, "cpus:0.5;mem:32;disk:32");
    let two = || task("2", &node, "cpus:0.5;mem:32;disk:32");
    let custom = with(pod(&fw), "type", json!("CUSTOM"));
    let custom = with(custom, "command", json!({"value": "run"}));
    let nothing = json!({"environment": {"variables": [{"name": "V", "type": "VALUE"}]}});
    let mut nameless = pod(&fw);
    nameless.as_object_mut().unwrap().remove("framework_id");
    let checked = with(
        one(),
        "container",
        json!({"type": "MESOS", "network_infos": [{}]}),
    );
    let checked = with(
        checked,
        "health_check",
        json!({"type": "HTTP", "http": {"port": 80}, "delay_seconds": 0.0}),
    );
    let docker = json!({"type": "DOCKER", "docker": {"image": "alpine"}});
    let thirsty = with(
        pod(&fw),
        "resources",
        to_json(&parse("cpus:0.5;mem:16;disk:32")),
    );
    let table = [
        (
            with(pod(&fw), "container", json!({"type": "DOCKER"})),
            one(),
            "'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor",
        ),
        (nameless, one(), "'ExecutorInfo.framework_id' must be set"),
        (
            custom.clone(),
            with(one(), "container", docker),
            "Task '1' is invalid: Docker ContainerInfo is not supported on the task",
        ),
        (
            custom.clone(),
            checked,
            "Task '1' is invalid: HTTP and TCP health checks are not supported for nested containers not joining parent's network",
        ),
        (
            custom.clone(),
            with(one(), "executor", with(custom.clone(), "name", json!("x"))),
            "The `ExecutorInfo` of task '1' is different from executor 'e'",
        ),
        (
            with(custom, "command", nothing.clone()),
            one(),
            "Executor's `CommandInfo` is invalid: Environment variable 'V' of type 'VALUE' must have a value set",
        ),
        (
            pod(&fw),
            with(one(), "command", nothing),
            "Task '1' is invalid: Task's `CommandInfo` is invalid: Environment variable 'V' of type 'VALUE' must have a value set",
        ),
        (
            pod(&fw),
            with(one(), "task_id", json!({"value": "2"})),
            "Task '2' is invalid: Task has duplicate ID: 2",
        ),
        (
            thirsty,
            one(),
            "Executor 'e' uses less memory (16MB) than the minimum required (32MB)",
        ),
    ];
    for (executor, first, expected) in table {
        let said = group_refusal(&mut stage, &node, &fw, &executor, &[first, two()]);
        assert_eq!(said, expected);
    }
    let large = with(one(), "resources", to_json(&parse("cpus:3.5;mem:32")));
    let said = group_refusal(&mut stage, &node, &fw, &pod(&fw), &[large, two()]);
    assert!(
        said.starts_with("Total resources cpus(allocated: r):4.5; ")
            && said.contains(
                " required by task group and its executor are more than available cpus(allocated: r):4; "
            ),
        "{said}"
    );
    stage.call(&fw, json!({"type": "RECONCILE", "reconcile": {}}));
    assert!(stage.told(&fw).is_empty(), "no task is known");
    let offer = stage.offer_as(&fw, "r", &node, "cpus:1");
    stage.told(&fw);
    let numbered = json!([{"type": "LAUNCH_GROUP", "id": {"value": "o"},
        "launch_group": {"executor": pod(&fw), "task_group": {"tasks": [one()]}}}]);
    stage.call(&fw, accept(&[&offer], numbered));
    assert_eq!(
        stage.told(&fw),
        [
            "1 TASK_ERROR REASON_TASK_GROUP_INVALID The `id` field cannot be set on LAUNCH_GROUP operations"
        ]
    );
}

#[test]
fn the_limits_of_grouped_tasks_need_cgroups_of_their_own() {
    let (mut stage, node, fw) = able();
    let limited = |id: &str, mem: f64, share: bool| {
        let task = with(
            task(id, &node, "cpus:0.5;mem:32"),
            "container",
            cgroups(share),
        );
        let limits = json!({"cpus": {"value": 1.0}, "mem": {"value": mem}});
        with(task, "limits", limits)
    };
    let first = limited("1", 64.0, false);
    for (second, expected) in [
        (
            limited("2", 16.0, false),
            "Task '2' is invalid: The memory limit must be greater than or equal to the memory request",
        ),
        (
            limited("2", 64.0, true),
            "Task '2' is invalid: Resource limits may only be set for tasks within a task group when the 'share_cgroups' field is set to 'false'.",
        ),
    ] {
        let tasks = [first.clone(), second];
        let said = group_refusal(&mut stage, &node, &fw, &pod(&fw), &tasks);
        assert_eq!(said, expected);
    }
}

#[test]
fn tasks_under_one_executor_share_cgroups_or_none_does() {
    let (mut stage, mut node, fw) = able();
    let plain = |id: &str| task(id, &node, "cpus:0.1;mem:32");
    let sharing = |id: &str, share: bool| with(plain(id), "container", cgroups(share));
    let mixed = "If set, the value of 'share_cgroups' must be the same for all tasks in each task group and under a single executor";
    let executor = with(pod(&fw), "type", json!("CUSTOM"));
    let executor = with(executor, "command", json!({"value": "exit 0"}));
    let sharing_executor = with(executor, "container", cgroups(true));
    let apart = [sharing("1", false), sharing("2", false)];
    let together = [sharing("3", true), sharing("4", true)];
    for (executor, tasks, expected) in [
        (pod(&fw), [plain("1"), sharing("2", false)], mixed),
        (pod(&fw), [sharing("1", true), sharing("2", false)], mixed),
        (
            sharing_executor,
            apart.clone(),
            "The 'share_cgroups' field cannot be set to 'true' on executor containers",
        ),
    ] {
        let said = group_refusal(&mut stage, &node, &fw, &executor, &tasks);
        assert_eq!(said, expected);
    }
    // The agent is back with the executor and a task of it that has cgroups of its own.
    let executor = with(
        pod(&fw),
        "resources",
        allocated(to_json(&parse("cpus:0.5;mem:32;disk:32"))),
    );
    let running = json!({"name": "0", "task_id": {"value": "0"}, "agent_id": {"value": node.id},
        "framework_id": {"value": fw.id}, "executor_id": {"value": "e"}, "state": "TASK_RUNNING",
        "container": cgroups(false), "resources": allocated(to_json(&parse("cpus:0.1;mem:32")))});
    node.request.executors = vec![crate::stage::decode(&executor)];
    let (node, _) = stage.back(&node, vec![crate::stage::decode(&running)]);
    let said = group_refusal(&mut stage, &node, &fw, &executor, &together);
    assert_eq!(said, mixed);
    let offer = stage.offer_as(&fw, "r", &node, "cpus:4;mem:2048;disk:512");
    stage.call(&fw, accept(&[&offer], group(&executor, &apart)));
    assert_eq!(stage.ordered(&node), ["run group 1 2 with known executor"]);
}

fn group(executor: &Value, tasks: &[Value]) -> Value {
    json!([{"type": "LAUNCH_GROUP", "launch_group": {"executor": executor, "task_group": {"tasks": tasks}}}])
}

#[test]
fn a_group_is_booked_whole_and_its_executor_once() {
    let (mut stage, node, fw) = able();
    let plain = |id: &str| task(id, &node, "cpus:0.5;mem:32");
    let offer = stage.offer_as(&fw, "r", &node, "cpus:4;mem:2048;disk:512");
    let launched = group(&pod(&fw), &[plain("1"), plain("2")]);
    stage.call(&fw, accept(&[&offer], launched));
    assert_eq!(stage.ordered(&node), ["run group 1 2 with new executor"]);
    let booked = stage.task(&fw, "1");
    assert_eq!(booked.state().as_str_name(), "TASK_STAGING");
    assert_eq!(booked.executor_id.unwrap().value, "e");
    let offer = stage.offer_as(&fw, "r", &node, "cpus:2.5;mem:1952;disk:480");
    stage.call(&fw, accept(&[&offer], group(&pod(&fw), &[plain("3")])));
    assert_eq!(stage.ordered(&node), ["run group 3 with known executor"]);
    let offer = stage.offer_as(&fw, "r", &node, "cpus:1;mem:64");
    stage.told(&fw);
    stage.call(
        &fw,
        accept(&[&offer], group(&pod(&fw), &[plain("4"), plain("1")])),
    );
    assert_eq!(
        stage.told(&fw),
        [
            "4 TASK_ERROR REASON_TASK_GROUP_INVALID Task '1' is invalid: Task has duplicate ID: 1",
            "1 TASK_ERROR REASON_TASK_GROUP_INVALID Task '1' is invalid: Task has duplicate ID: 1"
        ]
    );
}

fn allocated(mut resources: Value) -> Value {
    for resource in resources.as_array_mut().unwrap() {
        resource["allocation_info"] = json!({"role": "r"});
    }
    resources
}

#[test]
fn thousands_of_resources_at_once_are_refused_in_words() {
    let (mut stage, node, fw) = able();
    let many: Vec<Value> = (0..3_000).map(|_| reserved("cpus", 0.001)).collect();
    let many = json!({"type": "RESERVE", "reserve": {"resources": many}});
    assert_eq!(
        refusal(&mut stage, &node, &fw, many),
        "The operation names 3000 resources; at most 500 are taken at once: send it in parts"
    );
}
