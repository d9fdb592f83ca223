use std::os::unix::fs::symlink;

use super::*;

#[test]
fn only_what_lies_beneath_the_named_directories_is_made() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    std::fs::create_dir_all(at("open")).unwrap();
    symlink(home.path(), at("open/way")).unwrap();
    let roots = [at("closed"), at("open")];
    make(&at("open/a/b"), &roots).unwrap();
    assert!(at("open/a/b").is_dir());
    make(&at("open"), &roots).unwrap();
    for path in ["other", "openly/a", "open/../other", "open/way/other"] {
        assert!(make(&at(path), &roots).is_err(), "{path}");
        assert!(!at("other").exists() && !at("openly").exists());
    }
    let error = make(&at("other"), &roots).unwrap_err();
    assert!(error.contains("is not whitelisted for creation"), "{error}");
    // Nothing may be made: the volume itself is refused.
    make(&at("other"), &[]).unwrap();
    assert!(!at("other").exists());
}
