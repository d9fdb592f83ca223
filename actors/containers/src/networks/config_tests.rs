use super::*;
use tempfile::TempDir;

fn parsed(text: &str) -> Network {
    Network::parse(text.as_bytes()).unwrap()
}

fn mapping() -> PortMapping {
    PortMapping {
        host_port: 31_000,
        container_port: 80,
        protocol: "tcp".to_owned(),
    }
}

#[test]
fn a_file_is_of_one_plugin_or_of_several() {
    let one = parsed(r#"{"name": "a", "cniVersion": "0.3.1", "type": "bridge", "bridge": "b0"}"#);
    let calls = one.calls(&json!({"name": "a"}), &[]).unwrap();
    let expected = json!([{"name": "a", "cniVersion": "0.3.1", "type": "bridge", "bridge": "b0",
        "args": {"org.apache.mesos": {"network_info": {"name": "a"}}}}]);
    assert_eq!(json!(calls), expected);
    let several = parsed(
        r#"{"name": "a", "cniVersion": "1.0.0", "plugins": [{"type": "bridge"}, {"type": "tuning"}]}"#,
    );
    let calls = several.calls(&Value::Null, &[]).unwrap();
    let names = calls
        .iter()
        .map(|it| (it["name"].as_str(), it["type"].as_str()));
    let names: Vec<_> = names.collect();
    assert_eq!(
        names,
        [(Some("a"), Some("bridge")), (Some("a"), Some("tuning"))]
    );
    assert!(calls.iter().all(|it| it["cniVersion"] == "1.0.0"));
}

#[test]
fn what_is_no_configuration_is_refused_with_the_reason() {
    for (text, reason) in [
        ("[]", "expected an object of JSON"),
        (r#"{"type": "bridge"}"#, "it has no 'name'"),
        (r#"{"name": "a"}"#, "a plug-in has no 'type'"),
        (
            r#"{"name": "a", "plugins": 1}"#,
            "its 'plugins' are no list",
        ),
        (
            r#"{"name": "a", "plugins": []}"#,
            "expected 1 to 16 plug-ins",
        ),
    ] {
        assert_eq!(Network::parse(text.as_bytes()).unwrap_err(), reason);
    }
    assert!(Network::parse(b"{").is_err());
}

#[test]
fn what_mesos_says_to_plugins_is_its_own() {
    let network = parsed(r#"{"name": "a", "type": "b", "args": {"org.apache.mesos": {}}}"#);
    let error = network.calls(&Value::Null, &[]).unwrap_err().to_string();
    assert!(error.starts_with("'org.apache.mesos' in 'args' should not be set"));
    let network = parsed(r#"{"name": "a", "type": "b", "args": 1}"#);
    let error = network.calls(&Value::Null, &[]).unwrap_err().to_string();
    assert!(error.starts_with("Invalid 'args' found"));
}

#[test]
fn port_mappings_are_for_plugins_that_can_do_them() {
    let network = parsed(
        r#"{"name": "a", "plugins": [{"type": "bridge"},
            {"type": "portmap", "capabilities": {"portMappings": true}}]}"#,
    );
    assert!(network.maps_ports());
    let calls = network.calls(&Value::Null, &[mapping()]).unwrap();
    assert_eq!(calls[0].get("runtimeConfig"), None);
    let expected = json!({"portMappings":
        [{"hostPort": 31_000, "containerPort": 80, "protocol": "tcp"}]});
    assert_eq!(calls[1]["runtimeConfig"], expected);
    assert_eq!(calls[1].get("capabilities"), None);
    assert!(!parsed(r#"{"name": "a", "type": "bridge"}"#).maps_ports());
}

const MAPPER: &str = r#"{"name": "a", "type": "mesos-cni-port-mapper", "chain": "C", "excludeDevices": ["b0"],
    "delegate": {"type": "bridge", "bridge": "b0"}}"#;

#[test]
fn mesos_port_mapper_becomes_the_plugin_that_all_have() {
    let network = parsed(MAPPER).with_port_mapper(|_| false);
    let calls = network.calls(&Value::Null, &[mapping()]).unwrap();
    let types: Vec<_> = calls.iter().map(|it| it["type"].as_str()).collect();
    assert_eq!(types, [Some("bridge"), Some("portmap")]);
    assert_eq!(calls[0]["bridge"], "b0");
    assert_eq!(calls[1]["conditionsV4"], json!(["!", "-i", "b0"]));
    assert_eq!(
        calls[1]["runtimeConfig"]["portMappings"][0]["hostPort"],
        31_000
    );
    // Where Mesos' own program is, it does it.
    let network = parsed(MAPPER).with_port_mapper(|name| name == "mesos-cni-port-mapper");
    assert_eq!(network, parsed(MAPPER));
    assert!(network.maps_ports());
}

#[test]
fn a_broken_file_hides_no_other_one() {
    let dir = TempDir::new().unwrap();
    let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    put("1.conf", "{");
    put("2.conf", r#"{"name": "a", "type": "first"}"#);
    put("3.conf", r#"{"name": "a", "type": "second"}"#);
    put("4.conflist", r#"{"name": "b", "plugins": [{"type": "t"}]}"#);
    put(
        "5.conf",
        &format!(
            r#"{{"name": "c", "type": "t", "x": "{}"}}"#,
            "y".repeat(300_000)
        ),
    );
    std::fs::create_dir(dir.path().join("6")).unwrap();
    let found = read_all(dir.path()).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(found["a"].plugins[0]["type"], "first");
    assert!(read_all(&dir.path().join("none")).is_err());
}
