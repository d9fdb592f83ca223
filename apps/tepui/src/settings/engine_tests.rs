use tepui_agent::DnsRule;

use super::*;

fn parsed(file: &AgentFile) -> anyhow::Result<Option<EngineSettings>> {
    parse(file, &ContainerDns::default())
}

fn file(change: impl FnOnce(&mut AgentFile)) -> AgentFile {
    let mut file = serde_json::from_str("{}").expect("all of it may be missing");
    change(&mut file);
    file
}

fn with(containerizers: &str, change: impl FnOnce(&mut AgentFile)) -> AgentFile {
    file(|file| {
        file.containerizers = Some(containerizers.to_owned());
        change(file);
    })
}

#[test]
fn there_is_no_engine_where_none_is_named() {
    for given in [file(|_| {}), with("mesos", |_| {})] {
        assert_eq!(parsed(&given).expect("it is right"), None);
    }
}

#[test]
fn an_engine_that_is_named_has_mesos_defaults() {
    let found = parsed(&with("docker,mesos", |_| {})).expect("it is right");
    assert_eq!(found, Some(EngineSettings::default()));
    let found = parsed(&with("docker", |_| {})).expect("it is right");
    assert!(found.is_some_and(|it| it.only));
}

#[test]
fn what_is_given_is_taken() {
    let dns = ContainerDns {
        of_engine: vec![DnsRule::default()],
        ..ContainerDns::default()
    };
    let given = with("mesos,docker", |file| {
        file.docker_socket = Some("unix:///run/e.sock".to_owned());
        file.docker_stop_timeout = Some("5secs".to_owned());
        file.docker_remove_delay = Some("1mins".to_owned());
        file.docker_kill_orphans = Some(false);
    });
    let found = parse(&given, &dns);
    let expected = EngineSettings {
        socket: "/run/e.sock".into(),
        only: false,
        stop_timeout: Duration::from_secs(5),
        remove_delay: Duration::from_mins(1),
        kill_orphans: false,
        dns: vec![DnsRule::default()],
    };
    assert_eq!(found.expect("it is right"), Some(expected));
}

#[test]
fn what_is_wrong_is_told_with_its_flag() {
    let wrong = |given: AgentFile| parsed(&given).expect_err("it is wrong").to_string();
    assert!(wrong(with("podman", |_| {})).starts_with("--containerizers podman: "));
    let relative = with("docker", |file| file.docker_socket = Some("x.sock".into()));
    assert!(wrong(relative).starts_with("--docker-socket x.sock: "));
    let soon = with("docker", |file| {
        file.docker_remove_delay = Some("soon".into())
    });
    assert!(wrong(soon).starts_with("--docker-remove-delay soon: "));
}
