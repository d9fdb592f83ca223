use super::*;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// More than there are descriptors, and more than a stack has frames for.
const DEEP: usize = 20_000;

/// Directories within one another, as a task makes them: one step after the other.
fn dig(top: &Path, depth: usize) {
    fs::create_dir(top).expect("made");
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = rustix::fs::openat(CWD, top, flags, Mode::empty()).expect("opened");
    for _ in 0..depth {
        rustix::fs::mkdirat(&at, "d", Mode::RWXU).expect("made");
        let flags = flags | OFlags::NOFOLLOW;
        at = rustix::fs::openat(&at, "d", flags, Mode::empty()).expect("opened");
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    rustix::fs::openat(&at, "file", flags, Mode::RUSR).expect("made");
}

fn place() -> (TempDir, PathBuf) {
    let all = TempDir::new().expect("a directory");
    let tree = all.path().join("tree");
    (all, tree)
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("there");
    let names = entries.map(|it| it.expect("read").file_name().into_string().expect("text"));
    names.collect()
}

#[test]
fn what_is_deeper_than_any_stack_is_removed() {
    let (all, tree) = place();
    dig(&tree, DEEP);
    remove(&tree).expect("removed");
    assert!(names(all.path()).is_empty());
}

#[test]
fn what_is_wide_and_has_names_of_the_remover_is_removed() {
    let (all, tree) = place();
    for outer in 0..20 {
        for inner in 0..20 {
            let dir = tree.join(format!("{RAISED}{outer}/{RAISED}{inner}/deep"));
            fs::create_dir_all(&dir).expect("made");
            fs::write(dir.join("file"), "x").expect("written");
        }
    }
    fs::write(tree.join(format!("{RAISED}20")), "a file").expect("written");
    remove(&tree).expect("removed");
    assert!(names(all.path()).is_empty());
}

#[test]
fn links_are_removed_and_not_followed() {
    let (all, tree) = place();
    let other = all.path().join("other");
    fs::create_dir(&other).expect("made");
    fs::write(other.join("kept"), "x").expect("written");
    fs::create_dir_all(tree.join("a/b")).expect("made");
    for link in ["link", "a/link", "a/b/link"] {
        std::os::unix::fs::symlink(&other, tree.join(link)).expect("linked");
    }
    remove(&tree).expect("removed");
    assert_eq!(names(&other), ["kept"]);
    std::os::unix::fs::symlink(&other, &tree).expect("linked");
    remove(&tree).expect("the link alone");
    assert_eq!(
        (names(&other), tree.is_symlink()),
        (vec!["kept".to_owned()], false)
    );
}

#[test]
fn files_go_too_and_nothing_is_no_error() {
    let (all, tree) = place();
    fs::write(&tree, "x").expect("written");
    remove(&tree).expect("removed");
    assert!(names(all.path()).is_empty());
    remove(&tree).expect("nothing is no error");
    remove(&tree.join("beneath")).expect("nor where nothing is above");
}

#[test]
fn a_directory_can_stay() {
    let (_all, tree) = place();
    dig(&tree, 3);
    fs::write(tree.join("file"), "x").expect("written");
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = rustix::fs::openat(CWD, &tree, flags, Mode::empty()).expect("opened");
    empty(&top).expect("emptied");
    assert!(names(&tree).is_empty());
}

#[test]
fn no_mount_is_entered() {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, "/", flags, Mode::empty()).expect("opened");
    let error = open(root.as_fd(), "proc").expect_err("it is a mount");
    assert!(error.to_string().contains("is mounted"), "{error}");
}
