use std::{net::IpAddr, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tepui_protocol::message::{Ask, Tell};
use tokio::{net::TcpStream, runtime::Handle, sync::oneshot};

use super::{Open, Slot};
use crate::{
    Bridge, Error, Hello, Identity, Peer, Reason, Role, Router, Service, Settings,
    testing::{Double, Event, Note, next, settings, sides},
};

const ANY_PORT: &str = "127.0.0.1:0";

#[tokio::test]
async fn tcp_carries_a_conversation_to_its_farewell() {
    let ((agent, mut agent_events), (master, mut events)) = sides(settings());
    let listener = master.listen(ANY_PORT.parse().unwrap()).await.unwrap();
    let peer = agent.connect(listener.address()).await.unwrap();
    assert_eq!(next(&mut events).await, Event::Connected("agent-1".into()));
    assert_eq!(peer.address(), Some(listener.address()));
    peer.tell(Note(1)).unwrap();
    assert_eq!(peer.ask(Double(4)).await, Ok(8));
    assert_eq!(next(&mut events).await, Event::Noted(1));
    let [stats] = &listener.stats()[..] else {
        panic!("one peer");
    };
    assert_eq!((stats.name.as_str(), stats.frames_in), ("agent-1", 2));
    listener.close("the master stops").await;
    let end = peer.closed().await;
    assert_eq!(end.reason, Reason::ClosedThere("the master stops".into()));
    assert_eq!(
        next(&mut agent_events).await,
        Event::Connected("master-1".into())
    );
    assert_eq!(next(&mut agent_events).await, Event::Disconnected(end));
    assert!(matches!(
        agent.connect(peer.address().unwrap()).await,
        Err(Error::Unreachable { .. })
    ));
}

#[tokio::test]
async fn connections_are_bounded() {
    let settings = Settings {
        max_connections: 1,
        ..settings()
    };
    let ((agent, _), (master, mut events)) = sides(settings);
    let listener = master.listen(ANY_PORT.parse().unwrap()).await.unwrap();
    let first = agent.connect(listener.address()).await.unwrap();
    next(&mut events).await;
    assert!(agent.connect(listener.address()).await.is_err());
    let Event::Failed(text) = next(&mut events).await else {
        panic!("the second was taken");
    };
    assert!(text.starts_with("1 connections are open"), "{text}");
    first.close("make room");
    assert!(matches!(next(&mut events).await, Event::Disconnected(_)));
    // The place is given back on the listener's task, a moment after the service was told.
    while agent.connect(listener.address()).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_master_gets_in_however_many_agents_there_are() {
    let settings = Settings {
        max_connections: 1,
        ..settings()
    };
    let ((agent, _agents), (master, mut events)) = sides(settings.clone());
    let listener = master.listen(ANY_PORT.parse().unwrap()).await.unwrap();
    let address = listener.address();
    agent.connect(address).await.unwrap();
    next(&mut events).await;
    let Err(Error::RefusedThere(text)) = agent.connect(address).await else {
        panic!("a second agent was taken");
    };
    assert!(text.starts_with("1 connections are open"), "{text}");
    let (_, (other, _others)) = sides(settings);
    assert_eq!(
        other.connect(address).await.unwrap().ask(Double(4)).await,
        Ok(8)
    );
}

#[test]
fn one_address_takes_neither_all_places_nor_all_handshakes() {
    let settings = Settings {
        max_connections: 8,
        max_connections_per_ip: 3,
        max_masters: 1,
        max_handshakes: 8,
        ..Settings::default()
    };
    let open = Arc::new(Open::default());
    let [one, other, local] =
        ["192.0.2.1", "192.0.2.2", "127.0.0.1"].map(|ip| ip.parse::<IpAddr>().unwrap());
    let taken = |ip, count| -> Vec<Slot> {
        let slots = (0..count).map_while(|_| Slot::take(&open, ip, &settings).ok());
        slots.collect()
    };
    let settled = |ip, role| -> Result<Slot, Error> {
        let mut slot = Slot::take(&open, ip, &settings)?;
        slot.settle(role, &settings)?;
        Ok(slot)
    };
    assert_eq!(taken(one, 9).len(), 2);
    assert_eq!(taken(local, 9).len(), 9, "loopback is exempt");
    let many: Vec<Slot> = (0..9)
        .map_while(|_| settled(one, Role::Agent).ok())
        .collect();
    assert_eq!(many.len(), 3);
    let master = settled(one, Role::Master).unwrap();
    assert!(settled(other, Role::Master).is_err());
    settled(other, Role::Agent).unwrap();
    drop((many, master));
    settled(one, Role::Agent).unwrap();
    let state = open.lock();
    assert_eq!((state.total, state.masters), (0, 0));
    assert!(state.greeting.is_empty() && state.per_ip.is_empty());
}

#[tokio::test]
async fn handshakes_that_lead_nowhere_give_way() {
    let settings = Settings {
        max_handshakes: 2,
        handshake_deadline: Duration::from_millis(200),
        ..settings()
    };
    let ((agent, _agents), (master, _events)) = sides(settings);
    let listener = master.listen(ANY_PORT.parse().unwrap()).await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..4 {
        idle.push(TcpStream::connect(listener.address()).await.unwrap());
    }
    while agent.connect(listener.address()).await.is_err() {}
}

/// Has its peers served elsewhere, and answers whether that is so.
struct Elsewhere {
    place: Handle,
    router: Arc<Router>,
}

impl Service for Elsewhere {
    fn hello(&self) -> Hello {
        Hello::new(Role::Master, "master-1", "0.1.0")
    }

    fn router(&self, _peer: &Peer) -> Arc<Router> {
        Arc::clone(&self.router)
    }

    fn place(&self, _theirs: &Identity) -> Option<Handle> {
        Some(self.place.clone())
    }
}

#[tokio::test]
async fn a_peer_is_served_in_its_place_and_its_connection_ends_with_that() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let place = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::spawn(move || drop(runtime.block_on(stopped)));
    let there = thread.thread().id();
    let router = Router::builder().on_ask(move |_, Double(number)| {
        let is_there = std::thread::current().id() == there;
        async move {
            is_there
                .then_some(2 * number)
                .ok_or_else(|| "not there".to_owned())
        }
        .boxed()
    });
    let elsewhere = Elsewhere {
        place,
        router: Arc::new(router.build()),
    };
    let master = Bridge::new(settings(), Arc::new(elsewhere));
    let listener = master.listen(ANY_PORT.parse().unwrap()).await.unwrap();
    let ((agent, _events), _) = sides(settings());
    let peer = agent.connect(listener.address()).await.unwrap();
    assert_eq!(peer.ask(Double(4)).await, Ok(8));
    stop.send(()).unwrap();
    thread.join().unwrap();
    assert!(matches!(peer.closed().await.reason, Reason::Lost(_)));
    assert!(listener.peers().is_empty());
}
