use std::{collections::BTreeMap, fs, os::unix::fs::symlink};

use super::{Attached, Files, FilesError, MAX_READ_BYTES, mode_text};

fn shown() -> (tempfile::TempDir, Files) {
    let home = tempfile::tempdir().unwrap();
    let box_ = home.path().join("box");
    fs::create_dir_all(box_.join("sub")).unwrap();
    fs::create_dir_all(home.path().join("box-other")).unwrap();
    fs::write(home.path().join("secret"), "secret").unwrap();
    fs::write(home.path().join("box-other/secret"), "secret").unwrap();
    fs::write(box_.join("stdout"), vec![b'x'; 70_000]).unwrap();
    fs::write(box_.join("sub/a"), "hello").unwrap();
    symlink("sub/a", box_.join("inner")).unwrap();
    symlink("../secret", box_.join("outer")).unwrap();
    symlink(home.path().join("secret"), box_.join("absolute")).unwrap();
    symlink("/proc/self/root", box_.join("root")).unwrap();
    let files = Files::new(Attached(BTreeMap::from([("/box".to_string(), box_)])));
    (home, files)
}

#[test]
fn nothing_leads_out_of_what_is_attached() {
    let (_home, files) = shown();
    for path in [
        "/nope",
        "/box/nope",
        "/box/../secret",
        "/box/sub/../../secret",
        "/box/outer",
        "/box/absolute",
        "/box/root/etc/passwd",
        "/box-other/secret",
        "/boxother",
        "/box/\0",
        "",
    ] {
        let read = files.read(path, Some(0), None);
        assert!(
            matches!(read, Err(FilesError::NotFound)),
            "{path}: {read:?}"
        );
    }
    assert_eq!(
        files.read("/box/inner", Some(0), None).unwrap().data,
        b"hello"
    );
    assert_eq!(
        files.read("/box//sub/./a/", Some(0), None).unwrap().data,
        b"hello"
    );
}

#[test]
fn reads_are_bounded_and_know_the_size() {
    let (_home, files) = shown();
    let read = |offset, length| files.read("/box/stdout", offset, length).unwrap();
    assert_eq!(read(Some(0), None).data.len() as u64, MAX_READ_BYTES);
    assert_eq!(read(Some(69_999), None).data.len(), 1);
    assert_eq!(read(Some(70_001), None).data.len(), 0);
    assert_eq!(read(Some(u64::MAX), None).file_size, 70_000);
    assert_eq!(read(Some(5), Some(3)).data, b"xxx");
    assert_eq!(read(None, Some(3)).data, b"");
    assert!(matches!(
        files.read("/box/sub", Some(0), None),
        Err(FilesError::Directory)
    ));
}

#[test]
fn listings_are_sorted_virtual_and_follow_no_link() {
    let (_home, files) = shown();
    let paths: Vec<String> = files
        .list("/box/")
        .unwrap()
        .into_iter()
        .map(|entry| entry.path)
        .collect();
    assert_eq!(
        paths,
        [
            "/box/absolute",
            "/box/inner",
            "/box/outer",
            "/box/root",
            "/box/stdout",
            "/box/sub"
        ]
    );
    assert!(files.list("/box/stdout").unwrap().is_empty());
    assert_eq!(mode_text(0o100_644), "-rw-r--r--");
    assert_eq!(mode_text(0o040_751), "drwxr-x--x");
}
