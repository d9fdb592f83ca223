use super::*;
use crate::effect::{Fate, Input};
use crate::testing::*;
use tepui_protocol::v1::{TaskInfo, TaskStatus};

fn named(name: &str) -> NetworkInfo {
    NetworkInfo {
        name: Some(name.to_owned()),
        ..NetworkInfo::default()
    }
}

fn at(name: &str, address: &str) -> NetworkInfo {
    NetworkInfo {
        ip_addresses: vec![network_info::IpAddress {
            protocol: Some(network_info::Protocol::IPv4 as i32),
            ip_address: Some(address.to_owned()),
        }],
        ..named(name)
    }
}

fn docker(network: Network) -> ContainerInfo {
    ContainerInfo {
        r#type: container_info::Type::Docker as i32,
        docker: Some(DockerInfo {
            image: "i".to_owned(),
            network: Some(network as i32),
            ..DockerInfo::default()
        }),
        ..ContainerInfo::default()
    }
}

fn mesos(networks: Vec<NetworkInfo>) -> ContainerInfo {
    ContainerInfo {
        r#type: container_info::Type::Mesos as i32,
        network_infos: networks,
        ..ContainerInfo::default()
    }
}

fn joining(id: &str) -> TaskInfo {
    TaskInfo {
        container: Some(mesos(vec![named("n")])),
        ..task(id)
    }
}

fn addresses(status: &TaskStatus) -> Vec<String> {
    let container = status.container_status.as_ref();
    let networks = container.map_or(&[][..], |it| &it.network_infos);
    let addresses = networks.iter().flat_map(|it| &it.ip_addresses);
    addresses.filter_map(|it| it.ip_address.clone()).collect()
}

#[test]
fn a_network_is_joined_by_its_name_and_without_one_it_is_the_machine_s() {
    assert_eq!(of(&mesos(Vec::new())).unwrap(), None);
    assert_eq!(of(&mesos(vec![NetworkInfo::default()])).unwrap(), None);
    let order = of(&mesos(vec![named("a"), named("b")])).unwrap().unwrap();
    let names: Vec<_> = order.networks.iter().map(NetworkInfo::name).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn docker_s_modes_are_networks() {
    assert_eq!(of(&docker(Network::Host)).unwrap(), None);
    let none = of(&docker(Network::None)).unwrap().unwrap();
    assert_eq!(none, NetworkOrder::default());
    let mut bridged = docker(Network::Bridge);
    let mapped = docker_info::PortMapping {
        host_port: 31_000,
        container_port: 80,
        protocol: Some("tcp".to_owned()),
    };
    bridged.docker.as_mut().unwrap().port_mappings = vec![mapped];
    let order = of(&bridged).unwrap().unwrap();
    assert_eq!(order.networks[0].name(), BRIDGE);
    assert_eq!(order.networks[0].port_mappings[0].container_port, 80);
    assert!(order.maps_ports);
    let mut user = docker(Network::User);
    user.network_infos = vec![named("mine")];
    assert_eq!(of(&user).unwrap().unwrap().networks, [named("mine")]);
}

#[test]
fn what_docker_would_not_do_is_refused_in_its_words() {
    let mut mapped = docker(Network::None);
    mapped.docker.as_mut().unwrap().port_mappings = vec![docker_info::PortMapping::default()];
    let mut called = docker(Network::Host);
    called.hostname = Some("name".to_owned());
    let mut nameless = docker(Network::User);
    nameless.network_infos = vec![NetworkInfo::default()];
    let mut two = docker(Network::User);
    two.network_infos = vec![named("a"), named("b")];
    let refusals = [
        (
            mapped,
            "Port mappings are only supported for bridge and user-defined networks",
        ),
        (called, "Unable to set hostname with host network mode"),
        (
            docker(Network::User),
            "No network info found in container info",
        ),
        (nameless, "No network name found in network info"),
        (two, "Only a single network can be defined in Docker run"),
    ];
    for (container, text) in refusals {
        assert_eq!(of(&container).unwrap_err(), text);
    }
}

#[test]
fn statuses_show_the_addresses_of_a_container_s_own_networks() {
    let mut node = Node::running();
    node.run(joining("t"));
    let order = node.launched().order;
    assert_eq!(order.network.unwrap().networks, [named("n")]);
    let container_id = order.container_id;
    node.on(Input::Networked {
        container_id: container_id.clone(),
        networks: vec![at("n", "10.1.2.3")],
    });
    node.forked(&container_id);
    node.on(started(&container_id, 42));
    let told = node.drain();
    assert_eq!(told.len(), 2, "as it starts and as it runs");
    assert!(told.iter().all(|status| addresses(status) == ["10.1.2.3"]));
    assert_eq!(node.core.networks_of(&container_id), [at("n", "10.1.2.3")]);
    // A later agent is told them again.
    let mut node = node.restart("boot");
    node.on(Input::Networked {
        container_id: container_id.clone(),
        networks: vec![at("n", "10.1.2.3")],
    });
    let fate = Fate::Running {
        shim: mark(),
        pid: 42,
    };
    node.on(Input::ContainerRecovered {
        container_id: container_id.clone(),
        fate,
    });
    node.connect();
    node.exit(&container_id, 0);
    let ended = node.drain().pop().unwrap();
    assert_eq!(addresses(&ended), ["10.1.2.3"]);
}

#[test]
fn without_a_network_of_its_own_a_container_has_the_agent_s_address() {
    let mut node = Node::running();
    node.run(task("t"));
    node.start();
    let running = node.drain().pop().unwrap();
    assert_eq!(addresses(&running), [config().ip]);
}

#[test]
fn tasks_of_a_group_are_in_the_network_of_their_executor() {
    let mut node = Node::running();
    let mut executor = pod();
    executor.container = Some(mesos(vec![named("n")]));
    node.order(group_order(executor, vec![task("t")], true));
    let outer = node.launched().order;
    assert!(outer.is_holder);
    assert_eq!(outer.network.unwrap().networks, [named("n")]);
    node.on(Input::Networked {
        container_id: outer.container_id.clone(),
        networks: vec![at("n", "10.1.2.3")],
    });
    node.on(started(&outer.container_id, 41));
    let inner = node.launched().order;
    assert_eq!(inner.network, None);
    let ip = ("MESOS_CONTAINER_IP".to_owned(), "10.1.2.3".to_owned());
    assert!(inner.env.contains(&ip));
    node.on(started(&inner.container_id, 42));
    let running = node.drain().pop().unwrap();
    assert_eq!(addresses(&running), ["10.1.2.3"]);
    assert_eq!(
        node.core.networks_of(&inner.container_id),
        [at("n", "10.1.2.3")]
    );
    // A later agent knows it too.
    let mut node = node.restart("boot");
    node.on(Input::Networked {
        container_id: outer.container_id.clone(),
        networks: vec![at("n", "10.1.2.3")],
    });
    for container_id in [&outer.container_id, &inner.container_id] {
        node.found_running(container_id);
    }
    assert_eq!(
        node.core.networks_of(&inner.container_id),
        [at("n", "10.1.2.3")]
    );
}

#[test]
fn ports_of_the_machine_are_the_task_s() {
    let mapped = docker_info::PortMapping {
        host_port: 31_001,
        container_port: 80,
        protocol: None,
    };
    let mut container = docker(Network::Bridge);
    container.docker.as_mut().unwrap().port_mappings = vec![mapped];
    let problem = |container: &ContainerInfo, ports: Option<&str>| {
        let own = ports.map(|it| tepui_protocol::resources::Resources::parse(it, "*").unwrap());
        let task = TaskInfo {
            container: Some(container.clone()),
            resources: own.map(|it| it.to_proto()).unwrap_or_default(),
            ..task("t")
        };
        crate::unsupported::of_task(&config(), &task)
    };
    assert_eq!(
        problem(&container, None).as_deref(),
        Some("Port mappings require port resources")
    );
    assert_eq!(
        problem(&container, Some("ports:[31002-31003]")).as_deref(),
        Some("Port [31001] not included in resources")
    );
    assert_eq!(problem(&container, Some("ports:[31000-31001]")), None);
    assert_eq!(problem(&docker(Network::Bridge), None), None);
}

#[test]
fn a_container_without_a_network_of_its_own_has_the_agent_s_addresses() {
    let own = ["192.0.2.1".to_owned(), "2001:db8::1".to_owned()];
    let shown = shown(&[], &own);
    let addresses: Vec<_> = shown[0]
        .ip_addresses
        .iter()
        .map(|it| (it.protocol(), it.ip_address()))
        .collect();
    assert_eq!(
        addresses,
        [
            (network_info::Protocol::IPv4, "192.0.2.1"),
            (network_info::Protocol::IPv6, "2001:db8::1")
        ]
    );
    assert_eq!(
        super::shown(&[at("net", "10.0.0.2")], &own),
        [at("net", "10.0.0.2")]
    );
}
