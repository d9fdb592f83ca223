use super::*;

#[test]
fn a_port_mapping_is_one_of_ports() {
    let mapped = |host_port, protocol: Option<&str>| {
        mapping(&network_info::PortMapping {
            host_port,
            container_port: 80,
            protocol: protocol.map(str::to_owned),
        })
    };
    assert_eq!(mapped(31_000, None).unwrap().protocol, "tcp");
    assert_eq!(mapped(31_000, Some("UDP")).unwrap().protocol, "udp");
    for port in [0, 65_536] {
        let text = format!("{port} in a port mapping is no port: expected 1 to 65535");
        assert_eq!(mapped(port, None).unwrap_err(), text);
    }
}

#[test]
fn what_a_network_was_asked_for_comes_back_with_its_addresses() {
    let asked = NetworkInfo {
        name: Some("n".to_owned()),
        groups: vec!["g".to_owned()],
        port_mappings: vec![network_info::PortMapping {
            host_port: 31_000,
            container_port: 80,
            protocol: None,
        }],
        ..NetworkInfo::default()
    };
    let wanted = wanted(&asked).unwrap();
    assert_eq!(wanted.info["name"], "n");
    let known: NetworkInfo =
        json::decode(wanted.info.to_string().as_bytes(), &Limits::HTTP).unwrap();
    assert_eq!(known, asked);
}

#[test]
fn who_asks_for_bridge_is_told_where_it_is_configured() {
    let text = unknown(BRIDGE, &NetworkError::Unknown(BRIDGE.to_owned()));
    assert!(text.starts_with("Unknown CNI network 'bridge': on this agent"));
    assert!(text.contains("--network-cni-config-dir"));
    let other = unknown("n", &NetworkError::Unknown("n".to_owned()));
    assert_eq!(other, "Unknown CNI network 'n'");
}
