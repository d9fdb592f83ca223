use super::*;

fn file(change: impl FnOnce(&mut AgentFile)) -> AgentFile {
    let mut file = serde_json::from_str("{}").expect("all of it may be missing");
    change(&mut file);
    file
}

#[test]
fn nothing_given_is_docker_s_own_registry_and_no_removal() {
    let found = parse(&file(|_| {})).expect("defaults");
    assert_eq!(found.registry, "https://registry-1.docker.io");
    assert_eq!(found.sandbox_directory.to_str(), Some("/mnt/mesos/sandbox"));
    assert!(found.gc.is_none() && found.logins.is_none() && found.backend.is_none());
}

#[test]
fn what_is_given_is_taken() {
    let gc = r#"{"image_disk_headroom": 0.2, "image_disk_watch_interval": {"nanoseconds": 60000000000},
        "excluded_images": [{"type": "DOCKER", "docker": {"name": "box"}}]}"#;
    let found = parse(&file(|file| {
        file.image_gc_config = Some(gc.to_owned());
        file.image_provisioner_backend = Some("copy".to_owned());
        file.docker_config = Some("{}".to_owned());
    }));
    let found = found.expect("all of it is right");
    let expected = ImageGc {
        headroom: 0.2,
        interval: Duration::from_mins(1),
        kept: BTreeSet::from(["box:latest".to_owned()]),
    };
    assert_eq!(found.gc, Some(expected));
    assert_eq!(found.backend, Some(Backend::Copy));
    assert_eq!(found.logins.as_deref(), Some("{}"));
}

#[test]
fn what_is_wrong_is_told_with_its_flag() {
    type Change = fn(&mut AgentFile);
    let cases: [(Change, &str); 7] = [
        (
            |it| it.image_provisioner_backend = Some("aufs".into()),
            "--image-provisioner-backend aufs: expected",
        ),
        (
            |it| it.sandbox_directory = Some("mnt".into()),
            "--sandbox-directory mnt: expected",
        ),
        (
            |it| it.sandbox_directory = Some("/".into()),
            "--sandbox-directory /: expected",
        ),
        (
            |it| it.sandbox_directory = Some("/a/../b".into()),
            "--sandbox-directory /a/../b",
        ),
        (
            |it| it.docker_store_dir = Some("store".into()),
            "--docker-store-dir store: expected",
        ),
        (
            |it| it.image_gc_config = Some(r#"{"headroom": 1}"#.into()),
            "--image-gc-config: ",
        ),
        (
            |it| it.image_gc_config = Some(r#"{"image_disk_headroom": 2}"#.into()),
            "not between 0 and 1",
        ),
    ];
    for (change, words) in cases {
        let error = parse(&file(change)).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
}
