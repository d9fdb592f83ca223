use tepui_messages::containers::Limitation;

use super::{child_verdict, command_verdict, executor_verdict};
use crate::status::Verdict;
use crate::testing::{
    TaskState::{TaskFailed, TaskFinished, TaskRunning},
    *,
};

/// What a new master is told.
fn registers_again(node: &mut Node) -> Box<tepui_protocol::node::RegisterAgent> {
    node.on(Input::MasterLost { connection: 1 });
    node.said.clear();
    node.on(Input::MasterConnected { connection: 2 });
    let request = node.said.iter().find_map(|it| match it {
        Effect::Register { request, .. } => Some(request.clone()),
        _ => None,
    });
    request.expect("a registration")
}

#[test]
fn an_executor_that_ends_before_it_subscribes_is_forgotten_and_told_of() {
    let mut node = Node::running();
    node.run(executor_task("t"));
    let container_id = node.start();
    node.exit(&container_id, 1 << 8);
    let exited = node.said.iter().find_map(|it| match it {
        Effect::SendExited(exited) => Some(exited.status),
        _ => None,
    });
    assert_eq!(exited, Some(1 << 8));
    let told = node.drain().pop().expect("an update");
    assert_eq!(
        (told.state(), told.source(), told.reason()),
        (TaskFailed, Source::Agent, Reason::ExecutorTerminated)
    );
    assert!(node.core.state().frameworks.is_empty() && node.kept.containers.is_empty());
    // Its time to subscribe is over without effect.
    node.said.clear();
    node.sleep(Duration::from_mins(2));
    assert!(node.said.is_empty());
}

#[test]
fn what_happened_since_the_start_is_counted() {
    let mut node = Node::running();
    for (name, status) in [("t1", 0), ("t2", 1 << 8), ("t3", 0)] {
        node.run(task(name));
        let container_id = node.start();
        node.exit(&container_id, status);
        node.drain();
    }
    let counts = node.core.state().counts;
    let ended = |state| counts.ended_tasks.get(&state).copied();
    assert_eq!((ended(TaskFinished), ended(TaskFailed)), (Some(2), Some(1)));
    assert_eq!(counts.ended_tasks.len(), 2);
    assert_eq!(counts.terminated_executors, 3);
    // STARTING, RUNNING and the end of each.
    assert_eq!((counts.updates.valid, counts.updates.invalid), (9, 0));
    assert!(counts.recovery.is_some());
}

#[test]
fn so_many_ended_executors_of_a_framework_are_remembered() {
    for most in [0, 2] {
        let mut node = Node::running();
        node.core.config.max_completed_executors_per_framework = most;
        node.run(task("stays"));
        node.start();
        for number in 0..4 {
            node.run(task(&format!("t{number}")));
            let container_id = node.start();
            node.exit(&container_id, 0);
            node.drain();
        }
        let state = node.core.state();
        let completed = state.frameworks[0].completed_executors.iter();
        let ids: Vec<_> = completed
            .map(|it| it.info.executor_id.value.as_str())
            .collect();
        assert_eq!(ids, ["t2", "t3"][2 - most..]);
    }
}

#[test]
fn what_an_executor_told_last_is_what_is_told_to_a_new_master() {
    let mut node = Node::running();
    node.run(executor_task("t"));
    node.start();
    node.subscribe(1, Vec::new());
    node.executor_says(1, TaskRunning);
    node.executor_says(2, TaskFinished);
    // Neither is acknowledged: the first is what the master was told.
    let request = registers_again(&mut node);
    assert_eq!(request.tasks[0].state(), TaskFinished);
    assert_eq!(request.tasks[0].status_update_state(), TaskRunning);
}

#[test]
fn a_past_want_of_memory_decides_no_later_end() {
    let decided = Verdict::executor(TaskState::TaskKilled, Some("by its check".to_owned()));
    let exit = |status| ContainerExit {
        status,
        limitation: Some(Limitation {
            reason: Reason::ContainerLimitationMemory,
            message: "Memory limit exceeded".to_owned(),
            resources: Vec::new(),
        }),
        is_forsaken: false,
    };
    let memory = Some(Reason::ContainerLimitationMemory);
    for (decided, killed, status, state, reason) in [
        (None, false, Some(9), TaskFailed, memory),
        (None, false, Some(1 << 8), TaskFailed, memory),
        (None, false, None, TaskFailed, memory),
        (None, false, Some(0), TaskFinished, None),
        (None, true, Some(15), TaskState::TaskKilled, None),
        (Some(&decided), false, Some(9), TaskState::TaskKilled, None),
    ] {
        let verdict = command_verdict(decided, killed, Some(&exit(status)));
        assert_eq!(
            (verdict.state, verdict.reason),
            (state, reason),
            "{status:?}"
        );
    }
}

#[test]
fn a_task_of_a_group_ends_in_the_words_of_the_default_executor() {
    let exit = |status, is_limited: bool| ContainerExit {
        status,
        limitation: is_limited.then(|| Limitation {
            reason: Reason::ContainerLimitationMemory,
            message: "Memory limit exceeded".to_owned(),
            resources: Vec::new(),
        }),
        is_forsaken: false,
    };
    let (killed, finished) = (TaskState::TaskKilled, TaskFinished);
    let signal = "Command terminated with signal Killed";
    let limited = "Command terminated with signal Killed: Memory limit exceeded";
    let unknown = "Command terminated with unknown status";
    let lost = "Unable to retrieve command's termination information";
    for (is_killed, exit, state, message) in [
        (false, Some(exit(Some(9), false)), TaskFailed, Some(signal)),
        (true, Some(exit(Some(9), false)), killed, Some(signal)),
        (false, Some(exit(Some(9), true)), TaskFailed, Some(limited)),
        (true, Some(exit(Some(9), true)), TaskFailed, Some(limited)),
        (
            false,
            Some(exit(Some(0), true)),
            finished,
            Some("Command exited with status 0"),
        ),
        (false, Some(exit(None, false)), TaskFailed, Some(unknown)),
        (false, None, TaskFailed, Some(lost)),
        (true, None, killed, None),
    ] {
        let verdict = child_verdict(None, is_killed, exit.as_ref());
        assert_eq!(verdict.source, Source::Executor);
        assert_eq!(
            (verdict.state, verdict.message.as_deref()),
            (state, message)
        );
        let is_limited = message == Some(limited);
        assert_eq!(verdict.reason.is_some(), is_limited);
        assert_eq!(verdict.limitation.is_some(), is_limited);
    }
}

#[test]
fn what_was_ended_for_want_of_an_agent_says_so() {
    let forsaken = |status| ContainerExit {
        status,
        is_forsaken: true,
        ..ContainerExit::default()
    };
    let text = "Executor terminated: its agent was away for longer than the recovery timeout";
    for status in [Some(0), Some(15), Some(9), None] {
        for verdict in [
            command_verdict(None, false, Some(&forsaken(status))),
            executor_verdict(None, Some(&forsaken(status))),
        ] {
            assert_eq!(verdict.state, TaskFailed);
            assert_eq!(verdict.reason, Some(Reason::ExecutorTerminated));
            assert_eq!(verdict.message.as_deref(), Some(text));
        }
    }
    let killed = command_verdict(None, true, Some(&forsaken(Some(15))));
    assert_eq!(killed.state, TaskState::TaskKilled);
}

#[test]
fn a_task_of_a_framework_that_is_shut_down_keeps_its_last_state() {
    for says_so in [false, true] {
        let mut node = Node::running();
        node.run(executor_task("t"));
        let container_id = node.start();
        node.subscribe(1, Vec::new());
        node.executor_says(1, TaskRunning);
        node.drain();
        node.shut_down_framework();
        if says_so {
            node.executor_says(2, TaskFinished);
        }
        node.exit(&container_id, 9);
        assert!(node.drain().is_empty());
        let state = node.core.state();
        assert!(state.frameworks.is_empty() && node.kept.tasks.is_empty());
        let executor = &state.completed_frameworks[0].completed_executors[0];
        let shown: Vec<_> = executor
            .terminated_tasks
            .iter()
            .map(|it| (it.state(), it.statuses.len()))
            .collect();
        assert_eq!(shown, [(TaskRunning, 1)], "{says_so}");
        let (live, completed) = (&executor.launched_tasks, &executor.completed_tasks);
        assert!(live.is_empty() && completed.is_empty());
        // STARTING is not told by custom executors, and what comes too late counts as invalid.
        let counts = &state.counts;
        assert_eq!(counts.updates.invalid, u64::from(says_so));
        assert!(counts.ended_tasks.is_empty());
    }
}

#[test]
fn an_end_that_no_framework_acknowledges_any_more_is_told_to_a_new_master() {
    let mut node = Node::running();
    node.run(executor_task("t"));
    let container_id = node.start();
    node.subscribe(1, Vec::new());
    node.executor_says(1, TaskFinished);
    let mut other = executor_task("u");
    other.executor.as_mut().expect("one").executor_id = executor_id("other");
    node.run(other);
    let second = node.launched().order.container_id;
    node.shut_down_framework();
    node.exit(&container_id, 0);
    node.exit(&second, 9);
    let request = registers_again(&mut node);
    // Of the other one nobody knows how it ended.
    let told = request.completed;
    let tasks: Vec<_> = told.iter().flat_map(|it| &it.tasks).collect();
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].state(), TaskFinished);
}

#[test]
fn a_command_or_a_group_of_a_framework_that_is_shut_down_keeps_its_last_state_too() {
    let of_command = |node: &mut Node| {
        node.run(task("t"));
        vec![node.start()]
    };
    let of_pod = |node: &mut Node| {
        node.order(group_order(pod(), vec![task("t")], true));
        let outer = node.start();
        let inner = node.launched().order.container_id;
        node.on(started(&inner, 43));
        vec![inner, outer]
    };
    for start in [of_command as fn(&mut Node) -> Vec<String>, of_pod] {
        let mut node = Node::running();
        let containers = start(&mut node);
        node.drain();
        node.shut_down_framework();
        for container_id in containers {
            node.exit(&container_id, 15);
        }
        let state = node.core.state();
        assert!(state.frameworks.is_empty());
        let executor = &state.completed_frameworks[0].completed_executors[0];
        assert_eq!(executor.terminated_tasks.len(), 1);
        assert_eq!(executor.terminated_tasks[0].state(), TaskRunning);
        assert!(executor.completed_tasks.is_empty());
    }
}

#[test]
fn so_many_tasks_of_an_executor_that_was_shut_down_are_remembered() {
    let mut node = Node::running();
    node.core.config.max_completed_tasks_per_executor = 2;
    let tasks = ["c", "b", "a"].map(task).to_vec();
    node.order(group_order(pod(), tasks, true));
    let outer = node.start();
    node.shut_down_framework();
    node.exit(&outer, 9);
    let containers: Vec<_> = node.core.children.keys().cloned().collect();
    for container_id in containers {
        node.exit(&container_id, 9);
    }
    let state = node.core.state();
    let executor = &state.completed_frameworks[0].completed_executors[0];
    let ids = executor.terminated_tasks.iter();
    let ids: Vec<_> = ids.map(|it| it.task_id.value.as_str()).collect();
    assert_eq!(ids, ["b", "a"]);
}
