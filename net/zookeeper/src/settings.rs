//! Every bound and deadline of an endpoint, by name.

use std::time::Duration;

/// Bounds and deadlines; [`Settings::default`] holds the documented defaults.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The masters' parent: what a client writes behind the addresses, `zk://host:port/mesos`. Default `/mesos`.
    pub base: String,
    /// Connections, those without a session included. Default 1 000.
    pub max_connections: usize,
    /// Connections from one IP address. Default 60, as in ZooKeeper. Loopback is exempt.
    pub max_connections_per_ip: usize,
    /// Watches of one connection. Default 1 000.
    pub max_watches: usize,
    /// Bytes of a path that is watched or read. Default 1 024.
    pub max_path_bytes: usize,
    /// Requests of one connection that are being answered; further ones are not read. Default 64.
    pub max_requests: usize,
    /// Until a connection has opened its session. Default 5 s.
    pub connect_deadline: Duration,
    /// What a client may agree on as its session timeout, after which silence cuts it. Default 4 s to 40 s, as in ZooKeeper.
    pub session_timeout: (Duration, Duration),
    /// A client that takes no byte for this long is cut. Default 10 s.
    pub write_deadline: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            base: "/mesos".to_owned(),
            max_connections: 1_000,
            max_connections_per_ip: 60,
            max_watches: 1_000,
            max_path_bytes: 1_024,
            max_requests: 64,
            connect_deadline: Duration::from_secs(5),
            session_timeout: (Duration::from_secs(4), Duration::from_secs(40)),
            write_deadline: Duration::from_secs(10),
        }
    }
}
