use super::*;

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
    let address = addresses("127.0.0.1").unwrap_err().to_string();
    assert!(address.contains("expected host:port"), "{address}");
}
