use super::*;
use crate::cli::AgentArgs;

fn args(work_dir: Option<&str>) -> MasterArgs {
    MasterArgs {
        work_dir: work_dir.map(Into::into),
        ..Default::default()
    }
}

#[test]
fn a_flag_wins_over_the_file_and_a_default_fills_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tepui.toml");
    std::fs::write(
        &file,
        "work_dir = \"/from/file\"\nport = 6000\nzk_port = 2181\n",
    )
    .unwrap();
    let settings = master(&MasterArgs {
        config: Some(file),
        port: Some(7000),
        ..args(None)
    })
    .unwrap();
    assert_eq!(settings.work_dir, PathBuf::from("/from/file"));
    assert_eq!((settings.port, settings.bridge_port), (7000, 5060));
    assert_eq!(
        (settings.zk_port, settings.zk_path.as_str()),
        (Some(2181), "/mesos")
    );
    assert_eq!(master(&args(Some("/w"))).unwrap().zk_port, None);
    assert!(
        settings.ip.is_loopback(),
        "nothing listens beyond loopback unless told to"
    );
}

#[test]
fn patience_and_memory_are_mesos_defaults_until_told_and_bounded_as_there() {
    let told = master(&MasterArgs {
        agent_reregister_timeout: Some("20mins".into()),
        agent_ping_timeout: Some("2secs".into()),
        max_agent_ping_timeouts: Some(3),
        max_completed_frameworks: Some(0),
        max_completed_tasks_per_framework: Some(7),
        ..args(Some("/w"))
    });
    let told = told.unwrap();
    assert_eq!(told.patience.reregister, Duration::from_mins(20));
    assert_eq!(told.patience.silence(), Duration::from_secs(6));
    assert_eq!((told.kept.frameworks, told.kept.tasks), (0, 7));
    assert_eq!(told.kept.unreachable_tasks, 1_000);
    let refused = |args: MasterArgs| master(&args).unwrap_err().to_string();
    for (text, flag) in [
        (
            refused(MasterArgs {
                agent_reregister_timeout: Some("9mins".into()),
                ..args(Some("/w"))
            }),
            "--agent-reregister-timeout 9mins: expected",
        ),
        (
            refused(MasterArgs {
                agent_ping_timeout: Some("16mins".into()),
                ..args(Some("/w"))
            }),
            "--agent-ping-timeout 16mins: expected",
        ),
        (
            refused(MasterArgs {
                max_agent_ping_timeouts: Some(0),
                ..args(Some("/w"))
            }),
            "--max-agent-ping-timeouts 0: expected",
        ),
    ] {
        assert!(text.contains(flag), "{text}");
    }
}

#[test]
fn names_are_asked_for_only_where_that_is_wanted() {
    let looked_up = MasterArgs {
        hostname_lookup: Some(true),
        ..args(Some("/w"))
    };
    // Of 127.0.0.1, which every machine has a name for.
    let name = master(&looked_up).unwrap().hostname;
    assert!(name.parse::<IpAddr>().is_err(), "{name}");
    let given = MasterArgs {
        hostname: Some("m.example".into()),
        ..looked_up.clone()
    };
    assert_eq!(master(&given).unwrap().hostname, "m.example");
    assert_eq!(master(&args(Some("/w"))).unwrap().hostname, "127.0.0.1");
    let nameless = MasterArgs {
        ip: Some("192.0.2.1".parse().unwrap()),
        ..looked_up
    };
    let text = master(&nameless).unwrap_err().to_string();
    assert!(text.contains("--hostname NAME"), "{text}");
}

#[test]
fn what_is_wrong_is_said_in_one_line_with_what_was_expected() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tepui.toml");
    std::fs::write(&file, "prot = 6000\n").unwrap();
    let unknown = master(&MasterArgs {
        config: Some(file),
        ..args(Some("/w"))
    })
    .unwrap_err()
    .to_string();
    assert!(
        unknown.contains("prot") && !unknown.contains('\n'),
        "{unknown}"
    );
    let missing = master(&args(None)).unwrap_err().to_string();
    assert!(
        missing.contains("--work-dir") && missing.contains("expected"),
        "{missing}"
    );
    let rate = master(&MasterArgs {
        agent_removal_rate_limit: Some("10mins".into()),
        ..args(Some("/w"))
    })
    .unwrap_err()
    .to_string();
    assert!(rate.contains("expected agents/duration"), "{rate}");
    let age = master(&MasterArgs {
        registry_max_agent_age: Some("a year".into()),
        ..args(Some("/w"))
    })
    .unwrap_err()
    .to_string();
    assert!(
        age.contains("--registry-max-agent-age a year: expected a duration"),
        "{age}"
    );
    let role = master(&MasterArgs {
        roles: Some("dev,a b".into()),
        ..args(Some("/w"))
    })
    .unwrap_err()
    .to_string();
    assert!(
        role.contains("--roles") && role.contains("expected"),
        "{role}"
    );
    let listed = roles(",abc,,def,").unwrap();
    assert_eq!(Vec::from_iter(listed), ["abc", "def"]);
    assert!(roles("foo,.,*").is_err());
    let address = addresses("127.0.0.1").unwrap_err().to_string();
    assert!(address.contains("expected host:port"), "{address}");
}

#[test]
fn masters_are_named_as_they_are_seen_in_a_browser_too_but_not_by_zookeeper() {
    let named = addresses("http://a:5050/, b:5051").unwrap();
    assert_eq!(named, ["a:5050", "b:5051"]);
    let text = addresses("zk://a:2181,b:2181/mesos")
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("of ZooKeeper") && text.contains("host:port"),
        "{text}"
    );
}

#[test]
fn rate_limits_are_json_or_lie_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("limits.json");
    let with = |given: &str| {
        let settings = master(&MasterArgs {
            rate_limits: Some(given.to_string()),
            ..args(Some("/w"))
        });
        settings.map(|settings| settings.rate_limits)
    };
    let json = r#"{"limits": [{"principal": "p", "qps": 2.5}], "aggregate_default_qps": 1}"#;
    std::fs::write(&path, json).unwrap();
    let limits = with(json).unwrap();
    assert_ne!(limits, tepui_master::RateLimits::default());
    for place in ["", "file://"] {
        let given = format!("{place}{}", path.display());
        assert_eq!(with(&given).unwrap(), limits);
    }
    for wrong in [
        "{",
        r#"{"limits": [{"qps": 1}]}"#,
        r#"{"aggregate_default_qps": 0}"#,
        "/none",
    ] {
        let text = with(wrong).unwrap_err().to_string();
        let good = text.contains("--rate-limits") && text.contains("expected JSON");
        assert!(good && !text.contains('\n'), "{text}");
    }
}

fn member(name: &str, peers: &str) -> MasterArgs {
    MasterArgs {
        name: Some(name.to_string()),
        peers: Some(peers.to_string()),
        ..args(Some("/w"))
    }
}

#[test]
fn a_member_of_a_group_takes_its_bridge_and_host_from_its_own_entry() {
    let settings = master(&member("m2", "m1=a:5061, m2=b:5062,m3=c:5063")).unwrap();
    assert_eq!(settings.peers.len(), 3);
    assert_eq!(settings.peers["m3"], "c:5063");
    assert_eq!(
        (settings.hostname.as_str(), settings.bridge_port),
        ("b", 5062)
    );
    assert_eq!(
        settings.election_timeout,
        tepui_master::DEFAULT_ELECTION_TIMEOUT
    );
}

#[test]
fn a_master_that_is_not_among_its_peers_waits_to_join_them_with_defaults_of_its_own() {
    let settings = master(&member("m9", "m1=a:1,m2=b:2")).unwrap();
    assert_eq!(
        (settings.hostname.as_str(), settings.bridge_port),
        ("127.0.0.1", 5060)
    );
    assert!(!settings.peers.contains_key(&settings.name));
}

#[test]
fn a_wrong_group_is_refused_with_what_was_expected() {
    for (name, peers, told) in [
        ("m1", "m1=a:1,m1=b:2", "m1 is named twice"),
        ("m1", "m1=a:1,b:2", "'b:2' has no name"),
        ("m1", "m1=a", "'a' is no address"),
        ("m1", "m1=a:1,m 2=b:2", "'m 2' is no name of a master"),
        ("m/1", "m1=a:1", "--name m/1"),
        (
            "1",
            "1=a:1,2=a:2,3=a:3,4=a:4,5=a:5,6=a:6,7=a:7,8=a:8",
            "8 masters",
        ),
    ] {
        let text = master(&member(name, peers)).unwrap_err().to_string();
        assert!(text.contains(told) && text.contains("expected"), "{text}");
    }
    for (timeout_ms, fits) in [(299, false), (300, true), (60_000, true), (60_001, false)] {
        let settings = master(&MasterArgs {
            election_timeout_ms: Some(timeout_ms),
            ..args(Some("/w"))
        });
        assert_eq!(settings.is_ok(), fits, "{timeout_ms}");
    }
}

#[test]
fn an_agent_finds_its_masters_in_a_file_that_it_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("masters");
    let from = |path: &std::path::Path| {
        agent(&AgentArgs {
            work_dir: Some("/w".into()),
            master: Some(format!("file://{}", path.display())),
            ..Default::default()
        })
    };
    std::fs::write(&path, "127.0.0.1:5050, m2:5051\n").unwrap();
    assert_eq!(from(&path).unwrap().masters, ["127.0.0.1:5050", "m2:5051"]);
    std::fs::write(&path, "127.0.0.1\n").unwrap();
    let wrong = format!("{:#}", from(&path).unwrap_err());
    assert!(
        wrong.contains("file://") && wrong.contains("expected host:port"),
        "{wrong}"
    );
    let missing = format!("{:#}", from(&dir.path().join("none")).unwrap_err());
    assert!(
        missing.contains("file://") && missing.contains("expected a file"),
        "{missing}"
    );
}
