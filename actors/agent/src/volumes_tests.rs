use std::sync::Arc;

use tepui_messages::agent::ExecutorPhase;
use tepui_protocol::v1::{
    ContainerId, Task, Volume,
    resource::{DiskInfo, ReservationInfo, disk_info::Persistence, reservation_info},
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
        disk: Some(DiskInfo {
            persistence: Some(Persistence {
                id: id.to_owned(),
                ..Persistence::default()
            }),
            volume: Some(Volume {
                container_path: container_path.to_owned(),
                ..Volume::default()
            }),
            ..DiskInfo::default()
        }),
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
        container: Some(ContainerInfo {
            volumes: vec![of_parent("common", "ours"), of_parent("plain", "no")],
            ..ContainerInfo::default()
        }),
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
        queued_tasks: Vec::new(),
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
        ("containers/c/ours", "shared"),
        ("containers/c/mine", "own"),
        ("containers/c/a/b", "deep"),
        ("tasks/t/ours", "shared"),
        ("tasks/t/mine", "own"),
        ("tasks/t/a/b", "deep"),
    ];
    let expected = expected.map(|(at, id)| (at.to_owned(), id.to_owned()));
    assert_eq!(found, BTreeSet::from(expected));
}
