use std::time::Duration;

use super::*;

#[test]
fn sizes_are_spelt_as_mesos_does() {
    assert_eq!(bytes("0B"), Some(0));
    assert_eq!(bytes("512B"), Some(512));
    assert_eq!(bytes("2GB"), Some(2 << 30));
    for wrong in ["", "64", "MB", "-1MB", "99999999TB", "1.5GB", "é"] {
        assert!(bytes(wrong).is_none(), "{wrong}");
    }
}

#[test]
fn what_is_wrong_is_said_with_what_was_expected() {
    let of = |size: &str, timeout: &str, home: &str| AgentFile {
        fetcher_cache_size: Some(size.to_owned()),
        fetcher_stall_timeout: Some(timeout.to_owned()),
        frameworks_home: Some(home.into()),
        ..AgentFile::default()
    };
    let parsed = parse(&of("1MB", "30secs", "/home")).unwrap();
    assert_eq!(parsed.cache_bytes, 1 << 20);
    assert_eq!(parsed.stall_timeout, Duration::from_secs(30));
    for (file, error) in [
        (
            of("many", "1secs", "/"),
            "--fetcher-cache-size many: expected a size such as 512MB or 2GB",
        ),
        (
            of("1MB", "soon", "/"),
            "--fetcher-stall-timeout soon: expected a duration such as 1mins",
        ),
        (
            of("1MB", "0secs", "/"),
            "--fetcher-stall-timeout 0secs: expected more than nothing",
        ),
        (
            of("1MB", "1secs", "home"),
            "--frameworks-home home: expected an absolute path",
        ),
    ] {
        assert_eq!(parse(&file).unwrap_err().to_string(), error);
    }
}
