use tepui_agent::Controller;

use super::{capabilities, directories, megabytes, unlimited, users, volume_gids};

#[test]
fn sizes_are_spelt_as_mesos_does() {
    assert_eq!(megabytes("64MB").ok(), Some(64));
    assert_eq!(megabytes("2GB").ok(), Some(2048));
    for wrong in ["", "64", "MB", "0MB", "-1MB", "64KB", "9999999GB", "1.5GB"] {
        assert!(megabytes(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn groups_of_volumes_are_ranges_of_numbers_that_groups_can_have() {
    let parsed = volume_gids("[10000-20000, 30000-30000]").unwrap();
    assert_eq!(parsed.to_string(), "[10000-20000,30000-30000]");
    for wrong in [
        "",
        "foo",
        "10000",
        "{a,b}",
        "[]",
        "[10000-5000]",
        "[0-9]",
        "[10000-1099511627776]",
    ] {
        let refused = volume_gids(wrong).unwrap_err().to_string();
        assert!(refused.contains("such as [10000-20000]"), "{refused}");
    }
}

#[test]
fn directories_are_absolute() {
    assert_eq!(directories(None).unwrap().len(), 0);
    assert_eq!(directories(Some("/a:/b/c:")).unwrap().len(), 2);
    for wrong in ["a", "/a:b", "/a/../b"] {
        assert!(directories(Some(wrong)).is_err(), "{wrong}");
    }
}

#[test]
fn capabilities_are_known_ones() {
    let parsed = capabilities("--x", Some(r#"{"capabilities": ["CHOWN", "KILL"]}"#));
    assert_eq!(parsed.unwrap(), Some(0x21));
    assert_eq!(capabilities("--x", None).unwrap(), None);
    let none = capabilities("--x", Some(r#"{"capabilities": []}"#));
    assert_eq!(none.unwrap(), Some(0));
    for wrong in [
        r#"{"capabilities": ["FLY"]}"#,
        r#"{"capabilities": ["UNKNOWN"]}"#,
        r#"{"capability": []}"#,
        "{}",
        "{",
        "/missing",
    ] {
        let refused = capabilities("--x", Some(wrong)).unwrap_err().to_string();
        assert!(
            refused.starts_with("--x") && refused.contains("expected JSON"),
            "{refused}"
        );
    }
}

#[test]
fn users_of_containers_are_a_range_without_root() {
    let range = users("100000:65536").unwrap();
    assert_eq!((range.first, range.count), (100_000, 65_536));
    for wrong in [
        "",
        "1",
        "0:10",
        "10:0",
        "a:b",
        "1:2:3",
        "-1:5",
        "4294967295:2",
    ] {
        assert!(users(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn only_what_is_named_alone_leaves_a_limit_out() {
    let without = |names: &[&str]| Vec::from_iter(unlimited(names));
    assert_eq!(without(&["posix/mem"]), [Controller::Memory]);
    let both = without(&["posix/cpu", "posix/mem", "filesystem/linux"]);
    assert_eq!(both, [Controller::Memory, Controller::Cpu]);
    assert_eq!(without(&["posix/mem", "cgroups/mem"]), []);
    assert_eq!(without(&["posix/cpu", "cgroups/all"]), []);
    assert_eq!(without(&[]), []);
}
