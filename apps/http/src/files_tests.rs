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
fn listings_are_sorted_virtual_and_follow_no_link_that_leads_out() {
    let (home, files) = shown();
    let box_ = home.path().join("box");
    symlink("sub", box_.join("directory")).unwrap();
    symlink("nowhere", box_.join("dangling")).unwrap();
    symlink("../nowhere", box_.join("outer-dangling")).unwrap();
    symlink("round", box_.join("round")).unwrap();
    symlink("../inner", box_.join("sub/back")).unwrap();
    let listed = |path: &str| -> Vec<(String, char)> {
        let entries = files.list(path).unwrap().into_iter();
        let kind = |mode| mode_text(mode).chars().next().unwrap();
        entries.map(|it| (it.path, kind(it.mode))).collect()
    };
    let expected = [
        ("/box/absolute", 'l'),
        ("/box/directory", 'd'),
        ("/box/inner", '-'),
        ("/box/outer", 'l'),
        ("/box/outer-dangling", 'l'),
        ("/box/root", 'l'),
        ("/box/round", 'l'),
        ("/box/stdout", '-'),
        ("/box/sub", 'd'),
    ];
    assert_eq!(
        listed("/box/"),
        expected.map(|(path, kind)| (path.to_owned(), kind))
    );
    let inner = files.list("/box").unwrap().swap_remove(2);
    assert_eq!((inner.path.as_str(), inner.size), ("/box/inner", 5));
    // By another link, and up within what is attached.
    let within = [("/box/directory/a", '-'), ("/box/directory/back", '-')];
    assert_eq!(
        listed("/box/directory"),
        within.map(|(path, kind)| (path.to_owned(), kind))
    );
    assert!(files.list("/box/stdout").unwrap().is_empty());
    assert_eq!(mode_text(0o100_644), "-rw-r--r--");
    assert_eq!(mode_text(0o040_751), "drwxr-x--x");
}

#[test]
fn links_to_absolute_paths_are_followed_where_they_stay_within() {
    let (home, files) = shown();
    let box_ = home.path().join("box");
    symlink(box_.join("sub/a"), box_.join("to-file")).unwrap();
    symlink(box_.join("sub"), box_.join("to-directory")).unwrap();
    symlink(&box_, box_.join("sub/home")).unwrap();
    symlink("sub/home/to-directory", box_.join("by-way")).unwrap();
    symlink(box_.join("gone"), box_.join("to-nothing")).unwrap();
    symlink(box_.join("to-itself"), box_.join("to-itself")).unwrap();
    symlink(box_.join("../secret"), box_.join("up")).unwrap();
    symlink(box_.join("outer"), box_.join("by-outer")).unwrap();
    symlink(home.path().join("box-other"), box_.join("beside")).unwrap();
    for path in [
        "/box/to-file",
        "/box/to-directory/a",
        "/box/sub/home/sub/a",
        "/box/sub/home/to-file",
        "/box/by-way/a",
        "/box/to-directory/home/by-way/home/to-directory/a",
    ] {
        let read = files.read(path, Some(0), None);
        let read = read.map(|it| it.data).map_err(|error| error.to_string());
        assert_eq!(read, Ok(b"hello".to_vec()), "{path}");
    }
    for path in [
        "/box/to-nothing",
        "/box/to-itself",
        "/box/up",
        "/box/by-outer",
        "/box/beside/secret",
        "/box/sub/home/up",
    ] {
        let read = files.read(path, Some(0), None);
        assert!(
            matches!(read, Err(FilesError::NotFound)),
            "{path}: {read:?}"
        );
    }
    let listed = files.list("/box").unwrap();
    let of = |name: &str| {
        let entry = listed.iter().find(|it| it.path == format!("/box/{name}"));
        entry.map(|it| (mode_text(it.mode).chars().next().unwrap(), it.size))
    };
    assert_eq!(of("to-file"), Some(('-', 5)));
    assert_eq!(of("to-directory").map(|(kind, _)| kind), Some('d'));
    assert_eq!(of("by-way").map(|(kind, _)| kind), Some('d'));
    assert_eq!(of("to-nothing"), None);
    assert_eq!(of("up").map(|(kind, _)| kind), Some('l'));
    let names = files.list("/box/sub/home").unwrap().into_iter();
    assert!(
        names
            .map(|it| it.path)
            .any(|it| it == "/box/sub/home/stdout")
    );
}
