//! The agent's side of the bridge: who it says it is, and which message goes to whom. Never decides anything.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tepui_bridge::{
    Disconnect, Error, Hello, Peer, Role, Router, RouterBuilder, Service, Settings,
};
use tepui_kit::{Directory, Tell, Wire};
use tepui_messages::agent::{MasterConnected, MasterLost};
use tepui_protocol::node;

use crate::{node::Orders, notice::Notices, registering::ToMaster};

pub(crate) fn settings() -> Settings {
    Settings {
        // Who waits for a task waits for each thread that a word of it passes.
        write_through: true,
        ..Settings::default()
    }
}

/// What the connections to the leading master are given.
pub(crate) struct AgentService<N> {
    node: N,
    router: Arc<Router>,
    /// For people, in the master's lists of connections.
    name: String,
    notices: Arc<Notices>,
    current: Mutex<Option<Peer>>,
}

impl<N: Orders + Clone> AgentService<N> {
    pub(crate) fn new(node: N, directory: &Directory, name: String, notices: Arc<Notices>) -> Self {
        Self {
            router: Arc::new(router(&node, directory)),
            node,
            name,
            notices,
            current: Mutex::default(),
        }
    }

    /// The connection of the moment.
    pub(crate) fn current(&self) -> Option<Peer> {
        self.lock().clone().filter(|peer| !peer.is_closed())
    }

    /// Waits until the connection of the moment is over.
    pub(crate) async fn parted(&self) {
        let current = self.lock().clone();
        if let Some(peer) = current {
            peer.closed().await;
        }
    }
}

impl<N> AgentService<N> {
    fn lock(&self) -> MutexGuard<'_, Option<Peer>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<N: Orders> Service for AgentService<N> {
    fn hello(&self) -> Hello {
        Hello::new(Role::Agent, &*self.name, env!("CARGO_PKG_VERSION"))
    }

    fn router(&self, _peer: &Peer) -> Arc<Router> {
        Arc::clone(&self.router)
    }

    fn on_connect(&self, peer: &Peer) {
        let master = &peer.remote().name;
        tracing::debug!(%master, "a bridge to the leading master stands");
        self.notices.all_is_well();
        *self.lock() = Some(peer.clone());
        let connected = MasterConnected {
            connection: peer.id().0,
            peer: Arc::new(ToMaster(peer.clone())),
        };
        hand_on(&self.node, peer, connected);
    }

    fn on_disconnect(&self, peer: &Peer, end: &Disconnect) {
        tracing::info!(reason = %end.reason, "the bridge to the master has ended");
        let lost = MasterLost {
            connection: peer.id().0,
        };
        if let Err(error) = self.node.tell(lost) {
            // The next connection replaces this one anyway.
            tracing::debug!("the node was not told: {error}");
        }
    }

    fn on_failed(&self, address: Option<SocketAddr>, error: &Error) {
        let address = address.map_or_else(|| "?".to_owned(), |address| address.to_string());
        let text = format!("no bridge to the leading master at {address}: {error}");
        self.notices.warn(text);
    }
}

fn router<N: Orders + Clone>(node: &N, directory: &Directory) -> Router {
    let builder = Router::builder();
    let builder = order::<node::RunTask, N>(builder, node);
    let builder = order::<node::RunTaskGroup, N>(builder, node);
    let builder = order::<node::KillTask, N>(builder, node);
    let builder = order::<node::ShutdownExecutor, N>(builder, node);
    let builder = order::<node::ShutdownFramework, N>(builder, node);
    let builder = order::<node::UpdateFramework, N>(builder, node);
    let builder = order::<node::DrainAgent, N>(builder, node);
    let builder = order::<node::ShutdownAgent, N>(builder, node);
    let builder = order::<node::AcknowledgeUpdate, N>(builder, node);
    let builder = order::<node::ApplyOperation, N>(builder, node);
    let builder = order::<node::AcknowledgeOperation, N>(builder, node);
    let builder = order::<node::ToExecutor, N>(builder, node);
    let directory = directory.clone();
    let builder = builder.on_ask(move |_, _: node::DescribeMailboxes| {
        let json = serde_json::to_vec(&directory.snapshot());
        Box::pin(async move {
            let json = json.map_err(|error| format!("mailboxes cannot be written: {error}"))?;
            Ok(node::Mailboxes { json: json.into() })
        })
    });
    builder.build()
}

fn order<M: Wire, N: Tell<M> + Clone + 'static>(builder: RouterBuilder, node: &N) -> RouterBuilder {
    let node = node.clone();
    builder.on_tell(move |peer, message: M| hand_on(&node, peer, message))
}

/// An order that finds no room is worse than a connection less: after a new one the master hears what is here.
fn hand_on<M: tepui_kit::Message>(node: &impl Tell<M>, peer: &Peer, message: M) {
    if let Err(error) = node.tell(message) {
        tracing::warn!("the connection to the master is closed, since {error}");
        peer.close("the agent cannot take more messages");
    }
}
