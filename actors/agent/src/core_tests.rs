use crate::testing::{
    TaskState::{
        TaskDropped, TaskFailed, TaskFinished, TaskKilled, TaskKilling, TaskRunning, TaskStarting,
    },
    *,
};

#[test]
fn a_command_task_starts_runs_and_finishes_as_under_mesos() {
    let mut node = Node::running();
    node.run(task("t"));
    let launch = node.launched();
    assert_eq!(launch.order.argv, ["sh", "-c", "echo hello; sleep 2"]);
    let container_id = launch.order.container_id;
    let sandbox = format!("/w/slaves/a-S0/frameworks/f/executors/t/runs/{container_id}");
    assert_eq!(launch.order.sandbox.display().to_string(), sandbox);
    assert!(node.said.is_empty(), "no update before there is a process");
    node.forked(&container_id);
    let mut statuses = node.drain();
    node.on(Input::ContainerStarted {
        container_id: container_id.clone(),
        shim: mark(),
        pid: 42,
    });
    statuses.extend(node.drain());
    assert_eq!(
        statuses.iter().map(TaskStatus::state).collect::<Vec<_>>(),
        [TaskStarting, TaskRunning]
    );
    for status in &statuses {
        assert_eq!(status.source(), Source::Executor);
        assert_eq!(status.executor_id, Some(executor_id("t")));
        assert_eq!((status.reason, &status.message), (None, &None));
        let container = status.container_status.clone().expect("a container");
        assert_eq!(container.executor_pid, Some(42));
        assert_eq!(
            container.network_infos[0].ip_addresses[0].ip_address(),
            "127.0.0.1"
        );
    }
    let state = node.core.state();
    let name = state.frameworks[0].executors[0].info.name.clone();
    assert_eq!(
        name.as_deref(),
        Some("Command Executor (Task: t) (Command: sh -c 'echo hello; ...')")
    );
    assert_eq!(
        state.frameworks[0].executors[0].launched_tasks[0].executor_id,
        None
    );
    node.exit(&container_id, 0);
    let statuses = node.drain();
    assert_eq!(statuses[0].state(), TaskFinished);
    assert_eq!(statuses[0].message(), "Command exited with status 0");
    assert!(
        !node
            .said
            .iter()
            .any(|it| matches!(it, Effect::SendExited(_))),
        "not for command tasks"
    );
    let state = node.core.state();
    assert!(state.frameworks.is_empty());
    assert_eq!(
        state.completed_frameworks[0].completed_executors[0]
            .completed_tasks
            .len(),
        1
    );
    let Kept {
        frameworks,
        containers,
        tasks,
        streams,
        ..
    } = node.kept;
    assert!(
        frameworks.is_empty() && containers.is_empty() && tasks.is_empty() && streams.is_empty()
    );
}

#[test]
fn what_must_not_be_forgotten_comes_before_its_effect() {
    let mut core = NodeCore::new(config());
    let mut effects = Vec::new();
    core.on(
        Now::default(),
        Input::Recovered(Box::default()),
        &mut effects,
    );
    core.on(
        Now::default(),
        Input::MasterConnected { connection: 1 },
        &mut effects,
    );
    let answer = Ok(Box::new(registration()));
    core.on(
        Now::default(),
        Input::RegistrationAnswered {
            connection: 1,
            answer,
        },
        &mut effects,
    );
    effects.clear();
    let run = node::RunTask {
        framework_info: framework(),
        task: task("t"),
        launch_executor: true,
        term: 3,
    };
    core.on(
        Now::default(),
        Input::Order(Order::RunTask(Box::new(run))),
        &mut effects,
    );
    assert!(
        matches!(
            effects.as_slice(),
            [Effect::Keep { synced: false, .. }, Effect::Launch(_)]
        ),
        "{effects:?}"
    );
}

#[test]
fn a_kill_has_its_grace_and_a_repeated_one_only_shortens_it() {
    // Grace of the kill and of the task, a repeated kill's, and when SIGKILL comes.
    let table = [
        (None, None, None, 3),
        (None, Some(8), None, 8),
        (Some(5), Some(8), None, 5),
        (Some(10), None, Some(Some(6)), 6),
        (Some(4), None, Some(Some(20)), 4),
        // What a repeated one does not say is as usual.
        (Some(10), None, Some(None), 3),
        (Some(10), Some(8), Some(None), 8),
    ];
    for (asked, own, again, seconds) in table {
        let mut node = Node::running();
        node.run(TaskInfo {
            kill_policy: own.map(policy),
            ..task("t")
        });
        let container_id = node.start();
        node.drain();
        node.kill("t", asked);
        let term = Effect::Signal {
            container_id: container_id.clone(),
            signal: 15,
        };
        assert!(node.said.contains(&term));
        assert_eq!(node.states(), [TaskKilling]);
        if let Some(again) = again {
            node.kill("t", again);
        }
        let destroy = Effect::Destroy {
            container_id: container_id.clone(),
        };
        node.sleep(Duration::from_secs(seconds) - Duration::from_millis(1));
        assert!(!node.said.contains(&destroy), "{asked:?} {own:?} {again:?}");
        node.sleep(Duration::from_millis(1));
        assert!(node.said.contains(&destroy), "{asked:?} {own:?} {again:?}");
        node.exit(&container_id, 9);
        let last = node.drain().pop().expect("an update");
        assert_eq!(last.state(), TaskKilled);
        assert_eq!(last.message(), "Command terminated with signal Killed");
    }
}

#[test]
fn a_task_killed_before_it_ran_is_killed_during_launch() {
    let mut node = Node::running();
    node.run(task("t"));
    let container_id = node.launched().order.container_id;
    node.kill("t", None);
    assert!(node.said.contains(&Effect::Destroy {
        container_id: container_id.clone()
    }));
    let status = node.drain().pop().expect("an update");
    assert_eq!(
        (status.state(), status.reason()),
        (TaskKilled, Reason::TaskKilledDuringLaunch)
    );
    // The launch could not be stopped any more.
    node.said.clear();
    node.on(Input::ContainerStarted {
        container_id: container_id.clone(),
        shim: mark(),
        pid: 42,
    });
    assert_eq!(
        node.said,
        [Effect::Destroy {
            container_id: container_id.clone()
        }]
    );
    node.exit(&container_id, 9);
    assert!(node.drain().is_empty());
    assert!(node.core.state().frameworks.is_empty());
}

#[test]
fn a_task_killed_while_its_command_starts_is_told_of_when_nothing_of_it_runs() {
    for (forked, starts) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut node = Node::running();
        node.run(task("t"));
        let container_id = node.launched().order.container_id;
        node.prepared(&container_id);
        assert!(node.said.is_empty(), "there is no process to tell of");
        if forked {
            node.forked(&container_id);
            assert_eq!(node.states(), [TaskStarting]);
        }
        node.kill("t", None);
        let destroy = Effect::Destroy {
            container_id: container_id.clone(),
        };
        // Whoever hears of its end gives its resources away, and its command may run for a moment.
        assert_eq!(node.said, std::slice::from_ref(&destroy));
        node.said.clear();
        node.kill("t", None);
        assert!(node.said.is_empty(), "another kill changes nothing");
        if starts {
            node.on(Input::ContainerStarted {
                container_id: container_id.clone(),
                shim: mark(),
                pid: 42,
            });
            assert_eq!(node.said, [destroy]);
            node.exit(&container_id, 9);
        } else {
            node.on(Input::LaunchFailed {
                container_id,
                message: "it was killed before it started".to_owned(),
            });
        }
        let statuses = node.drain();
        let [status] = &statuses[..] else {
            panic!("{statuses:?}");
        };
        assert_eq!(
            (status.state(), status.reason(), status.message()),
            (
                TaskKilled,
                Reason::TaskKilledDuringLaunch,
                "Killed before delivery to the executor"
            )
        );
        assert!(node.core.state().frameworks.is_empty());
    }
}

#[test]
fn ends_have_their_reasons() {
    let mut node = Node::running();
    node.run(bounded(2, task("t")));
    let container_id = node.start();
    node.sleep(Duration::from_secs(2));
    assert!(node.said.contains(&Effect::Destroy {
        container_id: container_id.clone()
    }));
    node.exit(&container_id, 9);
    let last = node.drain().pop().expect("an update");
    assert_eq!(
        (last.state(), last.reason()),
        (TaskFailed, Reason::MaxCompletionTimeReached)
    );

    node.run(task("u"));
    let container_id = node.launched().order.container_id;
    node.on(Input::LaunchFailed {
        container_id,
        message: "no space".to_owned(),
    });
    let last = node.drain().pop().expect("an update");
    assert_eq!(
        (last.state(), last.reason()),
        (TaskFailed, Reason::ContainerLaunchFailed)
    );
    assert_eq!(last.message(), "Failed to launch container: no space");

    node.kill("nope", None);
    assert!(node.drain().is_empty(), "the framework is not known");
    node.run(task("v"));
    node.kill("nope", None);
    let last = node.drain().pop().expect("an update");
    assert_eq!(
        (last.state(), last.reason(), last.message()),
        (
            TaskDropped,
            Reason::ExecutorTerminated,
            "Cannot find executor"
        )
    );
}

#[test]
fn starting_is_told_once_and_only_of_what_can_start() {
    let mut node = Node::running();
    node.run(task("t"));
    let container_id = node.launched().order.container_id;
    node.on(Input::LaunchFailed {
        container_id,
        message: "a file could not be fetched".to_owned(),
    });
    assert_eq!(node.states(), [TaskFailed]);

    node.run(task("u"));
    let container_id = node.launched().order.container_id;
    node.kill("u", None);
    node.forked(&container_id);
    assert_eq!(node.states(), [TaskKilled]);

    node.run(executor_task("v"));
    let container_id = node.launched().order.container_id;
    node.forked(&container_id);
    assert!(node.drain().is_empty(), "a custom executor tells itself");
}

#[test]
fn a_framework_that_ends_takes_its_tasks_along_in_silence() {
    let mut node = Node::running();
    node.run(task("t"));
    let container_id = node.start();
    node.said.clear();
    node.shut_down_framework();
    assert!(node.said.contains(&Effect::Signal {
        container_id: container_id.clone(),
        signal: 15
    }));
    node.exit(&container_id, 15);
    assert!(node.drain().is_empty());
    assert!(node.core.state().frameworks.is_empty() && node.kept.streams.is_empty());
}

#[test]
fn what_cannot_be_run_is_refused_in_words() {
    let mut node = Node::running();
    let docker = ContainerInfo {
        r#type: container_info::Type::Docker as i32,
        ..Default::default()
    };
    node.run(TaskInfo {
        container: Some(docker),
        ..task("d")
    });
    let last = node.drain().pop().expect("an update");
    assert_eq!(
        (last.state(), last.reason()),
        (TaskFailed, Reason::ContainerLaunchFailed)
    );
    node.order(Order::RunTaskGroup(Box::new(node::RunTaskGroup {
        framework_info: framework(),
        executor: ExecutorInfo {
            executor_id: executor_id("g"),
            ..ExecutorInfo::default()
        },
        task_group: TaskGroupInfo {
            tasks: vec![task("g1"), task("g2")],
        },
        launch_executor: true,
        term: 3,
    })));
    assert!(
        node.said
            .iter()
            .any(|it| matches!(it, Effect::SendExited(_)))
    );
    assert_eq!(node.states(), [TaskFailed, TaskFailed]);
    assert!(node.core.state().frameworks.is_empty());
}
