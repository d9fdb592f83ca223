use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use tepui_containers::{Cgroups, Limits, tree::cgroup_members as members};
use tepui_messages::containers::ContainerRuntime;

use super::*;
use crate::runtime::{
    Containers,
    tests::{containers_within, leader, record},
};

/// In place of the kernel's: a directory with something in it is not removed, as a busy cgroup.
fn cgroups(root: &Path) -> Cgroups {
    Cgroups::V2 {
        root: root.join("group"),
        controllers: BTreeSet::new(),
    }
}

fn busy(root: &Path) -> PathBuf {
    let busy = root.join("group/c");
    std::fs::create_dir_all(&busy).unwrap();
    std::fs::write(busy.join("held"), "").unwrap();
    busy
}

fn hung(containers: &Containers) -> Vec<(String, Step)> {
    let all = containers.0.errors.unfinished.shown().into_iter();
    all.map(|(id, hung)| (id, hung.step)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_cgroup_that_is_busy_is_tried_again_and_holds_up_nobody() {
    let root = tempfile::tempdir().unwrap();
    let busy = busy(root.path());
    std::fs::create_dir_all(root.path().join("group/other")).unwrap();
    std::fs::create_dir_all(root.path().join("run/c")).unwrap();
    let containers = containers_within(root.path(), cgroups(root.path()), Duration::ZERO);
    containers.forget("c".to_owned()).await;
    containers.forget("other".to_owned()).await;
    assert!(!root.path().join("group/other").exists());
    assert_eq!(hung(&containers), [("c".to_owned(), Step::Cleanup)]);
    assert!(root.path().join("run/c").exists(), "for the next life");
    std::fs::remove_dir_all(busy).unwrap();
    sleep(Duration::from_secs(30)).await;
    assert_eq!(hung(&containers), []);
    assert!(!root.path().join("run/c").exists());
}

#[tokio::test(start_paused = true)]
async fn a_cgroup_that_stays_busy_stays_shown() {
    let root = tempfile::tempdir().unwrap();
    let busy = busy(root.path());
    let containers = containers_within(root.path(), cgroups(root.path()), Duration::ZERO);
    containers.forget("c".to_owned()).await;
    sleep(Duration::from_hours(1)).await;
    assert_eq!(hung(&containers), [("c".to_owned(), Step::Cleanup)]);
    // Nobody tries any more: this one's next life does.
    std::fs::remove_dir_all(busy).unwrap();
    sleep(Duration::from_hours(1)).await;
    assert_eq!(hung(&containers), [("c".to_owned(), Step::Cleanup)]);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_be_killed_is_shown_until_it_can() {
    let root = tempfile::tempdir().unwrap();
    let members = root.path().join("group/c/cgroup.procs");
    std::fs::create_dir_all(root.path().join("group/c")).unwrap();
    std::fs::write(&members, "2000000000\n").unwrap();
    let containers = containers_within(root.path(), cgroups(root.path()), Duration::ZERO);
    let destroyed = containers.destroy("c".to_owned()).await;
    let shown = containers.0.errors.unfinished.shown();
    let why = &shown["c"].why;
    assert!(
        why.contains("2000000000 (") && destroyed == Err(why.clone()),
        "{why}"
    );
    assert_eq!(containers.0.errors.unfinished.count(Step::Destroy), 1);
    std::fs::remove_file(&members).unwrap();
    assert_eq!(containers.destroy("c".to_owned()).await, Ok(()));
    assert_eq!(hung(&containers), []);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_one_that_has_ended_counts_as_well() {
    let root = tempfile::tempdir().unwrap();
    let members = root.path().join("group/c/cgroup.procs");
    std::fs::create_dir_all(root.path().join("group/c")).unwrap();
    std::fs::write(&members, "2000000000\n").unwrap();
    let (mut child, process) = leader();
    record(root.path(), process, "exited 256\n");
    child.kill().unwrap();
    child.wait().unwrap();
    let containers = containers_within(root.path(), cgroups(root.path()), Duration::ZERO);
    let recovered = containers.recover("c".to_owned()).await;
    drop(recovered);
    let errors = &containers.0.errors;
    assert_eq!(errors.destroy.load(Ordering::Relaxed), 1);
    assert_eq!(hung(&containers), [("c".to_owned(), Step::Destroy)]);
}

#[tokio::test(start_paused = true)]
async fn a_stray_that_cannot_be_killed_does_not_hold_up_the_start() {
    let root = tempfile::tempdir().unwrap();
    // A check that waits for a file server, say.
    let members = root.path().join("group/c/check-1/cgroup.procs");
    for dir in ["group/c/check-1", "run/c.check-1"] {
        std::fs::create_dir_all(root.path().join(dir)).unwrap();
    }
    std::fs::write(&members, "2000000000\n").unwrap();
    let deadline = Duration::from_mins(1);
    let containers = containers_within(root.path(), cgroups(root.path()), deadline);
    let begun = Instant::now();
    containers.end_strays(&["c".to_owned()].into()).await;
    assert!(begun.elapsed() < deadline / 4, "{:?}", begun.elapsed());
    assert_eq!(hung(&containers), [("c.check-1".to_owned(), Step::Cleanup)]);
    std::fs::remove_dir_all(root.path().join("group/c/check-1")).unwrap();
    sleep(deadline).await;
    assert_eq!(hung(&containers), []);
}

#[tokio::test]
async fn who_comes_into_a_cgroup_after_its_end_is_ended_and_the_cgroup_removed() {
    let root = tempfile::tempdir().unwrap();
    let cgroups = Cgroups::detect(&format!("tepui-unfinished-{}", std::process::id()));
    let Some(cgroup) = cgroups.container("c") else {
        eprintln!("left out: cgroups need root");
        return;
    };
    cgroup.create(&Limits::default(), None).unwrap();
    let joins = cgroup.join_files().into_iter();
    let joins: Vec<String> = joins
        .map(|it| format!("echo 0 > {}", it.display()))
        .collect();
    let mut late = Command::new("sh")
        .args(["-c", &format!("{}; exec sleep 600", joins.join("; "))])
        .spawn()
        .unwrap();
    let is_there = || members(cgroup.base()).is_ok_and(|all| all.contains(&late.id()));
    while !is_there() {
        sleep(Duration::from_millis(1)).await;
    }
    let containers = containers_within(root.path(), cgroups.clone(), Duration::from_mins(1));
    containers.forget("c".to_owned()).await;
    let before = hung(&containers);
    let ended = tokio::task::spawn_blocking(move || late.wait());
    let ended = ended.await.unwrap().unwrap();
    while cgroup.base().exists() {
        sleep(Duration::from_millis(10)).await;
    }
    cgroups.remove_roots().unwrap();
    let killed = std::os::unix::process::ExitStatusExt::signal(&ended);
    assert_eq!(
        (before, killed),
        (vec![("c".to_owned(), Step::Cleanup)], Some(9))
    );
    while !hung(&containers).is_empty() {
        tokio::task::yield_now().await;
    }
}
