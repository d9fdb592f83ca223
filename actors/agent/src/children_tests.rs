//! What the end of one task means for its group and its executor, and coming back to all of it.

use crate::testing::*;

/// Both tasks of one group run in `.1` and `.2`, within `.0`.
fn running_pair(first: TaskInfo, second: TaskInfo) -> (Node, [String; 3]) {
    let mut node = Node::running();
    node.order(group_order(pod(), vec![first, second], true));
    let pod_id = node.launched().order.container_id;
    node.on(started(&pod_id, 42));
    let ids = [
        node.launched().order.container_id,
        node.launched().order.container_id,
    ];
    node.on(started(&ids[0], 43));
    node.on(started(&ids[1], 44));
    node.drain();
    node.said.clear();
    let [first, second] = ids;
    (node, [pod_id, first, second])
}

fn pair() -> (Node, [String; 3]) {
    running_pair(task("g1"), task("g2"))
}

fn told(node: &mut Node) -> Vec<(String, TaskState)> {
    let statuses = node.drain().into_iter();
    statuses
        .map(|it| (it.task_id.value.clone(), it.state()))
        .collect()
}

fn says(node: &Node, effect: &Effect) -> bool {
    node.said.contains(effect)
}

fn signal(id: &str) -> Effect {
    let (container_id, signal) = (id.to_owned(), 15);
    match id.contains('.') {
        // A task's own process alone, as by Mesos.
        true => Effect::SignalCommand {
            container_id,
            signal,
        },
        false => Effect::Signal {
            container_id,
            signal,
        },
    }
}

fn destroy(id: &str) -> Effect {
    Effect::Destroy {
        container_id: id.to_owned(),
    }
}

#[test]
fn a_task_that_succeeds_leaves_the_others_alone() {
    let (mut node, [pod_id, first, second]) = pair();
    node.exit(&first, 0);
    let status = node.drain().remove(0);
    assert_eq!(status.state(), TaskState::TaskFinished);
    assert_eq!(
        status.message.as_deref(),
        Some("Command exited with status 0")
    );
    let shown = status.container_status.unwrap();
    assert!(shown.container_id.is_some() && shown.executor_pid.is_none());
    assert!(shown.network_infos.is_empty());
    assert!(!says(&node, &signal(&second)));
    node.exit(&second, 0);
    assert_eq!(
        told(&mut node),
        [("g2".to_owned(), TaskState::TaskFinished)]
    );
    assert!(
        says(&node, &signal(&pod_id)),
        "the executor ends with its last task"
    );
    node.exit(&pod_id, 0);
    let exited = node.said.iter().find_map(|it| match it {
        Effect::SendExited(exited) => Some(exited.status),
        _ => None,
    });
    assert_eq!(exited, Some(0));
    assert!(node.core.frameworks.is_empty());
    assert!(node.kept.tasks.is_empty() && node.kept.containers.is_empty());
}

#[test]
fn a_task_that_fails_takes_its_group_along_and_no_other() {
    let (mut node, [_, first, second]) = pair();
    node.order(group_order(pod(), vec![task("other")], false));
    let other = node.launched().order.container_id;
    node.on(started(&other, 45));
    node.drain();
    node.exit(&first, 256);
    let after = told(&mut node);
    assert_eq!(
        after,
        [
            ("g1".to_owned(), TaskState::TaskFailed),
            ("g2".to_owned(), TaskState::TaskKilling)
        ]
    );
    assert!(says(&node, &signal(&second)) && !says(&node, &signal(&other)));
    node.exit(&second, 15);
    assert_eq!(told(&mut node), [("g2".to_owned(), TaskState::TaskKilled)]);
    assert!(!says(&node, &signal(&other)));
}

#[test]
fn a_kill_of_one_kills_the_group_each_with_its_own_grace() {
    let patient = TaskInfo {
        kill_policy: Some(policy(7)),
        ..task("g2")
    };
    let (mut node, [pod_id, first, second]) = running_pair(task("g1"), patient);
    node.kill("g1", None);
    assert_eq!(told(&mut node), [("g1".to_owned(), TaskState::TaskKilling)]);
    assert!(says(&node, &signal(&first)) && !says(&node, &signal(&second)));
    node.sleep(Duration::from_millis(2999));
    assert!(!says(&node, &destroy(&first)));
    node.sleep(Duration::from_millis(1));
    assert!(says(&node, &destroy(&first)));
    node.exit(&first, 9);
    let message = |node: &mut Node| node.drain().remove(0).message.unwrap();
    assert_eq!(message(&mut node), "Command terminated with signal Killed");
    assert!(says(&node, &signal(&second)));
    node.sleep(Duration::from_secs(6));
    assert!(!says(&node, &destroy(&second)));
    node.sleep(Duration::from_secs(1));
    assert!(says(&node, &destroy(&second)));
    node.exit(&second, 9);
    assert_eq!(told(&mut node).last().unwrap().1, TaskState::TaskKilled);
    assert!(says(&node, &signal(&pod_id)));
}

#[test]
fn a_second_kill_changes_nothing() {
    let (mut node, [_, first, _]) = pair();
    node.kill("g1", Some(10));
    node.drain();
    node.said.clear();
    node.kill("g1", Some(0));
    assert!(node.said.is_empty());
    node.sleep(Duration::from_secs(10));
    assert!(says(&node, &destroy(&first)));
}

#[test]
fn a_task_that_cannot_start_fails_and_takes_its_group_along() {
    let mut node = Node::running();
    node.order(group_order(pod(), vec![task("g1"), task("g2")], true));
    let pod_id = node.launched().order.container_id;
    node.on(started(&pod_id, 42));
    let (first, second) = (node.launched(), node.launched());
    node.on(started(&first.order.container_id, 43));
    node.drain();
    node.on(Input::LaunchFailed {
        container_id: second.order.container_id,
        message: "no such user".to_owned(),
    });
    let failed = node.drain().remove(0);
    assert_eq!(failed.state(), TaskState::TaskFailed);
    assert_eq!(failed.reason(), Reason::ContainerLaunchFailed);
    assert_eq!(
        failed.message.as_deref(),
        Some("Failed to launch container: no such user")
    );
    assert!(says(&node, &signal(&first.order.container_id)));
    node.exit(&first.order.container_id, 15);
    assert_eq!(told(&mut node), [("g1".to_owned(), TaskState::TaskKilled)]);
}

#[test]
fn a_kill_reaches_a_task_that_is_about_to_start() {
    let mut node = Node::running();
    node.order(group_order(pod(), vec![task("g1")], true));
    let pod_id = node.launched().order.container_id;
    node.on(started(&pod_id, 42));
    let first = node.launched().order.container_id;
    node.drain();
    node.kill("g1", None);
    assert!(says(&node, &destroy(&first)));
    assert_eq!(told(&mut node), [("g1".to_owned(), TaskState::TaskKilling)]);
    // Too late to be called off.
    node.said.clear();
    node.on(started(&first, 43));
    assert!(says(&node, &destroy(&first)));
    node.exit(&first, 9);
    assert_eq!(told(&mut node).last().unwrap().1, TaskState::TaskKilled);
}

#[test]
fn a_task_may_take_so_long() {
    let first = bounded(2, task("g1"));
    let (mut node, [_, first, second]) = running_pair(first, task("g2"));
    node.sleep(Duration::from_secs(2));
    assert!(says(&node, &destroy(&first)));
    node.exit(&first, 9);
    let statuses = node.drain();
    let failed = statuses
        .iter()
        .find(|it| it.state() == TaskState::TaskFailed);
    assert_eq!(failed.unwrap().reason(), Reason::MaxCompletionTimeReached);
    assert!(says(&node, &signal(&second)));
}

#[test]
fn a_shutdown_kills_every_task_and_then_the_executor() {
    let (mut node, [pod_id, first, second]) = pair();
    node.exit(&first, 0);
    node.drain();
    node.order(Order::ShutdownExecutor(node::ShutdownExecutor {
        framework_id: framework_id("f"),
        executor_id: executor_id("e"),
        term: 3,
    }));
    assert_eq!(told(&mut node), [("g2".to_owned(), TaskState::TaskKilling)]);
    assert!(says(&node, &signal(&second)) && !says(&node, &signal(&pod_id)));
    node.sleep(Duration::from_secs(5));
    assert!(
        says(&node, &destroy(&pod_id)),
        "the executor's own grace is over"
    );
    node.exit(&second, 15);
    assert_eq!(told(&mut node), [("g2".to_owned(), TaskState::TaskKilled)]);
    assert!(says(&node, &signal(&pod_id)));
}

#[test]
fn the_end_of_the_executor_is_told_when_nothing_of_it_runs() {
    let (mut node, [pod_id, first, second]) = pair();
    node.exit(&pod_id, 9);
    assert_eq!(told(&mut node), []);
    assert!(says(&node, &destroy(&first)) && says(&node, &destroy(&second)));
    node.exit(&first, 9);
    assert_eq!(told(&mut node), []);
    node.exit(&second, 9);
    let statuses = node.drain();
    assert_eq!(statuses.len(), 2);
    for status in statuses {
        assert_eq!(status.state(), TaskState::TaskFailed);
        assert_eq!(status.reason(), Reason::ExecutorTerminated);
    }
    assert!(node.core.frameworks.is_empty());
}

fn found(node: &mut Node, id: &str, fate: Fate) {
    node.on(Input::ContainerRecovered {
        container_id: id.to_owned(),
        fate,
    });
}

fn alive(pid: u32) -> Fate {
    Fate::Running { shim: mark(), pid }
}

#[test]
fn after_a_restart_everything_runs_on() {
    let (node, [pod_id, first, second]) = pair();
    let mut node = node.restart("boot");
    for (id, pid) in [(&first, 43), (&second, 44), (&pod_id, 42)] {
        assert!(node.said.contains(&Effect::Recover {
            container_id: id.clone()
        }));
        found(&mut node, id, alive(pid));
    }
    node.connect();
    assert_eq!(node.states(), []);
    node.said.clear();
    node.exit(&first, 256);
    let after = told(&mut node);
    assert_eq!(after[0], ("g1".to_owned(), TaskState::TaskFailed));
    assert!(
        says(&node, &signal(&second)),
        "it is still of the same group"
    );
}

#[test]
fn an_end_that_fell_into_the_restart_is_told_with_its_status() {
    let (node, [pod_id, first, second]) = pair();
    let mut node = node.restart("boot");
    let exit = ContainerExit {
        status: Some(3 << 8),
        limitation: None,
        is_forsaken: false,
    };
    found(&mut node, &first, Fate::Exited(exit));
    found(&mut node, &second, alive(44));
    found(&mut node, &pod_id, alive(42));
    node.connect();
    let statuses = node.drain();
    assert_eq!(
        statuses[0].message.as_deref(),
        Some("Command exited with status 3")
    );
    assert!(says(&node, &signal(&second)));
}

#[test]
fn a_kill_goes_on_after_a_restart() {
    let (mut node, [pod_id, first, second]) = pair();
    node.kill("g1", Some(60));
    let mut node = node.restart("boot");
    found(&mut node, &first, alive(43));
    assert!(says(&node, &signal(&first)));
    found(&mut node, &second, alive(44));
    found(&mut node, &pod_id, alive(42));
    node.connect();
    node.exit(&first, 15);
    let after = told(&mut node);
    assert!(after.contains(&("g1".to_owned(), TaskState::TaskKilled)));
}

#[test]
fn tasks_whose_launch_was_not_decided_are_launched_after_a_restart() {
    let mut node = Node::running();
    node.order(group_order(pod(), vec![task("g1"), task("g2")], true));
    let pod_id = node.launched().order.container_id;
    let mut node = node.restart("boot");
    found(&mut node, &pod_id, alive(42));
    let (first, second) = (node.launched(), node.launched());
    node.connect();
    node.on(started(&first.order.container_id, 43));
    node.on(started(&second.order.container_id, 44));
    let states: Vec<_> = told(&mut node).into_iter().map(|it| it.1).collect();
    let (starting, running) = (TaskState::TaskStarting, TaskState::TaskRunning);
    assert_eq!(states, [starting, starting, running, running]);
}

#[test]
fn after_a_reboot_every_task_is_told_as_failed_once() {
    let (node, _) = pair();
    let mut node = node.restart("another boot");
    node.connect();
    let statuses = node.drain();
    let states: Vec<_> = statuses.iter().map(TaskStatus::state).collect();
    assert_eq!(states, [TaskState::TaskFailed; 2]);
    assert!(node.core.frameworks.is_empty());
}

#[test]
fn what_nobody_wants_any_more_is_ended_after_a_restart() {
    let (mut node, [pod_id, first, second]) = pair();
    node.exit(&pod_id, 9);
    let mut node = node.restart("boot");
    let exit = ContainerExit {
        status: Some(9),
        limitation: None,
        is_forsaken: false,
    };
    found(&mut node, &pod_id, Fate::Exited(exit));
    assert!(says(&node, &destroy(&first)) && says(&node, &destroy(&second)));
    found(&mut node, &first, alive(43));
    found(&mut node, &second, Fate::Gone);
    node.connect();
    assert_eq!(node.states(), []);
    node.exit(&first, 9);
    assert_eq!(node.states(), [TaskState::TaskFailed; 2]);
}
