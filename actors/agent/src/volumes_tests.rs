use std::sync::Arc;

use tepui_messages::agent::ExecutorPhase;
use tepui_protocol::v1::{
    ContainerId, Task, Volume,
    resource::{DiskInfo, ReservationInfo, SharedInfo, disk_info::Persistence, reservation_info},
    volume::{Source, source, source::SandboxPath, source::sandbox_path},
};

use super::*;
use crate::testing::*;

fn persistent(id: &str, container_path: &str) -> Resource {
    Resource {
        reservations: vec![ReservationInfo {
            r#type: Some(reservation_info::Type::Dynamic as i32),
            role: Some("r".to_owned()),
            ..ReservationInfo::default()
        }],
        disk: Some(Box::new(DiskInfo {
            persistence: Some(Persistence {
                id: id.to_owned(),
                ..Persistence::default()
            }),
            volume: Some(Volume {
                container_path: container_path.to_owned(),
                ..Volume::default()
            }),
            ..DiskInfo::default()
        })),
        ..scalar("disk", 1.0)
    }
}

/// Shares `path` of the executor's sandbox.
fn of_parent(path: &str, container_path: &str) -> Volume {
    Volume {
        container_path: container_path.to_owned(),
        source: Some(Source {
            r#type: Some(source::Type::SandboxPath as i32),
            sandbox_path: Some(SandboxPath {
                r#type: Some(sandbox_path::Type::Parent as i32),
                path: path.to_owned(),
            }),
            ..Source::default()
        }),
        ..Volume::default()
    }
}

#[test]
fn volumes_are_shown_wherever_a_sandbox_has_them() {
    let task = Arc::new(Task {
        task_id: task_id("t"),
        resources: vec![persistent("own", "mine"), persistent("deep", "./a/b")],
        container: Some(Box::new(ContainerInfo {
            volumes: vec![
                of_parent("common", "ours"),
                of_parent("siblings", "theirs"),
                of_parent("plain", "no"),
            ],
            ..ContainerInfo::default()
        })),
        ..Task::default()
    });
    let sibling = Arc::new(Task {
        resources: vec![persistent("other", "siblings")],
        ..Task::default()
    });
    let executor = ExecutorState {
        info: Arc::new(ExecutorInfo {
            resources: vec![
                persistent("shared", "common"),
                persistent("rooted", "/data"),
                persistent("odd", "../x"),
                scalar("disk", 5.0),
            ],
            ..pod()
        }),
        command_task: false,
        phase: ExecutorPhase::Running,
        container_id: ContainerId::default(),
        sandbox: PathBuf::new(),
        pid: None,
        queued_tasks: vec![sibling],
        launched_tasks: vec![Arc::clone(&task)],
        terminated_tasks: Vec::new(),
        completed_tasks: Vec::new(),
        nested: vec![NestedState {
            name: "c".to_owned(),
            pid: 1,
            task,
        }],
    };
    let found = shown(Path::new("/w"), &executor);
    let found: BTreeSet<(String, String)> = found
        .into_iter()
        .map(|it| {
            let id = it.directory.strip_prefix("/w/volumes/roles/r");
            let id = id.expect("in the work directory").display().to_string();
            (it.at.display().to_string(), id)
        })
        .collect();
    let expected = [
        ("common", "shared"),
        ("mine", "own"),
        ("a/b", "deep"),
        ("siblings", "other"),
        ("containers/c/ours", "shared"),
        ("containers/c/theirs", "other"),
        ("containers/c/mine", "own"),
        ("containers/c/a/b", "deep"),
        ("tasks/t/ours", "shared"),
        ("tasks/t/theirs", "other"),
        ("tasks/t/mine", "own"),
        ("tasks/t/a/b", "deep"),
    ];
    let expected = expected.map(|(at, id)| (at.to_owned(), id.to_owned()));
    assert_eq!(found, BTreeSet::from(expected));
}

/// An agent on which these volumes were made.
fn with_volumes(volumes: &[Resource]) -> Node {
    let mut node = Node::running();
    node.core.total = Resources::from_proto_unchecked(volumes);
    node
}

fn with(task: TaskInfo, resource: &Resource) -> TaskInfo {
    TaskInfo {
        resources: vec![resource.clone()],
        ..task
    }
}

fn shared_by_all(id: &str) -> Resource {
    Resource {
        shared: Some(SharedInfo::default()),
        ..persistent(id, "data")
    }
}

fn mounted(source: MountSource, container_path: &str) -> MountOrder {
    MountOrder {
        source,
        container_path: container_path.into(),
        read_only: false,
        propagates: false,
    }
}

fn given(id: &str) -> MountSource {
    MountSource::Persistent(format!("/w/volumes/roles/r/{id}").into())
}

fn not_given(id: &str) -> MountSource {
    MountSource::Outer {
        sandbox: "/w/volumes/roles/r".into(),
        path: id.into(),
    }
}

/// The launches of a group's tasks, in order.
fn launched_in_group(node: &mut Node, tasks: Vec<TaskInfo>) -> Vec<Launch> {
    let count = tasks.len();
    node.order(group_order(pod(), tasks, true));
    let outer = node.launched().order.container_id;
    node.on(started(&outer, 42));
    (0..count).map(|_| node.launched()).collect()
}

#[test]
fn a_task_of_a_group_sees_the_volume_of_another_one_of_the_group() {
    let volume = persistent("v", "data");
    for is_root in [true, false] {
        let mut node = with_volumes(std::slice::from_ref(&volume));
        node.core.config.is_root = is_root;
        let sees = TaskInfo {
            container: Some(ContainerInfo {
                r#type: container_info::Type::Mesos as i32,
                volumes: vec![of_parent("data", "theirs")],
                ..ContainerInfo::default()
            }),
            ..task("sees")
        };
        let launches = launched_in_group(&mut node, vec![with(task("has"), &volume), sees]);
        let [_, sees] = &launches[..] else {
            panic!("{launches:?}");
        };
        let links = |shown: &str| {
            vec![VolumeLink {
                source: "/w/volumes/roles/r/v".into(),
                container_path: shown.to_owned(),
                read_only: false,
            }]
        };
        assert_eq!(launches[0].order.volumes, links("data"));
        assert!(sees.nested.as_ref().is_some_and(|it| it.shared.is_empty()));
        let mounts = &sees.order.confinement.mounts[..];
        if is_root {
            // It stays the other's.
            assert_eq!(mounts, [mounted(not_given("v"), "theirs")]);
            assert!(sees.order.volumes.is_empty());
        } else {
            assert!(mounts.is_empty());
            assert_eq!(sees.order.volumes, links("theirs"));
        }
    }
}

#[test]
fn a_shared_volume_stays_with_whom_it_was_given_to_first() {
    let volume = shared_by_all("v");
    let mounts = |launch: &Launch| launch.order.confinement.mounts.clone();
    let (first, later) = (
        vec![mounted(given("v"), "data")],
        vec![mounted(not_given("v"), "data")],
    );
    let mut node = with_volumes(std::slice::from_ref(&volume));
    node.run(with(task("a"), &volume));
    assert_eq!(mounts(&node.launched()), first);
    node.run(with(task("b"), &volume));
    assert_eq!(mounts(&node.launched()), later);
    // When nobody has it any more it is the next one's.
    let mut node = with_volumes(std::slice::from_ref(&volume));
    node.run(with(task("a"), &volume));
    let outer = node.start();
    node.exit(&outer, 0);
    node.drain();
    let tasks = vec![with(task("c"), &volume), with(task("d"), &volume)];
    let launches = launched_in_group(&mut node, tasks);
    let found: Vec<_> = launches.iter().map(mounts).collect();
    assert_eq!(found, [first, later]);
    // Without root nothing is given, and nothing mounted.
    let mut node = with_volumes(std::slice::from_ref(&volume));
    node.core.config.is_root = false;
    node.run(with(task("a"), &volume));
    let launch = node.launched();
    assert!(mounts(&launch).is_empty());
    assert_eq!(launch.order.volumes.len(), 1);
}

#[test]
fn a_command_beside_a_task_takes_its_volume_from_nobody() {
    let volume = shared_by_all("v");
    let mut node = with_volumes(std::slice::from_ref(&volume));
    node.run(with(task("t"), &volume));
    node.start();
    let framework = &node.core.frameworks["f"];
    let executor = &framework.executors["t"];
    let around = (framework, executor, executor.tasks.get("t"));
    let command = CommandInfo::default();
    let order = crate::order::beside(&node.core.config, "a", around, &command, "c.i".to_owned());
    let mounts = order.confinement.mounts;
    assert_eq!(mounts, [mounted(not_given("v"), "data")]);
}
