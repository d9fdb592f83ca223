use crate::engine::EngineConfig;
use crate::testing::{
    TaskState::{TaskDropped, TaskFailed, TaskKilled, TaskRunning},
    *,
};

fn launch(node: &mut Node, id: &str, launch_executor: bool) {
    node.order(Order::RunTask(Box::new(node::RunTask {
        framework_info: framework(),
        launch_executor,
        task: executor_task(id),
        term: 3,
    })));
}

fn destroyed(node: &Node, id: &str) -> bool {
    let mut said = node.said.iter();
    said.any(|it| matches!(it, Effect::Destroy { container_id } if container_id == id))
}

#[test]
fn each_of_several_tasks_that_wait_is_told_of_as_killed() {
    let mut node = Node::running();
    launch(&mut node, "t", true);
    launch(&mut node, "u", false);
    let container_id = node.launched().order.container_id;
    node.kill("t", None);
    assert!(!destroyed(&node, &container_id), "one waits for it");
    node.kill("u", None);
    assert!(
        destroyed(&node, &container_id),
        "nobody waits for it any more"
    );
    let told = node.drain();
    let told: Vec<_> = told.iter().map(|it| (it.state(), it.reason())).collect();
    let killed = (TaskKilled, Reason::TaskKilledDuringLaunch);
    assert_eq!(told, [killed, killed]);
}

#[test]
fn an_executor_whose_tasks_were_all_killed_before_it_came_ends() {
    for starts in [false, true] {
        let mut node = Node::running();
        let custom = executor_task("t").executor.unwrap();
        node.order(group_order(custom, vec![task("g1"), task("g2")], true));
        let container_id = if starts {
            node.start()
        } else {
            node.launched().order.container_id
        };
        node.kill("g1", None);
        assert!(destroyed(&node, &container_id));
        let told = node.drain();
        let told: Vec<_> = told.iter().map(|it| (it.state(), it.reason())).collect();
        let killed = (TaskKilled, Reason::TaskKilledDuringLaunch);
        assert_eq!(told, [killed, killed]);
        // It comes all the same, before its end.
        node.subscribe(1, Vec::new());
        assert_eq!(node.events(), [executor::event::Type::Shutdown]);
        node.exit(&container_id, 9);
        assert!(node.core.state().frameworks.is_empty());
    }
}

#[test]
fn a_task_for_an_executor_that_is_ending_is_dropped() {
    let mut node = Node::running();
    launch(&mut node, "t", true);
    let container_id = node.start();
    node.subscribe(1, Vec::new());
    node.executor_says(1, TaskRunning);
    node.drain();
    node.order(Order::ShutdownExecutor(node::ShutdownExecutor {
        framework_id: framework_id("f"),
        executor_id: executor_id("e"),
        term: 3,
    }));
    launch(&mut node, "u", false);
    let told = node.drain().pop().expect("an update");
    assert_eq!(
        (told.state(), told.reason(), told.message()),
        (
            TaskDropped,
            Reason::ExecutorTerminated,
            "Executor terminating"
        )
    );
    node.exit(&container_id, 0);
    assert_eq!(node.states(), [TaskFailed]);
}

#[test]
fn an_executor_has_its_own_grace_to_end_or_else_the_agents() {
    for (own, agents, expected) in [(None, 5, 5), (Some(9), 5, 9), (Some(1), 5, 1), (None, 7, 7)] {
        let mut node = Node::running();
        node.core.config.executor_shutdown_grace = Duration::from_secs(agents);
        let mut task = executor_task("t");
        task.executor.as_mut().unwrap().shutdown_grace_period =
            own.map(|seconds: i64| DurationInfo {
                nanoseconds: seconds * 1_000_000_000,
            });
        node.run(task);
        let launch = node.launched();
        let env: BTreeMap<_, _> = launch.order.env.into_iter().collect();
        let shown = &env["MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"];
        assert_eq!(*shown, format!("{expected}secs"));
        let container_id = launch.order.container_id;
        node.on(Input::ContainerStarted {
            container_id: container_id.clone(),
            shim: mark(),
            pid: 42,
        });
        node.subscribe(1, Vec::new());
        node.order(Order::ShutdownExecutor(node::ShutdownExecutor {
            framework_id: framework_id("f"),
            executor_id: executor_id("e"),
            term: 3,
        }));
        node.sleep(Duration::from_millis(expected * 1000 - 1));
        assert!(!destroyed(&node, &container_id), "{own:?}");
        node.sleep(Duration::from_millis(1));
        assert!(destroyed(&node, &container_id), "{own:?}");
    }
}

#[test]
fn without_the_capability_nobody_hears_of_killing() {
    let mut node = Node::running();
    node.run(task("t"));
    let container_id = node.start();
    let framework = node.core.frameworks.get_mut("f").unwrap();
    std::sync::Arc::make_mut(&mut framework.info)
        .capabilities
        .clear();
    node.drain();
    node.kill("t", None);
    assert!(node.drain().is_empty());
    node.exit(&container_id, 15);
    assert_eq!(node.states(), [TaskKilled]);
}

/// The first group was to bring the executor. A kill that comes before the others leaves them nothing to run in; one
/// that comes when they wait already is no reason to lose them.
#[test]
fn groups_that_come_after_the_first_was_killed_are_dropped() {
    let group = |id: &str, launches| group_order(pod(), vec![task(id)], launches);
    let told = |node: &mut Node| -> Vec<_> {
        let told = node.drain();
        let told = told.iter();
        told.map(|it| (it.task_id.value.clone(), it.state()))
            .collect()
    };
    let mut node = Node::running();
    node.order(group("a", true));
    node.kill("a", None);
    node.order(group("b", false));
    node.order(group("c", false));
    let expected = [("a", TaskKilled), ("b", TaskDropped), ("c", TaskDropped)];
    assert_eq!(
        told(&mut node),
        expected.map(|(id, state)| (id.to_owned(), state))
    );

    let mut node = Node::running();
    node.order(group("a", true));
    node.order(group("b", false));
    node.kill("a", None);
    assert_eq!(told(&mut node), [("a".to_owned(), TaskKilled)]);
    let pod_id = launches_of(&node)[0].clone();
    node.on(started(&pod_id, 42));
    let told = node.drain();
    let told = told
        .iter()
        .map(|it| (it.task_id.value.as_str(), it.state()));
    assert_eq!(told.collect::<Vec<_>>(), [("b", TaskState::TaskStarting)]);
}

fn launches_of(node: &Node) -> Vec<String> {
    let said = node.said.iter();
    let launched = said.filter_map(|it| match it {
        Effect::Launch(launch) => Some(launch.order.container_id.clone()),
        _ => None,
    });
    launched.collect()
}

#[test]
fn what_an_engine_runs_has_the_grace_of_executors() {
    let mut node = Node::running();
    node.core.config.engine = Some(EngineConfig::default());
    node.core.config.executor_shutdown_grace = Duration::from_secs(20);
    node.run(TaskInfo {
        container: Some(ContainerInfo {
            r#type: container_info::Type::Docker as i32,
            docker: Some(container_info::DockerInfo {
                image: "box".to_owned(),
                ..container_info::DockerInfo::default()
            }),
            ..ContainerInfo::default()
        }),
        ..task("t")
    });
    let container_id = node.start();
    node.kill("t", None);
    node.sleep(Duration::from_secs(19));
    assert!(!destroyed(&node, &container_id));
    node.sleep(Duration::from_secs(1));
    assert!(destroyed(&node, &container_id));
}

#[test]
fn an_executor_that_is_away_for_a_moment_has_its_grace_and_is_told_when_it_is_back() {
    let mut node = Node::running();
    launch(&mut node, "t", true);
    let container_id = node.start();
    node.subscribe(1, Vec::new());
    node.on(Input::ExecutorStreamLost {
        framework_id: framework_id("f"),
        executor_id: executor_id("e"),
        stream_id: 1,
    });
    node.events();
    node.order(Order::ShutdownExecutor(node::ShutdownExecutor {
        framework_id: framework_id("f"),
        executor_id: executor_id("e"),
        term: 3,
    }));
    assert!(!destroyed(&node, &container_id));
    node.subscribe(2, Vec::new());
    assert_eq!(node.events(), [executor::event::Type::Shutdown]);
    node.sleep(Duration::from_secs(4));
    assert!(!destroyed(&node, &container_id));
    node.sleep(Duration::from_secs(1));
    assert!(destroyed(&node, &container_id));
}

#[test]
fn a_time_of_none_is_no_bound_and_one_that_is_over_is_told_by_the_end_alone() {
    for (seconds, states) in [(0, vec![]), (2, vec![TaskState::TaskFailed])] {
        let mut node = Node::running();
        node.run(bounded(seconds, task("t")));
        let container_id = node.start();
        node.drain();
        node.sleep(Duration::from_secs(2));
        let destroy = Effect::Destroy {
            container_id: container_id.clone(),
        };
        assert_eq!(node.said.contains(&destroy), seconds > 0);
        if seconds > 0 {
            node.exit(&container_id, 9);
        }
        assert_eq!(node.states(), states);
    }
}

#[test]
fn an_executor_that_is_shut_down_does_not_wait_for_a_kill_of_an_hour() {
    let mut node = Node::running();
    node.run(task("t"));
    let container_id = node.start();
    node.drain();
    node.kill("t", Some(3_600));
    node.shut_down_framework();
    node.said.clear();
    node.sleep(Duration::from_secs(3));
    assert!(node.said.contains(&Effect::Destroy { container_id }));
}

#[test]
fn a_kill_goes_on_over_a_restart_as_it_was() {
    let mut node = Node::running();
    node.run(task("t"));
    let container_id = node.start();
    node.drain();
    node.kill("t", Some(3_600));
    assert_eq!(node.states(), [TaskState::TaskKilling]);
    let mut node = node.restart("boot");
    node.found_running(&container_id);
    node.connect();
    assert_eq!(node.states(), [], "it was told");
    let destroy = Effect::Destroy {
        container_id: container_id.clone(),
    };
    node.sleep(Duration::from_secs(3_599));
    assert!(!node.said.contains(&destroy));
    node.sleep(Duration::from_secs(1));
    assert!(node.said.contains(&destroy));
}

#[test]
fn a_task_whose_time_was_over_before_a_restart_has_failed() {
    let mut node = Node::running();
    node.run(bounded(2, task("t")));
    let container_id = node.start();
    node.drain();
    node.sleep(Duration::from_secs(2));
    let mut node = node.restart("boot");
    node.on(Input::ContainerRecovered {
        container_id,
        fate: Fate::Exited(ContainerExit {
            status: Some(9),
            limitation: None,
            is_forsaken: false,
        }),
    });
    node.connect();
    let last = node.drain().pop().expect("its end");
    assert_eq!(last.reason(), Reason::MaxCompletionTimeReached);
}

#[test]
fn a_kill_that_hangs_is_told_with_what_it_waits_for() {
    let mut node = Node::running();
    node.run(task("t"));
    let container_id = node.start();
    node.drain();
    let hangs = || Input::KillHangs {
        container_id: container_id.clone(),
        why: "it waits".to_owned(),
    };
    // As where it ends for another reason than a kill.
    node.on(hangs());
    assert_eq!(node.states(), []);
    node.kill("t", Some(0));
    node.on(hangs());
    let told = node.drain();
    let told: Vec<_> = told.iter().map(|it| (it.state(), it.message())).collect();
    let killing = TaskState::TaskKilling;
    assert_eq!(told, [(killing, ""), (killing, "it waits")]);
    node.exit(&container_id, 9);
    node.on(hangs());
    assert_eq!(node.states(), [TaskKilled]);
}
