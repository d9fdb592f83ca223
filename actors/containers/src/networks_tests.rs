use super::*;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// Notes each call, and answers an address.
const PLUGIN: &str = r#"#!/bin/sh
input=$(cat)
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME ${CNI_NETNS:-none} $input" >> "$(dirname "$0")/../calls"
echo '{"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "10.1.2.3/24"}]}'
"#;

/// A machine with the networks `a` and `b`, and what was called.
struct Machine {
    dir: TempDir,
}

impl Machine {
    /// `None` for who may not make namespaces.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let dir = TempDir::new().unwrap();
        for made in ["plugins", "configs"] {
            std::fs::create_dir(dir.path().join(made)).unwrap();
        }
        let machine = Self { dir };
        machine.plugin("plug", PLUGIN);
        for name in ["a", "b"] {
            let config = json!({"name": name, "cniVersion": "0.4.0", "type": "plug"});
            machine.config(name, &config);
        }
        Some(machine)
    }

    fn plugin(&self, name: &str, text: &str) {
        let path = self.dir.path().join("plugins").join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    fn config(&self, name: &str, config: &Value) {
        let path = self.dir.path().join("configs").join(name);
        std::fs::write(path, config.to_string()).unwrap();
    }

    fn networks(&self) -> Networks {
        let path = |name: &str| self.dir.path().join(name);
        let settings = NetworkSettings {
            dir: path("networks"),
            plugins: Some(format!("/no/such:{}", path("plugins").display())),
            configs: Some(path("configs")),
            synced: true,
            ..NetworkSettings::default()
        };
        Networks::open(settings).unwrap()
    }

    /// Command, container and interface of each.
    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join("calls")).unwrap_or_default();
        let words = |line: &str| line.splitn(4, ' ').take(3).collect::<Vec<_>>().join(" ");
        text.lines().map(words).collect()
    }
}

fn wanted(name: &str) -> Wanted {
    Wanted {
        name: name.to_owned(),
        info: json!({"name": name}),
        port_mappings: Vec::new(),
    }
}

#[tokio::test]
async fn a_container_joins_networks_and_leaves_them_in_turn() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let networks = machine.networks();
    let joined = networks.attach("c1", Some("host"), vec![wanted("a"), wanted("b")]);
    let joined = joined.await.unwrap();
    assert_eq!(joined.hostname, "host");
    let interfaces: Vec<_> = joined
        .networks
        .iter()
        .map(|it| it.interface.as_str())
        .collect();
    assert_eq!(interfaces, ["eth0", "eth1"]);
    assert_eq!(
        joined.networks[0].addresses,
        ["10.1.2.3".parse::<IpAddr>().unwrap()]
    );
    assert!(namespace::is_one(&joined.namespace()));
    let (hosts, at) = joined.files().next().unwrap();
    assert_eq!(at, Path::new("/etc/hosts"));
    assert_eq!(
        std::fs::read_to_string(hosts).unwrap(),
        "127.0.0.1 localhost\n10.1.2.3 host\n"
    );
    assert_eq!(networks.of("c1").unwrap(), Some(joined.clone()));
    assert_eq!(networks.of("c1.inner.most").unwrap(), Some(joined));
    assert_eq!(networks.of("c2").unwrap(), None);
    networks.detach("c1").await.unwrap();
    networks.detach("c1").await.unwrap();
    let expected = ["ADD c1 eth0", "ADD c1 eth1", "DEL c1 eth1", "DEL c1 eth0"];
    assert_eq!(machine.calls(), expected);
    assert!(networks.containers().is_empty());
}

#[tokio::test]
async fn without_networks_a_container_has_its_own_loopback() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let networks = machine.networks();
    let joined = networks.attach("c1", None, Vec::new()).await.unwrap();
    assert_eq!(joined.hostname, "c1");
    // Nobody listens there, whoever listens on the machine: and an answer comes at once, so it is up.
    let machine_s = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = std::net::TcpStream::from(joined.socket(false).unwrap());
    let socket = tokio::net::TcpSocket::from_std_stream(socket);
    let refused = socket.connect(machine_s.local_addr().unwrap()).await;
    assert_eq!(
        refused.unwrap_err().kind(),
        io::ErrorKind::ConnectionRefused
    );
    networks.detach("c1").await.unwrap();
    assert!(machine.calls().is_empty());
}

#[tokio::test]
async fn plugins_are_told_what_mesos_tells_them() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let networks = machine.networks();
    let joined = networks
        .attach("c1", None, vec![wanted("a")])
        .await
        .unwrap();
    let calls = std::fs::read_to_string(machine.dir.path().join("calls")).unwrap();
    let namespace = joined.namespace().display().to_string();
    assert!(calls.contains(&format!("ADD c1 eth0 {namespace} ")));
    let input: Value = serde_json::from_str(calls.splitn(5, ' ').nth(4).unwrap()).unwrap();
    assert_eq!(input["name"], "a");
    assert_eq!(
        input["args"]["org.apache.mesos"]["network_info"]["name"],
        "a"
    );
    networks.detach("c1").await.unwrap();
    let calls = std::fs::read_to_string(machine.dir.path().join("calls")).unwrap();
    let last = calls.lines().last().unwrap();
    let input: Value = serde_json::from_str(last.splitn(5, ' ').nth(4).unwrap()).unwrap();
    assert_eq!(input["prevResult"]["ips"][0]["address"], "10.1.2.3/24");
}

#[tokio::test]
async fn what_cannot_be_joined_is_told_before_anything_is_done() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let networks = machine.networks();
    let told = |wanted: Vec<Wanted>| {
        let networks = networks.clone();
        async move {
            networks
                .attach("c1", None, wanted)
                .await
                .unwrap_err()
                .to_string()
        }
    };
    assert_eq!(told(vec![wanted("x")]).await, "Unknown CNI network 'x'");
    let twice = told(vec![wanted("a"), wanted("a")]).await;
    assert_eq!(twice, "Attempted to join CNI network 'a' multiple times");
    let many: Vec<_> = (0..17).map(|number| wanted(&number.to_string())).collect();
    assert!(
        told(many)
            .await
            .starts_with("A container joins at most 16 networks")
    );
    assert!(networks.containers().is_empty());
    // A network is there as soon as its file is.
    machine.config("x", &json!({"name": "x", "type": "plug"}));
    networks
        .attach("c1", None, vec![wanted("x")])
        .await
        .unwrap();
    std::fs::remove_file(machine.dir.path().join("configs/x")).unwrap();
    // And what is done is undone without it.
    networks.detach("c1").await.unwrap();
    assert_eq!(told(vec![wanted("x")]).await, "Unknown CNI network 'x'");
}

#[tokio::test]
async fn a_plugin_that_fails_tells_why_and_is_undone() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let script = "#!/bin/sh\n[ $CNI_COMMAND = DEL ] || { echo out; echo err >&2; exit 1; }\n\
        echo DEL x $CNI_IFNAME >> \"$(dirname \"$0\")/../calls\"";
    machine.plugin("failing", script);
    machine.config("f", &json!({"name": "f", "type": "failing"}));
    let networks = machine.networks();
    let failed = networks.attach("c1", None, vec![wanted("f")]).await;
    let plugin = machine.dir.path().join("plugins/failing");
    assert_eq!(
        failed.unwrap_err().to_string(),
        format!(
            "The CNI plugin '{}' failed to attach container c1 to CNI network 'f': stdout='out', stderr='err'",
            plugin.display()
        )
    );
    networks.detach("c1").await.unwrap();
    assert_eq!(machine.calls(), ["DEL x eth0"]);
    machine.config("n", &json!({"name": "n", "type": "none"}));
    let failed = networks.attach("c2", None, vec![wanted("n")]).await;
    let text = failed.unwrap_err().to_string();
    assert_eq!(
        text,
        "Unable to find the plugin none required to attach c2 to network 'n'"
    );
    assert!(networks.containers().is_empty());
    machine.plugin("odd", "#!/bin/sh\ncat > /dev/null; echo nothing");
    machine.config("o", &json!({"name": "o", "type": "odd"}));
    let failed = networks.attach("c3", None, vec![wanted("o")]).await;
    assert!(
        failed
            .unwrap_err()
            .to_string()
            .starts_with("Failed to parse the output of the CNI plugin")
    );
    networks.detach("c3").await.unwrap();
}

#[tokio::test]
async fn a_later_agent_undoes_what_an_earlier_one_did_also_after_a_reboot() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let joined = machine
        .networks()
        .attach("c1", None, vec![wanted("a")])
        .await
        .unwrap();
    // A reboot takes the mount, and leaves the file.
    namespace::remove(&joined.namespace()).unwrap();
    let later = machine.networks();
    assert_eq!(later.containers(), ["c1"]);
    later.detach("c1").await.unwrap();
    let calls = std::fs::read_to_string(machine.dir.path().join("calls")).unwrap();
    assert!(
        calls
            .lines()
            .last()
            .unwrap()
            .starts_with("DEL c1 eth0 none ")
    );
    assert!(later.containers().is_empty());
}

#[tokio::test]
async fn what_cannot_be_undone_yet_is_undone_later() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let networks = machine.networks();
    networks
        .attach("c1", None, vec![wanted("a"), wanted("b")])
        .await
        .unwrap();
    machine.plugin("plug", "#!/bin/sh\nexit 1");
    let text = networks.detach("c1").await.unwrap_err().to_string();
    assert!(text.contains("failed to detach container c1 from CNI network 'b'"));
    assert_eq!(machine.networks().containers(), ["c1"]);
    machine.plugin("plug", PLUGIN);
    machine.networks().detach("c1").await.unwrap();
    assert!(networks.containers().is_empty());
}

#[tokio::test]
async fn undoing_waits_for_a_plugin_that_an_earlier_agent_began() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let slow = "#!/bin/sh\ncat > /dev/null\necho $CNI_COMMAND began x >> \"$(dirname \"$0\")/../calls\"\n\
        [ $CNI_COMMAND = DEL ] || { while [ ! -e \"$(dirname \"$0\")/../go\" ]; do sleep 0.02; done; }\n\
        echo $CNI_COMMAND ended x >> \"$(dirname \"$0\")/../calls\"; echo '{}'";
    machine.plugin("slow", slow);
    machine.config("s", &json!({"name": "s", "type": "slow"}));
    let earlier = machine.networks();
    let begun = tokio::spawn(async move { earlier.attach("c1", None, vec![wanted("s")]).await });
    while machine.calls().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    // Another agent, which knows nothing of the first one's turns.
    let later = machine.networks();
    let undone = tokio::spawn(async move { later.detach("c1").await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    std::fs::write(machine.dir.path().join("go"), "").unwrap();
    undone.await.unwrap().unwrap();
    let _ = begun.await;
    let expected = ["ADD began x", "ADD ended x", "DEL began x", "DEL ended x"];
    assert_eq!(machine.calls(), expected);
}

#[tokio::test]
async fn plugins_of_a_list_are_called_one_after_the_other() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.plugin("second", &PLUGIN.replace("10.1.2.3", "10.1.2.4"));
    let list = json!({"name": "l", "cniVersion": "0.4.0",
        "plugins": [{"type": "plug"}, {"type": "second"}]});
    machine.config("l", &list);
    let networks = machine.networks();
    let joined = networks
        .attach("c1", None, vec![wanted("l")])
        .await
        .unwrap();
    assert_eq!(
        joined.networks[0].addresses,
        ["10.1.2.4".parse::<IpAddr>().unwrap()]
    );
    networks.detach("c1").await.unwrap();
    let calls = std::fs::read_to_string(machine.dir.path().join("calls")).unwrap();
    let types = calls.lines().map(|line| {
        let input: Value = serde_json::from_str(line.splitn(5, ' ').nth(4).unwrap()).unwrap();
        let previous = input["prevResult"]["ips"][0]["address"].clone();
        (input["type"].clone(), previous)
    });
    let expected = [
        (json!("plug"), Value::Null),
        (json!("second"), json!("10.1.2.3/24")),
        (json!("second"), json!("10.1.2.4/24")),
        (json!("plug"), json!("10.1.2.4/24")),
    ];
    assert_eq!(types.collect::<Vec<_>>(), expected);
}
