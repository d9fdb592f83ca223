use std::sync::Arc;

use tepui_protocol::v1::{Environment, Label, Labels, environment, resource};

use crate::{
    testing::{
        TaskState::{TaskDropped, TaskFailed, TaskGone, TaskKilled, TaskLost, TaskRunning},
        *,
    },
    tokens::TokenKey,
};

fn environment(node: &mut Node) -> BTreeMap<String, String> {
    node.launched().order.env.into_iter().collect()
}

fn exited(node: &Node) -> Vec<i32> {
    let said = node.said.iter();
    let exits = said.filter_map(|it| match it {
        Effect::SendExited(exited) => Some(exited.status),
        _ => None,
    });
    exits.collect()
}

fn destroyed(node: &Node, id: &str) -> bool {
    let mut said = node.said.iter();
    said.any(|it| matches!(it, Effect::Destroy { container_id } if container_id == id))
}

#[test]
fn without_a_directory_of_its_own_a_task_is_dropped_and_told_why() {
    let mut node = Node::running();
    for (task, expected) in [(task("t"), 0), (executor_task("t"), 1)] {
        node.run(task);
        let container_id = node.launched().order.container_id;
        node.on(Input::NoSandbox {
            container_id,
            message: "there is no user 'nobody-here'".to_owned(),
        });
        assert_eq!(
            exited(&node).len(),
            expected,
            "of custom executors the master is told"
        );
        let told = node.drain();
        let told: Vec<_> = told
            .iter()
            .map(|it| (it.state(), it.source(), it.reason(), it.message()))
            .collect();
        let why = "there is no user 'nobody-here'";
        let reason = Reason::ExecutorTerminated;
        assert_eq!(told, [(TaskDropped, Source::Agent, reason, why)]);
        assert!(node.core.state().frameworks.is_empty());
    }
}

#[test]
fn a_command_runs_as_its_user_or_else_as_the_frameworks() {
    let mut node = Node::running();
    node.run(task("t"));
    assert_eq!(node.launched().order.user.as_deref(), Some("nobody"));
    let mut own = task("u");
    own.command.as_mut().unwrap().user = Some("somebody".to_owned());
    node.run(own);
    assert_eq!(node.launched().order.user.as_deref(), Some("somebody"));
}

#[test]
fn the_executor_of_a_command_has_its_settings_and_not_its_arguments() {
    let mut node = Node::running();
    let container = ContainerInfo {
        r#type: container_info::Type::Mesos as i32,
        ..ContainerInfo::default()
    };
    node.run(TaskInfo {
        command: Some(CommandInfo {
            shell: Some(false),
            value: Some("/bin/echo".to_owned()),
            arguments: vec!["/bin/echo".to_owned(), "--author".to_owned()],
            ..CommandInfo::default()
        }),
        container: Some(container.clone()),
        ..task("t")
    });
    let info = node.core.state().frameworks[0].executors[0].info.clone();
    let command = info.command.clone().unwrap();
    assert_eq!(command.arguments[0], "mesos-executor");
    assert!(!command.arguments.iter().any(|it| it == "--author"));
    assert_eq!(info.container, Some(container));
    assert_eq!(node.launched().order.argv, ["/bin/echo", "--author"]);
}

#[test]
fn variables_of_the_order_win_and_name_the_role() {
    let variable = |name: &str, value: &str| environment::Variable {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        ..environment::Variable::default()
    };
    let mut node = Node::running();
    node.core.config.environment = vec![
        ("PATH".to_owned(), "/agents".to_owned()),
        ("LANG".to_owned(), "C".to_owned()),
    ];
    let mut cpus = scalar("cpus", 0.1);
    cpus.allocation_info = Some(resource::AllocationInfo {
        role: Some("web".to_owned()),
    });
    let mut command = task("t");
    command.resources = vec![cpus.clone()];
    command.command.as_mut().unwrap().environment = Some(Environment {
        variables: vec![variable("PATH", "/own")],
    });
    node.run(command.clone());
    let env = environment(&mut node);
    assert_eq!((env["PATH"].as_str(), env["LANG"].as_str()), ("/own", "C"));
    assert_eq!(env["MESOS_ALLOCATION_ROLE"], "web");
    // Each task of a group has that of its own resources.
    let mut pod = pod();
    pod.resources
        .iter_mut()
        .for_each(|it| it.allocation_info = cpus.allocation_info.clone());
    command.task_id = task_id("g");
    node.order(group_order(pod, vec![command], true));
    let outer = node.launched().order.container_id;
    node.on(started(&outer, 42));
    assert_eq!(environment(&mut node)["MESOS_ALLOCATION_ROLE"], "web");
}

#[test]
fn custom_executors_are_given_a_token_of_their_own_container_and_nobody_else_is() {
    let token = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN";
    let key = TokenKey::new(b"secret");
    let mut node = Node::running();
    node.run(executor_task("x"));
    assert!(!environment(&mut node).contains_key(token));
    let mut node = Node::running();
    node.core.config.token_key = Some(key.clone());
    node.run(executor_task("t"));
    let order = node.launched().order;
    let env: BTreeMap<_, _> = order.env.into_iter().collect();
    let claims = key.verify(&env[token]).unwrap();
    assert_eq!(claims.container_id, order.container_id);
    let (f, e) = (framework_id("f"), executor_id("e"));
    assert_eq!(node.core.claims_refusal(Some(&claims), &f, &e), None);
    assert_eq!(node.core.claims_refusal(None, &f, &e), None, "nobody asks");
    let foreign = [
        ("an 'fid' claim", ("g", "e", claims.container_id.as_str())),
        ("an 'eid' claim", ("f", "other", &claims.container_id)),
        ("a 'cid' claim", ("f", "e", "of an earlier run")),
    ];
    for (what, (framework, executor, container)) in foreign {
        let claims = tepui_messages::agent::ExecutorClaims {
            framework_id: framework.to_owned(),
            executor_id: executor.to_owned(),
            container_id: container.to_owned(),
        };
        let refusal = node.core.claims_refusal(Some(&claims), &f, &e).expect(what);
        assert_eq!(refusal.status, 403);
        assert!(refusal.text.contains(what), "{}", refusal.text);
    }
    node.run(task("u"));
    assert!(!environment(&mut node).contains_key(token));
}

#[test]
fn one_whose_files_do_not_come_in_time_was_never_launched() {
    let mut node = Node::running();
    node.run(executor_task("t"));
    let container_id = node.launched().order.container_id;
    node.sleep(Duration::from_mins(1));
    assert!(destroyed(&node, &container_id));
    node.on(Input::LaunchFailed {
        container_id,
        message: "it was killed before it started".to_owned(),
    });
    let told = node.drain().pop().expect("an update");
    assert_eq!(
        (told.state(), told.source(), told.reason()),
        (TaskFailed, Source::Agent, Reason::ContainerLaunchFailed)
    );
    assert_eq!(exited(&node).len(), 1);
}

#[test]
fn where_limits_cannot_be_changed_the_container_is_ended_and_its_tasks_are_gone() {
    for (aware, expected) in [(true, TaskGone), (false, TaskLost)] {
        let mut node = Node::running();
        node.run(executor_task("t"));
        let container_id = node.start();
        let framework = node.core.frameworks.get_mut("f").unwrap();
        if !aware {
            Arc::make_mut(&mut framework.info).capabilities.clear();
        }
        node.subscribe(1, Vec::new());
        node.executor_says(1, TaskRunning);
        // The order stands before the task is handed over.
        let place = |wanted: fn(&Effect) -> bool| node.said.iter().position(wanted);
        let limits = place(|it| matches!(it, Effect::UpdateLimits { .. })).unwrap();
        let launch =
            |it: &Effect| matches!(it, Effect::ToExecutor { event, .. } if event.launch.is_some());
        assert!(limits < place(launch).unwrap());
        node.drain();
        node.on(Input::NotGiven {
            container_id: container_id.clone(),
            message: "no such cgroup".to_owned(),
        });
        assert!(destroyed(&node, &container_id));
        node.exit(&container_id, 9);
        let told = node.drain().pop().expect("an update");
        assert_eq!(
            (told.state(), told.source(), told.reason(), told.message()),
            (
                expected,
                Source::Agent,
                Reason::ContainerUpdateFailed,
                "Failed to update resources for container: no such cgroup"
            )
        );
        assert_eq!(exited(&node), [9]);
    }
}

#[test]
fn what_a_task_had_is_taken_from_its_executor_when_it_ends() {
    let mut node = Node::running();
    let with = |id: &str| TaskInfo {
        resources: vec![scalar("cpus", 1.0)],
        ..executor_task(id)
    };
    node.run(with("t"));
    node.start();
    node.order(Order::RunTask(Box::new(node::RunTask {
        framework_info: framework(),
        launch_executor: false,
        task: with("u"),
        term: 3,
    })));
    node.subscribe(1, Vec::new());
    let limits = |node: &mut Node| {
        let said = std::mem::take(&mut node.said).into_iter();
        let all = said.filter_map(|it| match it {
            Effect::UpdateLimits { amounts, .. } => amounts.cpu_milli,
            _ => None,
        });
        all.last()
    };
    assert_eq!(limits(&mut node), Some(2000));
    node.executor_says(1, TaskFailed);
    let place = |fits: fn(&Effect) -> bool| node.said.iter().position(fits);
    let told = place(|it| matches!(it, Effect::SendUpdate(_))).expect("an update");
    let shrunk = place(|it| matches!(it, Effect::UpdateLimits { .. })).expect("limits");
    assert!(shrunk < told, "who hears of it may use what the task had");
    assert_eq!(limits(&mut node), Some(1000));
}

#[test]
fn tasks_of_one_executor_are_handed_over_in_the_order_of_their_launch() {
    let mut node = Node::running();
    let launch = |node: &mut Node, id: &str, launch_executor| {
        node.order(Order::RunTask(Box::new(node::RunTask {
            framework_info: framework(),
            launch_executor,
            task: executor_task(id),
            term: 3,
        })));
    };
    launch(&mut node, "z", true);
    launch(&mut node, "a", false);
    launch(&mut node, "m", false);
    node.start();
    node.subscribe(1, Vec::new());
    let said = node.said.iter();
    let launched = said.filter_map(|it| match it {
        Effect::ToExecutor { event, .. } => event.launch.clone(),
        _ => None,
    });
    let ids: Vec<_> = launched.map(|it| it.task.task_id.value).collect();
    assert_eq!(ids, ["z", "a", "m"]);
}

#[test]
fn labels_and_discovery_stand_with_task_and_executor() {
    let labels = |text: &str| {
        Some(Labels {
            labels: vec![Label {
                key: "is".to_owned(),
                value: Some(text.to_owned()),
            }],
        })
    };
    let mut node = Node::running();
    let mut task = executor_task("t");
    task.labels = labels("task");
    task.discovery = Some(tepui_protocol::v1::DiscoveryInfo {
        name: Some("mytask".to_owned()),
        ..Default::default()
    });
    task.executor.as_mut().unwrap().labels = labels("executor");
    node.run(task.clone());
    let state = node.core.state();
    let executor = &state.frameworks[0].executors[0];
    assert_eq!(executor.info.labels, labels("executor"));
    let shown = &executor.queued_tasks[0];
    assert_eq!(
        (&shown.labels, &shown.discovery),
        (&task.labels, &task.discovery)
    );
}

#[test]
fn groups_of_one_executor_share_its_fate_and_not_each_others() {
    let mut node = Node::running();
    let custom = || executor_task("t").executor.unwrap();
    node.order(group_order(custom(), vec![task("a1"), task("a2")], true));
    node.order(group_order(custom(), vec![task("b1")], false));
    node.kill("b1", None);
    let told: Vec<_> = node
        .drain()
        .iter()
        .map(|it| (it.task_id.value.clone(), it.state()))
        .collect();
    assert_eq!(
        told,
        [("b1".to_owned(), TaskKilled)],
        "the other group goes on"
    );
    node.start();
    node.subscribe(1, Vec::new());
    let groups = node.said.iter().filter(
        |it| matches!(it, Effect::ToExecutor { event, .. } if event.launch_group.is_some()),
    );
    assert_eq!(groups.count(), 1);

    // The first group cannot begin: there is no executor for the others.
    let mut node = Node::running();
    let mut first = task("a1");
    first.container = Some(ContainerInfo {
        r#type: container_info::Type::Docker as i32,
        ..ContainerInfo::default()
    });
    node.order(group_order(custom(), vec![first], true));
    node.order(group_order(custom(), vec![task("b1")], false));
    let told: Vec<_> = node
        .drain()
        .iter()
        .map(|it| (it.task_id.value.clone(), it.state()))
        .collect();
    assert_eq!(
        told,
        [
            ("a1".to_owned(), TaskFailed),
            ("b1".to_owned(), TaskDropped)
        ]
    );
    assert_eq!(
        exited(&node).len(),
        1,
        "the master hears that it will not come"
    );
}

#[test]
fn a_task_of_a_group_brings_its_files_and_its_sandbox_is_its_users() {
    let mut node = Node::running();
    let mut with_files = task("g");
    with_files.command.as_mut().unwrap().uris = vec![tepui_protocol::v1::command_info::Uri {
        value: "file:///etc/hosts".to_owned(),
        ..Default::default()
    }];
    let mut of_root = task("h");
    of_root.command.as_mut().unwrap().user = Some("root".to_owned());
    node.order(group_order(pod(), vec![with_files, of_root], true));
    let outer = node.launched();
    assert!(outer.uris.is_empty() && outer.order.user.as_deref() == Some("nobody"));
    node.on(started(&outer.order.container_id, 42));
    for (uris, user) in [(1, "nobody"), (0, "root")] {
        let inner = node.launched();
        assert_eq!(inner.uris.len(), uris);
        assert_eq!(inner.order.user.as_deref(), Some(user));
        let nested = inner.nested.expect("a sandbox of its own");
        assert_eq!(nested.user.as_deref(), Some(user));
    }
}

#[test]
fn a_persistent_volume_of_the_executor_is_shown_to_the_tasks_that_share_it() {
    use tepui_protocol::v1::{Volume, resource as of_resource, volume};
    let mut disk = scalar("disk", 32.0);
    disk.reservations = vec![of_resource::ReservationInfo {
        r#type: Some(of_resource::reservation_info::Type::Dynamic as i32),
        role: Some("store".to_owned()),
        ..Default::default()
    }];
    disk.disk = Some(Box::new(of_resource::DiskInfo {
        persistence: Some(of_resource::disk_info::Persistence {
            id: "v".to_owned(),
            ..Default::default()
        }),
        volume: Some(Volume {
            mode: volume::Mode::Rw as i32,
            container_path: "shown".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }));
    let parents = |path: &str| Volume {
        mode: volume::Mode::Rw as i32,
        container_path: format!("of-{path}"),
        source: Some(volume::Source {
            r#type: Some(volume::source::Type::SandboxPath as i32),
            sandbox_path: Some(volume::source::SandboxPath {
                r#type: Some(volume::source::sandbox_path::Type::Parent as i32),
                path: path.to_owned(),
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut sharing = task("g");
    sharing.container = Some(ContainerInfo {
        r#type: container_info::Type::Mesos as i32,
        volumes: vec![parents("shown"), parents("plain")],
        ..ContainerInfo::default()
    });
    let mut node = Node::running();
    let mut outer = pod();
    outer.resources.push(disk.clone());
    node.core.total = tepui_protocol::resources::Resources::from_proto_unchecked(&[disk]);
    node.order(group_order(outer, vec![sharing], true));
    let outer = node.launched().order;
    assert_eq!(outer.volumes[0].container_path, "shown");
    node.on(started(&outer.container_id, 42));
    let inner = node.launched();
    let shown: Vec<_> = inner
        .order
        .volumes
        .iter()
        .map(|it| (&it.source, it.container_path.as_str()))
        .collect();
    assert_eq!(shown, [(&outer.volumes[0].source, "of-shown")]);
    let shared = inner.nested.expect("nested").shared;
    let shared: Vec<_> = shared.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(shared, ["plain"]);
}

#[test]
fn a_fork_is_told_once_whenever_it_is_heard_of_and_nothing_runs_before_its_start() {
    use TaskState::TaskStarting as Starting;
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Step {
        Forked,
        Started,
        Failed,
        Kill,
        Exited,
    }
    use Step::{Exited, Failed, Forked, Kill, Started};
    let orders: [(&[Step], &[TaskState]); 8] = [
        (&[Forked, Started], &[Starting, TaskRunning]),
        (&[Started, Forked], &[Starting, TaskRunning]),
        (&[Started], &[Starting, TaskRunning]),
        (&[Forked, Failed], &[Starting, TaskFailed]),
        (&[Failed, Forked], &[TaskFailed]),
        (
            &[Started, Exited, Forked],
            &[Starting, TaskRunning, TaskFailed],
        ),
        (&[Kill, Forked, Started, Exited], &[TaskKilled]),
        (&[Kill, Forked, Failed], &[TaskKilled]),
    ];
    for (steps, expected) in orders {
        let mut node = Node::running();
        node.run(task("t"));
        let id = node.launched().order.container_id;
        for (at, step) in steps.iter().enumerate() {
            match step {
                Forked => node.forked(&id),
                Started => node.on(started(&id, 42)),
                Failed => node.on(Input::LaunchFailed {
                    container_id: id.clone(),
                    message: "no".to_owned(),
                }),
                Kill => node.kill("t", None),
                Exited => node.exit(&id, 1),
            }
            let done = &steps[..=at];
            let runs = done.contains(&Started) && !done.contains(&Exited);
            let state = node.core.state().frameworks.into_iter();
            let all = state.flat_map(|it| [it.executors, it.completed_executors].concat());
            let shown: Vec<_> = all.map(|it| it.pid).collect();
            assert_eq!(shown, [runs.then_some(42)], "{done:?}");
            assert_eq!(node.core.outer(&id).is_some(), runs, "{done:?}");
        }
        assert_eq!(node.states(), expected, "{steps:?}");
    }
}

#[test]
fn a_limit_that_would_not_hold_is_refused() {
    use crate::config::Enforced;

    let limited = |names: &[&str], kind: Option<container_info::Type>| {
        let limits = names
            .iter()
            .map(|name| ((*name).to_owned(), value::Scalar { value: 64.0 }));
        TaskInfo {
            limits: limits.collect(),
            container: kind.map(|kind| ContainerInfo {
                r#type: kind as i32,
                ..Default::default()
            }),
            ..task("t")
        }
    };
    let no_cpus = Enforced {
        cpus: false,
        ..Enforced::ALL
    };
    let no_memory = Enforced {
        memory: false,
        ..Enforced::ALL
    };
    let mesos = Some(container_info::Type::Mesos);
    let docker = Some(container_info::Type::Docker);
    for (enforced, names, kind, refused) in [
        (Enforced::ALL, &["cpus", "mem"][..], None, None),
        (no_cpus, &["cpus", "mem"], None, Some(("CPU", "cpu"))),
        (no_cpus, &["mem"], None, None),
        (no_memory, &["cpus", "mem"], mesos, Some(("Memory", "mem"))),
        (no_memory, &["cpus"], None, None),
        (Enforced::NONE, &["mem", "cpus"], None, Some(("CPU", "cpu"))),
        (Enforced::NONE, &[], None, None),
    ] {
        let mut node = Node::running();
        node.core.config.enforced = enforced;
        node.run(limited(names, kind));
        let told = node.drain().pop();
        let expected = refused.map(|(what, isolator)| {
            format!(
                "{what} limits can only be set on tasks launched in Mesos containers when the agent has loaded the \
                 'cgroups/{isolator}' isolator"
            )
        });
        assert_eq!(told.as_ref().map(|it| it.message().to_owned()), expected);
        let Some(told) = told else {
            node.launched();
            continue;
        };
        assert_eq!(
            (told.state(), told.source(), told.reason()),
            (TaskState::TaskDropped, Source::Agent, Reason::GcError)
        );
        assert!(node.core.state().frameworks.is_empty() && node.kept.containers.is_empty());
    }
    let docker = limited(&["cpus", "mem"], docker);
    assert_eq!(
        crate::unsupported::of_limits(Enforced::NONE, &[docker]),
        None
    );
    // Who does not know of TASK_DROPPED hears TASK_LOST.
    let mut node = Node::running();
    node.core.config.enforced = Enforced::NONE;
    node.order(Order::RunTask(Box::new(node::RunTask {
        framework_info: FrameworkInfo {
            capabilities: Vec::new(),
            ..framework()
        },
        launch_executor: true,
        task: limited(&["mem"], None),
        term: 3,
    })));
    assert_eq!(node.states(), [TaskState::TaskLost]);
}

#[test]
fn a_group_with_a_limit_that_would_not_hold_is_refused_whole() {
    use crate::config::Enforced;

    let mut node = Node::running();
    node.core.config.enforced = Enforced::NONE;
    let limited = TaskInfo {
        limits: [("mem".to_owned(), value::Scalar { value: 64.0 })].into(),
        ..task("g2")
    };
    node.order(group_order(pod(), vec![task("g1"), limited], true));
    let told = node.drain();
    let told: Vec<_> = told.iter().map(|it| (it.state(), it.reason())).collect();
    assert_eq!(told, [(TaskState::TaskDropped, Reason::GcError); 2]);
    assert!(node.core.state().frameworks.is_empty());
}
