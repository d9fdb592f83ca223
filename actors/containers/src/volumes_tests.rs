use super::{
    clear_removed, empty, give, link, make, move_over, removed_beside, removed_of, take_away,
};
use crate::spec::Credentials;
use rustix::io::Errno;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

#[test]
fn data_of_a_volume_outlives_the_sandboxes_that_show_it() {
    let root = tempfile::tempdir().unwrap();
    let volume = root.path().join("volumes/roles/r/v");
    make(&volume).unwrap();
    make(&volume).unwrap();
    for (sandbox, path) in [("one", "data"), ("two", "deep/er/data"), ("two", "./data")] {
        let sandbox = root.path().join(sandbox);
        fs::create_dir_all(&sandbox).unwrap();
        link(&sandbox, None, &volume, path, true).unwrap();
        // The same again, as for a second task of one executor.
        link(&sandbox, None, &volume, path, true).unwrap();
        let file = sandbox.join(path).join("file");
        if sandbox.ends_with("one") {
            fs::write(&file, "kept").unwrap();
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    }
    fs::remove_dir_all(root.path().join("one")).unwrap();
    assert_eq!(fs::read_to_string(volume.join("file")).unwrap(), "kept");
    take_away(&volume).unwrap();
    assert!(!volume.exists());
    take_away(&volume).unwrap();
}

#[test]
fn a_disk_that_is_mounted_is_emptied_and_stays() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("lost+found")).unwrap();
    fs::write(root.path().join("file"), "x").unwrap();
    empty(root.path()).unwrap();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn no_link_is_made_outside_the_sandbox_nor_over_a_file() {
    let root = tempfile::tempdir().unwrap();
    let (sandbox, volume) = (root.path().join("sandbox"), root.path().join("v"));
    let outside = root.path().join("outside");
    for directory in [&sandbox, &volume, &outside] {
        fs::create_dir(directory).unwrap();
    }
    symlink(&outside, sandbox.join("way")).unwrap();
    fs::write(sandbox.join("file"), "mine").unwrap();
    for path in [
        "/data",
        "../data",
        "a/../../data",
        "",
        ".",
        "way/data",
        "file",
    ] {
        let linked = link(&sandbox, None, &volume, path, true);
        assert!(linked.is_err(), "{path}");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(sandbox.join("file")).unwrap(), "mine");
    let missing = link(&sandbox, None, &root.path().join("gone"), "data", true);
    assert!(missing.is_err(), "a volume that was removed by hand");
}

#[test]
fn a_volume_is_out_of_the_way_before_it_is_deleted() {
    let root = tempfile::tempdir().unwrap();
    let volume = root.path().join("volumes/roles/r/v");
    let removed = removed_of(root.path());
    assert_eq!(removed_beside(&volume).as_ref(), Some(&removed));
    for _ in 0..2 {
        make(&volume).unwrap();
        fs::write(volume.join("file"), "x").unwrap();
        take_away(&volume).unwrap();
        assert!(!volume.exists());
    }
    assert_eq!(fs::read_to_string(removed.join("1/file")).unwrap(), "x");
    assert!(clear_removed(&removed).is_empty());
    assert_eq!(fs::read_dir(&removed).unwrap().count(), 0);
    assert!(clear_removed(&root.path().join("none")).is_empty());
}

#[test]
fn a_volume_is_taken_away_where_the_file_system_renames_in_one_way_only() {
    let root = tempfile::tempdir().unwrap();
    let (volume, taken) = (root.path().join("v"), root.path().join("0"));
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("file"), "x").unwrap();
    move_over(&volume, &taken).unwrap();
    assert_eq!(fs::read_to_string(taken.join("file")).unwrap(), "x");
    assert!(!volume.exists());
    // Nothing is replaced, and nothing made where there is no volume.
    fs::create_dir(&volume).unwrap();
    assert_eq!(move_over(&volume, &taken), Err(Errno::EXIST));
    assert_eq!(fs::read_to_string(taken.join("file")).unwrap(), "x");
    fs::remove_dir(&volume).unwrap();
    let next = root.path().join("1");
    assert_eq!(move_over(&volume, &next), Err(Errno::NOENT));
    assert!(!next.exists());
}

#[test]
fn a_volume_that_root_uses_stays_whose_it_was() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let owner_after = |uid| {
        let owner = Credentials {
            uid,
            gid: uid,
            groups: Vec::new(),
        };
        give(root.path(), Some(&owner)).unwrap();
        let found = fs::metadata(root.path()).unwrap();
        (found.uid(), found.gid())
    };
    assert_eq!(owner_after(1234), (1234, 1234));
    assert_eq!(owner_after(0), (1234, 1234));
    assert_eq!(owner_after(1235), (1235, 1235));
}
