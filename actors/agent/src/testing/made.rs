//! What masters, frameworks and shims say in tests of the rules.

use super::*;

pub(crate) fn registration() -> node::AgentRegistration {
    node::AgentRegistration {
        agent_id: Some(AgentId {
            value: "a-S0".to_owned(),
        }),
        term: Some(3),
        ..node::AgentRegistration::default()
    }
}

pub(crate) fn mark() -> ProcessMark {
    ProcessMark {
        pid: 41,
        start_time_ticks: 1,
    }
}

pub(crate) fn executor_id(value: &str) -> ExecutorId {
    crate::tables::executor_id(value)
}

pub(crate) fn task_id(value: &str) -> TaskId {
    TaskId {
        value: value.to_owned(),
    }
}

pub(crate) fn policy(seconds: u64) -> KillPolicy {
    let nanoseconds = i64::try_from(seconds).expect("small") * 1_000_000_000;
    KillPolicy {
        grace_period: Some(DurationInfo { nanoseconds }),
    }
}

pub(crate) fn framework() -> FrameworkInfo {
    use framework_info::capability::Type;
    let capability = |kind| framework_info::Capability {
        r#type: Some(kind as i32),
    };
    FrameworkInfo {
        user: "nobody".to_owned(),
        name: "test".to_owned(),
        id: Some(framework_id("f")),
        checkpoint: Some(true),
        capabilities: [Type::PartitionAware, Type::TaskKillingState]
            .map(capability)
            .to_vec(),
        ..FrameworkInfo::default()
    }
}

pub(crate) fn task(id: &str) -> TaskInfo {
    TaskInfo {
        name: id.to_owned(),
        task_id: task_id(id),
        command: Some(CommandInfo {
            value: Some("echo hello; sleep 2".to_owned()),
            ..CommandInfo::default()
        }),
        ..TaskInfo::default()
    }
}

/// A task that may take so many seconds.
pub(crate) fn bounded(seconds: i64, task: TaskInfo) -> TaskInfo {
    let limit = DurationInfo {
        nanoseconds: seconds * 1_000_000_000,
    };
    TaskInfo {
        max_completion_time: Some(limit),
        ..task
    }
}

pub(crate) fn executor_task(id: &str) -> TaskInfo {
    TaskInfo {
        executor: Some(ExecutorInfo {
            executor_id: executor_id("e"),
            command: Some(CommandInfo {
                value: Some("./executor".to_owned()),
                ..CommandInfo::default()
            }),
            ..ExecutorInfo::default()
        }),
        command: None,
        ..task(id)
    }
}

/// A default executor, as a framework describes it.
pub(crate) fn pod() -> ExecutorInfo {
    ExecutorInfo {
        r#type: Some(executor_info::Type::Default as i32),
        executor_id: executor_id("e"),
        resources: vec![scalar("cpus", 0.1), scalar("mem", 32.0)],
        ..ExecutorInfo::default()
    }
}

pub(crate) fn scalar(name: &str, value: f64) -> Resource {
    Resource {
        name: name.to_owned(),
        r#type: value::Type::Scalar as i32,
        scalar: Some(value::Scalar { value }),
        ..Resource::default()
    }
}

pub(crate) fn group_order(
    executor: ExecutorInfo,
    tasks: Vec<TaskInfo>,
    launch_executor: bool,
) -> Order {
    Order::RunTaskGroup(Box::new(node::RunTaskGroup {
        framework_info: framework(),
        executor,
        task_group: TaskGroupInfo { tasks },
        launch_executor,
        term: 3,
    }))
}

pub(crate) fn started(container_id: &str, pid: u32) -> Input {
    Input::ContainerStarted {
        container_id: container_id.to_owned(),
        shim: mark(),
        pid,
    }
}

/// A task of a framework that keeps nothing over the end of an agent.
pub(crate) fn careless_order() -> Order {
    let framework_info = FrameworkInfo {
        checkpoint: Some(false),
        ..framework()
    };
    Order::RunTask(Box::new(node::RunTask {
        framework_info,
        launch_executor: true,
        task: task("t"),
        term: 3,
    }))
}
