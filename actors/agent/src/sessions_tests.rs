use super::MAX_ENDED_SESSIONS;
use crate::{guests::GuestState, testing::*, tokens::TokenKey};
use tepui_messages::{
    agent::LaunchGuest,
    containers::{Switchboard, Terminal},
};
use tepui_protocol::v1::{
    CapabilityInfo, Environment, Image, LinuxInfo, TtyInfo, Volume, environment, image, tty_info,
    volume,
};

fn asked(container_id: &str) -> LaunchGuest {
    LaunchGuest {
        container_id: container_id.to_owned(),
        command: Some(CommandInfo {
            value: Some("ls".to_owned()),
            ..CommandInfo::default()
        }),
        container: None,
        resources: Vec::new(),
        limits: BTreeMap::new(),
        is_session: true,
    }
}

fn with_terminal(rows: u32) -> ContainerInfo {
    let window_size = Some(tty_info::WindowSize { rows, columns: 80 });
    ContainerInfo {
        r#type: container_info::Type::Mesos as i32,
        tty_info: Some(TtyInfo { window_size }),
        ..ContainerInfo::default()
    }
}

fn ask(node: &mut Node, asked: LaunchGuest) -> Launch {
    assert_eq!(node.core.guest_refusal(&asked), None);
    node.on(Input::LaunchGuest(Box::new(asked)));
    node.launched()
}

fn variable(value: &str) -> Environment {
    Environment {
        variables: vec![environment::Variable {
            name: "OF_THE_TASK".to_owned(),
            value: Some(value.to_owned()),
            ..environment::Variable::default()
        }],
    }
}

/// A task that runs, and its container.
fn host() -> (Node, String) {
    let mut node = Node::running();
    let mut task = task("t");
    let command = task.command.get_or_insert_default();
    command.environment = Some(variable("value"));
    node.run(task);
    let outer = node.start();
    (node, outer)
}

#[test]
fn one_looks_around_where_its_task_is() {
    let (mut node, outer) = host();
    let inner = format!("{outer}.s");
    let launch = ask(
        &mut node,
        LaunchGuest {
            container: Some(with_terminal(24)),
            ..asked(&inner)
        },
    );
    assert_eq!(launch.nested, None, "it has no sandbox of its own");
    let order = launch.order;
    assert!(order.sandbox.ends_with(format!("runs/{outer}")));
    assert_eq!(order.user.as_deref(), Some("nobody"), "the task's");
    let variable = ("OF_THE_TASK".to_owned(), "value".to_owned());
    assert!(order.env.contains(&variable), "{:?}", order.env);
    let expected = Switchboard {
        terminal: Some(Terminal {
            size: Some((24, 80)),
        }),
        is_session: true,
    };
    assert_eq!(order.switchboard, Some(expected));
    node.on(started(&inner, 50));
    assert_eq!(node.core.guest_state(&inner), GuestState::Running);

    let within = format!("{inner}.x");
    let refused = node.core.guest_refusal(&asked(&within));
    let text = format!("Parent container {inner} does not exist");
    assert_eq!(refused, Some(text), "nothing is launched within a session");
    node.exit(&inner, 3 << 8);
    assert!(
        matches!(node.core.guest_state(&inner), GuestState::Ended(end) if end.status == Some(3 << 8))
    );
    node.said.clear();
    node.on(Input::RemoveGuest {
        container_id: inner.clone(),
    });
    assert_eq!(node.core.guest_state(&inner), GuestState::Unknown);
    let touched = |effect: &Effect| matches!(effect, Effect::RemoveSandbox { .. });
    assert!(!node.said.iter().any(touched), "the task's files stay");
    assert!(node.kept.guests.is_empty());
}

#[test]
fn a_variable_of_its_own_wins() {
    let (mut node, outer) = host();
    let mut asked = asked(&format!("{outer}.s"));
    let command = asked.command.get_or_insert_default();
    command.environment = Some(variable("own"));
    let order = ask(&mut node, asked).order;
    let named = order.env.iter().filter(|(name, _)| name == "OF_THE_TASK");
    let values: Vec<&str> = named.map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["own"]);
}

#[test]
fn one_has_the_size_its_client_tells_whatever_that_is() {
    let (mut node, outer) = host();
    let launch = ask(
        &mut node,
        LaunchGuest {
            container: Some(with_terminal(u32::MAX)),
            ..asked(&format!("{outer}.s"))
        },
    );
    let terminal = launch.order.switchboard.and_then(|it| it.terminal);
    assert_eq!(terminal.and_then(|it| it.size), Some((u16::MAX, 80)));
    let launch = ask(&mut node, asked(&format!("{outer}.pipes")));
    let switchboard = launch.order.switchboard.expect("streams are kept");
    assert_eq!(switchboard.terminal, None);
}

#[test]
fn volumes_are_refused_and_so_is_one_without_a_container_around_it() {
    let (node, outer) = host();
    let described = ContainerInfo {
        volumes: vec![Volume {
            container_path: "data".to_owned(),
            mode: volume::Mode::Rw as i32,
            ..Volume::default()
        }],
        ..with_terminal(1)
    };
    let asked_for = LaunchGuest {
        container: Some(described),
        ..asked(&format!("{outer}.s"))
    };
    let refused = node.core.guest_refusal(&asked_for);
    let text = "Volumes not supported for DEBUG containers";
    assert_eq!(refused.as_deref(), Some(text));
    let refused = node.core.guest_refusal(&asked("none.s"));
    let text = "Parent container none does not exist";
    assert_eq!(refused.as_deref(), Some(text));
}

#[test]
fn one_is_known_as_a_session_after_a_restart() {
    let (mut node, outer) = host();
    let inner = format!("{outer}.s");
    ask(&mut node, asked(&inner));
    node.on(started(&inner, 50));
    let mut node = node.restart("boot");
    for (container_id, fate) in [
        (
            outer,
            Fate::Running {
                shim: mark(),
                pid: 42,
            },
        ),
        (
            inner.clone(),
            Fate::Exited(ContainerExit {
                status: Some(9),
                limitation: None,
                is_forsaken: false,
            }),
        ),
    ] {
        node.on(Input::ContainerRecovered { container_id, fate });
    }
    assert!(matches!(
        node.core.guest_state(&inner),
        GuestState::Ended(_)
    ));
    node.said.clear();
    node.on(Input::RemoveGuest {
        container_id: inner,
    });
    let touched = |effect: &Effect| matches!(effect, Effect::RemoveSandbox { .. });
    assert!(!node.said.iter().any(touched), "the task's files stay");
}

#[test]
fn nobody_removes_them_so_only_the_last_ends_are_known() {
    let (mut node, outer) = host();
    let id = |number: usize| format!("{outer}.s{number}");
    for number in 0..MAX_ENDED_SESSIONS + 2 {
        ask(&mut node, asked(&id(number)));
        node.on(started(&id(number), 50));
        node.exit(&id(number), 0);
    }
    let known = |number| node.core.guest_state(&id(number)) != GuestState::Unknown;
    assert_eq!((known(0), known(1), known(2)), (false, false, true));
    assert!(known(MAX_ENDED_SESSIONS + 1));
    assert_eq!(node.kept.guests.len(), MAX_ENDED_SESSIONS);
}

#[test]
fn one_ends_with_the_task_around_it() {
    let (mut node, outer) = host();
    let inner = format!("{outer}.s");
    ask(&mut node, asked(&inner));
    node.on(started(&inner, 50));
    node.exit(&outer, 0);
    let destroyed = Effect::Destroy {
        container_id: inner.clone(),
    };
    assert!(node.said.contains(&destroyed));
    node.exit(&inner, 9);
    assert_eq!(node.core.guest_state(&inner), GuestState::Unknown);
    assert!(node.kept.guests.is_empty());
}

#[test]
fn tasks_have_terminals_too_but_no_executor_that_the_agent_plays() {
    let mut node = Node::running();
    node.run(TaskInfo {
        container: Some(with_terminal(5)),
        ..task("t")
    });
    let expected = Switchboard {
        terminal: Some(Terminal {
            size: Some((5, 80)),
        }),
        is_session: false,
    };
    assert_eq!(node.launched().order.switchboard, Some(expected));
    node.run(task("plain"));
    assert_eq!(node.launched().order.switchboard, None);

    let mut node = Node::running();
    let in_terminal = TaskInfo {
        container: Some(with_terminal(6)),
        ..task("inner")
    };
    node.order(group_order(pod(), vec![in_terminal], true));
    let holder = node.launched().order;
    assert_eq!((holder.is_holder, holder.switchboard), (true, None));
    node.forked(&holder.container_id);
    node.on(started(&holder.container_id, 40));
    let inner = node.launched().order.switchboard.expect("streams are kept");
    assert_eq!(inner.terminal.and_then(|it| it.size), Some((6, 80)));

    let mut node = Node::running();
    let executor = ExecutorInfo {
        container: Some(with_terminal(7)),
        ..pod()
    };
    node.order(group_order(executor, vec![task("inner")], true));
    let statuses = node.drain();
    let text = "This agent does not give containers a terminal yet";
    assert_eq!(statuses[0].message.as_deref(), Some(text));
}

#[test]
fn one_in_an_executor_has_what_that_has_but_for_its_token() {
    let mut node = Node::running();
    node.core.config.token_key = Some(TokenKey::new(b"secret"));
    let mut task = executor_task("t");
    let executor = task.executor.as_mut().expect("an executor");
    let program = executor.command.as_mut().expect("a command");
    program.user = Some("executor".to_owned());
    program.environment = Some(variable("value"));
    let none = CapabilityInfo::default();
    executor.container = Some(ContainerInfo {
        linux_info: Some(LinuxInfo {
            effective_capabilities: Some(none),
            ..LinuxInfo::default()
        }),
        r#type: container_info::Type::Mesos as i32,
        ..ContainerInfo::default()
    });
    node.run(task);
    let of_executor = node.launched().order;
    let token = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN";
    assert!(of_executor.env.iter().any(|(name, _)| name == token));
    let outer = of_executor.container_id;
    node.forked(&outer);
    node.on(started(&outer, 42));

    let order = ask(&mut node, asked(&format!("{outer}.s"))).order;
    assert_eq!(order.user.as_deref(), Some("executor"));
    assert_eq!(order.sandbox, of_executor.sandbox);
    let mut expected = of_executor.env;
    expected.retain(|(name, _)| name != token);
    assert_eq!(order.env, expected);
    let capabilities = of_executor.confinement.capabilities;
    assert!(capabilities.is_some());
    assert_eq!(order.confinement.capabilities, capabilities);
}

#[test]
fn one_in_an_executor_sees_its_image() {
    let mut node = Node::running();
    let mut task = executor_task("t");
    let executor = task.executor.as_mut().expect("an executor");
    let docker = image::Docker {
        name: "box".to_owned(),
        ..image::Docker::default()
    };
    let image = Image {
        r#type: image::Type::Docker as i32,
        docker: Some(docker),
        ..Image::default()
    };
    executor.container = Some(ContainerInfo {
        r#type: container_info::Type::Mesos as i32,
        mesos: Some(container_info::MesosInfo { image: Some(image) }),
        ..ContainerInfo::default()
    });
    node.run(task);
    let outer = node.start();
    let order = ask(&mut node, asked(&format!("{outer}.s"))).order;
    assert_eq!(order.view_of, Some(outer));
}
