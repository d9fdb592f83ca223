use super::*;
use crate::codec::{Limits, json};

const CPUS: &str =
    r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1},"allocation_info":{"role":"r"}}"#;

fn info(rest: &str) -> v1::TaskInfo {
    let text =
        format!(r#"{{"name":"n","task_id":{{"value":"t"}},"agent_id":{{"value":"s"}},{rest}}}"#);
    json::decode(text.as_bytes(), &Limits::HTTP).expect(&text)
}

fn check(rest: &str, rule: impl Fn(&v1::TaskInfo) -> Reason, expected: &str) {
    assert_eq!(
        rule(&info(rest)).err().unwrap_or_default(),
        expected,
        "{rest}"
    );
}

#[test]
fn tasks() {
    let resources = |list: &str| format!(r#""resources":[{list}]"#);
    let ok = resources(CPUS);
    let volume = |id: &str, rest: &str| {
        format!(
            r#"{{"name":"disk","type":"SCALAR","scalar":{{"value":1}},"allocation_info":{{"role":"r"}},"reservations":[{{"type":"DYNAMIC","role":"r"}}],"disk":{{"persistence":{{"id":"{id}"}}{rest}}}}}"#
        )
    };
    let mounted = r#","volume":{"mode":"RW","container_path":"p"}"#;
    for (rest, expected) in [
        (ok.clone(), ""),
        (
            format!(r#"{ok},"kill_policy":{{"grace_period":{{"nanoseconds":-1}}}}"#),
            "Task's 'kill_policy.grace_period' must be non-negative",
        ),
        (
            format!(r#"{ok},"max_completion_time":{{"nanoseconds":-1}}"#),
            "Task's `max_completion_time` must be non-negative",
        ),
        (
            format!(r#"{ok},"check":{{}}"#),
            "Task uses invalid check: CheckInfo must specify 'type'",
        ),
        (
            format!(r#"{ok},"health_check":{{}}"#),
            "Task uses invalid health check: HealthCheck must specify 'type'",
        ),
        (r#""labels":{}"#.into(), "Task uses no resources"),
        (
            resources(&CPUS.replace(":1}", ":-1}")),
            "Task uses invalid resources: Invalid resources: Resource 'cpus(allocated: r):-1' is invalid: Invalid scalar resource: value <= 0",
        ),
        (
            resources(
                &CPUS
                    .replace(r#""cpus""#, r#""gpus""#)
                    .replace(":1}", ":0.5}"),
            ),
            "Task uses invalid resources: Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer",
        ),
        (
            resources(&volume("v", "")),
            "Task uses invalid resources: Invalid DiskInfo: Expecting 'volume' to be set for persistent volume",
        ),
        (
            resources(&volume("a/b", mounted)),
            "Task uses invalid resources: Invalid DiskInfo: Invalid persistence ID for persistent volume: 'a/b' contains invalid characters",
        ),
        (
            resources(&format!(
                "{},{}",
                volume("v", mounted),
                volume("v", mounted)
            )),
            "Task uses duplicate persistence ID: Persistence ID 'v' is not unique",
        ),
        (
            resources(&CPUS.replace(r#","allocation_info":{"role":"r"}"#, "")),
            "Invalid task resources: The resources are not allocated to a role",
        ),
        (
            resources(&format!("{CPUS},{}", CPUS.replace(r#""r""#, r#""q""#))),
            "Invalid task resources: The resources have multiple allocation roles ('q' and 'r') but only one allocation role is allowed",
        ),
        (
            resources(&format!(
                "{CPUS},{}",
                CPUS.replace(r#""name""#, r#""revocable":{},"name""#)
            )),
            "Task mixes revocable and non-revocable resources: Cannot use both revocable and non-revocable 'cpus' at the same time",
        ),
        (
            format!(r#"{ok},"container":{{"type":"DOCKER"}}"#),
            "Task's `ContainerInfo` is invalid: DockerInfo 'docker' is not set for DOCKER typed ContainerInfo",
        ),
    ] {
        check(&rest, task, expected);
    }
    check(
        &ok,
        command_or_executor,
        "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present",
    );
}

#[test]
fn task_limits() {
    let limit = |text: &str| format!(r#""resources":[{CPUS}],"limits":{{{text}}}"#);
    for (rest, expected) in [
        (limit(r#""cpus":{"value":2}"#), ""),
        (
            limit(r#""cpus":{"value":0.5}"#),
            "The cpu limit must be greater than or equal to the cpu request",
        ),
        (
            limit(r#""mem":{"value":1}"#),
            "When a memory limit is specified, a memory request must also be specified",
        ),
        (
            limit(r#""disk":{"value":1}"#),
            "Only cpus and mem may be included in a task's resource limits",
        ),
    ] {
        check(&rest, |task| limits(task, true), expected);
    }
    check(
        &limit(r#""cpus":{"value":2}"#),
        |task| limits(task, false),
        "Agent is not capable of handling task resource limits",
    );
}

#[test]
fn executors_and_groups() {
    let with = |rest: &str| {
        format!(r#""resources":[{CPUS}],"executor":{{"executor_id":{{"value":"e"}},{rest}}}"#)
    };
    let its = |task: &v1::TaskInfo| task.executor.clone().expect("executor");
    for (rest, expected) in [
        (
            r#""type":"DEFAULT","command":{}"#,
            "'ExecutorInfo.command' must not be set for 'DEFAULT' executor",
        ),
        (
            r#""type":"DEFAULT","container":{"type":"DOCKER"}"#,
            "'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor",
        ),
        (
            r#""type":"CUSTOM""#,
            "'ExecutorInfo.command' must be set for 'CUSTOM' executor",
        ),
        (
            r#""command":{},"shutdown_grace_period":{"nanoseconds":-1}"#,
            "ExecutorInfo's 'shutdown_grace_period' must be non-negative",
        ),
        (r#""command":{}"#, ""),
    ] {
        check(&with(rest), |task| executor(&its(task)), expected);
    }
    check(
        &with(r#""type":"DEFAULT""#),
        |task| custom_executor(&its(task)),
        "'ExecutorInfo.type' must be 'CUSTOM'",
    );
    check(
        &with(r#""framework_id":{"value":"g"}"#),
        |task| executor_framework(&its(task), "f"),
        "ExecutorInfo has an invalid FrameworkID (Actual: g vs Expected: f)",
    );
    let ports = r#"{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":1,"end":5}]},"allocation_info":{"role":"r"}}"#;
    check(
        &with(&format!(r#""resources":[{ports}]"#)).replace(CPUS, ports),
        task_and_executor,
        "There are overlapping resources in the task resources ports(allocated: r):[1-5] and executor resources ports(allocated: r):[1-5]",
    );
    let group = |task: &v1::TaskInfo| {
        let group = v1::TaskGroupInfo {
            tasks: vec![task.clone()],
        };
        group_task(task).and_then(|()| group_executor(&group, &its(task)))
    };
    let default = format!(r#""type":"DEFAULT","resources":[{CPUS}]"#);
    check(
        &with(&default),
        group,
        "Executor 'e' uses less memory (None) than the minimum required (32MB)",
    );
    check(
        &with(r#""type":"DEFAULT""#),
        group,
        "Executor 'e' uses less CPUs (None) than the minimum required (0.01)",
    );
    check(
        &with(r#""command":{}"#),
        group,
        "'ExecutorInfo.type' must be set",
    );
    check(
        &format!(
            r#"{},"container":{{"type":"MESOS","network_infos":[{{}}]}},"health_check":{{"type":"TCP","tcp":{{"port":1}}}}"#,
            with(&default)
        ),
        group,
        "HTTP and TCP health checks are not supported for nested containers not joining parent's network",
    );
}

#[test]
fn revocable_and_other_resources_do_not_mix_under_one_executor() {
    let revocable = CPUS.replace(r#""name""#, r#""revocable":{},"name""#);
    let with = |mine: &str, its: &str| {
        info(&format!(
            r#""resources":[{mine}],"executor":{{"executor_id":{{"value":"e"}},"resources":[{its}]}}"#
        ))
    };
    let group = |tasks: &[&v1::TaskInfo], executor: &str| {
        let group = v1::TaskGroupInfo {
            tasks: tasks.iter().map(|task| (*task).clone()).collect(),
        };
        let resources = &with(CPUS, executor).executor.expect("one").resources;
        group_resources(&group, &Resources::from_proto_unchecked(resources))
    };
    let reason = "mix revocable and non-revocable resources: Cannot use both revocable and non-revocable 'cpus' at the same time";
    for (mine, its, mixes) in [
        (CPUS, CPUS, false),
        (&revocable, &revocable, false),
        (&revocable, CPUS, true),
        (CPUS, &revocable, true),
    ] {
        let task = with(mine, its);
        let said = |who: &str| match mixes {
            true => Err(format!("{who} {reason}")),
            false => Ok(()),
        };
        assert_eq!(task_and_executor(&task), said("Task and its executor"));
        assert_eq!(group(&[&task], its), said("Task group and executor"));
        // Two tasks among themselves, with an executor that uses nothing.
        let other = with(its, CPUS);
        assert_eq!(group(&[&task, &other], ""), said("Task group and executor"));
    }
}

#[test]
fn an_executors_id_is_a_name_for_a_folder() {
    for (id, expected) in [
        ("abc", ""),
        ("", "ID must not be empty"),
        ("ab c", ""),
        ("ab/c", "'ab/c' contains invalid characters"),
        ("a.b", ""),
        (".", "'.' is disallowed"),
        ("..", "'..' is disallowed"),
    ] {
        let executor_info = v1::ExecutorInfo {
            executor_id: v1::ExecutorId { value: id.into() },
            command: Some(v1::CommandInfo::default()),
            ..Default::default()
        };
        let result = executor(&executor_info);
        assert_eq!(result.err().unwrap_or_default(), expected, "{id}");
    }
}

#[test]
fn an_executors_resources_are_allocated_to_one_role() {
    let with = |resources: &str| {
        let info = info(&format!(
            r#""executor":{{"executor_id":{{"value":"e"}},"resources":[{resources}]}}"#
        ));
        executor_resources(&info.executor.expect("one"))
    };
    let mem = CPUS.replace("cpus", "mem");
    assert_eq!(with(""), Ok(()));
    assert_eq!(with(&format!("{CPUS},{mem}")), Ok(()));
    assert_eq!(
        with(&CPUS.replace(r#","allocation_info":{"role":"r"}"#, "")),
        Err("Invalid executor resources: The resources are not allocated to a role".into())
    );
    assert_eq!(
        with(&format!("{CPUS},{}", mem.replace(r#""r""#, r#""q""#))),
        Err("Invalid executor resources: The resources have multiple allocation roles ('q' and 'r') but only one allocation role is allowed".into())
    );
}

#[test]
fn a_tasks_executor_means_that_of_its_group() {
    let with = |more: &str| {
        info(&format!(
            r#""resources":[{CPUS}],"executor":{{"executor_id":{{"value":"e"}},"type":"DEFAULT"{more}}}"#
        ))
    };
    let own = with("").executor.expect("one");
    let group = |more: &str| {
        let tasks = vec![with(more)];
        group_executor(&v1::TaskGroupInfo { tasks }, &own).expect_err("too few resources")
    };
    let different = "The `ExecutorInfo` of task 't' is different from executor 'e'";
    assert_eq!(group(r#","name":"n""#), different);
    for more in [
        r#","labels":{"labels":[{"key":"a"}]}"#,
        r#","shutdown_grace_period":{"nanoseconds":1}"#,
    ] {
        assert_ne!(group(more), different, "{more}");
    }
}
