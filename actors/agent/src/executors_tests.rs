use crate::testing::{
    TaskState::{TaskFailed, TaskRunning},
    *,
};

#[test]
fn a_custom_executor_subscribes_gets_its_tasks_and_is_acknowledged() {
    use executor::event::Type;
    let mut node = Node::running();
    node.run(executor_task("t"));
    let launch = node.launched();
    let env: BTreeMap<_, _> = launch.order.env.into_iter().collect();
    assert_eq!(env["MESOS_AGENT_ENDPOINT"], "127.0.0.1:5051");
    assert_eq!(env["MESOS_RECOVERY_TIMEOUT"], "15mins");
    let container_id = launch.order.container_id;
    let (f, e) = (framework_id("f"), executor_id("e"));
    let update = executor::call::Type::Update;
    let refusal = node.core.refusal(&f, &e, update).expect("refused");
    assert_eq!(
        (refusal.status, refusal.text.as_str()),
        (403, "Executor is not subscribed")
    );
    node.on(Input::ContainerStarted {
        container_id: container_id.clone(),
        shim: mark(),
        pid: 42,
    });
    node.subscribe(1, Vec::new());
    assert_eq!(node.events(), [Type::Subscribed, Type::Launch]);
    assert_eq!(node.core.refusal(&f, &e, update), None);
    node.executor_says(1, TaskRunning);
    node.executor_says(1, TaskRunning);
    assert_eq!(node.events(), [Type::Acknowledged, Type::Acknowledged]);
    assert_eq!(node.states(), [TaskRunning], "once");
    node.kill("t", None);
    assert_eq!(node.events(), [Type::Kill]);
    node.order(Order::ShutdownExecutor(node::ShutdownExecutor {
        framework_id: f,
        executor_id: e,
        term: 3,
    }));
    assert_eq!(node.events(), [Type::Shutdown]);
    node.sleep(Duration::from_secs(5));
    assert!(node.said.contains(&Effect::Destroy {
        container_id: container_id.clone()
    }));
    node.exit(&container_id, 9);
    let exited = node.said.iter().find_map(|it| match it {
        Effect::SendExited(exited) => Some(exited.status),
        _ => None,
    });
    assert_eq!(exited, Some(9));
    let last = node.drain().pop().expect("an update");
    assert_eq!(
        (last.state(), last.reason()),
        (TaskFailed, Reason::ExecutorTerminated)
    );
}

#[test]
fn a_message_of_a_leader_of_the_past_does_not_reach_the_executor() {
    use executor::event::Type;
    let mut node = Node::running();
    node.run(executor_task("t"));
    node.start();
    node.subscribe(1, Vec::new());
    node.events();
    for (term, events) in [
        (Some(2), &[][..]),
        (Some(3), &[Type::Message]),
        (None, &[Type::Message]),
    ] {
        node.order(Order::ToExecutor(node::ToExecutor {
            framework_id: framework_id("f"),
            executor_id: executor_id("e"),
            data: "hello".into(),
            term,
        }));
        assert_eq!(node.events(), events, "{term:?}");
    }
}

#[test]
fn executors_that_stay_away_are_destroyed() {
    let mut node = Node::running();
    node.run(executor_task("t"));
    let container_id = node.start();
    node.sleep(Duration::from_mins(1));
    assert!(node.said.contains(&Effect::Destroy {
        container_id: container_id.clone()
    }));
    // That it ends is decided, and why.
    node.kill("t", None);
    node.exit(&container_id, 9);
    let last = node.drain().pop().expect("an update");
    assert_eq!(last.message(), "Executor did not register within 1mins");

    // The same after a restart, within two seconds.
    node.run(executor_task("t"));
    node.start();
    node.subscribe(1, Vec::new());
    node.executor_says(1, TaskRunning);
    let mut again = node.restart("boot");
    let container_id = again.core.containers.keys().next().expect("one").clone();
    let fate = Fate::Running {
        shim: mark(),
        pid: 42,
    };
    again.on(Input::ContainerRecovered {
        container_id: container_id.clone(),
        fate: fate.clone(),
    });
    again.sleep(Duration::from_secs(2));
    assert!(again.said.contains(&Effect::Destroy {
        container_id: container_id.clone()
    }));
    again.exit(&container_id, 9);
    again.connect();
    let last = again.drain().pop().expect("an update");
    assert_eq!(
        (last.state(), last.reason()),
        (TaskState::TaskGone, Reason::ExecutorReregistrationTimeout)
    );

    // One that is back in time goes on; a task it never saw is dropped.
    let mut again = node.restart("boot");
    again.on(Input::ContainerRecovered { container_id, fate });
    again.subscribe(7, Vec::new());
    again.connect();
    assert_eq!(again.states(), [TaskRunning]);
}

#[test]
fn the_end_of_a_framework_shuts_its_executors_down() {
    use executor::event::Type;
    let mut node = Node::running();
    node.run(executor_task("t"));
    let container_id = node.start();
    node.subscribe(1, Vec::new());
    node.events();
    node.shut_down_framework();
    assert_eq!(node.events(), [Type::Shutdown]);
    node.sleep(Duration::from_secs(5));
    assert!(node.said.contains(&Effect::Destroy { container_id }));
}

#[test]
fn one_that_comes_back_without_a_task_and_never_had_any_is_ended() {
    use executor::event::Type;
    let mut node = Node::running();
    node.run(executor_task("t"));
    node.start();
    node.subscribe(1, Vec::new());
    // The agent died before its task reached it.
    let back = |node: &Node, tasks: Vec<TaskInfo>| {
        let mut again = node.restart("boot");
        let container_id = again.core.containers.keys().next().expect("one").clone();
        again.found_running(&container_id);
        again.subscribe(7, tasks);
        let events = again.events();
        again.connect();
        (events, again.drain().pop())
    };
    let (events, told) = back(&node, Vec::new());
    assert_eq!(events, [Type::Subscribed, Type::Shutdown]);
    let told = told.expect("an update");
    assert_eq!(
        (told.state(), told.reason()),
        (TaskState::TaskDropped, Reason::AgentRestarted)
    );
    // It has the task, though nobody was told so.
    let (events, told) = back(&node, vec![executor_task("t")]);
    assert_eq!(events, [Type::Subscribed]);
    assert_eq!(told, None);
    // It has had one before.
    node.executor_says(1, TaskRunning);
    node.executor_says(2, TaskState::TaskFinished);
    node.drain();
    let (events, told) = back(&node, Vec::new());
    assert_eq!(events, [Type::Subscribed]);
    assert_eq!(told, None);
}

#[test]
fn executors_have_the_agents_time_to_come_back() {
    let mut node = Node::running();
    node.run(executor_task("t"));
    node.start();
    node.subscribe(1, Vec::new());
    node.executor_says(1, TaskRunning);
    node.drain();
    for seconds in [2, 15] {
        let mut again = node.restart_with(|config| {
            config.executor_reregistration_timeout = Duration::from_secs(seconds);
        });
        let container_id = again.core.containers.keys().next().expect("one").clone();
        again.found_running(&container_id);
        let destroy = Effect::Destroy { container_id };
        again.sleep(Duration::from_millis(seconds * 1000 - 1));
        assert!(!again.said.contains(&destroy), "{seconds}");
        again.sleep(Duration::from_millis(1));
        assert!(again.said.contains(&destroy), "{seconds}");
    }
}

#[test]
fn a_second_end_that_comes_after_the_first_was_acknowledged_is_passed_on() {
    let mut node = Node::running();
    node.run(executor_task("t"));
    node.start();
    node.subscribe(1, Vec::new());
    node.executor_says(1, TaskState::TaskFinished);
    assert_eq!(node.states(), [TaskState::TaskFinished]);
    node.executor_says(2, TaskState::TaskKilled);
    assert_eq!(node.states(), [TaskState::TaskKilled]);
    use executor::event::Type;
    let acknowledged = node.events().into_iter();
    let acknowledged = acknowledged.filter(|it| *it == Type::Acknowledged);
    assert_eq!(acknowledged.count(), 2);
}

#[test]
fn an_executor_may_tell_of_another_ones_task_and_is_the_one_who_is_answered() {
    let mut node = Node::running();
    node.run(executor_task("t"));
    node.start();
    node.subscribe(1, Vec::new());
    node.executor_says(1, TaskRunning);
    node.drain();
    node.said.clear();
    // It has no stream: nobody else hears the answer in its place.
    node.executor_says_of("other", "t", 2, TaskState::TaskFinished);
    assert_eq!(node.events(), []);
    let told = node.drain();
    assert_eq!(told[0].state(), TaskState::TaskFinished);
    let state = node.core.state();
    assert!(state.frameworks[0].executors[0].launched_tasks.is_empty());
}

#[test]
fn no_executor_ends_what_the_agent_runs_or_has_not_handed_over() {
    let mut node = Node::running();
    node.run(task("command"));
    node.start();
    node.run(executor_task("queued"));
    node.start();
    node.drain();
    for task in ["command", "queued"] {
        node.executor_says_of("other", task, 2, TaskState::TaskFinished);
        assert!(node.states().is_empty(), "{task}");
    }
}

#[test]
fn a_task_that_an_executor_invents_is_told_of_once_and_leaves_nothing() {
    let mut node = Node::running();
    node.run(executor_task("t"));
    node.start();
    node.subscribe(1, Vec::new());
    node.executor_says(1, TaskRunning);
    node.drain();
    let streams = node.kept.streams.len();
    node.said.clear();
    node.executor_says_of("e", "invented", 2, TaskRunning);
    assert_eq!(node.states(), [TaskRunning]);
    assert_eq!(node.events(), [executor::event::Type::Acknowledged]);
    assert_eq!(node.kept.streams.len(), streams);
    node.said.clear();
    node.sleep(Duration::from_mins(20));
    assert!(node.states().is_empty(), "not again");
}
