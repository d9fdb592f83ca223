use super::{directory, find};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

#[test]
fn a_place_of_the_kind_of_its_source_is_made_in_the_sandbox() {
    let root = tempfile::tempdir().unwrap();
    let (host, sandbox) = (root.path().join("host"), root.path().join("sandbox"));
    fs::create_dir(&host).unwrap();
    fs::create_dir(&sandbox).unwrap();
    fs::write(host.join("file"), "x").unwrap();
    for _ in 0..2 {
        let mount = find(&sandbox, None, &host, Path::new("deep/data"), true).unwrap();
        assert_eq!(
            (mount.target.as_path(), mount.read_only),
            (Path::new("deep/data"), true)
        );
        find(
            &sandbox,
            None,
            &host.join("file"),
            Path::new("deep/one"),
            false,
        )
        .unwrap();
    }
    assert!(sandbox.join("deep/data").is_dir());
    assert_eq!(fs::read(sandbox.join("deep/one")).unwrap(), b"");
    directory(&sandbox, None, Path::new("own")).unwrap();
    assert!(sandbox.join("own").is_dir());
    let own = find(&sandbox, None, Path::new("own"), Path::new("shown"), false);
    assert_eq!(own.unwrap().source, Path::new("own"));
    assert!(sandbox.join("shown").is_dir());
}

#[test]
fn nothing_is_made_outside_the_sandbox() {
    let root = tempfile::tempdir().unwrap();
    let sandbox = root.path().join("sandbox");
    fs::create_dir(&sandbox).unwrap();
    symlink(root.path(), sandbox.join("out")).unwrap();
    for path in ["out/made", "../made", "out", ".", ""] {
        let found = find(&sandbox, None, root.path(), Path::new(path), false);
        assert!(found.is_err(), "{path}");
        assert!(!root.path().join("made").exists(), "{path}");
    }
    let absent = root.path().join("absent");
    let text = find(&sandbox, None, root.path(), &absent, false).unwrap_err();
    assert!(text.to_string().contains("mount point"), "{text}");
    assert!(!absent.exists());
    let text = find(&sandbox, None, &absent, Path::new("data"), false).unwrap_err();
    assert!(text.to_string().contains("look at the volume"), "{text}");
}
