use super::*;

#[test]
fn a_hybrid_host_shows_both_hierarchies() {
    let mounts = parse(
        "24 1 0:22 / /proc rw - proc proc rw\n\
         30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:11 - cgroup cgroup rw,cpu,cpuacct\n\
         31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
         32 25 0:28 / /mnt/a\\040b rw - cgroup2 cgroup2 rw,nsdelegate\n\
         33 25 0:29 / /second rw - cgroup cgroup rw,memory\n\
         broken line\n",
    );
    let v1 = [
        (Controller::Cpu, "/sys/fs/cgroup/cpu,cpuacct"),
        (Controller::Cpuacct, "/sys/fs/cgroup/cpu,cpuacct"),
        (Controller::Memory, "/sys/fs/cgroup/memory"),
    ];
    assert_eq!(
        mounts.v1,
        v1.map(|(controller, path)| (controller, PathBuf::from(path)))
            .into()
    );
    assert_eq!(mounts.v2, Some(PathBuf::from("/mnt/a b")));
}

#[test]
fn odd_texts_do_no_harm() {
    assert_eq!(parse(""), CgroupMounts::default());
    assert_eq!(parse("1 2 3 - cgroup"), CgroupMounts::default());
    assert_eq!(unescape("a\\"), PathBuf::from("a\\"));
    assert_eq!(unescape("a\\zzzb"), PathBuf::from("a\\zzzb"));
    assert_eq!(unescape("\\134ä\\777"), PathBuf::from("\\ä\\777"));
}

#[test]
fn the_mount_that_a_path_lies_in_is_the_last_of_the_nearest() {
    let table = "\
        20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        21 20 0:5 / /data rw - tmpfs tmpfs rw\n\
        22 21 0:6 / /data/with\\040space rw,nosuid master:3 shared:4 - tmpfs tmpfs rw\n\
        23 20 0:7 / /twice rw - tmpfs tmpfs rw\n\
        24 23 0:8 / /twice rw shared:5 - tmpfs tmpfs rw\n\
        broken line\n";
    for (path, shared) in [
        ("/", Some(true)),
        ("/database", Some(true)),
        ("/data", Some(false)),
        ("/data/x/y", Some(false)),
        ("/data/with space/z", Some(true)),
        ("/twice/x", Some(true)),
        ("relative", None),
    ] {
        assert_eq!(is_shared(table, Path::new(path)), shared, "{path}");
    }
}
