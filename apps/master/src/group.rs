//! The other masters: who they are, how Raft's messages reach them and come from them, where they answer.
//!
//! Each master dials each other one and speaks Raft on the connection it dialled; on those that were dialled to it,
//! it only listens. So there is one ordered stream a peer and direction, and a message of an older connection is
//! known by its number and dropped: raft-rs 0.7 does not survive reordered appends.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use bytes::{Bytes, BytesMut};
use tepui_bridge::{Hello, Identity, Membership, Peer, Role};
use tepui_consensus::{Consensus, Transport};
use tepui_engine::Engine;
use tepui_kit::Tell;
use tepui_protocol::node::RaftMessage;

use crate::leadership::Leader;

/// Bytes of one part; a snapshot has many.
const PART_BYTES: usize = 1 << 20;
/// Bytes of one message of Raft put together again: more than any registry has.
const MAX_MESSAGE_BYTES: usize = 1 << 30;

/// The cluster's id as the registry has it, once it has one.
pub(crate) type ClusterId = Arc<dyn Fn() -> Option<String> + Send + Sync>;

pub(crate) struct Group {
    identity: tepui_consensus::Identity,
    /// Closed with consensus, whatever still knows this group.
    engine: Weak<dyn Engine>,
    cluster_id: ClusterId,
    own: Membership,
    /// Where the bridge listens, for a master whose address nobody gave.
    listens_at: OnceLock<String>,
    others: BTreeMap<u64, Other>,
    consensus: OnceLock<Consensus>,
}

/// One other master.
struct Other {
    name: String,
    /// `host:port` of its bridge, from `--peers`.
    address: String,
    /// The connection dialled to it.
    out: Mutex<Option<Peer>>,
    inbound: Mutex<Inbound>,
    /// As it called itself last.
    place: Mutex<Option<Membership>>,
    trouble: Mutex<Trouble>,
}

/// What keeps a way to another master from standing.
#[derive(Default)]
struct Trouble {
    /// Failures since the way last stood.
    failures: u32,
    /// The last text that was told.
    told: Option<String>,
}

/// A master that starts or restarts with others is looked for in vain a few times; only then it is news.
const FAILURES_BEFORE_NEWS: u32 = 6;

/// What it dialled here.
#[derive(Default)]
struct Inbound {
    /// Numbers of its connections; only the newest is listened to.
    open: BTreeSet<u64>,
    parts: Parts,
}

impl Group {
    /// `addresses` are the others' bridges, by name.
    pub(crate) fn new(
        identity: tepui_consensus::Identity,
        engine: &tepui_engine::SharedEngine,
        cluster_id: ClusterId,
        own: Membership,
        addresses: &BTreeMap<String, String>,
    ) -> Group {
        let others = identity.founders.iter();
        let others = others.filter(|(id, _)| **id != identity.node_id);
        let others = others.map(|(id, name)| {
            let other = Other {
                name: name.clone(),
                address: addresses.get(name).cloned().unwrap_or_default(),
                out: Mutex::default(),
                inbound: Mutex::default(),
                place: Mutex::default(),
                trouble: Mutex::default(),
            };
            (*id, other)
        });
        Group {
            others: others.collect(),
            engine: Arc::downgrade(engine),
            identity,
            cluster_id,
            own,
            listens_at: OnceLock::new(),
            consensus: OnceLock::new(),
        }
    }

    /// The member this group carries messages for.
    pub(crate) fn attach(&self, consensus: Consensus) {
        let attached = self.consensus.set(consensus);
        debug_assert!(attached.is_ok(), "a group serves one member");
    }

    /// Ids and addresses of the others.
    pub(crate) fn addresses(&self) -> Vec<(u64, String)> {
        let others = self.others.iter();
        others
            .map(|(id, other)| (*id, other.address.clone()))
            .collect()
    }

    /// The other members that can be reached now.
    pub(crate) fn reachable(&self) -> Vec<u64> {
        let others = self.others.iter();
        let others = others.filter(|(_, other)| lock(&other.out).is_some());
        others.map(|(id, _)| *id).collect()
    }

    pub(crate) fn cluster_id(&self) -> Option<String> {
        (self.cluster_id)()
    }

    /// The bridge is open. Of "any address" the name that clients are given.
    pub(crate) fn listens_at(&self, address: SocketAddr) {
        let shown = if address.ip().is_unspecified() {
            let host = self.own.http.rsplit_once(':').map_or("", |(host, _)| host);
            format!("{host}:{}", address.port())
        } else {
            address.to_string()
        };
        let _ = self.listens_at.set(shown);
    }

    /// `host:port` at which others reach the bridge.
    pub(crate) fn bridge(&self) -> String {
        if self.own.bridge.is_empty() {
            self.listens_at.get().cloned().unwrap_or_default()
        } else {
            self.own.bridge.clone()
        }
    }

    pub(crate) fn hello(&self) -> Hello {
        let name = self.identity.name.as_str();
        let mut hello = Hello::new(Role::Master, name, env!("CARGO_PKG_VERSION"));
        hello.identity.cluster_id = self.cluster_id();
        hello.identity.membership = Some(Membership {
            bridge: self.bridge(),
            ..self.own.clone()
        });
        hello
    }

    /// Where the member `id` answers, once it has said so.
    pub(crate) fn leader(&self, id: u64, term: u64) -> Option<Leader> {
        let place = lock(&self.others.get(&id)?.place).clone()?;
        Some(Leader {
            http: place.http,
            bridge: place.bridge,
            term,
        })
    }

    /// Whether another master is the member it says it is; its id.
    ///
    /// # Errors
    /// The text of the refusal, for both sides' logs.
    pub(crate) fn check(&self, theirs: &Identity) -> Result<u64, String> {
        let group = &self.own.group;
        let name = &theirs.name;
        if self.others.is_empty() {
            return Err(format!(
                "this master leads alone, and {name} is no agent; start each master of a group with the same --peers"
            ));
        }
        if *name == self.identity.name {
            return Err(format!(
                "both masters are named {name}; give each its own --name"
            ));
        }
        let id = self.identity.id_of(name);
        let (Some(id), Some(place)) = (id, &theirs.membership) else {
            return Err(format!(
                "{name} is no master of this group, which is {group}; correct --name or --peers"
            ));
        };
        // Once both know their cluster, its id says more: the handshake has compared it.
        let both_know = self.cluster_id().is_some() && theirs.cluster_id.is_some();
        if !both_know && place.group != *group {
            return Err(format!(
                "this master's group is {group}, the one of {name} is {}; start all with the same --peers",
                place.group
            ));
        }
        let engine = self.engine.upgrade().ok_or("this master is ending")?;
        self.identity.recognise(&engine, id, &place.disk)?;
        if let Some(other) = self.others.get(&id) {
            *lock(&other.place) = Some(place.clone());
        }
        Ok(id)
    }

    fn other(&self, peer: &Peer) -> Option<(u64, &Other)> {
        let id = self.identity.id_of(&peer.remote().name)?;
        Some((id, self.others.get(&id)?))
    }

    /// A connection that another master dialled.
    pub(crate) fn came(&self, peer: &Peer) {
        if let Some((_, other)) = self.other(peer) {
            let mut inbound = lock(&other.inbound);
            inbound.open.insert(peer.id().0);
            inbound.parts = Parts::default();
        }
    }

    pub(crate) fn went(&self, peer: &Peer) {
        if let Some((_, other)) = self.other(peer) {
            let mut inbound = lock(&other.inbound);
            inbound.open.remove(&peer.id().0);
            inbound.parts = Parts::default();
        }
    }

    /// A part of a message. Handed on under the lock, so that an older connection cannot come behind a newer one.
    pub(crate) fn hear(&self, peer: &Peer, part: RaftMessage) {
        let Some((_, other)) = self.other(peer) else {
            return;
        };
        let mut inbound = lock(&other.inbound);
        if inbound.open.last() != Some(&peer.id().0) {
            return;
        }
        if let (Some(message), Some(consensus)) = (inbound.parts.take(part), self.consensus.get()) {
            // A full inbox loses it, which raft bears.
            let _ = consensus.step(message);
        }
    }

    /// A connection that this master dialled.
    pub(crate) fn dialled(&self, id: u64, peer: &Peer) {
        if let Some(other) = self.others.get(&id) {
            tracing::info!(master = other.name, "a way to another master stands");
            *lock(&other.trouble) = Trouble::default();
            *lock(&other.out) = Some(peer.clone());
        }
    }

    pub(crate) fn lost(&self, id: u64, peer: &Peer, reason: &str) {
        let Some(other) = self.others.get(&id) else {
            return;
        };
        {
            let mut out = lock(&other.out);
            if out.as_ref().is_none_or(|current| current.id() != peer.id()) {
                return;
            }
            *out = None;
        }
        tracing::info!(
            master = other.name,
            reason,
            "the way to another master is lost"
        );
        self.unreachable(id);
    }

    /// Says once what keeps repeating: a refusal at once, the rest (`may_pass`) when it lasts.
    pub(crate) fn trouble(&self, id: u64, may_pass: bool, text: String) {
        let Some(other) = self.others.get(&id) else {
            return;
        };
        let mut trouble = lock(&other.trouble);
        trouble.failures = trouble.failures.saturating_add(1);
        let is_news = !may_pass || trouble.failures >= FAILURES_BEFORE_NEWS;
        if is_news && trouble.told.as_ref() != Some(&text) {
            tracing::warn!(
                master = other.name,
                address = other.address,
                "no way to another master: {text}"
            );
            trouble.told = Some(text);
        }
    }

    fn unreachable(&self, id: u64) {
        if let Some(consensus) = self.consensus.get() {
            let _ = consensus.report_unreachable(id);
        }
    }
}

impl Transport for Group {
    fn send(&self, to: u64, message: Bytes) {
        // Without a connection it is lost; that was told when the connection went.
        let Some(peer) = self.others.get(&to).and_then(|it| lock(&it.out).clone()) else {
            return;
        };
        for part in split(&message) {
            if peer.tell(part).is_err() {
                return self.unreachable(to);
            }
        }
    }
}

/// Never held while anything waits.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn split(message: &Bytes) -> impl Iterator<Item = RaftMessage> + '_ {
    let count = message.len().div_ceil(PART_BYTES).max(1);
    (0..count).map(move |part| {
        let end = message.len().min((part + 1) * PART_BYTES);
        RaftMessage {
            data: message.slice(part * PART_BYTES..end),
            part: u32::try_from(part).unwrap_or(u32::MAX),
            parts: u32::try_from(count).unwrap_or(u32::MAX),
        }
    })
}

/// Puts the parts of one message together; what does not follow is dropped with its message.
#[derive(Default)]
struct Parts {
    bytes: BytesMut,
    next: u32,
}

impl Parts {
    fn take(&mut self, part: RaftMessage) -> Option<Bytes> {
        if part.part == 0 {
            *self = Parts::default();
        }
        let follows = part.part == self.next && part.part < part.parts;
        if !follows || self.bytes.len() + part.data.len() > MAX_MESSAGE_BYTES {
            *self = Parts::default();
            return None;
        }
        if part.parts == 1 {
            return Some(part.data);
        }
        self.bytes.extend_from_slice(&part.data);
        self.next += 1;
        (self.next == part.parts).then(|| std::mem::take(self).bytes.freeze())
    }
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
