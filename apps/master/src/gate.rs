//! The listening side of the bridge: agents are let in while this master leads, masters if they are of its group.

use std::{
    collections::BTreeMap,
    future::ready,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use tepui_bridge::{
    Disconnect, Error, Hello, Identity, Overflow, Peer, Role, Router, Service, Settings,
};
use tepui_protocol::node;
use tokio::runtime::Handle;

use crate::{
    AgentsMailboxes,
    bridge::Agents,
    ground::BEAT,
    group::Group,
    join,
    leadership::{Leadership, Standing},
};

/// Orders for one agent that may wait: more than one turn of the master has, with the largest calls.
const QUEUE_MESSAGES: usize = 65_536;
/// The same in bytes.
const QUEUE_BYTES: usize = 64 << 20;

/// Agents of a large cluster, twice over: those that come back while their old connections are not over yet.
const MAX_CONNECTIONS: usize = 100_000;
/// Agents behind one address.
const MAX_CONNECTIONS_PER_IP: usize = 50_000;

/// Of the connections that are let in. The master counts on its orders; an agent that may have lost one comes back and says
/// what it has, by which the master learns what is missing.
pub(crate) fn settings() -> Settings {
    Settings {
        heartbeat: BEAT,
        queue_messages: QUEUE_MESSAGES,
        queue_bytes: QUEUE_BYTES,
        overflow: Overflow::CutPeer,
        max_connections: MAX_CONNECTIONS,
        max_connections_per_ip: MAX_CONNECTIONS_PER_IP,
        ..Settings::default()
    }
}

pub(crate) struct Gate {
    group: Arc<Group>,
    leadership: Leadership,
    /// Of the master actor that leads; none while none does.
    agents: RwLock<Option<Arc<Agents>>>,
    masters: Arc<Router>,
    /// Agents' connections, and whose they are: one stays with the master actor it came to.
    connections: Mutex<BTreeMap<u64, Arc<Agents>>>,
}

impl Gate {
    pub(crate) fn new(group: Arc<Group>, leadership: Leadership) -> Gate {
        let hearing = Arc::clone(&group);
        let (admitting, describing) = (Arc::clone(&group), Arc::clone(&group));
        let masters = Router::builder()
            .on_tell(move |peer, part: node::RaftMessage| hearing.hear(peer, part))
            .on_ask(move |peer, asked: node::JoinGroup| join::admit(&admitting, peer, asked))
            .on_ask(move |_, _: node::DescribeMember| {
                Box::pin(ready(crate::cluster::describe_own(&describing)))
            })
            .build();
        Gate {
            group,
            leadership,
            agents: RwLock::default(),
            masters: Arc::new(masters),
            connections: Mutex::default(),
        }
    }

    /// Lets agents in to this master actor, or to none.
    pub(crate) fn set(&self, agents: Option<Arc<Agents>>) {
        *self.agents.write().unwrap_or_else(PoisonError::into_inner) = agents;
    }

    fn current(&self) -> Option<Arc<Agents>> {
        self.agents
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn connections(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Agents>>> {
        // The map is whole after every statement, so a panic elsewhere leaves it usable.
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mailboxes of the agents of the moment.
pub(crate) fn mailboxes(gate: &Arc<Gate>) -> AgentsMailboxes {
    let gate = Arc::clone(gate);
    Arc::new(move || {
        gate.current().map_or_else(
            || Box::pin(std::future::ready((Vec::new(), 0_usize))) as _,
            |agents| agents.mailboxes(),
        )
    })
}

impl Service for Gate {
    fn hello(&self) -> Hello {
        self.group.hello()
    }

    fn router(&self, peer: &Peer) -> Arc<Router> {
        if peer.remote().role == Role::Master {
            return Arc::clone(&self.masters);
        }
        let Some(agents) = self.current() else {
            return Arc::default();
        };
        let router = agents.router();
        self.connections().insert(peer.id().0, agents);
        router
    }

    fn admit(&self, theirs: &Hello, _address: Option<SocketAddr>) -> Result<(), String> {
        if theirs.identity.role == Role::Master {
            return self.group.check(&theirs.identity).map(drop);
        }
        match self.leadership.confirmed() {
            Some(Standing::Leading { .. }) => Ok(()),
            Some(Standing::Following(leader)) => Err(format!(
                "this master does not lead, {} does; ask it",
                leader.http
            )),
            _ => Err("no master leads at the moment; try again later".to_owned()),
        }
    }

    fn place(&self, theirs: &Identity) -> Option<Handle> {
        // What masters say is nearly all for consensus: it reads it itself.
        let for_consensus = theirs.role == Role::Master;
        for_consensus
            .then(|| self.group.consensus()?.runtime())
            .flatten()
    }

    fn on_connect(&self, peer: &Peer) {
        if peer.remote().role == Role::Master {
            return self.group.came(peer);
        }
        let agents = self.connections().get(&peer.id().0).cloned();
        // The lead may have been lost since it was admitted.
        if !agents.is_some_and(|agents| agents.enter(peer)) {
            peer.close("this master does not lead");
        }
    }

    fn on_disconnect(&self, peer: &Peer, end: &Disconnect) {
        if peer.remote().role == Role::Master {
            return self.group.went(peer);
        }
        let agents = self.connections().remove(&peer.id().0);
        if let Some(agents) = agents {
            agents.leave(peer, end);
        }
    }

    fn on_failed(&self, address: Option<SocketAddr>, error: &Error) {
        let text = error.to_string();
        match error {
            // An agent that looks for its leader; a master that keeps trying says so itself.
            Error::RefusedHere(_) => tracing::debug!(?address, "{text}"),
            _ => tracing::warn!(?address, "no bridge: {text}"),
        }
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
