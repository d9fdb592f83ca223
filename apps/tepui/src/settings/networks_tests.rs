use super::*;
use crate::cli::{AgentArgs, NetworkArgs};

fn parsed(networks: NetworkArgs) -> anyhow::Result<NetworkSettings> {
    let args = AgentArgs {
        work_dir: Some("/w".into()),
        master: Some("127.0.0.1:5050".to_owned()),
        networks,
        ..AgentArgs::default()
    };
    crate::settings::agent(&args).map(|settings| settings.networks)
}

fn refused(networks: NetworkArgs) -> String {
    parsed(networks).unwrap_err().to_string()
}

#[test]
fn the_directories_come_together_and_are_there() {
    let defaults = parsed(NetworkArgs::default()).unwrap();
    assert!(defaults.config_dir.is_none() && !defaults.persist && defaults.metrics);
    let only = |plugins: Option<&str>, configs: Option<&str>| NetworkArgs {
        network_cni_plugins_dir: plugins.map(str::to_owned),
        network_cni_config_dir: configs.map(Into::into),
        ..NetworkArgs::default()
    };
    let text = refused(only(Some("/p"), None));
    assert!(text.starts_with("Missing required '--network_cni_config_dir' flag"));
    let text = refused(only(None, Some("/")));
    assert!(text.starts_with("Missing required '--network_cni_plugins_dir' flag"));
    assert_eq!(
        refused(only(Some("/p"), Some("/no/such"))),
        "The CNI network configuration directory '/no/such' does not exist"
    );
    assert!(parsed(only(Some("/p"), Some("/"))).is_ok());
}

#[test]
fn ports_are_watched_by_who_asks_for_it() {
    assert_eq!(parsed(NetworkArgs::default()).unwrap().ports, None);
    let enforced = NetworkArgs {
        enforce_container_ports: Some(true),
        check_agent_port_range_only: Some(true),
        ..NetworkArgs::default()
    };
    let expected = PortsWatch {
        interval: Duration::from_secs(30),
        enforced: true,
        isolated: IsolatedPorts::Offered,
    };
    assert_eq!(parsed(enforced).unwrap().ports, Some(expected));
    let within = NetworkArgs {
        container_ports_watch_interval: Some("5secs".to_owned()),
        container_ports_isolated_range: Some("[31000-31001]".to_owned()),
        ..NetworkArgs::default()
    };
    let watch = parsed(within).unwrap().ports.unwrap();
    assert!(matches!(watch.isolated, IsolatedPorts::Within(ranges) if ranges.count() == 2));
    assert!(!watch.enforced);
    let by_name = AgentArgs {
        work_dir: Some("/w".into()),
        master: Some("127.0.0.1:5050".to_owned()),
        isolation: crate::settings::IsolationArgs::named("network/cni,network/ports"),
        ..AgentArgs::default()
    };
    assert!(
        crate::settings::agent(&by_name)
            .unwrap()
            .networks
            .ports
            .is_some()
    );
    let both = NetworkArgs {
        check_agent_port_range_only: Some(true),
        container_ports_isolated_range: Some("[1-2]".to_owned()),
        ..NetworkArgs::default()
    };
    assert!(refused(both).starts_with("Only one of"));
    for wrong in ["31000", "31000-31001", "[x]", "[]"] {
        let range = NetworkArgs {
            container_ports_isolated_range: Some(wrong.to_owned()),
            ..NetworkArgs::default()
        };
        assert!(refused(range).contains("expected ranges"), "{wrong}");
    }
}
