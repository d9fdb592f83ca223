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

#[test]
fn no_way_leads_to_the_agents_own_but_to_the_containers_sandbox() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    for directory in ["work/store", "work/own", "work/other", "machine", "works"] {
        std::fs::create_dir_all(at(directory)).unwrap();
    }
    std::fs::write(at("work/log"), "").unwrap();
    symlink(at("work"), at("machine/way")).unwrap();
    let closed = vec![at("work"), at("nowhere")];
    let files = HostFiles::new(&Isolation::default(), closed);
    let admit = |name: &str| files.admit(&at(name), &at("work/own"));
    for name in [
        "work",
        "work/store",
        "work/log",
        "work/other",
        "machine/way/store",
        "works/../work",
    ] {
        let error = admit(name).unwrap_err();
        assert!(
            error.contains("is one of the agent's own"),
            "{name}: {error}"
        );
    }
    for name in ["machine", "works", "work/own"] {
        assert_eq!(admit(name), Ok(at(name).canonicalize().unwrap()), "{name}");
    }
    assert_eq!(
        admit("machine/way/own"),
        Ok(at("work/own").canonicalize().unwrap())
    );
    assert_eq!(admit("missing"), Ok(at("missing")));
    let none = HostFiles::new(
        &Isolation {
            no_host_volumes: true,
            ..Isolation::default()
        },
        vec![],
    );
    let error = none.admit(&at("machine"), &at("work/own")).unwrap_err();
    assert!(error.contains("--disallow-host-path-volumes"), "{error}");
}
