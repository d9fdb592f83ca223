use std::{
    io::{Error as IoError, ErrorKind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{io::DuplexStream, time::Instant};

use crate::{
    Bridge, Connector, Peer,
    testing::{Event, next, settings, sides},
};

/// A master behind an address that can be out of order.
struct World {
    master: Bridge,
    up: AtomicBool,
    attempts: AtomicUsize,
    peers: Mutex<Vec<Peer>>,
}

impl World {
    fn dial(self: &Arc<Self>) -> std::io::Result<DuplexStream> {
        self.attempts.fetch_add(1, Relaxed);
        if !self.up.load(Relaxed) {
            return Err(IoError::from(ErrorKind::ConnectionRefused));
        }
        let (near, far) = tokio::io::duplex(4 << 10);
        let world = self.clone();
        tokio::spawn(async move {
            let peer = world.master.accept_stream(far, None).await.unwrap();
            world.peers.lock().unwrap().push(peer);
        });
        Ok(near)
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_returns_within_two_seconds_of_its_master() {
    let ((agent, mut events), (master, _master_events)) = sides(settings());
    let world = Arc::new(World {
        master,
        up: AtomicBool::new(false),
        attempts: AtomicUsize::new(0),
        peers: Mutex::default(),
    });
    let dialled = world.clone();
    let connector = tokio::spawn(Connector::new(agent, 42).run_with(
        || async { vec!["10.0.0.1:5050".parse().unwrap()] },
        move |_| std::future::ready(dialled.dial()),
    ));
    for _ in 0..3 {
        world.up.store(false, Relaxed);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let attempts = world.attempts.swap(0, Relaxed);
        assert!(
            (30..80).contains(&attempts),
            "{attempts} attempts in a minute"
        );
        let back = Instant::now();
        world.up.store(true, Relaxed);
        while !matches!(next(&mut events).await, Event::Connected(_)) {}
        assert!(back.elapsed() <= Duration::from_secs(2));
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(world.attempts.swap(0, Relaxed), 1);
        let peer = world.peers.lock().unwrap().pop().unwrap();
        assert!(!peer.is_closed());
        world.up.store(false, Relaxed);
        peer.close("the master stops");
        assert!(matches!(next(&mut events).await, Event::Disconnected(_)));
    }
    world.up.store(true, Relaxed);
    while !matches!(next(&mut events).await, Event::Connected(_)) {}
    connector.abort();
    let Event::Disconnected(end) = next(&mut events).await else {
        panic!("the connection outlived its connector");
    };
    assert_eq!(
        end.reason.to_string(),
        "closed here: the connector was stopped"
    );
}

#[tokio::test]
async fn it_finds_the_master_among_dead_addresses_over_tcp() {
    let ((agent, mut events), (master, _master_events)) = sides(settings());
    let listener = master.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let live = listener.address();
    // Port 1 is refused at once on loopback.
    let found = move || async move { vec!["127.0.0.1:1".parse().unwrap(), live] };
    let connector = tokio::spawn(Connector::new(agent, 1).run(found));
    assert!(matches!(next(&mut events).await, Event::Failed(_)));
    assert_eq!(next(&mut events).await, Event::Connected("master-1".into()));
    connector.abort();
    assert!(matches!(next(&mut events).await, Event::Disconnected(_)));
}
