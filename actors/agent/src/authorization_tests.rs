use std::sync::Arc;

use tepui_protocol::{
    acls::Acls,
    v1::{CommandInfo, TaskInfo, TaskState, task_status::Reason},
};

use crate::{
    effect::Effect,
    testing::{Node, executor_task, group_order, pod, task},
};

/// Tasks may only run as `web`.
fn only_web() -> Node {
    let mut node = Node::running();
    let acls = Acls::from_json(
        r#"{"permissive": false, "run_tasks": [{"principals": {"type": "ANY"}, "users": {"values": ["web"]}}]}"#,
    );
    node.core.config.acls = Arc::new(acls.unwrap());
    node
}

fn as_user(id: &str, user: &str) -> TaskInfo {
    let task = task(id);
    let command = task.command.clone().map(|command| CommandInfo {
        user: Some(user.to_owned()),
        ..command
    });
    TaskInfo { command, ..task }
}

#[test]
fn a_task_runs_only_as_a_user_the_agent_allows() {
    let mut node = only_web();
    node.run(as_user("t", "root"));
    let told = node.drain();
    assert_eq!(told[0].state(), TaskState::TaskError);
    assert_eq!(told[0].reason(), Reason::TaskUnauthorized);
    let text = "Framework f is not authorized to launch task t under user 'root' on this agent";
    assert_eq!(told[0].message(), text);
    node.run(as_user("u", "web"));
    node.start();
}

#[test]
fn numbers_are_no_user_whatever_the_lists_say() {
    let mut node = Node::running();
    for user in ["0:0:", "0:0", "4294967295:0:"] {
        node.run(as_user(user, user));
        let told = node.drain();
        assert_eq!(told[0].reason(), Reason::TaskUnauthorized, "{user}");
    }
}

#[test]
fn one_task_that_may_not_run_ends_its_group() {
    let mut node = only_web();
    let tasks = vec![as_user("a", "web"), as_user("b", "root")];
    node.order(group_order(pod(), tasks, true));
    // Updates of one task wait for each other, those of two do not.
    let told = node.drain();
    let ended: Vec<_> = told
        .iter()
        .map(|it| (it.task_id.value.as_str(), it.state(), it.reason()))
        .collect();
    let (state, reason) = (TaskState::TaskError, Reason::TaskGroupUnauthorized);
    assert_eq!(ended, [("a", state, reason), ("b", state, reason)]);
}

#[test]
fn the_master_hears_that_an_executor_it_waits_for_will_not_come() {
    let mut node = only_web();
    node.run(executor_task("t"));
    let exited = node.said.iter().filter_map(|said| match said {
        Effect::SendExited(exited) => Some(exited.executor_id.value.clone()),
        _ => None,
    });
    assert_eq!(exited.collect::<Vec<_>>(), ["e"]);
    assert_eq!(node.drain()[0].state(), TaskState::TaskError);
    assert!(node.core.state().frameworks.is_empty());
}
