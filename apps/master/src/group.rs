//! The other masters: who they are, how Raft's messages reach them and come from them, where they answer.
//!
//! Each master dials each other one and speaks Raft on the connection it dialled; on those that were dialled to it,
//! it only listens. So there is one ordered stream a peer and direction, and a message of an older connection is
//! known by its number and dropped: raft-rs 0.7 does not survive reordered appends.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak},
};

use bytes::Bytes;
use tepui_bridge::{Hello, Identity, Membership, Peer, Role};
use tepui_consensus::{Consensus, Status, Transport};
use tepui_engine::Engine;
use tepui_kit::Tell;
use tepui_protocol::{
    node::RaftMessage,
    parts::{Parts, split},
};
use tepui_registry::RegistryReader;

use crate::{
    entrance::{Known, Roster, Verdict},
    leadership::Leader,
};

/// Others that are spoken with, those included that this master does not know of yet.
const MAX_OTHERS: usize = 2 * tepui_registry::MAX_MASTERS;

pub(crate) struct Group {
    identity: tepui_consensus::Identity,
    /// Closed with consensus, whatever still knows this group.
    engine: Weak<dyn Engine>,
    registry: RegistryReader,
    own: Membership,
    /// Addresses from `--peers`, by name: where others are looked for besides those the group knows.
    peers: BTreeMap<String, String>,
    /// Where the bridge listens, for a master whose address nobody gave.
    listens_at: OnceLock<String>,
    others: RwLock<BTreeMap<u64, Arc<Other>>>,
    consensus: OnceLock<Consensus>,
}

/// One other master.
struct Other {
    name: String,
    /// `host:port` of its bridge, in the order in which they are tried.
    addresses: Mutex<Vec<String>>,
    /// The connection dialled to it.
    out: Mutex<Option<Peer>>,
    inbound: Mutex<Inbound>,
    /// As it called itself last.
    place: Mutex<Option<Membership>>,
    trouble: Mutex<Trouble>,
}

impl Other {
    fn named(name: &str) -> Other {
        Other {
            name: name.to_owned(),
            addresses: Mutex::default(),
            out: Mutex::default(),
            inbound: Mutex::default(),
            place: Mutex::default(),
            trouble: Mutex::default(),
        }
    }
}

/// What keeps a way to another master from standing.
#[derive(Default)]
struct Trouble {
    /// Failures since the way last stood.
    failures: u32,
    /// The last one, told or not.
    last: Option<String>,
    /// The last text that was told.
    told: Option<String>,
}

/// Bytes of one part of a message of Raft; a snapshot has many.
const PART_BYTES: usize = 1 << 20;
/// Bytes of one message of Raft put together again: more than any registry has.
const MAX_MESSAGE_BYTES: usize = 1 << 30;

/// A master that starts or restarts with others is looked for in vain a few times; only then it is news.
const FAILURES_BEFORE_NEWS: u32 = 6;

/// What it dialled here.
#[derive(Default)]
struct Inbound {
    /// Its connections by their numbers; only the newest is listened to.
    open: BTreeMap<u64, Peer>,
    parts: Parts,
}

impl Group {
    /// `peers` are the addresses of bridges, by name.
    pub(crate) fn new(
        identity: tepui_consensus::Identity,
        engine: &tepui_engine::SharedEngine,
        registry: RegistryReader,
        own: Membership,
        peers: &BTreeMap<String, String>,
    ) -> Group {
        let group = Group {
            others: RwLock::default(),
            engine: Arc::downgrade(engine),
            identity,
            registry,
            own,
            peers: peers.clone(),
            listens_at: OnceLock::new(),
            consensus: OnceLock::new(),
        };
        group.refresh();
        group
    }

    /// The member this group carries messages for.
    pub(crate) fn attach(&self, consensus: Consensus) {
        let attached = self.consensus.set(consensus);
        debug_assert!(attached.is_ok(), "a group serves one member");
    }

    pub(crate) fn consensus(&self) -> Option<&Consensus> {
        self.consensus.get()
    }

    pub(crate) fn identity(&self) -> &tepui_consensus::Identity {
        &self.identity
    }

    pub(crate) fn status(&self) -> Option<Status> {
        let consensus = self.consensus()?;
        Some(consensus.status().borrow().clone())
    }

    /// Whether the registry has the members.
    pub(crate) fn is_founded(&self) -> bool {
        self.registry.with(|registry| !registry.members.is_empty())
    }

    pub(crate) fn roster(&self) -> Roster {
        let read = |registry: &_| Roster::of(registry, &self.identity, &self.peers);
        self.registry.with(read)
    }

    /// Brings who is known here to who belongs to the group; gives the ids of the others.
    pub(crate) fn refresh(&self) -> Vec<u64> {
        let (roster, status) = (self.roster(), self.status());
        let mut gone = Vec::new();
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        others.retain(|id, other| {
            // One that is newer than all that is known here will be known soon, and one that is let go stays until Raft
            // can do without it.
            let stays = roster.members.contains_key(id)
                || *id > roster.last_id
                || status.as_ref().is_some_and(|it| it.has_member(*id));
            if !stays {
                gone.push(Arc::clone(other));
            }
            stays
        });
        for (id, entry) in &roster.members {
            if *id == self.identity.node_id {
                continue;
            }
            let other = others
                .entry(*id)
                .or_insert_with(|| Arc::new(Other::named(&entry.name)));
            lock(&other.addresses).clone_from(&entry.addresses);
        }
        let ids = others.keys().copied().collect();
        drop(others);
        for other in gone {
            tracing::info!(master = other.name, "a master left the group");
            for peer in lock(&other.inbound).open.values() {
                peer.close("this master was removed from the group");
            }
        }
        ids
    }

    fn get(&self, id: u64) -> Option<Arc<Other>> {
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        others.get(&id).cloned()
    }

    /// Where the bridge of the member `id` is looked for. Last where it says itself that it is: one that has moved dials
    /// the others and tells them, long before it leads and writes that down.
    pub(crate) fn addresses(&self, id: u64) -> Vec<String> {
        let Some(other) = self.get(id) else {
            return Vec::new();
        };
        let mut addresses = lock(&other.addresses).clone();
        let told = lock(&other.place).as_ref().map(|it| it.bridge.clone());
        let told = told.filter(|it| !it.is_empty() && !addresses.contains(it));
        addresses.extend(told);
        addresses
    }

    /// The other members that can be reached now.
    pub(crate) fn reachable(&self) -> Vec<u64> {
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        let others = others.iter();
        let others = others.filter(|(_, other)| lock(&other.out).is_some());
        others.map(|(id, _)| *id).collect()
    }

    /// The way to the member `id`, where one stands.
    pub(crate) fn way(&self, id: u64) -> Option<Peer> {
        let other = self.get(id)?;
        lock(&other.out).clone()
    }

    /// Why there is no way to the member `id`, as it was told last.
    pub(crate) fn last_trouble(&self, id: u64) -> Option<String> {
        let other = self.get(id)?;
        lock(&other.trouble).last.clone()
    }

    /// How the member `id` called itself last.
    pub(crate) fn place(&self, id: u64) -> Option<Membership> {
        let other = self.get(id)?;
        lock(&other.place).clone()
    }

    pub(crate) fn own(&self) -> &Membership {
        &self.own
    }

    pub(crate) fn cluster_id(&self) -> Option<String> {
        let known = self.registry.with(|registry| registry.cluster_id.clone());
        known.or_else(|| self.identity.cluster_id.clone())
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
            last_index: self.status().map(|status| status.last_index),
            ..self.own.clone()
        });
        hello
    }

    /// Where the member `id` answers, once it has said so.
    pub(crate) fn leader(&self, id: u64, term: u64) -> Option<Leader> {
        let place = self.place(id)?;
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
        let name = theirs.name.as_str();
        let engine = self.engine.upgrade().ok_or("this master is ending")?;
        let known = Known {
            identity: &self.identity,
            roster: &self.roster(),
            engine: &engine,
            cluster_id: self.cluster_id(),
            status: self.status(),
        };
        let (verdict, place) = known.admit(theirs)?;
        let id = match verdict {
            Verdict::Joiner(id) => return Ok(id),
            Verdict::Newer(id) => {
                self.meet(id, name, place);
                id
            }
            Verdict::Member(id) => {
                // The registry may know it a moment before this group was refreshed.
                if self.get(id).is_none() {
                    self.meet(id, name, place);
                }
                id
            }
        };
        if let Some(other) = self.get(id) {
            *lock(&other.place) = Some(place.clone());
        }
        Ok(id)
    }

    /// A master that was added a moment ago, or while this one was away: it is answered, until a refresh names it too.
    fn meet(&self, id: u64, name: &str, place: &Membership) {
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        if others.len() < MAX_OTHERS {
            let other = others
                .entry(id)
                .or_insert_with(|| Arc::new(Other::named(name)));
            *lock(&other.addresses) = vec![place.bridge.clone()];
        }
    }

    fn other(&self, peer: &Peer) -> Option<(u64, Arc<Other>)> {
        let id = peer.remote().membership.as_ref()?.id?;
        Some((id, self.get(id)?))
    }

    /// A connection that another master dialled. A joiner's is only asked over.
    pub(crate) fn came(&self, peer: &Peer) {
        let membership = peer.remote().membership.as_ref();
        let Some(id) = membership.and_then(|place| place.id) else {
            return;
        };
        // Held until it is noted: a refresh closes either what it finds noted here or nothing that comes later.
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        let Some(other) = others.get(&id) else {
            // Left since it was let in. It would take its way for a good one, and all it says would be lost.
            peer.close("this master was removed from the group");
            return;
        };
        let mut inbound = lock(&other.inbound);
        inbound.open.insert(peer.id().0, peer.clone());
        inbound.parts = Parts::default();
    }

    pub(crate) fn went(&self, peer: &Peer) {
        if let Some((id, other)) = self.other(peer) {
            let mut inbound = lock(&other.inbound);
            inbound.open.remove(&peer.id().0);
            inbound.parts = Parts::default();
            let silent = inbound.open.is_empty();
            drop(inbound);
            if silent {
                // What it said before is heard by now: nothing follows that could tell of its life.
                self.unreachable(id);
            }
        }
    }

    /// A part of a message. Handed on under the lock, so that an older connection cannot come behind a newer one.
    pub(crate) fn hear(&self, peer: &Peer, part: RaftMessage) {
        let Some((id, other)) = self.other(peer) else {
            return;
        };
        let mut inbound = lock(&other.inbound);
        if inbound.open.last_key_value().map(|(id, _)| *id) != Some(peer.id().0) {
            return;
        }
        // What does not follow is dropped with its message, which raft bears as well.
        let message = inbound.parts.take(part.into(), MAX_MESSAGE_BYTES);
        if let (Ok(Some(message)), Some(consensus)) = (message, self.consensus.get()) {
            // A full inbox loses it, which raft bears.
            let _ = consensus.step_of(id, message);
        }
    }

    /// A connection that this master dialled.
    pub(crate) fn dialled(&self, id: u64, peer: &Peer) {
        if let Some(other) = self.get(id) {
            tracing::info!(master = other.name, "a way to another master stands");
            *lock(&other.trouble) = Trouble::default();
            *lock(&other.out) = Some(peer.clone());
        }
    }

    pub(crate) fn lost(&self, id: u64, peer: &Peer, reason: &str) {
        let Some(other) = self.get(id) else {
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
        let Some(other) = self.get(id) else {
            return;
        };
        let mut trouble = lock(&other.trouble);
        trouble.failures = trouble.failures.saturating_add(1);
        trouble.last = Some(text.clone());
        let is_news = !may_pass || trouble.failures >= FAILURES_BEFORE_NEWS;
        if is_news && trouble.told.as_ref() != Some(&text) {
            tracing::warn!(
                master = other.name,
                address = lock(&other.addresses).join(","),
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
        let Some(peer) = self.way(to) else {
            return;
        };
        for part in split(&message, PART_BYTES) {
            if peer.tell(RaftMessage::from(part)).is_err() {
                return self.unreachable(to);
            }
        }
    }
}

/// Never held while anything waits.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
