use super::*;

fn facts() -> Facts {
    Facts {
        received: 7,
        sent: 6,
        zxid: 0x0007_0000_0002,
        nodes: 3,
        connections: vec![("127.0.0.1:4000".to_owned(), 3, 2)],
    }
}

#[test]
fn commands_answer_as_zookeeper_does() {
    assert_eq!(answer(*b"ruok", &facts()), "imok");
    assert_eq!(answer(*b"isro", &facts()), "rw");
    let counts = "Latency min/avg/max: 0/0.0/0\nReceived: 7\nSent: 6\nConnections: 1\nOutstanding: 0\nZxid: 0x700000002\nMode: read-only\nNode count: 3\n";
    let version = concat!("3.8.0-tepui-", env!("CARGO_PKG_VERSION"), ", read-only");
    assert_eq!(
        answer(*b"srvr", &facts()),
        format!("Zookeeper version: {version}\n{counts}")
    );
    let clients = "Clients:\n /127.0.0.1:4000[1](queued=0,recved=3,sent=2)\n\n";
    assert_eq!(
        answer(*b"stat", &facts()),
        format!("Zookeeper version: {version}\n{clients}{counts}")
    );
    assert_eq!(
        answer(*b"envi", &facts()),
        format!("Environment:\nzookeeper.version={version}\n")
    );
    assert_eq!(
        answer(*b"wchs", &facts()),
        "wchs is not executed because it is not in the whitelist.\n"
    );
}
