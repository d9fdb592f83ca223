//! Containers that clients of the API ask for.

use super::GuestState;
use crate::testing::*;
use tepui_messages::{
    agent::{ContainerEnd, LaunchGuest},
    containers::{MountOrder, MountSource},
};
use tepui_protocol::{
    resources::Resources,
    v1::{
        Environment, LinuxInfo, Volume, environment,
        resource::{self, disk_info::Persistence},
        volume::{self, source::sandbox_path},
    },
};

fn asked(container_id: &str) -> LaunchGuest {
    LaunchGuest {
        container_id: container_id.to_owned(),
        command: Some(CommandInfo {
            value: Some("sleep 1".to_owned()),
            ..CommandInfo::default()
        }),
        container: None,
        resources: Vec::new(),
        limits: BTreeMap::new(),
        is_session: false,
    }
}

fn ask(node: &mut Node, container_id: &str) {
    assert_eq!(node.core.guest_refusal(&asked(container_id)), None);
    node.on(Input::LaunchGuest(Box::new(asked(container_id))));
}

fn ended(status: i32) -> GuestState {
    GuestState::Ended(ContainerEnd {
        status: Some(status),
        ..ContainerEnd::default()
    })
}

fn destroy(id: &str) -> Effect {
    Effect::Destroy {
        container_id: id.to_owned(),
    }
}

/// A command task's container, with a guest that runs in it.
fn hosted() -> (Node, String, String) {
    let mut node = Node::running();
    node.run(task("t"));
    let outer = node.start();
    let inner = format!("{outer}.g");
    ask(&mut node, &inner);
    let launch = node.launched();
    assert_eq!(launch.order.user.as_deref(), Some("nobody"));
    let nested = launch.nested.expect("a sandbox within the task's");
    assert!(launch.order.sandbox.ends_with("containers/g"));
    assert_eq!(nested.name, "g");
    node.on(started(&inner, 50));
    (node, outer, inner)
}

#[test]
fn one_within_a_task_runs_and_its_end_is_kept_until_it_is_removed() {
    let (mut node, _, inner) = hosted();
    assert_eq!(node.core.guest_state(&inner), GuestState::Running);
    node.exit(&inner, 5 << 8);
    assert_eq!(node.core.guest_state(&inner), ended(5 << 8));
    assert!(node.kept.guests.contains_key(&inner));
    node.on(Input::RemoveGuest {
        container_id: inner.clone(),
    });
    assert_eq!(node.core.guest_state(&inner), GuestState::Unknown);
    assert!(node.kept.guests.is_empty());
    assert!(
        node.said
            .iter()
            .any(|it| matches!(it, Effect::RemoveSandbox { name, .. } if name == "g"))
    );
}

#[test]
fn one_within_another_runs_as_the_user_around_all_and_names_no_numbers() {
    let (mut node, _, inner) = hosted();
    let innermost = format!("{inner}.h");
    ask(&mut node, &innermost);
    assert_eq!(node.launched().order.user.as_deref(), Some("nobody"));
    let mut by_numbers = asked(&format!("{inner}.i"));
    by_numbers.command.as_mut().expect("as asked").user = Some("0:0:".to_owned());
    let refusal = node.core.guest_refusal(&by_numbers);
    assert_eq!(refusal.as_deref(), Some("'0:0:' is not the name of a user"));
}

#[test]
fn without_a_container_around_it_none_is_launched() {
    let node = Node::running();
    let refusal = node.core.guest_refusal(&asked("p.c"));
    assert_eq!(
        refusal.as_deref(),
        Some("Parent container p does not exist")
    );
    let (mut node, _, inner) = hosted();
    node.exit(&inner, 0);
    let refusal = node.core.guest_refusal(&asked(&format!("{inner}.deeper")));
    assert!(refusal.is_some(), "it has ended");
}

#[test]
fn one_within_another_ends_with_it() {
    let (mut node, _, inner) = hosted();
    let deeper = format!("{inner}.d");
    ask(&mut node, &deeper);
    assert!(
        node.launched()
            .order
            .sandbox
            .ends_with("containers/g/containers/d")
    );
    node.on(started(&deeper, 51));
    node.exit(&inner, 0);
    assert!(node.said.contains(&destroy(&deeper)));
    assert_eq!(node.core.guest_state(&deeper), GuestState::Unknown);
    node.exit(&deeper, 9);
    assert!(!node.kept.guests.contains_key(&deeper));
}

#[test]
fn none_outlives_the_task_around_it() {
    let (mut node, outer, inner) = hosted();
    node.exit(&outer, 0);
    assert!(node.said.contains(&destroy(&inner)));
    node.exit(&inner, 9);
    assert!(node.kept.guests.is_empty());
}

#[test]
fn one_alone_lies_beside_the_executors_and_has_limits_of_its_own() {
    let mut node = Node::running();
    let alone = LaunchGuest {
        resources: vec![scalar("mem", 64.0)],
        ..asked("alone")
    };
    assert_eq!(node.core.guest_refusal(&alone), None);
    node.on(Input::LaunchGuest(Box::new(alone)));
    let order = node.launched().order;
    assert_eq!(order.sandbox, std::path::Path::new("/w/containers/alone"));
    assert_eq!(order.amounts.memory_bytes, Some(64 << 20));
    node.on(started("alone", 50));
    node.exit("alone", 0);
    assert_eq!(node.core.guest_state("alone"), ended(0));
}

#[test]
fn one_alone_is_bound_by_the_limits_it_is_given() {
    for (asked_for, bytes, milli) in [
        (&[][..], None, None),
        (
            &[("mem", 128.0), ("cpus", 1.5)],
            Some(128 << 20),
            Some(1500),
        ),
        (
            &[("mem", f64::INFINITY), ("cpus", f64::INFINITY)],
            Some(u64::MAX),
            Some(u64::MAX),
        ),
    ] {
        let mut node = Node::running();
        let limit = |(name, value): &(&str, f64)| {
            let value = *value;
            ((*name).to_owned(), value::Scalar { value })
        };
        node.on(Input::LaunchGuest(Box::new(LaunchGuest {
            resources: vec![scalar("mem", 64.0), scalar("cpus", 1.0)],
            limits: asked_for.iter().map(limit).collect(),
            ..asked("alone")
        })));
        let amounts = node.launched().order.amounts;
        assert_eq!(amounts.memory_bytes, Some(64 << 20));
        assert_eq!(amounts.memory_limit_bytes, bytes);
        assert_eq!(amounts.cpu_limit_milli, milli);
    }
}

#[test]
fn one_within_another_has_limits_of_its_own_only_where_it_shares_none() {
    for (shares, bytes) in [
        (None, None),
        (Some(true), None),
        (Some(false), Some(8 << 20)),
    ] {
        let mut node = Node::running();
        node.run(task("t"));
        let outer = node.start();
        node.on(Input::LaunchGuest(Box::new(LaunchGuest {
            container: Some(ContainerInfo {
                linux_info: Some(LinuxInfo {
                    share_cgroups: shares,
                    ..LinuxInfo::default()
                }),
                ..ContainerInfo::default()
            }),
            resources: vec![scalar("mem", 4.0)],
            limits: BTreeMap::from([("mem".to_owned(), value::Scalar { value: 8.0 })]),
            ..asked(&format!("{outer}.g"))
        })));
        let amounts = node.launched().order.amounts;
        assert_eq!(amounts.memory_limit_bytes, bytes, "{shares:?}");
        assert_eq!(amounts.memory_bytes, bytes.map(|_| 4 << 20));
    }
}

#[test]
fn a_signal_goes_to_whoever_runs() {
    let (mut node, outer, inner) = hosted();
    assert!(node.core.runs(&inner) && node.core.runs(&outer) && !node.core.runs("x"));
    for (signal, said) in [
        (9, destroy(&inner)),
        (
            10,
            Effect::SignalCommand {
                container_id: inner.clone(),
                signal: 10,
            },
        ),
    ] {
        node.on(Input::SignalContainer {
            container_id: inner.clone(),
            signal,
        });
        assert_eq!(node.said.pop(), Some(said));
    }
    node.on(Input::SignalContainer {
        container_id: outer.clone(),
        signal: 10,
    });
    let to_all = Effect::Signal {
        container_id: outer,
        signal: 10,
    };
    assert_eq!(node.said.pop(), Some(to_all), "a command task's");
    node.exit(&inner, 9);
    assert!(!node.core.runs(&inner));
}

#[test]
fn one_that_cannot_start_is_forgotten() {
    let mut node = Node::running();
    ask(&mut node, "alone");
    node.on(Input::LaunchFailed {
        container_id: "alone".to_owned(),
        message: "no".to_owned(),
    });
    assert_eq!(node.core.guest_state("alone"), GuestState::Unknown);
    assert!(node.kept.guests.is_empty());
}

#[test]
fn after_a_restart_they_run_on_and_their_ends_are_known() {
    let (mut node, outer, inner) = hosted();
    ask(&mut node, "alone");
    node.on(started("alone", 52));
    let mut node = node.restart("boot");
    let found = |node: &mut Node, id: &str, fate| {
        node.on(Input::ContainerRecovered {
            container_id: id.to_owned(),
            fate,
        });
    };
    let exit = ContainerExit {
        status: Some(256),
        limitation: None,
        is_forsaken: false,
    };
    found(&mut node, "alone", Fate::Exited(exit));
    let alive = |pid| Fate::Running { shim: mark(), pid };
    found(&mut node, &inner, alive(50));
    found(&mut node, &outer, alive(42));
    assert_eq!(node.core.guest_state(&inner), GuestState::Running);
    assert_eq!(node.core.guest_state("alone"), ended(256));
    let mut node = node.restart("another boot");
    node.connect();
    assert!(node.kept.guests.is_empty());
}

/// A program of the framework's own that runs as `executor`, with variables of its own, and its container.
fn hosted_by_program(node: &mut Node) -> String {
    let mut task = executor_task("t");
    let program = task.executor.as_mut().and_then(|it| it.command.as_mut());
    let program = program.expect("a command");
    program.user = Some("executor".to_owned());
    let variable = environment::Variable {
        name: "OF_THE_EXECUTOR".to_owned(),
        value: Some("value".to_owned()),
        ..environment::Variable::default()
    };
    program.environment = Some(Environment {
        variables: vec![variable],
    });
    node.run(task);
    node.start()
}

#[test]
fn one_within_an_executor_runs_as_the_executor_does() {
    let mut node = Node::running();
    let outer = hosted_by_program(&mut node);
    ask(&mut node, &format!("{outer}.g"));
    assert_eq!(node.launched().order.user.as_deref(), Some("executor"));
}

#[test]
fn one_within_another_runs_as_the_one_around_it_also_after_a_restart() {
    let mut node = Node::running();
    let outer = hosted_by_program(&mut node);
    let inner = format!("{outer}.g");
    let mut other = asked(&inner);
    other.command.as_mut().expect("as asked").user = Some("other".to_owned());
    node.on(Input::LaunchGuest(Box::new(other)));
    node.launched();
    node.on(started(&inner, 50));
    ask(&mut node, &format!("{inner}.h"));
    assert_eq!(node.launched().order.user.as_deref(), Some("other"));

    let mut node = node.restart("boot");
    node.found_running(&outer);
    node.found_running(&inner);
    ask(&mut node, &format!("{inner}.i"));
    assert_eq!(node.launched().order.user.as_deref(), Some("other"));
}

/// Asks for a container that shows `path` of the sandbox around it.
fn showing(container_id: &str, path: &str, mode: volume::Mode) -> LaunchGuest {
    let shown = Volume {
        mode: mode as i32,
        container_path: "here".to_owned(),
        source: Some(volume::Source {
            r#type: Some(volume::source::Type::SandboxPath as i32),
            sandbox_path: Some(volume::source::SandboxPath {
                r#type: Some(sandbox_path::Type::Parent as i32),
                path: path.to_owned(),
            }),
            ..volume::Source::default()
        }),
        ..Volume::default()
    };
    LaunchGuest {
        container: Some(ContainerInfo {
            r#type: container_info::Type::Mesos as i32,
            volumes: vec![shown],
            ..ContainerInfo::default()
        }),
        ..asked(container_id)
    }
}

fn launched(node: &mut Node, asked: LaunchGuest) -> Launch {
    assert_eq!(node.core.guest_refusal(&asked), None);
    node.on(Input::LaunchGuest(Box::new(asked)));
    node.launched()
}

fn shown_here(sandbox: &std::path::Path, path: &str, read_only: bool) -> MountOrder {
    MountOrder {
        source: MountSource::Outer {
            sandbox: sandbox.to_owned(),
            path: path.into(),
        },
        container_path: "here".into(),
        read_only,
        propagates: false,
    }
}

#[test]
fn one_within_another_shows_a_directory_of_the_sandbox_around_it() {
    let (mut node, _, inner) = hosted();
    let common = |name: &str, mode| showing(&format!("{inner}.{name}"), "common", mode);
    let launch = launched(&mut node, common("h", volume::Mode::Rw));
    let nested = launch.nested.expect("a sandbox within the other's");
    let around = nested.root;
    assert!(around.ends_with("containers/g"));
    let [shared] = &nested.shared[..] else {
        panic!("{:?}", nested.shared);
    };
    assert_eq!((&*shared.path, &*shared.container_path), ("common", "here"));
    assert!(launch.order.confinement.mounts.is_empty());
    // A link could be written through, and another user could not follow it.
    let launch = launched(&mut node, common("i", volume::Mode::Ro));
    let expected = [shown_here(&around, "common", true)];
    assert_eq!(launch.order.confinement.mounts, expected);
    assert!(launch.nested.is_some_and(|it| it.shared.is_empty()));
    let mut other = common("j", volume::Mode::Rw);
    other.command.as_mut().expect("as asked").user = Some("other".to_owned());
    let launch = launched(&mut node, other);
    let expected = [shown_here(&around, "common", false)];
    assert_eq!(launch.order.confinement.mounts, expected);
}

#[test]
fn one_within_a_task_shows_its_volume() {
    let volume = Resource {
        reservations: vec![resource::ReservationInfo {
            r#type: Some(resource::reservation_info::Type::Dynamic as i32),
            role: Some("r".to_owned()),
            ..resource::ReservationInfo::default()
        }],
        disk: Some(Box::new(resource::DiskInfo {
            persistence: Some(Persistence {
                id: "v".to_owned(),
                ..Persistence::default()
            }),
            volume: Some(Volume {
                container_path: "data".to_owned(),
                ..Volume::default()
            }),
            ..resource::DiskInfo::default()
        })),
        ..scalar("disk", 1.0)
    };
    let mut node = Node::running();
    node.core.total = Resources::from_proto_unchecked(std::slice::from_ref(&volume));
    node.run(TaskInfo {
        resources: vec![volume],
        ..task("t")
    });
    let outer = node.start();
    let asked = showing(&format!("{outer}.g"), "data", volume::Mode::Rw);
    let launch = launched(&mut node, asked);
    let expected = [shown_here("/w/volumes/roles/r".as_ref(), "v", false)];
    assert_eq!(launch.order.confinement.mounts, expected);
    assert!(launch.nested.is_some_and(|it| it.shared.is_empty()));
}

#[test]
fn one_alone_has_no_sandbox_around_it_to_show() {
    let node = Node::running();
    let refusal = (node.core).guest_refusal(&showing("alone", "common", volume::Mode::Rw));
    assert_eq!(
        refusal.as_deref(),
        Some("The provided ContainerInfo is not supported")
    );
}
