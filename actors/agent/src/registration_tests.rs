use crate::testing::{
    TaskState::{TaskDropped, TaskFinished, TaskLost, TaskRunning, TaskStaging, TaskStarting},
    *,
};

#[test]
fn updates_wait_for_the_master_and_go_on_at_once_when_it_is_back() {
    let mut node = Node::running();
    node.run(task("t"));
    let container_id = node.start();
    node.on(Input::MasterLost { connection: 1 });
    node.said.clear();
    node.exit(&container_id, 0);
    node.sleep(Duration::from_mins(1));
    assert!(
        !node
            .said
            .iter()
            .any(|it| matches!(it, Effect::SendUpdate(_)))
    );
    node.on(Input::MasterConnected { connection: 1 });
    let Some(Effect::Register { request, .. }) = node.said.last() else {
        panic!("{:?}", node.said)
    };
    assert_eq!(request.tasks.len(), 1);
    assert_eq!(request.tasks[0].state(), TaskFinished);
    node.answer(registration());
    assert_eq!(node.states(), [TaskStarting, TaskRunning, TaskFinished]);
}

#[test]
fn a_scheduler_that_is_back_hears_at_once_of_what_it_missed() {
    let mut node = Node::running();
    node.run(task("t"));
    node.start();
    // Nobody acknowledges.
    let is_update = |it: &Effect| matches!(it, Effect::SendUpdate(_));
    for _ in 0..5 {
        node.sleep(Duration::from_mins(3));
    }
    node.said.clear();
    node.sleep(Duration::from_secs(1));
    assert!(!node.said.iter().any(is_update), "{:?}", node.said);
    node.order(Order::UpdateFramework(Box::new(node::UpdateFramework {
        framework_info: framework(),
        term: 3,
    })));
    assert_eq!(node.said.iter().filter(|it| is_update(it)).count(), 1);
    // And as often from then on as at first. The time it waited for is nobody's any more.
    let of_updates = |it: &&(Duration, Timer)| matches!(it.1, Timer::Update(_));
    assert_eq!(node.core.timers.iter().filter(of_updates).count(), 1);
    node.said.clear();
    node.sleep(node.core.config.update_retry_min);
    assert_eq!(node.said.iter().filter(|it| is_update(it)).count(), 1);
    assert_eq!(node.states(), [TaskStarting, TaskRunning]);
}

#[test]
fn orders_of_a_lower_term_are_refused_and_early_ones_wait() {
    let mut node = Node::blank();
    node.on(Input::Recovered(Box::default()));
    node.on(Input::MasterConnected { connection: 1 });
    node.run(task("t"));
    assert!(!node.said.iter().any(|it| matches!(it, Effect::Launch(_))));
    node.answer(registration());
    node.launched();
    let run = node::RunTask {
        framework_info: framework(),
        task: task("u"),
        launch_executor: true,
        term: 2,
    };
    node.order(Order::RunTask(Box::new(run)));
    assert!(!node.said.iter().any(|it| matches!(it, Effect::Launch(_))));
}

#[test]
fn registration_is_tried_again_and_an_order_to_end_ends() {
    let mut node = Node::blank();
    node.on(Input::Recovered(Box::default()));
    node.on(Input::MasterConnected { connection: 1 });
    for _ in 0..5 {
        node.said.clear();
        let answer = Err("timeout".to_owned());
        node.on(Input::RegistrationAnswered {
            connection: 1,
            answer,
        });
        assert!(node.said.is_empty());
        node.sleep(Duration::from_mins(1));
        assert!(matches!(node.said.as_slice(), [Effect::Register { .. }]));
    }
    node.answer(node::AgentRegistration {
        refusal: Some("Agent is gone".to_owned()),
        shutdown: Some(true),
        ..node::AgentRegistration::default()
    });
    let ending = Ending::Refused("Agent is gone".to_owned());
    assert_eq!(node.said.last(), Some(&Effect::Exit(ending)));
}

#[test]
fn tasks_the_master_has_and_the_agent_does_not_are_told() {
    let mut node = Node::running();
    node.run(task("t"));
    node.on(Input::MasterLost { connection: 1 });
    node.on(Input::MasterConnected { connection: 1 });
    let key = |id| node::TaskKey {
        framework_id: framework_id("f"),
        task_id: task_id(id),
        partition_aware: None,
    };
    node.answer(node::AgentRegistration {
        reconcile: vec![key("t"), key("x")],
        ..registration()
    });
    let told = node.drain();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].task_id.value.as_str(), told[0].state()),
        ("x", TaskDropped)
    );
    assert_eq!(
        (told[0].source(), told[0].reason()),
        (Source::Agent, Reason::Reconciliation)
    );
}

/// Of a framework the agent does not know; only the master can say what states that one understands.
#[test]
fn a_dropped_task_of_an_unknown_framework_is_lost_or_dropped_as_the_framework_knows() {
    for (aware, state) in [
        (Some(true), TaskDropped),
        (Some(false), TaskLost),
        (None, TaskLost),
    ] {
        let mut node = Node::running();
        node.on(Input::MasterLost { connection: 1 });
        node.on(Input::MasterConnected { connection: 1 });
        let unknown = node::TaskKey {
            framework_id: framework_id("g"),
            task_id: task_id("y"),
            partition_aware: aware,
        };
        node.answer(node::AgentRegistration {
            reconcile: vec![unknown],
            ..registration()
        });
        let told = node.drain();
        assert_eq!(
            (told[0].task_id.value.as_str(), told[0].state()),
            ("y", state)
        );
        assert_eq!(
            (told[0].source(), told[0].reason()),
            (Source::Agent, Reason::Reconciliation)
        );
    }
}

/// MESOS-1696.
#[test]
fn a_task_that_overtook_the_answer_is_not_told_as_unknown() {
    let mut node = Node::running();
    node.on(Input::MasterLost { connection: 1 });
    node.on(Input::MasterConnected { connection: 1 });
    node.run(task("t"));
    let key = node::TaskKey {
        framework_id: framework_id("f"),
        task_id: task_id("t"),
        partition_aware: Some(true),
    };
    node.answer(node::AgentRegistration {
        reconcile: vec![key],
        ..registration()
    });
    assert!(node.states().is_empty());
    let container_id = node.start();
    node.exit(&container_id, 0);
    assert_eq!(node.states(), [TaskStarting, TaskRunning, TaskFinished]);
}

#[test]
fn an_agent_that_returns_lists_what_waits_and_what_runs() {
    let mut node = Node::running();
    node.run(task("waits"));
    node.launched();
    node.run(executor_task("t"));
    node.start();
    node.subscribe(1, Vec::new());
    node.executor_says(1, TaskRunning);
    node.on(Input::MasterLost { connection: 1 });
    node.on(Input::MasterConnected { connection: 1 });
    let Some(Effect::Register { request, .. }) = node.said.last() else {
        panic!("{:?}", node.said)
    };
    let frameworks = request.frameworks.iter();
    let frameworks: Vec<_> = frameworks.map(|info| info.id.clone()).collect();
    assert_eq!(frameworks, [Some(framework_id("f"))]);
    let executors = request.executors.iter();
    let executors: Vec<_> = executors.map(|info| &info.executor_id).collect();
    assert_eq!(executors, [&executor_id("e")], "none of the agent's own");
    let tasks = request.tasks.iter();
    let mut tasks: Vec<_> = tasks
        .map(|task| {
            let id = task.task_id.value.as_str();
            (id, task.state(), task.executor_id.clone())
        })
        .collect();
    tasks.sort_by_key(|task| task.0);
    assert_eq!(
        tasks,
        [
            ("t", TaskRunning, Some(executor_id("e"))),
            ("waits", TaskStaging, None)
        ]
    );
}

#[test]
fn a_master_of_a_lower_term_does_not_register_an_agent_that_knows_a_higher_one() {
    let mut node = Node::running();
    node.on(Input::MasterLost { connection: 1 });
    node.on(Input::MasterConnected { connection: 2 });
    let Some(Effect::Register { connection, .. }) = node.said.last() else {
        panic!("{:?}", node.said)
    };
    let connection = *connection;
    let stale = node::AgentRegistration {
        term: Some(2),
        ..registration()
    };
    node.said.clear();
    node.on(Input::RegistrationAnswered {
        connection,
        answer: Ok(Box::new(stale)),
    });
    assert!(node.said.is_empty());
    node.run(task("t"));
    assert!(!node.said.iter().any(|it| matches!(it, Effect::Launch(_))));
    // It asks again; by then another one may lead.
    node.sleep(Duration::from_mins(1));
    assert!(matches!(node.said.as_slice(), [Effect::Register { .. }]));
}

/// A leader that was stopped may go on and find an agent that was restarted meanwhile.
#[test]
fn a_restarted_agent_obeys_no_master_of_a_lower_term_than_it_has_seen() {
    let mut node = Node::running();
    node.on(Input::MasterLost { connection: 1 });
    node.on(Input::MasterConnected { connection: 1 });
    let mut effects = Vec::new();
    let answer = Input::RegistrationAnswered {
        connection: 1,
        answer: Ok(Box::new(node::AgentRegistration {
            term: Some(5),
            ..registration()
        })),
    };
    node.core.on(node.now, answer, &mut effects);
    let Some(Effect::Keep { changes, synced }) = effects.into_iter().next() else {
        panic!("what is kept comes first")
    };
    assert!(synced && changes == [Keep::Term(5)]);
    changes.into_iter().for_each(|it| node.kept.apply(it));
    for boot_id in ["boot", "next boot"] {
        let mut again = node.restart(boot_id);
        again.on(Input::MasterConnected { connection: 1 });
        again.answer_of_term(4);
        again.run(task("t"));
        assert!(!again.said.iter().any(|it| matches!(it, Effect::Launch(_))));
        again.sleep(Duration::from_mins(1));
        again.answer_of_term(6);
        assert_eq!(again.kept.term, 6);
        again.order(Order::RunTask(Box::new(node::RunTask {
            framework_info: framework(),
            task: task("t"),
            launch_executor: true,
            term: 7,
        })));
        let first = again
            .said
            .iter()
            .position(|it| matches!(it, Effect::Launch(_)));
        assert!(first.is_some(), "{:?}", again.said);
        assert_eq!(again.kept.term, 7);
    }
}

#[test]
fn an_agent_that_returns_tells_what_ended_while_it_is_remembered() {
    let mut node = Node::running();
    for id in ["first", "second"] {
        node.run(task(id));
        let container_id = node.start();
        node.exit(&container_id, 0);
        assert_eq!(node.states(), [TaskStarting, TaskRunning, TaskFinished]);
    }
    node.run(task("runs"));
    node.on(Input::MasterLost { connection: 1 });
    node.on(Input::MasterConnected { connection: 2 });
    let Some(Effect::Register { request, .. }) = node.said.last() else {
        panic!("{:?}", node.said)
    };
    let tasks = request.tasks.iter().map(|task| task.task_id.value.as_str());
    assert_eq!(tasks.collect::<Vec<_>>(), ["runs"]);
    let [completed] = request.completed.as_slice() else {
        panic!("{:?}", request.completed)
    };
    assert_eq!(completed.framework_info.id, Some(framework_id("f")));
    let tasks = completed.tasks.iter();
    let tasks: Vec<_> = tasks
        .map(|task| (task.task_id.value.as_str(), task.state()))
        .collect();
    assert_eq!(tasks, [("second", TaskFinished), ("first", TaskFinished)]);
}

#[test]
fn what_ended_is_told_within_a_bound_of_bytes_the_newest_first() {
    let mut node = Node::running();
    for id in ["first", "second"] {
        let mut large = task(id);
        let label = tepui_protocol::v1::Label {
            key: "k".to_owned(),
            value: Some("v".repeat(3 << 20)),
        };
        large.labels = Some(tepui_protocol::v1::Labels {
            labels: vec![label],
        });
        node.run(large);
        let container_id = node.start();
        node.exit(&container_id, 0);
        assert_eq!(node.states(), [TaskStarting, TaskRunning, TaskFinished]);
    }
    node.on(Input::MasterLost { connection: 1 });
    node.on(Input::MasterConnected { connection: 2 });
    let Some(Effect::Register { request, .. }) = node.said.last() else {
        panic!("{:?}", node.said)
    };
    let [completed] = request.completed.as_slice() else {
        panic!("{:?}", request.completed)
    };
    let tasks = completed.tasks.iter().map(|it| it.task_id.value.as_str());
    assert_eq!(tasks.collect::<Vec<_>>(), ["second"]);
}

#[test]
fn an_executor_that_ends_while_registration_is_under_way_is_told_of_with_the_answer() {
    let mut node = Node::running();
    node.run(executor_task("t"));
    let container_id = node.start();
    node.on(Input::MasterLost { connection: 1 });
    node.on(Input::MasterConnected { connection: 1 });
    let Some(Effect::Register { request, .. }) = node.said.last() else {
        panic!("{:?}", node.said)
    };
    assert_eq!(request.executors.len(), 1, "the master will believe in it");
    let told = |node: &Node| {
        let exits = node.said.iter();
        let exits = exits.filter(|it| matches!(it, Effect::SendExited(_)));
        exits.count()
    };
    node.exit(&container_id, 9);
    assert_eq!(told(&node), 0, "there is no master to tell");
    node.answer(registration());
    assert_eq!(told(&node), 1);
    node.on(Input::MasterLost { connection: 1 });
    node.on(Input::MasterConnected { connection: 1 });
    node.answer(registration());
    assert_eq!(told(&node), 1, "once");
}
