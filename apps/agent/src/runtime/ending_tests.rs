use tepui_containers::{Cgroups, process};
use tepui_messages::containers::ContainerRuntime;

use super::*;
use crate::runtime::tests::{containers, containers_within, leader, record};

#[test]
fn a_container_is_around_containers_but_not_around_its_checks() {
    let is_around = |ids: &[&str]| {
        let ids: BTreeSet<String> = ids.iter().map(|&id| id.to_owned()).collect();
        is_one_within("c", ids.range("c.".to_owned()..))
    };
    assert!(is_around(&["c", "c.d"]));
    assert!(is_around(&["c.check-1", "c.d.check-1", "c.e"]));
    assert!(!is_around(&["b.d", "c", "c.check-1", "c.check-2", "cc.d"]));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_ended_keeps_its_container_running_and_not_the_agent_from_its_start() {
    let root = tempfile::tempdir().unwrap();
    // Files in place of the kernel's: a process that no signal ends.
    let group = root.path().join("group");
    std::fs::create_dir_all(group.join("c")).unwrap();
    std::fs::write(group.join("c/cgroup.procs"), "2000000000\n").unwrap();
    let (mut child, process) = leader();
    record(root.path(), process, "exited 256\n");
    child.kill().unwrap();
    child.wait().unwrap();
    let cgroups = Cgroups::V2 {
        root: group.clone(),
        controllers: BTreeSet::new(),
    };
    let containers = containers_within(root.path(), cgroups, Duration::ZERO);
    let recovered = containers.recover("c".to_owned());
    let recovered = tokio::time::timeout(Duration::from_hours(1), recovered).await;
    let Ok(RecoveredContainer::Running(running)) = recovered else {
        panic!("the agent waits for it, or takes it for ended")
    };
    std::fs::remove_file(group.join("c/cgroup.procs")).unwrap();
    assert_eq!(running.exited.await.status, Some(256));
}

#[tokio::test]
async fn what_is_left_of_a_container_around_others_is_ended_when_it_is_forgotten() {
    let root = tempfile::tempdir().unwrap();
    let (mut child, process) = leader();
    record(root.path(), process, "exited 0\n");
    std::fs::create_dir_all(root.path().join("run/c.d")).unwrap();
    let containers = containers(root.path());
    let known = ["c", "c.d"].map(str::to_owned).into();
    containers.end_strays(&known).await;
    let lives = || process::stat(process.pid).is_ok_and(|stat| !stat.is_dead());
    let recovered = containers.recover("c".to_owned()).await;
    let is_told = matches!(recovered, RecoveredContainer::Exited(_));
    let before = lives();
    containers.forget("c".to_owned()).await;
    let after = lives();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((is_told, before, after), (true, true, false));
}

#[tokio::test]
async fn nothing_waits_for_a_container_of_which_it_is_known_what_became_of_it() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("run/c.d")).unwrap();
    let containers = containers(root.path());
    containers.end_strays(&["c.d".to_owned()].into()).await;
    assert!(containers.0.is_around("c"));
    containers.recover("c.d".to_owned()).await;
    assert!(!containers.0.is_around("c"));
}
