use serde_json::{Value, json};

use crate::stage::{Node, Stage, parse, task, to_json};

/// Launches the task from an offer of `cpus:4;mem:1024;ports:[31000-31009]`; the message of its refusal.
fn refusal(stage: &mut Stage, node: &Node, task: Value) -> String {
    let fw = stage.subscribe(json!({}));
    let offer = stage.offer(&fw, node, "cpus:4;mem:1024;ports:[31000-31009]");
    stage.told(&fw);
    stage.accept(&fw, &[&offer], &[task]);
    let told = stage.events_of(&fw.stream);
    stage.call(&fw, json!({"type": "TEARDOWN"}));
    match &told[..] {
        [] => "launched".to_string(),
        [event] => {
            let status = &event["update"]["status"];
            assert_eq!(status["state"], "TASK_ERROR");
            assert_eq!(status["reason"], "REASON_TASK_INVALID");
            status["message"].as_str().unwrap().to_string()
        }
        more => panic!("{more:?}"),
    }
}

fn with(mut task: Value, field: &str, value: Value) -> Value {
    task[field] = value;
    task
}

fn without(mut task: Value, field: &str) -> Value {
    task.as_object_mut().unwrap().remove(field);
    task
}

/// Each rule of Mesos' `validation::task::validate`, in order, so that each task breaks its own and all later ones it can.
#[test]
fn tasks_are_refused_in_mesos_words() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:8;mem:8192;ports:[31000-31099]");
    let good = || task("t", &node, "cpus:1;mem:32");
    let executor = || json!({"executor_id": {"value": "e"}, "command": {"value": "run"}, "resources": to_json(&parse("cpus:0.1;mem:32"))});
    let table = [
        (good(), "launched"),
        (
            with(good(), "task_id", json!({"value": "a/b"})),
            "'a/b' contains invalid characters",
        ),
        (
            with(good(), "agent_id", json!({"value": "other"})),
            "Task uses invalid agent other while agent M1-S0 is expected",
        ),
        (
            with(
                good(),
                "kill_policy",
                json!({"grace_period": {"nanoseconds": -1}}),
            ),
            "Task's 'kill_policy.grace_period' must be non-negative",
        ),
        (
            with(good(), "max_completion_time", json!({"nanoseconds": -1})),
            "Task's `max_completion_time` must be non-negative",
        ),
        (
            with(good(), "resources", json!([])),
            "Task uses no resources",
        ),
        (
            without(good(), "command"),
            "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present",
        ),
        (
            with(good(), "executor", executor()),
            "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present",
        ),
        (
            with(good(), "limits", json!({"cpus": {"value": 2.0}})),
            "Agent is not capable of handling task resource limits",
        ),
        (
            with(without(good(), "command"), "executor", executor()),
            "launched",
        ),
        (
            with(
                without(good(), "command"),
                "executor",
                with(executor(), "framework_id", json!({"value": "other"})),
            ),
            "ExecutorInfo has an invalid FrameworkID (Actual: other vs Expected: M1-0010)",
        ),
        (
            with(
                without(good(), "command"),
                "executor",
                without(executor(), "command"),
            ),
            "'ExecutorInfo.command' must be set",
        ),
    ];
    for (number, (task, message)) in table.into_iter().enumerate() {
        let shown = task.to_string();
        assert_eq!(
            refusal(&mut stage, &node, task),
            message,
            "row {number}: {shown}"
        );
    }
}

#[test]
fn commands_containers_and_executors_are_looked_into() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:8;mem:8192;ports:[31000-31099]");
    let good = || task("t", &node, "cpus:1;mem:32");
    let executor = || json!({"executor_id": {"value": "e"}, "command": {"value": "run"}, "resources": to_json(&parse("cpus:0.1;mem:32"))});
    let custom = |executor: Value| with(without(good(), "command"), "executor", executor);
    let nothing =
        json!({"value": "run", "environment": {"variables": [{"name": "V", "type": "VALUE"}]}});
    let docker = json!({"type": "DOCKER", "docker": {"image": "i", "parameters": [{"key": "name", "value": "x"}]}});
    let cgroups = |share: bool| json!({"type": "MESOS", "linux_info": {"share_cgroups": share}});
    let table = [
        (
            with(good(), "command", nothing.clone()),
            "Task's `CommandInfo` is invalid: Environment variable 'V' of type 'VALUE' must have a value set",
        ),
        (
            custom(with(executor(), "command", nothing)),
            "Executor's `CommandInfo` is invalid: Environment variable 'V' of type 'VALUE' must have a value set",
        ),
        (
            with(good(), "container", json!({"type": "DOCKER"})),
            "Task's `ContainerInfo` is invalid: DockerInfo 'docker' is not set for DOCKER typed ContainerInfo",
        ),
        (
            with(good(), "container", docker),
            "Task's `ContainerInfo` is invalid: Parameter in DockerInfo must not be 'name'",
        ),
        (
            with(good(), "container", cgroups(false)),
            "Only tasks in a task group may have 'share_cgroups' set to 'false'",
        ),
        (
            custom(with(executor(), "container", cgroups(true))),
            "The 'share_cgroups' field cannot be set to 'true' on executor containers",
        ),
        (
            custom(with(
                executor(),
                "shutdown_grace_period",
                json!({"nanoseconds": -1}),
            )),
            "ExecutorInfo's 'shutdown_grace_period' must be non-negative",
        ),
        (
            custom(with(
                without(executor(), "command"),
                "type",
                json!("DEFAULT"),
            )),
            "'ExecutorInfo.type' must be 'CUSTOM'",
        ),
    ];
    for (number, (task, message)) in table.into_iter().enumerate() {
        assert_eq!(refusal(&mut stage, &node, task), message, "row {number}");
    }
}

#[test]
fn a_task_fits_into_what_was_offered() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:8;mem:8192;ports:[31000-31099]");
    let resources = [
        (
            "cpus:8;mem:32",
            "cpus(allocated: *):8; mem(allocated: *):32",
        ),
        (
            "cpus:1;ports:[31005-31010]",
            "cpus(allocated: *):1; ports(allocated: *):[31005-31010]",
        ),
        (
            "cpus:1;gpus:1",
            "cpus(allocated: *):1; gpus(allocated: *):1",
        ),
    ];
    for (wanted, shown) in resources {
        let message = refusal(&mut stage, &node, task("t", &node, wanted));
        assert!(
            message.starts_with(&format!(
                "Total resources {shown} required by task and its executor is more than available "
            )),
            "{message}"
        );
    }
}

#[test]
fn an_executors_resources_count_together_with_the_tasks() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:8;mem:8192;ports:[31000-31099]");
    let executor = json!({"executor_id": {"value": "e"}, "command": {"value": "run"}, "resources": to_json(&parse("cpus:2;mem:32"))});
    let fits = with(
        without(task("t", &node, "cpus:2;mem:32"), "command"),
        "executor",
        executor.clone(),
    );
    assert_eq!(refusal(&mut stage, &node, fits), "launched");
    let too_much = with(
        without(task("t", &node, "cpus:3;mem:32"), "command"),
        "executor",
        executor,
    );
    assert!(
        refusal(&mut stage, &node, too_much).starts_with("Total resources cpus(allocated: *):5;")
    );
}

#[test]
fn limits_need_an_agent_that_can_hold_them() {
    let mut stage = Stage::new();
    let mut request = stage.agent("cpus:8;mem:8192;ports:[31000-31099]").request;
    request.capabilities = vec![tepui_protocol::v1::agent_info::Capability {
        r#type: Some(tepui_protocol::v1::agent_info::capability::Type::TaskResourceLimits as i32),
    }];
    let (node, _) = stage.register(request);
    let limited = |limits: Value| with(task("t", &node, "cpus:1;mem:32"), "limits", limits);
    let table = [
        (
            json!({"cpus": {"value": 2.0}, "mem": {"value": "Infinity"}}),
            "launched",
        ),
        (
            json!({"gpus": {"value": 2.0}}),
            "Only cpus and mem may be included in a task's resource limits",
        ),
        (
            json!({"mem": {"value": 16.0}}),
            "The memory limit must be greater than or equal to the memory request",
        ),
        (
            json!({"cpus": {"value": 0.5}}),
            "The cpu limit must be greater than or equal to the cpu request",
        ),
    ];
    for (limits, message) in table {
        assert_eq!(refusal(&mut stage, &node, limited(limits)), message);
    }
}

/// An executor that runs may be said in other words: labels and the order of variables are not compared.
#[test]
fn an_executor_that_means_the_same_is_used_again() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:8;mem:8192;ports:[31000-31099]");
    let fw = stage.subscribe(json!({}));
    let variables = |names: [&str; 2]| {
        let list = names.map(|name| json!({"name": name, "value": name}));
        json!({"value": "run", "environment": {"variables": list}})
    };
    let executor = json!({"executor_id": {"value": "e"}, "command": variables(["a", "b"]),
        "resources": to_json(&parse("cpus:0.1;mem:32"))});
    let reworded = with(executor.clone(), "command", variables(["b", "a"]));
    let reworded = with(reworded, "labels", json!({"labels": [{"key": "k"}]}));
    let another = with(executor.clone(), "command", variables(["a", "c"]));
    let mut launch = |id: &str, executor: Value| {
        let offer = stage.offer(&fw, &node, "cpus:1;mem:128");
        let task = without(task(id, &node, "cpus:0.5;mem:32"), "command");
        stage.told(&fw);
        stage.accept(&fw, &[&offer], &[with(task, "executor", executor)]);
        stage.told(&fw)
    };
    assert!(launch("1", executor).is_empty());
    assert!(launch("2", reworded).is_empty());
    let told = launch("3", another);
    assert!(
        told[0].contains("ExecutorInfo is not compatible with existing ExecutorInfo"),
        "{told:?}"
    );
}
