use super::*;
use serde_json::json;
use tepui_messages::containers::{Amounts, VolumeLink};
use tepui_protocol::codec::{Limits, json as codec};

/// A container of type DOCKER with these members, of which `docker` has an image at least.
fn container(mut more: Value) -> ContainerInfo {
    more["type"] = "DOCKER".into();
    if more["docker"]["image"].is_null() {
        more["docker"]["image"] = "box:1".into();
    }
    codec::decode(more.to_string().as_bytes(), &Limits::HTTP).expect("a container")
}

fn ports(begin: u64, end: u64) -> Resource {
    let ranges = json!({"range": [{"begin": begin, "end": end}]});
    let ports = json!({"name": "ports", "type": "RANGES", "ranges": ranges});
    codec::decode(ports.to_string().as_bytes(), &Limits::HTTP).expect("ports")
}

fn plain() -> LaunchOrder {
    LaunchOrder {
        container_id: "c1".to_owned(),
        sandbox: "/w/a:b/runs/c1".into(),
        env: vec![("MESOS_SANDBOX".to_owned(), "/mnt/mesos/sandbox".to_owned())],
        ..LaunchOrder::default()
    }
}

fn shell(text: &str) -> CommandInfo {
    CommandInfo {
        value: Some(text.to_owned()),
        ..CommandInfo::default()
    }
}

fn create_of(
    container: &ContainerInfo,
    command: &CommandInfo,
    resources: &[&Resource],
    config: &EngineConfig,
    plain: LaunchOrder,
) -> Result<Value, String> {
    let described = Described {
        config,
        container,
        command,
        resources,
        sandbox_directory: "/mnt/mesos/sandbox",
    };
    let order = order(&described, plain)?;
    Ok(order.engine.expect("an engine's order").create)
}

fn create(container: &ContainerInfo) -> Result<Value, String> {
    create_of(
        container,
        &shell("true"),
        &[],
        &EngineConfig::default(),
        plain(),
    )
}

fn refused(container: Value) -> String {
    create(&self::container(container)).expect_err("it cannot be had")
}

/// A sandbox's path may have colons, which part the fields of an option `--volume`.
#[test]
fn the_sandbox_is_mounted_whatever_its_path_is() {
    let made = create(&container(json!({}))).expect("it can be had");
    assert_eq!(
        made["HostConfig"]["Mounts"],
        json!([{"Type": "bind", "Source": "/w/a:b/runs/c1", "Target": "/mnt/mesos/sandbox"}])
    );
    assert_eq!(
        made["Env"],
        json!([
            "MESOS_CONTAINER_NAME=mesos-c1",
            "MESOS_SANDBOX=/mnt/mesos/sandbox"
        ])
    );
    assert_eq!(made["HostConfig"]["NetworkMode"], "host");
}

#[test]
fn persistent_volumes_are_seen_in_the_sandbox() {
    let mut order = plain();
    order.volumes = vec![VolumeLink {
        source: "/w/volumes/roles/r/v".into(),
        container_path: "data".to_owned(),
        read_only: true,
    }];
    let config = EngineConfig::default();
    let made = create_of(&container(json!({})), &shell("true"), &[], &config, order);
    let made = made.expect("it can be had");
    assert_eq!(
        made["HostConfig"]["Mounts"][1],
        json!({"Type": "bind", "Source": "/w/volumes/roles/r/v", "Target": "/mnt/mesos/sandbox/data", "ReadOnly": true})
    );
}

#[test]
fn a_shell_takes_the_place_of_the_entrypoint_and_other_words_follow_it() {
    let one = container(json!({}));
    let of =
        |command: &CommandInfo| create_of(&one, command, &[], &EngineConfig::default(), plain());
    let made = of(&shell("echo a b")).expect("it can be had");
    assert_eq!(made["Entrypoint"], json!(["/bin/sh"]));
    assert_eq!(made["Cmd"], json!(["-c", "echo a b"]));
    let silent = CommandInfo::default();
    let error = of(&silent).expect_err("there is nothing to run");
    assert_eq!(error, "Shell specified but no command value provided");
    let words = CommandInfo {
        shell: Some(false),
        value: Some("v".to_owned()),
        arguments: vec!["w".to_owned()],
        ..CommandInfo::default()
    };
    let made = of(&words).expect("it can be had");
    assert_eq!(
        (made.get("Entrypoint"), &made["Cmd"]),
        (None, &json!(["v", "w"]))
    );
    let image_s = CommandInfo {
        shell: Some(false),
        ..CommandInfo::default()
    };
    assert_eq!(of(&image_s).expect("the image's own").get("Cmd"), None);
}

#[test]
fn host_paths_are_absolute_or_of_the_sandbox() {
    let volume = |host: &str, inner: &str| json!({"volumes": [{"mode": "RO", "host_path": host, "container_path": inner}]});
    let binds = |one: Value| {
        let made = create(&container(one)).expect("it can be had");
        made["HostConfig"]["Binds"].clone()
    };
    assert_eq!(binds(volume("/a", "/b")), json!(["/a:/b:ro"]));
    assert_eq!(
        binds(volume("/a", "b")),
        json!(["/a:/mnt/mesos/sandbox/b:ro"])
    );
    assert_eq!(binds(volume("a", "/b")), json!(["/w/a:b/runs/c1/a:/b:ro"]));
    assert_eq!(
        refused(volume("a", "b")),
        "Both host_path 'a' and container_path 'b' of a volume are relative"
    );
}

#[test]
fn volumes_of_drivers_have_one_driver() {
    let volume = |name: &str, driver: &str| json!({"mode": "RW", "container_path": "/tmp", "source": {"type": "DOCKER_VOLUME", "docker_volume": {"name": name, "driver": driver}}});
    let made = create(&container(json!({"volumes": [volume("v", "d")]}))).expect("it can be had");
    assert_eq!(made["HostConfig"]["Binds"], json!(["v:/tmp:rw"]));
    assert_eq!(made["HostConfig"]["VolumeDriver"], "d");
    assert_eq!(
        refused(json!({"volumes": [volume("v", "d"), volume("w", "e")]})),
        "Only one volume driver is supported"
    );
    assert_eq!(
        refused(json!({"volumes": [volume("v", "d")], "docker": {"volume_driver": "e"}})),
        "Only one volume driver per task is supported"
    );
}

#[test]
fn ports_are_of_the_resources_and_of_a_network_of_its_own() {
    let mapped = |network: &str| json!({"docker": {"network": network, "port_mappings": [{"host_port": 31001, "container_port": 80, "protocol": "UDP"}]}});
    let config = EngineConfig::default();
    let of = |network: &str, resources: &[&Resource]| {
        create_of(
            &container(mapped(network)),
            &shell("true"),
            resources,
            &config,
            plain(),
        )
    };
    let made = of("BRIDGE", &[&ports(31000, 31005)]).expect("it can be had");
    assert_eq!(
        made["HostConfig"]["PortBindings"],
        json!({"80/udp": [{"HostPort": "31001"}]})
    );
    assert_eq!(made["ExposedPorts"], json!({"80/udp": {}}));
    assert_eq!(
        of("BRIDGE", &[&ports(32000, 32005)]),
        Err("Port [31001] not included in resources".to_owned())
    );
    assert_eq!(
        of("BRIDGE", &[]),
        Err("Port mappings require port resources".to_owned())
    );
    for network in ["HOST", "NONE"] {
        let error = of(network, &[&ports(31000, 31005)]).expect_err("it has no ports");
        assert_eq!(
            error,
            "Port mappings are only supported for bridge and user-defined networks"
        );
    }
}

#[test]
fn a_network_of_users_is_named_once() {
    let user = |infos: Value| json!({"docker": {"network": "USER"}, "network_infos": infos});
    let made = create(&container(user(json!([{"name": "foo"}])))).expect("it can be had");
    assert_eq!(made["HostConfig"]["NetworkMode"], "foo");
    assert_eq!(
        refused(user(json!([]))),
        "No network info found in container info"
    );
    assert_eq!(
        refused(user(json!([{"name": "a"}, {"name": "b"}]))),
        "Only a single network can be defined in Docker run"
    );
    assert_eq!(
        refused(user(json!([{}]))),
        "No network name found in network info"
    );
    assert_eq!(
        refused(json!({"hostname": "h"})),
        "Unable to set hostname with host network mode"
    );
}

#[test]
fn name_servers_are_the_agent_s_where_the_container_names_none() {
    let rule = |network, server: &str| DnsRule {
        network,
        nameservers: vec![server.to_owned()],
        search: vec!["example.com".to_owned()],
        options: vec!["timeout:3".to_owned()],
    };
    let config = EngineConfig {
        dns: vec![
            rule(DnsNetwork::Bridge, "1.1.1.1"),
            rule(DnsNetwork::User(None), "2.2.2.2"),
            rule(DnsNetwork::User(Some("foo".to_owned())), "3.3.3.3"),
        ],
        ..EngineConfig::default()
    };
    let servers = |one: Value| {
        let one = container(one);
        let made = create_of(&one, &shell("true"), &[], &config, plain());
        made.expect("it can be had")["HostConfig"]["Dns"].clone()
    };
    let user =
        |name: &str| json!({"docker": {"network": "USER"}, "network_infos": [{"name": name}]});
    assert_eq!(
        servers(json!({"docker": {"network": "BRIDGE"}})),
        json!(["1.1.1.1"])
    );
    assert_eq!(servers(user("foo")), json!(["3.3.3.3"]));
    assert_eq!(servers(user("bar")), json!(["2.2.2.2"]));
    assert_eq!(servers(json!({})), Value::Null);
    let own = json!({"docker": {"network": "BRIDGE", "parameters": [{"key": "dns", "value": "9.9.9.9"}]}});
    assert_eq!(servers(own), json!(["9.9.9.9"]));
}

#[test]
fn requests_and_limits_are_what_mesos_makes_of_them() {
    const MB: u64 = 1 << 20;
    let amounts = Amounts {
        cpu_milli: Some(500),
        cpu_limit_milli: Some(1500),
        memory_bytes: Some(512 * MB),
        memory_limit_bytes: Some(1024 * MB),
        ..Amounts::default()
    };
    assert_eq!(
        limits(&amounts, Some(2048 * MB)),
        json!({
            "CpuShares": 512, "CpuPeriod": 100_000, "CpuQuota": 150_000, "Memory": 1024 * MB,
            "MemoryReservation": 512 * MB, "OomScoreAdj": 750,
        })
    );
    let endless = Amounts {
        memory_bytes: Some(MB),
        memory_limit_bytes: Some(u64::MAX),
        cpu_milli: Some(1),
        ..Amounts::default()
    };
    assert_eq!(
        limits(&endless, None),
        json!({"CpuShares": 2, "MemoryReservation": 32 * MB})
    );
    let request = Amounts {
        memory_bytes: Some(64 * MB),
        ..Amounts::default()
    };
    assert_eq!(limits(&request, Some(MB)), json!({"Memory": 64 * MB}));
}
