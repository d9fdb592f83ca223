use super::*;
use crate::LendingSettings;

#[test]
fn what_is_wrong_with_the_settings_is_said_in_one_line() {
    let home = tempfile::tempdir().unwrap();
    let settings = AgentSettings {
        work_dir: home.path().join("agent"),
        masters: vec!["127.0.0.1:5050".to_owned()],
        ip: IpAddr::from([127, 0, 0, 1]),
        ip6: None,
        port: 0,
        hostname: "here".to_owned(),
        hostname_lookup: true,
        resources: None,
        attributes: None,
        domain: None,
        lending: Default::default(),
        security: Default::default(),
        images: Default::default(),
        engine: None,
        isolation: Default::default(),
        networks: Default::default(),
        sandboxes: Default::default(),
        machine: Default::default(),
        executors: Default::default(),
        fetching: Default::default(),
        recovery: Default::default(),
        reconfiguration: Default::default(),
        log_file: None,
        verbosity: Default::default(),
    };
    let refused = |settings: AgentSettings| match Prepared::new(settings) {
        Ok(_) => panic!("it was taken"),
        Err(error) => format!("{error:#}"),
    };
    let with_resources = AgentSettings {
        resources: Some("cpus".to_owned()),
        ..settings.clone()
    };
    let with_a_set = AgentSettings {
        resources: Some("mem:{1,1}".to_owned()),
        ..settings.clone()
    };
    let with_attributes = AgentSettings {
        attributes: Some("rack".to_owned()),
        ..settings.clone()
    };
    let with_lending = |estimator: &str, controller: &str| AgentSettings {
        lending: LendingSettings {
            estimator: estimator.to_owned(),
            controller: controller.to_owned(),
            ..LendingSettings::default()
        },
        ..settings.clone()
    };
    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    let with_file = AgentSettings {
        work_dir: file,
        ..settings.clone()
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let with_port = AgentSettings {
        port: taken.local_addr().unwrap().port(),
        ..settings.clone()
    };
    for (settings, expected) in [
        (with_resources, "expected text such as 'cpus:4"),
        (with_a_set, "mem is not a number"),
        (with_attributes, "expected name:value pairs"),
        (with_lending("fixed", "noop"), "--resource-estimator: it is"),
        (
            with_lending("noop", "load"),
            "--qos-controller: no threshold",
        ),
        (with_file, "expected a directory"),
        (with_port, "choose another port"),
    ] {
        let text = refused(settings);
        assert!(text.contains(expected) && !text.contains('\n'), "{text}");
    }
    let held = open_engine(&work_dir(&settings.work_dir).unwrap()).unwrap();
    let text = refused(settings);
    assert!(text.contains("another agent runs on it"), "{text}");
    drop(held);
}
