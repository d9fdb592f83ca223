use super::*;
use crate::seccomp::tests::{ALLOWED, answer};

const NO_UNAME: &str = r#"{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [], "syscalls":
    [{"names": ["uname"], "action": "SCMP_ACT_ERRNO", "args": [], "includes": {}, "excludes": {}}]}"#;

fn with(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn lets_uname_through(filters: &[Vec<u8>]) -> bool {
    let answers = filters.iter().map(|it| answer(it, libc::SYS_uname, 0));
    answers.min() == Some(ALLOWED)
}

#[test]
fn a_directory_or_a_default_that_is_not_there_is_refused_at_the_start() {
    let dir = with(&[("broken", "{")]);
    let missing = dir.path().join("missing");
    let refused = Profiles::open(Some(missing), None).unwrap_err();
    assert!(refused.contains("there is no such directory"), "{refused}");
    let refused = Profiles::open(None, Some("strict")).unwrap_err();
    assert!(refused.contains("needs --seccomp-config-dir"), "{refused}");
    let at = || Some(dir.path().to_owned());
    let refused = Profiles::open(at(), Some("strict")).unwrap_err();
    assert!(refused.contains("no Seccomp profile 'strict'"), "{refused}");
    let refused = Profiles::open(at(), Some("broken")).unwrap_err();
    assert!(
        refused.contains("Failed to parse Seccomp profile"),
        "{refused}"
    );
}

#[test]
fn who_names_none_gets_the_operators() {
    let dir = with(&[("no-uname", NO_UNAME)]);
    let profiles = Profiles::open(Some(dir.path().to_owned()), Some("no-uname")).unwrap();
    assert_eq!(profiles.default_name(), Some("no-uname"));
    assert!(!lets_uname_through(&profiles.filters(None, 0).unwrap()));
    assert!(lets_uname_through(
        &profiles.filters(Some("default"), 0).unwrap()
    ));
    assert!(lets_uname_through(
        &Profiles::default().filters(None, 0).unwrap()
    ));
}

#[test]
fn a_named_one_is_read_anew() {
    let dir = with(&[]);
    let profiles = Profiles::open(Some(dir.path().to_owned()), None).unwrap();
    assert!(profiles.filters(Some("mine"), 0).is_err());
    std::fs::write(dir.path().join("mine"), NO_UNAME).unwrap();
    assert!(!lets_uname_through(
        &profiles.filters(Some("mine"), 0).unwrap()
    ));
}

#[test]
fn a_name_leads_nowhere_else() {
    let dir = with(&[]);
    std::fs::create_dir(dir.path().join("in")).unwrap();
    std::fs::write(dir.path().join("out"), NO_UNAME).unwrap();
    let profiles = Profiles::open(Some(dir.path().join("in")), None).unwrap();
    let absolute = dir.path().join("out").display().to_string();
    for name in ["../out", "", ".", "..", absolute.as_str(), "a\0b"] {
        assert!(profiles.filters(Some(name), 0).is_err(), "{name}");
    }
}

#[test]
fn a_profile_has_a_bound() {
    let long = format!("{NO_UNAME}{}", " ".repeat(1 << 20));
    let dir = with(&[("long", &long)]);
    let profiles = Profiles::open(Some(dir.path().to_owned()), None).unwrap();
    let refused = profiles.filters(Some("long"), 0).unwrap_err();
    assert!(refused.contains("more than 1048576 bytes"), "{refused}");
}
