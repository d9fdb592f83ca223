use std::collections::BTreeMap;

use super::*;

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

#[test]
fn what_is_not_named_is_what_the_machine_has() {
    let offered_of = |text: &str| {
        let given = resources(Some(text), roles::ANY).unwrap();
        let all = offered(&given, Some(text), Path::new("/"), roles::ANY);
        Resources::from_proto(&all).unwrap()
    };
    let amount = |all: &Resources, name: &str| {
        let found = all.to_proto().into_iter().filter(|it| it.name == name);
        found
            .filter_map(|it| it.scalar)
            .map(|it| it.value)
            .sum::<f64>()
    };
    // Names that hold those of others.
    let all = offered_of(
        "my.cpus:1000;cpus-suffix:3;memory(mem):1024;things:{mem,disk,ports};diskports:[30000-35000]",
    );
    for name in ["cpus", "mem", "disk"] {
        assert!(amount(&all, name) > 0.0, "{name}");
    }
    assert!(all.to_string().contains("ports:[31000-32000]"), "{all}");
    let none = offered_of("cpus:0;mem(*):0;disk:0;ports:[]");
    assert_eq!(none.to_proto(), []);
    let some = offered_of("cpus:2;mem(*):1024;disk:4096;ports:[30000-35000]");
    assert_eq!(
        ["cpus", "mem", "disk"].map(|name| amount(&some, name)),
        [2.0, 1024.0, 4096.0]
    );
    assert!(some.to_string().contains("ports:[30000-35000]"), "{some}");
}

#[test]
fn what_names_no_role_has_the_default_one() {
    let text = "mem(other):64;ports:[1-2]";
    let given = resources(Some(text), "web").unwrap();
    let all = offered(&given, Some(text), Path::new("/"), "web");
    let roles: BTreeMap<&str, Vec<&str>> = all
        .iter()
        .map(|it| {
            let roles = it.reservations.iter().map(ReservationInfo::role);
            (it.name.as_str(), roles.collect())
        })
        .collect();
    let expected = [
        ("cpus", "web"),
        ("disk", "web"),
        ("mem", "other"),
        ("ports", "web"),
    ];
    let expected = expected.map(|(name, role)| (name, vec![role]));
    assert_eq!(roles, BTreeMap::from(expected));
}

#[test]
fn containers_begin_with_nothing_of_the_agents_own_but_find_programs() {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(environment(&[]), [variable("PATH", DEFAULT_PATH)]);
    let given = [variable("A", "b")];
    let expected = [variable("PATH", DEFAULT_PATH), variable("A", "b")];
    assert_eq!(environment(&given), expected);
    let given = [variable("PATH", "/bin")];
    assert_eq!(environment(&given), given);
}
