use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

fn order<'a>(root: &'a Path, shared: &'a [(&'a str, &'a str)]) -> NestedSandbox<'a> {
    NestedSandbox {
        root,
        name: "c1",
        task: Some("t1"),
        owner: None,
        shared,
    }
}

#[test]
fn it_lies_below_containers_and_is_shown_by_task() {
    let root = tempfile::tempdir().unwrap();
    prepare(&order(root.path(), &[])).unwrap();
    let sandbox = path(root.path(), "c1");
    let mode = fs::metadata(&sandbox).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o750);
    fs::write(sandbox.join("stdout"), "hello").unwrap();
    let shown = root.path().join("tasks/t1/stdout");
    assert_eq!(fs::read_to_string(shown).unwrap(), "hello");
}

#[test]
fn a_task_that_comes_again_is_shown_by_its_last_container() {
    let root = tempfile::tempdir().unwrap();
    prepare(&order(root.path(), &[])).unwrap();
    let again = NestedSandbox {
        name: "c2",
        ..order(root.path(), &[])
    };
    prepare(&again).unwrap();
    let target = fs::read_link(root.path().join("tasks/t1")).unwrap();
    assert_eq!(target, Path::new("../containers/c2"));
}

#[test]
fn a_directory_is_shared_between_containers() {
    let root = tempfile::tempdir().unwrap();
    let shared = [("common/data", "deep/mine"), ("common", "all")];
    prepare(&order(root.path(), &shared)).unwrap();
    let second = NestedSandbox {
        name: "c2",
        task: None,
        ..order(root.path(), &shared)
    };
    prepare(&second).unwrap();
    let first = path(root.path(), "c1").join("deep/mine/file");
    fs::write(first, "x").unwrap();
    let seen = path(root.path(), "c2").join("all/data/file");
    assert_eq!(fs::read_to_string(seen).unwrap(), "x");
}

#[test]
fn no_name_leads_out_of_the_outer_sandbox() {
    let outside = tempfile::tempdir().unwrap();
    for planted in ["containers", "tasks", "common"] {
        let root = tempfile::tempdir().unwrap();
        symlink(outside.path(), root.path().join(planted)).unwrap();
        let refused = prepare(&order(root.path(), &[("common/x", "y")]));
        assert!(refused.is_err(), "{planted}");
    }
    for (source, container_path) in [
        ("../x", "y"),
        ("x", "../y"),
        ("/x", "y"),
        ("x", "/y"),
        ("x", ""),
    ] {
        let root = tempfile::tempdir().unwrap();
        let refused = prepare(&order(root.path(), &[(source, container_path)]));
        assert!(refused.is_err(), "{source} {container_path}");
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("containers/c1")).unwrap();
    assert!(prepare(&order(root.path(), &[])).is_err());
}

#[test]
fn what_is_gone_is_removed() {
    let root = tempfile::tempdir().unwrap();
    remove(root.path(), "c1").unwrap();
    remove(&root.path().join("none"), "c1").unwrap();
    prepare(&order(root.path(), &[])).unwrap();
    for _ in 0..2 {
        remove(root.path(), "c1").unwrap();
    }
    assert!(!path(root.path(), "c1").exists());
}
