use tepui_messages::agent::NodePhase;

use crate::compatibility::{Reconfiguration, Recovery};
use crate::testing::{
    TaskState::{TaskFailed, TaskFinished, TaskKilled, TaskRunning, TaskStarting},
    *,
};

#[test]
fn a_restarted_agent_finds_the_same_processes_and_the_exits_between() {
    let mut node = Node::running();
    for id in ["alive", "ended", "new", "lost"] {
        node.run(task(id));
        if id == "new" {
            node.launched();
        } else {
            node.start();
            node.drain();
        }
    }
    let mut again = node.restart("boot");
    let ids: BTreeMap<_, _> = again
        .core
        .containers
        .iter()
        .map(|(id, key)| (key.executor_id.clone(), id.clone()))
        .collect();
    let asked = again
        .said
        .iter()
        .filter(|it| matches!(it, Effect::Recover { .. }))
        .count();
    assert_eq!(asked, 4);
    again.on(Input::MasterConnected { connection: 1 });
    assert!(
        !again
            .said
            .iter()
            .any(|it| matches!(it, Effect::Register { .. })),
        "not before all is known"
    );
    let running = Fate::Running {
        shim: mark(),
        pid: 42,
    };
    let exited = Fate::Exited(ContainerExit {
        status: Some(3 << 8),
        limitation: None,
        is_forsaken: false,
    });
    for (id, fate) in [
        ("alive", running.clone()),
        ("ended", exited),
        ("new", running),
        ("lost", Fate::Gone),
    ] {
        again.on(Input::ContainerRecovered {
            container_id: ids[id].clone(),
            fate,
        });
    }
    assert!(matches!(again.said.last(), Some(Effect::Register { .. })));
    again.answer(registration());
    let mut told = again.drain();
    told.sort_by(|a, b| a.task_id.value.cmp(&b.task_id.value));
    let told: Vec<_> = told
        .iter()
        .map(|it| (it.task_id.value.as_str(), it.state(), it.message()))
        .collect();
    let expected = [
        ("ended", TaskFailed, "Command exited with status 3"),
        (
            "lost",
            TaskFailed,
            "Abnormal executor termination: unknown container",
        ),
        ("new", TaskStarting, ""),
        ("new", TaskRunning, ""),
    ];
    assert_eq!(told, expected);
    again.exit(&ids["alive"], 0);
    assert_eq!(again.states(), [TaskFinished]);
}

#[test]
fn a_launch_that_outlived_the_agent_is_told_of_once() {
    let mut node = Node::running();
    node.run(task("t"));
    let container_id = node.launched().order.container_id;
    node.forked(&container_id);
    assert_eq!(node.states(), [TaskStarting]);
    let mut again = node.restart("boot");
    let fate = Fate::Running {
        shim: mark(),
        pid: 42,
    };
    again.on(Input::ContainerRecovered { container_id, fate });
    again.connect();
    assert_eq!(again.states(), [TaskRunning]);
}

#[test]
fn after_a_reboot_every_task_has_ended() {
    let mut node = Node::running();
    node.run(task("t"));
    node.start();
    let mut again = node.restart("another boot");
    again.connect();
    assert_eq!(again.states(), [TaskStarting, TaskRunning, TaskFailed]);
    assert!(again.kept.tasks.is_empty());
}

#[test]
fn a_kill_is_remembered_over_a_restart() {
    let mut node = Node::running();
    node.run(task("t"));
    node.start();
    node.kill("t", None);
    let mut again = node.restart("boot");
    let container_id = again.core.containers.keys().next().expect("one").clone();
    again.found_running(&container_id);
    assert!(again.said.contains(&Effect::Signal {
        container_id: container_id.clone(),
        signal: 15
    }));
    again.exit(&container_id, 15);
    again.connect();
    assert_eq!(again.states().last(), Some(&TaskKilled));
}

#[test]
fn nobody_subscribes_before_the_agent_remembers() {
    use executor::call::Type;
    let (f, e) = (framework_id("f"), executor_id("e"));
    let mut node = Node::blank();
    for kind in [Type::Subscribe, Type::Update, Type::Heartbeat] {
        let refusal = node.core.refusal(&f, &e, kind).expect("refused");
        assert_eq!(
            (refusal.status, refusal.text.as_str()),
            (503, "Agent has not finished recovery")
        );
    }
    node.on(Input::Recovered(Box::default()));
    let refusal = node.core.refusal(&f, &e, Type::Subscribe).expect("refused");
    assert_eq!(
        (refusal.status, refusal.text.as_str()),
        (400, "Framework cannot be found")
    );
}

#[test]
fn attributes_in_another_order_are_the_same_agent() {
    let attributes = |text: &str| tepui_protocol::values::parse_attributes(text).expect(text);
    let mut node = Node::running();
    let info = node.kept.agent.as_mut().expect("registered");
    info.attributes = attributes("rack:a;for:x;for:y");
    let ending = |now: &str| {
        let mut again = Node::blank();
        let mut config = config();
        config.info.attributes = attributes(now);
        again.core = NodeCore::new(config);
        let agent = node
            .kept
            .agent
            .clone()
            .map(|info| (info, "boot".to_owned()));
        again.on(Input::Recovered(Box::new(Remembered {
            agent,
            ..Remembered::default()
        })));
        again.core.phase
    };
    assert_eq!(ending("for:y;rack:a;for:x"), NodePhase::Disconnected);
    assert_ne!(ending("for:y;rack:a"), NodePhase::Disconnected);
}

/// A later life on what `node` kept, told these things.
fn again(node: &Node, told: impl FnOnce(&mut NodeConfig)) -> Node {
    let mut again = Node::blank();
    let mut config = config();
    config.seed = [11, 13];
    told(&mut config);
    again.core = NodeCore::new(config);
    again.kept = node.kept.clone();
    let kept = node.kept.clone();
    again.on(Input::Recovered(Box::new(Remembered {
        agent: kept.agent.map(|info| (info, "boot".to_owned())),
        frameworks: kept.frameworks.into_values().collect(),
        containers: kept.containers.into_values().collect(),
        tasks: kept.tasks.into_values().collect(),
        streams: kept.streams,
        ..Remembered::default()
    })));
    again
}

#[test]
fn an_agent_that_cleans_up_kills_what_runs_and_ends() {
    let mut node = Node::running();
    node.run(task("t"));
    let container_id = node.start();
    let mut again = again(&node, |config| {
        config.recovery = Recovery::Cleanup;
        // It may be another agent altogether.
        config.info.hostname = "elsewhere".to_owned();
    });
    again.on(Input::ContainerRecovered {
        container_id: container_id.clone(),
        fate: Fate::Running {
            shim: mark(),
            pid: 7,
        },
    });
    let registers = |effect: &Effect| matches!(effect, Effect::Register { .. });
    assert!(!again.said.iter().any(registers));
    again.sleep(Duration::from_mins(1));
    let destroys = |effect: &Effect| matches!(effect, Effect::Destroy { container_id: it } if *it == container_id);
    assert!(again.said.iter().any(destroys));
    again.exit(&container_id, 9);
    let ends = |effect: &Effect| *effect == Effect::Exit(Ending::Asked);
    assert!(again.said.iter().any(ends));
    assert!(again.kept.agent.is_none(), "its next start is a new agent");
}

#[test]
fn one_that_has_nothing_to_clean_up_ends_at_once() {
    let mut node = Node::blank();
    let mut config = config();
    config.recovery = Recovery::Cleanup;
    node.core = NodeCore::new(config);
    node.on(Input::Recovered(Box::default()));
    assert!(node.said.contains(&Effect::Exit(Ending::Asked)));
}

#[test]
fn an_agent_that_has_more_than_before_stays_the_same_where_that_is_permitted() {
    let node = Node::running();
    let id = node.kept.agent.as_ref().expect("registered").id.clone();
    let more = |policy| {
        again(&node, |config| {
            config.reconfiguration = policy;
            config.info.resources = vec![scalar("cpus", 8.0)];
        })
    };
    let refused = more(Reconfiguration::Equal);
    assert!(
        refused
            .said
            .iter()
            .any(|it| matches!(it, Effect::Exit(Ending::Refused(text))
        if text.starts_with("the agent's resources changed since it was registered")))
    );
    let is_looked_after = |node: &Node| {
        let mut said = node.said.iter();
        said.any(|it| matches!(it, Effect::RecoveryEnded))
    };
    assert!(!is_looked_after(&refused), "containers wait on");
    let taken = more(Reconfiguration::Additive);
    assert!(is_looked_after(&taken));
    assert_eq!(taken.core.phase, NodePhase::Disconnected);
    let kept = taken.kept.agent.expect("kept");
    assert_eq!((kept.id, kept.resources), (id, vec![scalar("cpus", 8.0)]));
}

#[test]
fn what_was_killed_before_the_agent_died_stays_killed_and_its_executor_ends() {
    let mut node = Node::running();
    node.run(executor_task("t"));
    let container_id = node.start();
    node.kill("t", None);
    let mut again = node.restart("boot");
    again.found_running(&container_id);
    // It comes though it was to end.
    again.subscribe(3, Vec::new());
    use executor::event::Type;
    assert_eq!(again.events(), [Type::Subscribed, Type::Shutdown]);
    again.exit(&container_id, 0);
    again.connect();
    assert_eq!(again.states(), [TaskKilled]);
    assert!(again.kept.containers.is_empty());
}

#[test]
fn executors_that_ended_meanwhile_or_never_came_leave_their_tasks_failed_or_gone() {
    let mut node = Node::running();
    node.run(executor_task("t"));
    let container_id = node.start();
    let fate = |status| {
        Fate::Exited(ContainerExit {
            status,
            limitation: None,
            is_forsaken: false,
        })
    };
    for fate in [fate(Some(9)), Fate::Gone] {
        let mut again = node.restart("boot");
        again.on(Input::ContainerRecovered {
            container_id: container_id.clone(),
            fate,
        });
        again.connect();
        let told = again.drain().pop().expect("an update");
        assert_eq!(
            (told.state(), told.reason()),
            (TaskFailed, Reason::ExecutorTerminated)
        );
        assert!(again.kept.containers.is_empty() && again.kept.frameworks.is_empty());
    }
}

#[test]
fn what_of_a_framework_that_keeps_nothing_is_found_is_ended_in_silence() {
    let mut node = Node::running();
    node.order(careless_order());
    let container_id = node.start();
    let mut again = node.restart("boot");
    again.found_running(&container_id);
    let destroys =
        |it: &Effect| matches!(it, Effect::Destroy { container_id: id } if *id == container_id);
    assert!(again.said.iter().any(destroys));
    again.exit(&container_id, 9);
    again.connect();
    assert!(again.drain().is_empty());
    assert!(again.kept.frameworks.is_empty());
}

#[test]
fn the_master_hears_of_what_keeps_nothing_when_nothing_of_it_runs() {
    for ends_first in [true, false] {
        let mut node = Node::running();
        node.order(careless_order());
        let container_id = node.start();
        let mut again = node.restart("boot");
        again.found_running(&container_id);
        if ends_first {
            again.exit(&container_id, 9);
        }
        again.on(Input::MasterConnected { connection: 1 });
        again.answer(node::AgentRegistration {
            reconcile: vec![node::TaskKey {
                framework_id: framework_id("f"),
                task_id: task_id("t"),
                partition_aware: Some(true),
            }],
            ..registration()
        });
        if !ends_first {
            assert!(again.drain().is_empty(), "it still uses what it was given");
            again.exit(&container_id, 9);
        }
        let told = again.drain();
        let told: Vec<_> = told.iter().map(|it| (it.state(), it.reason())).collect();
        assert_eq!(
            told,
            [(TaskState::TaskDropped, Reason::Reconciliation)],
            "ends first: {ends_first}"
        );
    }
}

#[test]
fn what_has_ended_and_is_acknowledged_is_not_asked_for_again() {
    let mut node = Node::running();
    node.run(task("t"));
    let container_id = node.start();
    node.exit(&container_id, 0);
    node.drain();
    let mut again = node.restart("boot");
    let asks = |it: &Effect| matches!(it, Effect::Recover { .. });
    assert!(!again.said.iter().any(asks));
    again.connect();
    assert!(again.core.state().frameworks.is_empty());
}

#[test]
fn after_a_reboot_with_other_settings_it_is_a_new_agent_also_after_one_more_restart() {
    let mut node = Node::running();
    node.run(task("t"));
    node.start();
    let with_more = |node: &Node, boot: &str| {
        node.restart_with(|config| {
            config.boot_id = boot.to_owned();
            config.info.resources = vec![scalar("cpus", 8.0)];
        })
    };
    let again = with_more(&node, "another boot");
    assert_eq!(again.core.phase, NodePhase::Disconnected);
    assert!(again.kept.agent.is_none() && again.kept.tasks.is_empty());
    // It had not registered yet.
    let mut again = with_more(&again, "another boot");
    again.connect();
    assert!(again.drain().is_empty());
}

#[test]
fn a_process_of_another_boot_is_nobodys_whatever_its_number() {
    let mut node = Node::running();
    node.run(task("t"));
    node.start();
    let mut again = node.restart("another boot");
    let touches = |it: &Effect| {
        matches!(
            it,
            Effect::Recover { .. } | Effect::Destroy { .. } | Effect::Signal { .. }
        )
    };
    assert!(!again.said.iter().any(touches), "{:?}", again.said);
    again.connect();
    assert_eq!(again.states().last(), Some(&TaskFailed));
}

#[test]
fn frameworks_come_back_each_with_its_own() {
    let mut node = Node::running();
    for id in ["f", "g"] {
        let mut info = framework();
        info.id = Some(framework_id(id));
        node.order(Order::RunTask(Box::new(node::RunTask {
            framework_info: info,
            launch_executor: true,
            task: task(&format!("of-{id}")),
            term: 3,
        })));
        node.start();
        node.drain();
    }
    let mut again = node.restart("boot");
    let containers: Vec<_> = again.core.containers.keys().cloned().collect();
    for container_id in containers {
        let fate = Fate::Running {
            shim: mark(),
            pid: 42,
        };
        again.on(Input::ContainerRecovered { container_id, fate });
    }
    again.connect();
    assert!(again.drain().is_empty(), "there is nothing new to tell");
    let state = again.core.state();
    let runs = state.frameworks.iter().map(|it| {
        let tasks = &it.executors[0].launched_tasks;
        tasks[0].task_id.value.clone()
    });
    assert_eq!(runs.collect::<Vec<_>>(), ["of-f", "of-g"]);
}

#[test]
fn a_task_whose_executor_cannot_be_read_is_gone_and_the_others_are_not() {
    let mut node = Node::running();
    for id in ["t", "u"] {
        node.run(task(id));
        node.start();
        node.drain();
    }
    node.kept
        .containers
        .retain(|_, kept| kept.info.executor_id.value != "t");
    let mut again = node.restart("boot");
    let container_id = again.core.containers.keys().next().expect("one").clone();
    let fate = Fate::Running {
        shim: mark(),
        pid: 42,
    };
    again.on(Input::ContainerRecovered { container_id, fate });
    again.connect();
    let told = again.drain();
    let told: Vec<_> = told
        .iter()
        .map(|it| (it.task_id.value.as_str(), it.state()))
        .collect();
    assert_eq!(told, [("t", TaskState::TaskGone)]);
}

#[test]
fn a_group_of_a_framework_that_keeps_nothing_is_ended_too() {
    let mut node = Node::running();
    let mut careless = framework();
    careless.checkpoint = Some(false);
    let Order::RunTaskGroup(mut order) = group_order(pod(), vec![task("g")], true) else {
        unreachable!()
    };
    order.framework_info = careless;
    node.order(Order::RunTaskGroup(order));
    let outer = node.launched().order.container_id;
    node.on(started(&outer, 42));
    let inner = node.launched().order.container_id;
    node.on(started(&inner, 43));
    let mut again = node.restart("boot");
    for container_id in [outer.clone(), inner.clone()] {
        let fate = Fate::Running {
            shim: mark(),
            pid: 42,
        };
        again.on(Input::ContainerRecovered { container_id, fate });
    }
    let destroyed = |node: &Node, id: &String| {
        let mut said = node.said.iter();
        said.any(|it| matches!(it, Effect::Destroy { container_id } if container_id == id))
    };
    assert!(destroyed(&again, &inner) || destroyed(&again, &outer));
    again.exit(&inner, 9);
    again.exit(&outer, 9);
    again.connect();
    assert!(again.drain().is_empty() && again.kept.frameworks.is_empty());
}

/// What repeats a state, as a health check does, does not take the place of how the task began.
#[test]
fn a_task_has_the_statuses_it_had() {
    let mut node = Node::running();
    node.run(executor_task("t"));
    let container_id = node.start();
    node.subscribe(1, Vec::new());
    for (number, state) in [(1, TaskStarting), (2, TaskRunning), (3, TaskRunning)] {
        node.executor_says(number, state);
        node.drain();
        node.sleep(Duration::from_secs(10));
    }
    let statuses = |node: &Node| {
        let state = node.core.state();
        let executor = &state.frameworks[0].executors[0];
        let statuses = executor.launched_tasks[0].statuses.iter();
        let statuses = statuses.map(|it| (it.state(), it.uuid.clone()));
        statuses.collect::<Vec<_>>()
    };
    let before = statuses(&node);
    assert_eq!(before.len(), 2);
    let mut node = node.restart("boot");
    node.found_running(&container_id);
    assert_eq!(statuses(&node), before);
}
