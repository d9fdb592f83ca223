//! The handle of one connection.

use std::{
    fmt,
    future::ready,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tepui_protocol::{
    codec::{Limits, msgpack},
    message::{Ask, AskError, Tell, TellError, Wire},
};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, timeout_at},
};

use crate::{
    error::{Disconnect, Reason},
    frame::FrameType,
    handshake::Identity,
    outbox::{Body, Closing, Encode, Outbox, Outgoing},
    pending::Pending,
    settings::Settings,
    stats::{NONE, PeerStats, Stats},
};

/// Number of a connection, unique in this process and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u64);

impl fmt::Display for PeerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "peer-{}", self.0)
    }
}

/// One connection to another program. Clones are the same connection; it lives until it is closed or lost,
/// not until the last handle is dropped.
#[derive(Clone)]
pub struct Peer {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    id: PeerId,
    remote: Identity,
    address: Option<SocketAddr>,
    version: u16,
    opened: Instant,
    end: watch::Sender<Option<Disconnect>>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) outbox: Outbox,
    pub(crate) pending: Pending,
    pub(crate) stats: Stats,
}

impl Peer {
    pub(crate) fn new(
        remote: Identity,
        version: u16,
        address: Option<SocketAddr>,
        settings: Arc<Settings>,
    ) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Peer {
            shared: Arc::new(Shared {
                id: PeerId(LAST.fetch_add(1, Relaxed) + 1),
                remote,
                address,
                version,
                opened: Instant::now(),
                end: watch::Sender::new(None),
                outbox: Outbox::new(&settings),
                pending: Pending::new(settings.asks_out),
                stats: Stats::default(),
                settings,
            }),
        }
    }

    pub fn id(&self) -> PeerId {
        self.shared.id
    }

    /// How the other side called itself in the handshake.
    pub fn remote(&self) -> &Identity {
        &self.shared.remote
    }

    /// Where the other side connects from, or was connected to; `None` in memory.
    pub fn address(&self) -> Option<SocketAddr> {
        self.shared.address
    }

    /// Closes the connection: what is queued is written (for at most `close_deadline`), then the other side is
    /// told `reason`. Nothing is accepted from now on.
    pub fn close(&self, reason: &str) {
        self.shared.outbox.close(Closing::Farewell {
            text: reason.to_owned(),
            deadline: Instant::now() + self.shared.settings.close_deadline,
        });
    }

    /// Resolves when the connection is over and `on_disconnect` has been called.
    pub async fn closed(&self) -> Disconnect {
        let mut end = self.shared.end.subscribe();
        let aborted = || Disconnect {
            peer: self.id(),
            reason: Reason::Aborted,
        };
        match end.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or_else(aborted),
            Err(_) => aborted(),
        }
    }

    /// Whether the connection is over.
    pub fn is_closed(&self) -> bool {
        self.shared.end.borrow().is_some()
    }

    /// Like [`Ask::ask`], with a deadline of its own.
    pub fn ask_within<M: Wire>(
        &self,
        message: M,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<M::Reply, AskError>> {
        let (sender, receiver) = oneshot::channel();
        let added = self.shared.pending.add(Box::new(move |outcome| {
            let answer = outcome.and_then(|body| {
                msgpack::decode::<M::Reply>(&body, &Limits::BRIDGE).map_err(|error| {
                    AskError::Refused(format!("its answer cannot be read: {error}"))
                })
            });
            // The asker may have gone meanwhile.
            let _ = sender.send(answer);
        }));
        let correlation = match added {
            Ok(correlation) => correlation,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        let asked = Asked {
            shared: self.shared.clone(),
            correlation,
        };
        if let Err(error) = self.push(FrameType::Ask, M::KIND, correlation, Box::new(message)) {
            return Box::pin(ready(Err(error.into())));
        }
        let deadline = Instant::now() + deadline;
        Box::pin(async move {
            let _asked = asked;
            match timeout_at(deadline, receiver).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(AskError::Closed),
                Err(_) => Err(AskError::Timeout),
            }
        })
    }

    pub(crate) fn push(
        &self,
        frame_type: FrameType,
        kind: u16,
        correlation: u64,
        message: Box<dyn Encode>,
    ) -> Result<(), TellError> {
        self.push_body(frame_type, kind, correlation, Body::Message(message))
    }

    pub(crate) fn push_body(
        &self,
        frame_type: FrameType,
        kind: u16,
        correlation: u64,
        body: Body,
    ) -> Result<(), TellError> {
        self.push_item(Outgoing {
            frame_type,
            kind,
            correlation,
            body,
            best_effort: false,
            queued_ms: self.elapsed_ms(),
        })
    }

    fn push_item(&self, item: Outgoing) -> Result<(), TellError> {
        self.shared.outbox.push(item, &self.shared.stats)
    }

    /// Milliseconds since the connection opened.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.shared.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Nothing more is accepted, and all who wait for an answer are told so.
    pub(crate) fn shut(&self) {
        self.shared.outbox.shut(&self.shared.stats);
        self.shared.pending.close();
    }

    pub(crate) fn finish(&self, end: Disconnect) {
        self.shared.end.send_replace(Some(end));
    }

    /// What the connection has counted so far.
    pub fn stats(&self) -> PeerStats {
        let Shared { stats, remote, .. } = &*self.shared;
        let now_ms = self.elapsed_ms();
        // `finished` first: a message that leaves between the two reads must not make the depth negative.
        let finished = stats.finished.load(Relaxed);
        let accepted = stats.accepted.load(Relaxed);
        let oldest_ms = stats.oldest_ms.load(Relaxed);
        PeerStats {
            id: self.id().0,
            role: remote.role,
            name: remote.name.clone(),
            program_version: remote.program_version.clone(),
            address: self.shared.address.map(|address| address.to_string()),
            bridge_version: self.shared.version,
            open_ms: now_ms,
            heard_ago_ms: now_ms.saturating_sub(stats.heard_ms.load(Relaxed)),
            frames_in: stats.frames_in.load(Relaxed),
            frames_out: stats.frames_out.load(Relaxed),
            bytes_in: stats.bytes_in.load(Relaxed),
            bytes_out: stats.bytes_out.load(Relaxed),
            accepted,
            refused: stats.refused.load(Relaxed),
            unsendable: stats.unsendable.load(Relaxed),
            unknown_kind: stats.unknown_kind.load(Relaxed),
            undecodable: stats.undecodable.load(Relaxed),
            queue_depth: accepted.saturating_sub(finished),
            queue_bound: self.shared.settings.queue_messages as u64,
            queue_oldest_ms: (oldest_ms != NONE).then(|| now_ms.saturating_sub(oldest_ms)),
            asks_waiting: self.shared.pending.count() as u64,
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} ({} {:?})",
            self.shared.id, self.shared.remote.role, self.shared.remote.name
        )
    }
}

impl<M: Wire> Tell<M> for Peer {
    fn tell(&self, message: M) -> Result<(), TellError> {
        self.push_item(Outgoing {
            frame_type: FrameType::Tell,
            kind: M::KIND,
            correlation: 0,
            body: Body::Message(Box::new(message)),
            best_effort: M::BEST_EFFORT,
            queued_ms: self.elapsed_ms(),
        })
    }
}

impl<M: Wire> Ask<M> for Peer {
    fn ask(&self, message: M) -> BoxFuture<'static, Result<M::Reply, AskError>> {
        self.ask_within(message, self.shared.settings.ask_deadline)
    }
}

/// Frees the question's place when its asker stops waiting, for whatever reason.
struct Asked {
    shared: Arc<Shared>,
    correlation: u64,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.shared.pending.forget(self.correlation);
    }
}
