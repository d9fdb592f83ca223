//! The agents of one master actor: their messages become its, and a lost connection is told.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::{BoxFuture, join_all};
use serde_json::Value;
use tepui_bridge::{Disconnect, Peer, Reason, Router};
use tepui_kit::{Asker, Directory, Link, TellError, Teller};
use tepui_master_actor::Master;
use tepui_messages::master::{AgentLost, AgentMessage, AgentRegisters, AgentSays, PeerId};
use tepui_protocol::node;

use crate::joining::{self, Joining};

/// Agents that are asked for their mailboxes: each has some ten, and a page looks each second.
const MAILBOXES_AGENTS: usize = 200;
/// How long the web admin waits for an agent's mailboxes.
const MAILBOXES_DEADLINE: Duration = Duration::from_millis(800);

/// All agents that are connected.
pub(crate) struct Agents {
    router: Arc<Router>,
    joining: Arc<Joining>,
    lost: Teller<AgentLost>,
    peers: Mutex<Connected>,
}

#[derive(Default)]
struct Connected {
    peers: BTreeMap<u64, Peer>,
    /// The master actor leads no more: nobody is let in.
    over: bool,
}

impl Agents {
    pub(crate) fn new(master: &Link<Master>, directory: &Directory) -> Agents {
        let joining = Arc::default();
        Agents {
            router: Arc::new(router(master, directory.clone(), &joining)),
            joining,
            // Each connection is lost once, and nobody tells it again.
            lost: master.past_bound().teller(),
            peers: Mutex::default(),
        }
    }

    pub(crate) fn router(&self) -> Arc<Router> {
        Arc::clone(&self.router)
    }

    /// False where the master actor leads no more.
    pub(crate) fn enter(&self, peer: &Peer) -> bool {
        let mut connected = self.lock();
        if !connected.over {
            connected.peers.insert(peer.id().0, peer.clone());
        }
        !connected.over
    }

    pub(crate) fn leave(&self, peer: &Peer, end: &Disconnect) {
        if matches!(end.reason, Reason::Overflow | Reason::Unsendable(_)) {
            let (agent, reason) = (&peer.remote().name, &end.reason);
            tracing::warn!(agent, %reason, "an order was lost; the agent was cut off to return");
        }
        self.joining.forget(peer.id().0);
        let mut connected = self.lock();
        connected.peers.remove(&peer.id().0);
        if connected.over {
            return;
        }
        drop(connected);
        let lost = AgentLost {
            peer: PeerId(peer.id().0),
            silent: end.silent(),
        };
        // A master that has ended needs to know nothing.
        let _ = self.lost.tell(lost);
    }

    /// Sends all agents away, to look for the next leader.
    pub(crate) fn end(&self) {
        let peers = {
            let mut connected = self.lock();
            connected.over = true;
            std::mem::take(&mut connected.peers)
        };
        for peer in peers.values() {
            peer.close("this master leads no more");
        }
    }

    /// The mailboxes of agents, those first that have been here longest, as JSON; one that does not answer in time is left
    /// out. And how many agents were not asked.
    pub(crate) fn mailboxes(&self) -> BoxFuture<'static, (Vec<(String, Value)>, usize)> {
        let (peers, not_asked) = {
            let all = &self.lock().peers;
            let asked: Vec<Peer> = all.values().take(MAILBOXES_AGENTS).cloned().collect();
            let not_asked = all.len() - asked.len();
            (asked, not_asked)
        };
        Box::pin(async move {
            let asked = peers.into_iter().map(|peer| async move {
                let answer = peer
                    .ask_within(node::DescribeMailboxes {}, MAILBOXES_DEADLINE)
                    .await
                    .ok()?;
                let json = serde_json::from_slice(&answer.json).ok()?;
                Some((peer.remote().name.clone(), json))
            });
            let answers = join_all(asked).await.into_iter().flatten().collect();
            (answers, not_asked)
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Connected> {
        // The map is whole after every statement, so a panic elsewhere leaves it usable.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn registers(peer: &Peer, request: node::RegisterAgent) -> AgentRegisters {
    AgentRegisters {
        peer: PeerId(peer.id().0),
        handle: Arc::new(peer.clone()),
        address: peer
            .address()
            .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip()),
        request,
    }
}

fn router(master: &Link<Master>, directory: Directory, joining: &Arc<Joining>) -> Router {
    let asked: Asker<AgentRegisters> = master.asker();
    let (asked_in_parts, joining) = (Arc::clone(&asked), Arc::clone(joining));
    let says = || -> Teller<AgentSays> { master.teller() };
    let (updates, operations, oversubscribed, messages) = (says(), says(), says(), says());
    let (exits, leaves) = (says(), says());
    Router::builder()
        .on_ask::<node::RegisterAgent>(move |peer, request| {
            let answer = asked.ask(registers(peer, request));
            Box::pin(async move { answer.await.map_err(|error| error.to_string()) })
        })
        .on_ask::<node::RegisterAgentPart>(move |peer, part| {
            let taken = joining.take(peer.id().0, part);
            let (asked, peer) = (Arc::clone(&asked_in_parts), peer.clone());
            Box::pin(async move {
                let Some(whole) = taken? else {
                    return Ok(node::AgentRegistration::default());
                };
                let answer = asked.ask(registers(&peer, joining::read(whole).await?));
                answer.await.map_err(|error| error.to_string())
            })
        })
        .on_tell::<node::StatusUpdate>(move |peer, update| {
            forward(&updates, peer, AgentMessage::StatusUpdate(Box::new(update)));
        })
        .on_tell::<node::OperationUpdate>(move |peer, update| {
            let what = AgentMessage::OperationUpdate(Box::new(update));
            forward(&operations, peer, what);
        })
        .on_tell::<node::OversubscribedResources>(move |peer, resources| {
            let what = AgentMessage::Oversubscribed(resources);
            forward(&oversubscribed, peer, what);
        })
        .on_tell::<node::ExecutorExited>(move |peer, exited| {
            forward(&exits, peer, AgentMessage::ExecutorExited(exited));
        })
        .on_tell::<node::ToFramework>(move |peer, message| {
            forward(&messages, peer, AgentMessage::ToFramework(message));
        })
        .on_tell::<node::AgentLeaves>(move |peer, leave| {
            forward(&leaves, peer, AgentMessage::Leaves(leave));
        })
        .on_ask::<node::DescribeMailboxes>(move |_, _| {
            let json = serde_json::to_vec(&directory.snapshot()).map_err(|error| error.to_string());
            Box::pin(async move { json.map(|json| node::Mailboxes { json: json.into() }) })
        })
        .build()
}

fn forward(master: &Teller<AgentSays>, peer: &Peer, what: AgentMessage) {
    let is_said_once = what.is_said_once();
    let told = master.tell(AgentSays {
        peer: PeerId(peer.id().0),
        what,
    });
    if let Err(error @ TellError::Full) = told {
        let agent = peer.remote().name.as_str();
        tracing::warn!(agent, %error, "a message of an agent did not reach the master");
        // Agents send updates again and tell anew what they lend; messages are best effort. What runs on an agent it tells
        // whenever it returns.
        if is_said_once {
            peer.close("the master has no room for what is said once: register again");
        }
    }
}

#[cfg(test)]
#[path = "bridge_tests.rs"]
mod tests;
