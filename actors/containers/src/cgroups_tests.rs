//! The hierarchy is played by plain directories: what is written where, and in which case.

use super::*;
use crate::spec::ShownCgroup;
use rustix::io::Errno;

fn limits() -> Limits {
    Limits {
        cpu_request_milli: Some(500),
        memory_limit_bytes: Some(64 << 20),
        processes: Some(9),
        ..Limits::default()
    }
}

fn text(path: PathBuf) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn v1_makes_a_directory_a_mount_and_joins_by_tasks() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["cpu", "memory"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    let mounts = [
        (Controller::Cpu, at("cpu")),
        (Controller::Cpuacct, at("cpu")),
        (Controller::Memory, at("memory")),
    ];
    let container = Cgroups::v1(&mounts.into(), &BTreeMap::new(), "tepui")
        .unwrap()
        .container("c1")
        .unwrap();
    container.create(&limits(), None).unwrap();

    assert_eq!(
        container.join_files(),
        [at("memory/tepui/c1/tasks"), at("cpu/tepui/c1/tasks")]
    );
    assert_eq!(text(at("cpu/tepui/c1/cpu.shares")), "512");
    assert_eq!(
        text(at("memory/tepui/c1/memory.limit_in_bytes")),
        "67108864"
    );

    assert_eq!(container.watched_memory(), Some(at("memory/tepui/c1")));
    assert!(!at("memory/tepui/c1/memory.oom.group").exists());

    let lower = Limits {
        memory_limit_bytes: Some(40 << 20),
        ..Limits::default()
    };
    container.update(&lower).unwrap();
    assert_eq!(
        text(at("memory/tepui/c1/memory.limit_in_bytes")),
        "67108864"
    );
    let higher = Limits {
        memory_limit_bytes: Some(80 << 20),
        ..Limits::default()
    };
    container.update(&higher).unwrap();
    assert_eq!(
        text(at("memory/tepui/c1/memory.limit_in_bytes")),
        "83886080"
    );
}

#[test]
fn v2_enables_what_it_finds_and_skips_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("cgroup.controllers"),
        "hugetlb memory pids\n",
    )
    .unwrap();
    let cgroups = Cgroups::v2(dir.path(), "tepui").unwrap();
    let Cgroups::V2 { controllers, .. } = &cgroups else {
        panic!("{cgroups:?}")
    };
    assert_eq!(
        *controllers,
        BTreeSet::from([Controller::Memory, Controller::Pids])
    );

    let container = cgroups.container("c1").unwrap();
    container.create(&limits(), None).unwrap();
    let base = dir.path().join("tepui/c1");
    assert_eq!(container.join_files(), [base.join("own:/cgroup.procs")]);
    assert_eq!(text(base.join("memory.max")), "67108864");
    assert_eq!(text(base.join("pids.max")), "9");
    assert!(!base.join("cpu.weight").exists());

    assert!(!container.out_of_memory());
    std::fs::write(base.join("memory.events"), "low 0\noom 3\noom_kill 1\n").unwrap();
    assert!(container.out_of_memory());
}

#[test]
fn what_cannot_be_written_says_why_and_leaves_nothing() {
    let missing = [(Controller::Cpu, PathBuf::from("/nonexistent/cpu"))];
    let Cgroups::None { reason } =
        Cgroups::v1(&missing.into(), &BTreeMap::new(), "tepui").unwrap_or_else(Cgroups::unusable)
    else {
        panic!("a hierarchy that is not there was accepted");
    };
    assert!(
        reason.contains("/nonexistent/cpu/tepui") && reason.contains("No such file"),
        "{reason}"
    );
    assert_eq!(Cgroups::none(reason).container("c1"), None);
}

#[test]
fn values_are_found_by_their_whole_name() {
    assert_eq!(
        value_of("oom_kill_disable 0\nunder_oom 1\noom_kill 7\n", "oom_kill"),
        Some(7)
    );
    assert_eq!(value_of("rss 1\ntotal_rss 2\n", "rss"), Some(1));
    assert_eq!(value_of("", "rss"), None);
}

#[test]
fn v2_hands_controllers_down_to_containers_within() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cgroup.controllers"), "memory io cpuset\n").unwrap();
    let cgroups = Cgroups::v2(dir.path(), "tepui").unwrap();
    cgroups
        .container("c1")
        .unwrap()
        .create(&limits(), None)
        .unwrap();
    let outer = dir.path().join("tepui/c1");
    assert!(!outer.join("cgroup.subtree_control").exists());

    let inner = cgroups.container("c1.i1").unwrap();
    inner.create(&limits(), None).unwrap();
    // The plain file keeps what was written last.
    assert_eq!(text(outer.join("cgroup.subtree_control")), "+cpuset");
    assert_eq!(inner.join_files(), [outer.join("i1/own:/cgroup.procs")]);
    assert_eq!(text(outer.join("i1/memory.max")), "67108864");
    assert!(cgroups.has(Controller::Blkio) && !cgroups.has(Controller::Devices));

    std::fs::write(outer.join("memory.events"), "oom_kill 1\n").unwrap();
    std::fs::write(outer.join("memory.events.local"), "oom_kill 0\n").unwrap();
    assert!(!cgroups.container("c1").unwrap().out_of_memory());
    // Its own processes are in a leaf, which has the controller now.
    let leaf = outer.join("own:/memory.events.local");
    std::fs::write(&leaf, "oom_kill 0\n").unwrap();
    assert!(!cgroups.container("c1").unwrap().out_of_memory());
    std::fs::write(&leaf, "oom_kill 1\n").unwrap();
    assert!(cgroups.container("c1").unwrap().out_of_memory());
}

#[test]
fn v2_kills_for_memory_all_of_a_container_and_nothing_of_others() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cgroup.controllers"), "memory\n").unwrap();
    let cgroups = Cgroups::v2(dir.path(), "tepui").unwrap();
    let create = |id| cgroups.container(id).unwrap().create(&limits(), None);
    let outer = dir.path().join("tepui/c1");
    let group = |place: &str| text(outer.join(place).join("memory.oom.group"));
    create("c1").unwrap();
    assert_eq!(group(""), "1");
    create("c1.i1").unwrap();
    assert_eq!(
        (group(""), group("own:"), group("i1")),
        ("0".into(), "1".into(), "1".into())
    );
    assert_eq!(cgroups.container("c1").unwrap().watched_memory(), None);
}

#[test]
fn processes_of_an_earlier_agent_make_way_for_containers_within() {
    let dir = tempfile::tempdir().unwrap();
    let moved = dir.path().join("own:/cgroup.procs");
    std::fs::write(dir.path().join("cgroup.procs"), "41\n42\n").unwrap();
    let busy = || Error::cgroup("write", dir.path())(Errno::BUSY.into());
    // Until the last one is there, as the plain file keeps it.
    making_way(dir.path(), || match std::fs::read_to_string(&moved) {
        Ok(text) if text == "42" => Ok(()),
        _ => Err(busy()),
    })
    .unwrap();
    // Not for ever, and for no other reason.
    assert!(making_way(dir.path(), || Err(busy())).is_err());
    std::fs::remove_dir_all(dir.path().join("own:")).unwrap();
    let denied = || Error::cgroup("write", dir.path())(Errno::ACCESS.into());
    assert!(making_way(dir.path(), || Err(denied())).is_err());
    assert!(!dir.path().join("own:").exists());
}

#[test]
fn v1_allows_the_devices_it_is_told_and_has_the_cpus_of_the_agent() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["devices", "cpuset"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    std::fs::write(at("cpuset/cpuset.cpus"), "0-1\n").unwrap();
    std::fs::write(at("cpuset/cpuset.mems"), "0\n").unwrap();
    let mounts = [
        (Controller::Devices, at("devices")),
        (Controller::Cpuset, at("cpuset")),
    ];
    let cgroups = Cgroups::v1(&mounts.into(), &BTreeMap::new(), "tepui").unwrap();
    let container = cgroups.container("c1").unwrap();
    let rules = ["c 1:3 rwm".parse().unwrap()];
    container.create(&limits(), Some(&rules)).unwrap();
    assert_eq!(text(at("devices/tepui/c1/devices.deny")), "a");
    assert_eq!(text(at("devices/tepui/c1/devices.allow")), "c 1:3 rwm");
    assert_eq!(text(at("cpuset/tepui/c1/cpuset.cpus")), "0-1");
    assert_eq!(text(at("cpuset/tepui/c1/cpuset.mems")), "0");

    // One whose operator chose fewer keeps them.
    std::fs::write(at("cpuset/tepui/cpuset.cpus"), "1\n").unwrap();
    let cgroups = Cgroups::v1(
        &BTreeMap::from([(Controller::Cpuset, at("cpuset"))]),
        &BTreeMap::new(),
        "tepui",
    );
    let container = cgroups.unwrap().container("c2").unwrap();
    container.create(&limits(), None).unwrap();
    assert_eq!(text(at("cpuset/tepui/c2/cpuset.cpus")), "1");
}

#[test]
fn what_an_agent_with_more_rights_left_is_not_taken_for_usable() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("cpu/tepui")).unwrap();
    std::fs::set_permissions(
        dir.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let mounts = BTreeMap::from([(Controller::Cpu, dir.path().join("cpu"))]);
    assert!(Cgroups::v1(&mounts, &BTreeMap::new(), "tepui").is_ok());
    // Of this thread alone.
    let as_nobody = std::thread::spawn(move || {
        let nobody = rustix::process::Uid::from_raw(65_534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        Cgroups::v1(&mounts, &BTreeMap::new(), "tepui").unwrap_or_else(Cgroups::unusable)
    });
    let Cgroups::None { reason } = as_nobody.join().unwrap() else {
        panic!("it was taken");
    };
    assert!(
        reason.contains("cannot write into the cgroup") && reason.contains("Permission denied"),
        "{reason}"
    );
}

#[test]
fn a_container_that_is_older_than_a_hierarchy_gets_its_place_there_with_the_first_one_within() {
    let dir = tempfile::tempdir().unwrap();
    let mounts = |names: &[Controller]| -> BTreeMap<_, _> {
        let mount = |it: &Controller| (*it, dir.path().join(it.name()));
        names.iter().map(mount).collect()
    };
    let all = mounts(&[Controller::Pids, Controller::Memory]);
    all.values()
        .for_each(|mount| std::fs::create_dir(mount).unwrap());
    let pids = mounts(&[Controller::Pids]);
    let older = Cgroups::v1(&pids, &BTreeMap::new(), "tepui").unwrap();
    let outer = older.container("outer").unwrap();
    outer.create(&Limits::default(), None).unwrap();

    let newer = Cgroups::v1(&all, &BTreeMap::new(), "tepui").unwrap();
    let inner = newer.container("outer.inner").unwrap();
    inner.create(&Limits::default(), None).unwrap();
    assert!(dir.path().join("memory/tepui/outer/inner").is_dir());

    newer.container("outer").unwrap().remove().unwrap();
    assert!(!dir.path().join("memory/tepui/outer").exists());
    assert!(!dir.path().join("pids/tepui/outer").exists());
}

#[test]
fn what_a_hierarchy_that_is_not_used_any_more_holds_of_a_container_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let of = |it: Controller| BTreeMap::from([(it, dir.path().join(it.name()))]);
    for controller in [Controller::Cpu, Controller::Memory, Controller::Devices] {
        std::fs::create_dir(dir.path().join(controller.name())).unwrap();
    }
    let both = of(Controller::Cpu)
        .into_iter()
        .chain(of(Controller::Memory))
        .collect();
    let older = Cgroups::v1(&both, &of(Controller::Devices), "tepui").unwrap();
    let memory = dir.path().join("memory/tepui/c1");
    older
        .container("c1")
        .unwrap()
        .create(&limits(), None)
        .unwrap();
    // Plain directories keep their files.
    std::fs::remove_dir_all(&memory).unwrap();
    std::fs::create_dir(&memory).unwrap();
    std::fs::remove_dir_all(dir.path().join("cpu/tepui/c1")).unwrap();

    let newer = Cgroups::v1(&of(Controller::Cpu), &of(Controller::Memory), "tepui").unwrap();
    let container = newer.container("c1").unwrap();
    assert!(!newer.has(Controller::Memory) && container.join_files().len() == 1);
    container.remove().unwrap();
    assert!(!memory.exists());
    assert!(!dir.path().join("devices/tepui").exists());
}

fn names(shown: &[ShownCgroup], dir: &Path) -> Vec<(String, String)> {
    let named = shown.iter().map(|it| {
        let within = it.dir.strip_prefix(dir).unwrap();
        let name = it.name.to_string_lossy().into_owned();
        (name, within.display().to_string())
    });
    named.collect()
}

fn pair(name: &str, dir: &str) -> (String, String) {
    (name.to_owned(), dir.to_owned())
}

#[test]
fn a_container_sees_its_own_cgroups_under_the_names_the_machine_has_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["cpu,cpuacct", "memory"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    let mounts = [
        (Controller::Cpu, at("cpu,cpuacct")),
        (Controller::Cpuacct, at("cpu,cpuacct")),
        (Controller::Memory, at("memory")),
    ];
    let cgroups = Cgroups::v1(&mounts.into(), &BTreeMap::new(), "tepui").unwrap();
    let own = "cpu,cpuacct/tepui/c1";
    assert_eq!(
        names(&cgroups.shown("c1", &limits()), dir.path()),
        [
            pair("cpu,cpuacct", own),
            pair("cpuacct", own),
            pair("cpu", own),
            pair("memory", "memory/tepui/c1"),
        ]
    );
    // One within another that shares its limits looks at those.
    let shared = cgroups.shown("c1.inner", &Limits::default());
    assert!(shared.contains(&ShownCgroup {
        dir: at("memory/tepui/c1"),
        name: "memory".into()
    }));
    let memory = Limits {
        memory_limit_bytes: Some(64 << 20),
        ..Limits::default()
    };
    let mixed = names(&cgroups.shown("c1.inner", &memory), dir.path());
    assert_eq!(mixed[0], pair("cpu,cpuacct", own));
    assert_eq!(mixed[3], pair("memory", "memory/tepui/c1/inner"));
}

#[test]
fn with_v2_a_container_sees_one_directory() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cgroup.controllers"), "cpu memory pids").unwrap();
    let cgroups = Cgroups::v2(dir.path(), "tepui").unwrap();
    let seen = |id: &str, limits: &Limits| names(&cgroups.shown(id, limits), dir.path());
    assert_eq!(seen("c1", &limits()), [pair("", "tepui/c1")]);
    assert_eq!(seen("c1.a", &limits()), [pair("", "tepui/c1/a")]);
    assert_eq!(seen("c1.a", &Limits::default()), [pair("", "tepui/c1")]);
    let none = Cgroups::none("none".into());
    assert!(none.shown("c1", &limits()).is_empty());
}
