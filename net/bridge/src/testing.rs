//! What the tests share: messages, a service that notes what happens, and a way to wait without sleeping.

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use tepui_protocol::message::{Message, Wire};
use tokio::{
    io::{AsyncWriteExt, DuplexStream},
    sync::mpsc,
};

use crate::{
    connection::{Bridge, Service},
    error::{Disconnect, Error},
    frame::{self, Decoder, Frame, FrameType},
    handshake::{Hello, Role},
    intake::fill,
    peer::Peer,
    router::Router,
    settings::Settings,
};

macro_rules! wire {
    ($($name:ident($kind:literal, $body:ty) -> $reply:ty;)*) => {$(
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub(crate) struct $name(pub(crate) $body);
        impl Message for $name {
            type Reply = $reply;
        }
        impl Wire for $name {
            const KIND: u16 = $kind;
        }
    )*};
}

/// As a [`Blob`], of best effort.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Chatter(pub(crate) Bytes);
impl Message for Chatter {
    type Reply = ();
}
impl Wire for Chatter {
    const KIND: u16 = 1907;
    const BEST_EFFORT: bool = true;
}

wire! {
    Note(1901, u64) -> ();
    Double(1902, u64) -> u64;
    // A question whose handler never answers.
    Hang(1903, u64) -> u64;
    Blob(1904, Bytes) -> ();
    // Nobody routes it.
    Stranger(1905, u64) -> u64;
    // Asks for an answer of that many bytes.
    Inflate(1906, usize) -> Vec<u8>;
}

/// What a [`Scene`] noted, in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    Connected(String),
    Noted(u64),
    Blob(usize),
    Disconnected(Disconnect),
    Failed(String),
}

/// A service that notes its events.
pub(crate) struct Scene {
    pub(crate) hello: Mutex<Hello>,
    router: Arc<Router>,
    events: mpsc::UnboundedSender<Event>,
    admits: bool,
}

impl Scene {
    pub(crate) fn new(role: Role) -> (Arc<Scene>, mpsc::UnboundedReceiver<Event>) {
        Self::with(role, true)
    }

    pub(crate) fn with(role: Role, admits: bool) -> (Arc<Scene>, mpsc::UnboundedReceiver<Event>) {
        let (events, receiver) = mpsc::unbounded_channel();
        let (notes, blobs, chatter) = (events.clone(), events.clone(), events.clone());
        let router = Router::builder()
            .on_tell(move |_, Note(number)| notes.send(Event::Noted(number)).unwrap())
            .on_tell(move |_, Blob(bytes)| blobs.send(Event::Blob(bytes.len())).unwrap())
            .on_tell(move |_, Chatter(bytes)| chatter.send(Event::Blob(bytes.len())).unwrap())
            .on_ask(|_, Double(number)| {
                async move { number.checked_mul(2).ok_or_else(|| "too large".to_owned()) }.boxed()
            })
            .on_ask(|_, Hang(_)| pending().boxed())
            .on_ask(|_, Inflate(size)| async move { Ok(vec![200; size]) }.boxed())
            .build();
        let scene = Scene {
            hello: Mutex::new(Hello::new(role, format!("{role}-1"), "0.1.0")),
            router: Arc::new(router),
            events,
            admits,
        };
        (Arc::new(scene), receiver)
    }

    fn note(&self, event: Event) {
        // A test that looks no more has dropped the receiver.
        let _ = self.events.send(event);
    }
}

impl Service for Scene {
    fn hello(&self) -> Hello {
        self.hello.lock().unwrap().clone()
    }

    fn router(&self, _peer: &Peer) -> Arc<Router> {
        self.router.clone()
    }

    fn admit(&self, theirs: &Hello, _address: Option<std::net::SocketAddr>) -> Result<(), String> {
        match self.admits {
            true => Ok(()),
            false => Err(format!("{} is not welcome", theirs.identity.name)),
        }
    }

    fn recognise(&self, theirs: &crate::handshake::Identity) -> Result<(), String> {
        match self.admits {
            true => Ok(()),
            false => Err(format!("{} was not looked for", theirs.name)),
        }
    }

    fn on_connect(&self, peer: &Peer) {
        self.note(Event::Connected(peer.remote().name.clone()));
    }

    fn on_disconnect(&self, _peer: &Peer, end: &Disconnect) {
        self.note(Event::Disconnected(end.clone()));
    }

    fn on_failed(&self, _address: Option<std::net::SocketAddr>, error: &Error) {
        self.note(Event::Failed(error.to_string()));
    }
}

/// Short limits, so that tests reach them.
pub(crate) fn settings() -> Settings {
    Settings {
        queue_messages: 64,
        queue_bytes: 256 << 10,
        frame_bytes: 1 << 20,
        ..Settings::default()
    }
}

/// The far end of a connection, played by hand: greets as an agent, then does what the test says.
pub(crate) struct Puppet {
    pub(crate) stream: DuplexStream,
    decoder: Decoder,
}

impl Puppet {
    /// Connects to `bridge`, over a stream with room for `room` bytes each way.
    pub(crate) async fn connect(bridge: &Bridge, room: usize) -> (Puppet, Peer) {
        let (near, far) = tokio::io::duplex(room);
        let mut puppet = Puppet {
            stream: near,
            decoder: Decoder::new(frame::MAX_FRAME_BYTES),
        };
        let hello = Hello::new(Role::Agent, "puppet", "0.1.0");
        let greeting = async {
            puppet
                .send(FrameType::Hello, 0, 0, &hello.encode().unwrap())
                .await;
            let welcome = puppet.receive().await.expect("a welcome");
            assert_eq!(welcome.frame_type, FrameType::Welcome);
        };
        let (peer, ()) = tokio::join!(bridge.accept_stream(far, None), greeting);
        (puppet, peer.unwrap())
    }

    pub(crate) async fn send(
        &mut self,
        frame_type: FrameType,
        kind: u16,
        correlation: u64,
        body: &[u8],
    ) {
        let mut buffer = BytesMut::new();
        frame::put(&mut buffer, frame_type, kind, correlation, body);
        self.stream.write_all(&buffer).await.unwrap();
    }

    /// The next frame, or `None` at the end of the stream.
    pub(crate) async fn receive(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            if fill(&mut self.stream, &mut self.decoder).await.unwrap() == 0 {
                return None;
            }
        }
    }
}

/// The next event; waits for it in the test's (mostly paused) time.
pub(crate) async fn next(events: &mut mpsc::UnboundedReceiver<Event>) -> Event {
    tokio::time::timeout(Duration::from_secs(60), events.recv())
        .await
        .expect("an event within a minute")
        .expect("the service lives")
}

/// Two bridges, an agent's and a master's, with their events.
pub(crate) type Side = (Bridge, mpsc::UnboundedReceiver<Event>);

pub(crate) fn sides(settings: Settings) -> (Side, Side) {
    let (agent, agent_events) = Scene::new(Role::Agent);
    let (master, master_events) = Scene::new(Role::Master);
    (
        (Bridge::new(settings.clone(), agent), agent_events),
        (Bridge::new(settings, master), master_events),
    )
}
