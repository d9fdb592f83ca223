use std::{net::SocketAddr, sync::Arc, time::Duration};

use tepui_protocol::message::Tell;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::{
    Bridge, Listener, Peer, Reason, Settings,
    handshake::Role,
    testing::{Blob, Event, Note, Scene, next},
};

fn writing_through() -> Settings {
    Settings {
        write_through: true,
        heartbeat: Duration::from_millis(1),
        ..Settings::default()
    }
}

/// Two peers over TCP, the first of which writes by itself.
async fn connect() -> (Peer, Listener, UnboundedReceiver<Event>) {
    let (agent, _) = Scene::new(Role::Agent);
    let (master, mut events) = Scene::new(Role::Master);
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Bridge::new(Settings::default(), master)
        .listen(anywhere)
        .await
        .unwrap();
    let bridge = Bridge::new(writing_through(), Arc::clone(&agent) as Arc<_>);
    let peer = bridge.connect(listener.address()).await.unwrap();
    assert_eq!(next(&mut events).await, Event::Connected("agent-1".into()));
    (peer, listener, events)
}

#[tokio::test]
async fn a_message_leaves_before_its_teller_goes_on() {
    let (peer, _listener, mut events) = connect().await;
    for number in 0..100 {
        let before = peer.stats();
        peer.tell(Note(number)).unwrap();
        // No other task has run meanwhile: this is a runtime of one thread.
        let after = peer.stats();
        assert!(after.bytes_out > before.bytes_out);
        assert_eq!((after.queue_depth, after.queue_oldest_ms), (0, None));
        assert_eq!(after.accepted, number + 1);
    }
    for number in 0..100 {
        assert_eq!(next(&mut events).await, Event::Noted(number));
    }
}

#[tokio::test]
async fn what_the_socket_does_not_take_follows_in_order_among_heartbeats() {
    const BLOB_BYTES: usize = 7 << 20;
    let (peer, _listener, mut events) = connect().await;
    for round in 0..4 {
        peer.tell(Note(2 * round)).unwrap();
        peer.tell(Blob(vec![1; BLOB_BYTES].into())).unwrap();
        // Once much has come through, Linux lets a receiver's buffer grow beyond it.
        let is_new = round == 0;
        assert!(
            !is_new || peer.stats().queue_depth == 1,
            "it is larger than the socket"
        );
        peer.tell(Note(2 * round + 1)).unwrap();
        assert_eq!(next(&mut events).await, Event::Noted(2 * round));
        assert_eq!(next(&mut events).await, Event::Blob(BLOB_BYTES));
        assert_eq!(next(&mut events).await, Event::Noted(2 * round + 1));
        // Heartbeats of the writer come between.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(peer.stats().queue_depth, 0);
}

#[tokio::test]
async fn tellers_on_other_threads_never_mix_their_frames() {
    const EACH: u64 = 5_000;
    let (peer, _listener, mut events) = connect().await;
    let tellers: Vec<_> = (0..2)
        .map(|_| {
            let peer = peer.clone();
            std::thread::spawn(move || {
                for number in 0..EACH {
                    while peer.tell(Note(number)).is_err() {
                        std::thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let mut sum = 0;
    for _ in 0..2 * EACH {
        let Event::Noted(number) = next(&mut events).await else {
            panic!("something else came");
        };
        sum += number;
    }
    assert_eq!(sum, EACH * (EACH - 1));
    for teller in tellers {
        teller.join().unwrap();
    }
}

#[tokio::test]
async fn the_socket_closes_with_the_connection_and_not_with_its_last_handle() {
    let (peer, listener, mut events) = connect().await;
    peer.close("done");
    let Event::Disconnected(end) = next(&mut events).await else {
        panic!("it stays connected");
    };
    assert_eq!(end.reason, Reason::ClosedThere("done".to_owned()));
    assert!(peer.tell(Note(1)).is_err());
    drop(listener);
}
