use std::path::Path;

use tepui_protocol::v1::resource::{ReservationInfo, disk_info, reservation_info};

use super::*;
use crate::testing::*;

const MEBIBYTE: u64 = 1 << 20;
const INTERVAL: Duration = Duration::from_secs(15);

fn watching(enforced: bool) -> Node {
    with_volumes(enforced, Vec::new())
}

/// The node has these.
fn with_volumes(enforced: bool, volumes: Vec<Resource>) -> Node {
    let mut node = Node::blank();
    let mut config = config();
    config.info.resources = volumes;
    config.disk_watch = Some(DiskWatch {
        interval: INTERVAL,
        enforced,
    });
    node.core = NodeCore::new(config);
    node.on(Input::Recovered(Box::default()));
    node.connect();
    node
}

/// The directories that are to be looked at; `None` where nobody asked.
fn asked(node: &mut Node) -> Option<Vec<PathBuf>> {
    let found = node
        .said
        .iter()
        .position(|it| matches!(it, Effect::WeighDisks { .. }))?;
    match node.said.remove(found) {
        Effect::WeighDisks { directories } => Some(directories),
        _ => None,
    }
}

fn weighed(node: &mut Node, used: &[(&Path, u64)]) {
    let used = used
        .iter()
        .map(|(path, bytes)| (path.to_path_buf(), *bytes));
    node.on(Input::DisksWeighed(used.collect()));
}

fn destroyed(node: &Node) -> Vec<&str> {
    let said = node.said.iter();
    said.filter_map(|effect| match effect {
        Effect::Destroy { container_id } => Some(container_id.as_str()),
        _ => None,
    })
    .collect()
}

fn with_disk(id: &str, megabytes: f64) -> TaskInfo {
    let mut task = task(id);
    task.resources.push(scalar("disk", megabytes));
    task
}

fn volume(id: &str, megabytes: f64) -> Resource {
    let reservation = ReservationInfo {
        r#type: Some(reservation_info::Type::Dynamic as i32),
        role: Some("r".to_owned()),
        ..ReservationInfo::default()
    };
    Resource {
        reservations: vec![reservation],
        disk: Some(Box::new(DiskInfo {
            persistence: Some(disk_info::Persistence {
                id: id.to_owned(),
                principal: None,
            }),
            volume: Some(tepui_protocol::v1::Volume {
                container_path: "data".to_owned(),
                mode: tepui_protocol::v1::volume::Mode::Rw as i32,
                ..Default::default()
            }),
            source: None,
        })),
        ..scalar("disk", megabytes)
    }
}

fn sandbox(node: &Node) -> PathBuf {
    let executors = &node.core.frameworks["f"].executors;
    executors.values().next().unwrap().sandbox.clone()
}

#[test]
fn nobody_looks_unless_told_to() {
    let mut node = Node::running();
    node.run(with_disk("t", 1.0));
    node.start();
    node.sleep(INTERVAL * 10);
    assert_eq!(asked(&mut node), None);
}

#[test]
fn who_holds_more_than_its_disk_fails_with_the_limitation() {
    let mut node = watching(true);
    node.run(with_disk("t", 16.0));
    let container_id = node.start();
    let sandbox = sandbox(&node);
    node.drain();
    node.sleep(INTERVAL);
    assert_eq!(asked(&mut node), Some(vec![sandbox.clone()]));
    weighed(&mut node, &[(&sandbox, 16 * MEBIBYTE)]);
    assert!(destroyed(&node).is_empty(), "it may hold all of it");
    node.sleep(INTERVAL - Duration::from_millis(1));
    assert_eq!(asked(&mut node), None);
    node.sleep(Duration::from_millis(1));
    assert!(asked(&mut node).is_some());
    weighed(&mut node, &[(&sandbox, 17 * MEBIBYTE)]);
    assert_eq!(destroyed(&node), [container_id.as_str()]);
    node.exit(&container_id, 9);
    let statuses = node.drain();
    let last = statuses.last().unwrap();
    assert_eq!(last.state(), TaskState::TaskFailed);
    assert_eq!(last.reason(), Reason::ContainerLimitationDisk);
    let message = last.message.as_deref();
    assert_eq!(message, Some("Disk usage (17MB) exceeds quota (16MB)"));
    let limitation = last.limitation.as_ref().unwrap();
    assert_eq!(limitation.resources, [scalar("disk", 16.0)]);
}

#[test]
fn without_enforcement_it_is_only_told() {
    let mut node = watching(false);
    node.run(with_disk("t", 1.0));
    node.start();
    let sandbox = sandbox(&node);
    node.sleep(INTERVAL);
    weighed(&mut node, &[(&sandbox, 5 * MEBIBYTE)]);
    assert!(destroyed(&node).is_empty());
    let key = ExecutorKey {
        framework_id: "f".to_owned(),
        executor_id: "t".to_owned(),
    };
    let mut statistics = ResourceStatistics::default();
    node.core.add_disk_statistics(&key, &mut statistics);
    assert_eq!(statistics.disk_limit_bytes, Some(MEBIBYTE));
    assert_eq!(statistics.disk_used_bytes, Some(5 * MEBIBYTE));
    assert_eq!(statistics.disk_statistics.len(), 1);
}

#[test]
fn a_volume_counts_by_itself() {
    let mut node = with_volumes(true, vec![volume("v", 2.0)]);
    let mut task = with_disk("t", 8.0);
    task.resources.push(volume("v", 2.0));
    node.run(task);
    let container_id = node.start();
    let (sandbox, directory) = (sandbox(&node), Path::new("/w/volumes/roles/r/v"));
    node.sleep(INTERVAL);
    assert_eq!(
        asked(&mut node),
        Some(vec![sandbox.clone(), directory.to_owned()])
    );
    weighed(
        &mut node,
        &[(&sandbox, 8 * MEBIBYTE), (directory, 3 * MEBIBYTE)],
    );
    assert_eq!(destroyed(&node), [container_id.as_str()]);
    node.exit(&container_id, 9);
    let last = node.drain().pop().unwrap();
    let message = last.message.as_deref();
    assert_eq!(message, Some("Disk usage (3MB) exceeds quota (2MB)"));
    assert_eq!(last.limitation.unwrap().resources, [volume("v", 2.0)]);
}

#[test]
fn a_whole_disk_bounds_itself() {
    let mut task = task("t");
    let mut mounted = volume("v", 2.0);
    if let Some(disk) = &mut mounted.disk {
        disk.source = Some(disk_info::Source {
            r#type: disk_info::source::Type::Mount as i32,
            mount: Some(disk_info::source::Mount {
                root: Some("/mnt/d".to_owned()),
            }),
            ..Default::default()
        });
    }
    let mut node = with_volumes(true, vec![mounted.clone()]);
    task.resources.push(mounted);
    node.run(task);
    node.start();
    node.sleep(INTERVAL);
    assert_eq!(asked(&mut node), Some(vec![PathBuf::from("/mnt/d")]));
    weighed(&mut node, &[(Path::new("/mnt/d"), 3 * MEBIBYTE)]);
    assert!(destroyed(&node).is_empty());
}

#[test]
fn an_agent_that_comes_back_looks_again() {
    let mut node = watching(true);
    node.run(with_disk("t", 1.0));
    let container_id = node.start();
    let mut again = node.restart("boot");
    let fate = Fate::Running {
        shim: mark(),
        pid: 7,
    };
    again.core.config.disk_watch = node.core.config.disk_watch;
    again.on(Input::ContainerRecovered {
        container_id: container_id.clone(),
        fate,
    });
    let sandbox = sandbox(&again);
    assert_eq!(asked(&mut again), Some(vec![sandbox.clone()]));
    weighed(&mut again, &[(&sandbox, 2 * MEBIBYTE)]);
    assert_eq!(destroyed(&again), [container_id.as_str()]);
}
