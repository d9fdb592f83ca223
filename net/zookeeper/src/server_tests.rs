//! Over TCP on loopback, with bytes written by hand.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{
    members::Master,
    request::{ConnectRequest, Numbered, Request},
};

/// Beyond which a test is stuck; nothing is measured.
const PATIENCE: Duration = Duration::from_secs(30);

fn members(term: u64, leader: &str) -> Members {
    Members {
        term,
        leader: Some(Master::new(leader.to_owned())),
        followers: Vec::new(),
    }
}

async fn serve(settings: Settings) -> (ZooKeeperEndpoint, watch::Sender<Members>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (sender, receiver) = watch::channel(members(1, "a"));
    let endpoint = ZooKeeperEndpoint::serve(listener, receiver, settings).unwrap();
    (endpoint, sender)
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("stuck")
}

struct Client(TcpStream);

impl Client {
    async fn open(endpoint: &ZooKeeperEndpoint) -> Client {
        Client(TcpStream::connect(endpoint.address()).await.unwrap())
    }

    /// With a session.
    async fn connect(endpoint: &ZooKeeperEndpoint) -> Client {
        let mut client = Client::open(endpoint).await;
        let mut request = vec![0; 45];
        request[27] = 16;
        request[14..16].copy_from_slice(&[0x27, 0x10]);
        client.write(&request).await;
        let answer = client.read().await.unwrap();
        assert_eq!(answer[4..8], [0, 0, 0x27, 0x10]);
        client
    }

    async fn write(&mut self, frame: &[u8]) {
        let length = (frame.len() as u32).to_be_bytes();
        within(self.0.write_all(&[&length, frame].concat()))
            .await
            .unwrap();
    }

    /// `None` where the connection has ended.
    async fn read(&mut self) -> Option<Vec<u8>> {
        within(async {
            let length = self.0.read_u32().await.ok()?;
            let mut frame = vec![0; length as usize];
            self.0.read_exact(&mut frame).await.ok()?;
            Some(frame)
        })
        .await
    }

    async fn send(&mut self, operation: u8, path: &str, watch: bool) {
        let mut frame = vec![0, 0, 0, 1, 0, 0, 0, operation, 0, 0, 0, path.len() as u8];
        frame.extend(path.bytes());
        frame.push(u8::from(watch));
        self.write(&frame).await;
    }
}

fn holds(frame: &[u8], text: &str) -> bool {
    frame
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

#[tokio::test]
async fn a_watch_tells_of_the_new_leader_and_reads_find_it() {
    let (endpoint, sender) = serve(Settings::default()).await;
    let mut client = Client::connect(&endpoint).await;
    client.send(8, "/mesos", true).await;
    assert!(holds(&client.read().await.unwrap(), "json.info_0000000100"));
    sender.send_replace(members(2, "{\"id\":\"b\"}"));
    let event = client.read().await.unwrap();
    assert_eq!((&event[..4], event[19]), (&[0xff; 4][..], 4));
    client.send(4, "/mesos/json.info_0000000200", false).await;
    assert!(holds(&client.read().await.unwrap(), "{\"id\":\"b\"}"));
    client.send(245, "", false).await;
    assert_eq!(client.read().await.unwrap()[12..16], (-6_i32).to_be_bytes());
}

#[tokio::test]
async fn many_requests_at_once_are_answered_in_order() {
    let settings = Settings {
        max_requests: 4,
        ..Settings::default()
    };
    let (endpoint, _sender) = serve(settings).await;
    let mut client = Client::connect(&endpoint).await;
    for xid in 0..200_u8 {
        client.write(&[0, 0, 0, xid, 0, 0, 0, 11]).await;
    }
    for xid in 0..200_u8 {
        assert_eq!(client.read().await.unwrap()[..4], [0, 0, 0, xid]);
    }
}

#[tokio::test]
async fn four_letters_get_a_text_and_the_end() {
    let (endpoint, _sender) = serve(Settings::default()).await;
    let mut text = String::new();
    let mut client = Client::open(&endpoint).await;
    client.0.write_all(b"srvr\n").await.unwrap();
    within(client.0.read_to_string(&mut text)).await.unwrap();
    assert!(
        text.starts_with("Zookeeper version: 3.8.0")
            && text.contains("Mode: read-only\nNode count: 3\n"),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_no_client_is_closed() {
    let (endpoint, _sender) = serve(Settings::default()).await;
    for nonsense in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0, 0, 0, 2, 1, 1],
        &[0xff; 4],
    ] {
        let mut client = Client::open(&endpoint).await;
        client.0.write_all(nonsense).await.unwrap();
        assert_eq!(client.read().await, None);
    }
    let mut client = Client::connect(&endpoint).await;
    client.write(&[0; 3]).await;
    assert_eq!(client.read().await, None, "no header");
}

#[tokio::test]
async fn connections_are_bounded_and_one_that_ends_makes_room() {
    let settings = Settings {
        max_connections: 2,
        ..Settings::default()
    };
    let (endpoint, _sender) = serve(settings).await;
    let (first, _second) = (
        Client::connect(&endpoint).await,
        Client::connect(&endpoint).await,
    );
    assert_eq!(Client::open(&endpoint).await.read().await, None);
    drop(first);
    within(async {
        loop {
            let mut client = Client::open(&endpoint).await;
            let _ = client.0.write_all(b"ruok").await;
            let mut text = String::new();
            if client.0.read_to_string(&mut text).await.is_ok() && text == "imok" {
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn one_that_opens_no_session_is_closed() {
    let settings = Settings {
        connect_deadline: Duration::from_millis(20),
        ..Settings::default()
    };
    let (endpoint, _sender) = serve(settings).await;
    assert_eq!(Client::open(&endpoint).await.read().await, None);
}

#[tokio::test]
async fn the_end_of_the_endpoint_or_of_its_source_closes_all() {
    let (endpoint, sender) = serve(Settings::default()).await;
    let mut client = Client::connect(&endpoint).await;
    drop(sender);
    assert_eq!(client.read().await, None);
    let (endpoint, _sender) = serve(Settings::default()).await;
    let mut client = Client::connect(&endpoint).await;
    drop(endpoint);
    assert_eq!(client.read().await, None);
}

#[tokio::test]
async fn a_base_that_is_no_path_is_refused() {
    for base in ["", "mesos", "/mesos/", "//", "/a//b"] {
        assert!(!is_path(base), "{base}");
    }
    for base in ["/", "/mesos", "/a/b"] {
        assert!(is_path(base), "{base}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_sender, receiver) = watch::channel(Members::default());
    let settings = Settings {
        base: "mesos".to_owned(),
        ..Settings::default()
    };
    let refused = ZooKeeperEndpoint::serve(listener, receiver, settings);
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("expected one like /mesos")
    );
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answers_is_cut() {
    let mut hub = Hub::new(Settings::default());
    let connection = ConnectionId(1);
    let (sender, mut outgoing) = mpsc::channel(2);
    let open = Open {
        outgoing: sender,
        ip: IpAddr::from([127, 0, 0, 1]),
    };
    hub.open.insert(connection, open);
    hub.feed(Input::Opened {
        connection,
        peer: "peer".to_owned(),
    });
    let connect = ConnectRequest {
        last_zxid: 0,
        timeout_ms: 10_000,
        session: 0,
        password: Vec::new(),
        read_only: None,
    };
    hub.feed(Input::Connect {
        connection,
        request: connect,
        fresh: 7,
    });
    for xid in 1..=3 {
        let request = Request::Ping;
        let numbered = Numbered { xid, request };
        hub.feed(Input::Request {
            connection,
            numbered,
        });
    }
    assert!(hub.open.is_empty());
    assert!(matches!(
        outgoing.recv().await,
        Some(Outgoing::Connected { .. })
    ));
    assert!(matches!(
        outgoing.recv().await,
        Some(Outgoing::Reply { xid: 1, .. })
    ));
    assert_eq!(outgoing.recv().await, None);
}
