use super::*;

fn refused(text: &str) -> String {
    parse(Some(text)).unwrap_err().to_string()
}

#[test]
fn name_servers_are_of_a_network_or_of_all_others() {
    let dns = parse(Some(
        r#"{"mesos": [
            {"network_mode": "CNI", "network_name": "a", "dns": {"nameservers": ["192.0.2.1"], "search": ["s"]}},
            {"network_mode": "CNI", "dns": {"nameservers": ["192.0.2.2"]}}],
            "docker": [{"network_mode": "BRIDGE", "dns": {"nameservers": ["192.0.2.3"]}},
            {"network_mode": "USER", "network_name": "a", "dns": {"search": ["t"], "options": ["o"]}},
            {"dns": {}}]}"#,
    ));
    let ContainerDns {
        of_networks,
        of_engine,
        ..
    } = dns.unwrap();
    assert_eq!(of_networks.of_networks["a"].search, ["s"]);
    let bridge = &of_networks.of_networks["bridge"];
    assert_eq!(bridge.nameservers, ["192.0.2.3"]);
    let others = of_networks.of_others.unwrap();
    assert_eq!(others.nameservers, ["192.0.2.2"]);
    let expected = [
        DnsRule {
            network: DnsNetwork::Bridge,
            nameservers: vec!["192.0.2.3".to_owned()],
            ..DnsRule::default()
        },
        DnsRule {
            network: DnsNetwork::User(Some("a".to_owned())),
            search: vec!["t".to_owned()],
            options: vec!["o".to_owned()],
            ..DnsRule::default()
        },
        DnsRule {
            network: DnsNetwork::User(None),
            ..DnsRule::default()
        },
    ];
    assert_eq!(of_engine, expected);
}

#[test]
fn what_is_wrong_is_told_with_the_flag() {
    for (wrong, word) in [
        (r#"{"mesos": [{"network_mode": "BRIDGE"}]}"#, "BRIDGE"),
        (
            r#"{"docker": [{"network_mode": "HOST", "dns": {}}]}"#,
            "HOST",
        ),
        (r#"{"podman": []}"#, "podman"),
    ] {
        let text = refused(wrong);
        assert!(
            text.starts_with("--default-container-dns: ") && text.contains(word),
            "{text}"
        );
        assert!(text.contains("expected JSON"), "{text}");
    }
}

#[test]
fn a_network_is_named_once_and_the_machines_own_is_none() {
    for (kind, mode) in [("mesos", "CNI"), ("docker", "USER"), ("docker", "BRIDGE")] {
        let given = |first: &str, second: &str| {
            let entry = |more: &str| {
                format!(
                    r#"{{"network_mode": "{mode}"{more}, "dns": {{"nameservers": ["192.0.2.1"]}}}}"#
                )
            };
            refused(&format!(
                r#"{{"{kind}": [{}, {}]}}"#,
                entry(first),
                entry(second)
            ))
        };
        let named = r#", "network_name": "net1""#;
        for text in [given("", ""), given(named, named)] {
            assert!(text.contains("Multiple DNS configuration"), "{text}");
            assert!(text.contains("is not allowed"), "{text}");
        }
    }
    for kind in ["mesos", "docker"] {
        let with = |mode| {
            refused(&format!(
                r#"{{"{kind}": [{{"network_mode": "{mode}", "dns": {{}}}}]}}"#
            ))
        };
        let text = with("HOST");
        assert!(
            text.contains("HOST network with `--default_container_dns` is not yet supported"),
            "{text}"
        );
        assert!(with("UNKNOWN").contains("UNKNOWN"));
    }
}
