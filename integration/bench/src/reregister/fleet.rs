//! Many agents in one process: each has a connection of its own from an address of its own, finds the leader over HTTP,
//! registers and comes back as a real one does, and answers no order, since it is given none.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tepui_bridge::{
    Backoff, Bridge, Connector, Disconnect, Hello, Peer, PeerId, Role, Router, Service, Settings,
};
use tepui_client::{Client, Leader};
use tepui_protocol::{
    message::{Ask, AskError},
    node,
    v1::{AgentId, FrameworkInfo},
};
use tokio::{
    net::TcpSocket,
    sync::Semaphore,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::words;

/// For one master to say who leads (the agent: `leader.rs`).
const LOOK_DEADLINE: Duration = Duration::from_secs(3);
/// So long a master that knows no leader may keep the question.
const LOOK_WAIT_MS: u64 = 2_000;
/// Agents that look for the leader at once, each with a connection to every master: all of them would need more files
/// than one process may open. Real ones are processes of their own.
pub(crate) const LOOKS: usize = 2_000;
/// Between two questions of an agent that was not admitted (the agent: `registration_backoff_factor` and its bound).
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// What the agents counted.
#[derive(Debug, Default)]
struct Tally {
    /// Registered now.
    registered: AtomicUsize,
    /// When the first was registered in this storm.
    first: Mutex<Option<Instant>>,
    /// Connections that ended, whoever ended them.
    ended: AtomicUsize,
    /// Connections of which nothing was heard for too long.
    silent: AtomicUsize,
    /// Registrations the master refused, or did not answer in time.
    refused: AtomicUsize,
    unanswered: AtomicUsize,
    /// Orders to end something: there is no reason for one.
    orders: AtomicUsize,
}

struct Shared {
    masters: Vec<String>,
    /// What runs on every agent from now on: so many tasks of these.
    load: RwLock<(usize, Vec<FrameworkInfo>)>,
    looks: Semaphore,
    router: Arc<Router>,
    tally: Arc<Tally>,
}

/// Ended with the value.
pub(crate) struct Fleet {
    shared: Arc<Shared>,
    agents: Vec<Arc<Agent>>,
    connectors: Vec<JoinHandle<Infallible>>,
}

impl Fleet {
    /// Lets all agents begin at once, with nothing on them.
    pub(crate) fn start(count: usize, masters: Vec<String>) -> Fleet {
        let tally = Arc::new(Tally::default());
        let shared = Arc::new(Shared {
            masters,
            load: RwLock::default(),
            looks: Semaphore::new(LOOKS),
            router: Arc::new(router(&tally)),
            tally,
        });
        let agents: Vec<Arc<Agent>> = (0..count)
            .map(|index| {
                Arc::new(Agent {
                    index,
                    shared: Arc::clone(&shared),
                    state: Mutex::default(),
                })
            })
            .collect();
        let connectors = agents
            .iter()
            .map(|agent| tokio::spawn(run(Arc::clone(agent))));
        Fleet {
            connectors: connectors.collect(),
            shared,
            agents,
        }
    }

    /// Agents that are registered now.
    pub(crate) fn registered(&self) -> usize {
        self.shared.tally.registered.load(Relaxed)
    }

    /// From now on `first` tells of a new storm.
    pub(crate) fn begin_storm(&self) {
        *self.shared.tally.first() = None;
    }

    /// When the first agent was registered in this storm.
    pub(crate) fn first(&self) -> Option<Instant> {
        *self.shared.tally.first()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.shared.tally.counts()
    }

    /// What the agents have when they register next.
    pub(crate) fn load(&self, tasks: usize, frameworks: Vec<FrameworkInfo>) {
        let mut load = self.shared.load.write();
        **load.as_mut().unwrap_or_else(|it| it.get_mut()) = (tasks, frameworks);
    }

    /// Ends all connections at once, as a network does that fails for a moment.
    pub(crate) fn cut(&self) {
        for agent in &self.agents {
            if let Some(peer) = &agent.lock().peer {
                peer.close("the network failed");
            }
        }
    }

    /// How long ago the agent that waits the longest heard its master; its heartbeats come every 2 s.
    pub(crate) fn longest_silence_ms(&self) -> u64 {
        let agents = self.agents.iter();
        let heard =
            agents.filter_map(|agent| Some(agent.lock().peer.as_ref()?.stats().heard_ago_ms));
        heard.max().unwrap_or(0)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for connector in &self.connectors {
            connector.abort();
        }
    }
}

struct Agent {
    index: usize,
    shared: Arc<Shared>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    id: Option<AgentId>,
    peer: Option<Peer>,
    registered: bool,
    /// The bridge that was found last.
    found: Option<String>,
}

async fn run(agent: Arc<Agent>) -> Infallible {
    let source = IpAddr::V4(words::address(agent.index));
    let bridge = Bridge::new(Settings::default(), Arc::new(Member(Arc::clone(&agent))));
    let open = move |address| async move {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    let seed = agent.index as u64;
    let find = || agent.find();
    Connector::new(bridge, seed).run_with(find, open).await
}

impl Agent {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The leader's bridge, by the first master that knows it.
    async fn find(&self) -> Vec<SocketAddr> {
        let Ok(_turn) = self.shared.looks.acquire().await else {
            return Vec::new();
        };
        let lost = self.lock().found.take();
        let lost = lost.map_or_else(String::new, |bridge| format!("&not={bridge}"));
        let path = format!("/tepui/v1/leader?wait_ms={LOOK_WAIT_MS}{lost}");
        // A real agent has its own connections, too.
        let client = Client::default();
        let masters = self.shared.masters.iter();
        let mut looks: FuturesUnordered<_> = masters
            .map(|master| timeout(LOOK_DEADLINE, client.get(master, &path)))
            .collect();
        while let Some(answer) = looks.next().await {
            let Ok(Ok(body)) = answer else { continue };
            let leader: Option<Leader> = serde_json::from_slice(&body).ok();
            if let Some((leader, address)) =
                leader.and_then(|it| Some((it.bridge.clone(), it.bridge.parse().ok()?)))
            {
                self.lock().found = Some(leader);
                return vec![address];
            }
        }
        Vec::new()
    }

    /// Asks until it is admitted or the connection is over.
    async fn register(self: Arc<Self>, peer: Peer) {
        let tally = &self.shared.tally;
        let mut backoff = Backoff::between(BACKOFF.0, BACKOFF.1, self.index as u64);
        loop {
            let id = self.lock().id.clone();
            let request = {
                let load = self.shared.load.read();
                let load = load.unwrap_or_else(PoisonError::into_inner);
                words::registration(self.index, id, load.0, &load.1)
            };
            match peer.ask(request).await {
                Ok(node::AgentRegistration {
                    agent_id: Some(id),
                    shutdown_frameworks,
                    ..
                }) => {
                    tally.orders.fetch_add(shutdown_frameworks.len(), Relaxed);
                    return self.registered(peer.id(), id);
                }
                Ok(answer) => {
                    if tally.refused.fetch_add(1, Relaxed) == 0 {
                        eprintln!("agent {} was refused: {:?}", self.index, answer.refusal);
                    }
                }
                Err(AskError::Closed) => return,
                Err(error) => {
                    if tally.unanswered.fetch_add(1, Relaxed) == 0 {
                        eprintln!("agent {} got no answer: {error}", self.index);
                    }
                }
            }
            sleep(backoff.next_delay()).await;
        }
    }

    fn registered(&self, connection: PeerId, id: AgentId) {
        let mut state = self.lock();
        state.id = Some(id);
        let current = state.peer.as_ref().map(Peer::id);
        if current == Some(connection) && !std::mem::replace(&mut state.registered, true) {
            let tally = &self.shared.tally;
            tally.registered.fetch_add(1, Relaxed);
            tally.first().get_or_insert_with(Instant::now);
        }
    }
}

/// What an agent's connections are given.
struct Member(Arc<Agent>);

impl Service for Member {
    fn hello(&self) -> Hello {
        let name = format!("{}:5051", words::address(self.0.index));
        Hello::new(Role::Agent, name, env!("CARGO_PKG_VERSION"))
    }

    fn router(&self, _peer: &Peer) -> Arc<Router> {
        Arc::clone(&self.0.shared.router)
    }

    fn on_connect(&self, peer: &Peer) {
        self.0.lock().peer = Some(peer.clone());
        tokio::spawn(Arc::clone(&self.0).register(peer.clone()));
    }

    fn on_disconnect(&self, peer: &Peer, end: &Disconnect) {
        let tally = &self.0.shared.tally;
        tally.ended.fetch_add(1, Relaxed);
        if end.silent() {
            tally.silent.fetch_add(1, Relaxed);
        }
        let mut state = self.0.lock();
        if state.peer.as_ref().map(Peer::id) == Some(peer.id()) {
            state.peer = None;
            if std::mem::take(&mut state.registered) {
                tally.registered.fetch_sub(1, Relaxed);
            }
        }
    }

    fn on_failed(&self, _address: Option<SocketAddr>, _error: &tepui_bridge::Error) {
        // There is no master, or it does not lead yet: the next try is under way.
    }
}

/// Orders that end something are counted; those that come with every registration are read and let be.
fn router(tally: &Arc<Tally>) -> Router {
    let count = || {
        let tally = Arc::clone(tally);
        move || {
            tally.orders.fetch_add(1, Relaxed);
        }
    };
    let (kill, executor, framework, agent) = (count(), count(), count(), count());
    Router::builder()
        .on_tell(move |_, _: node::KillTask| kill())
        .on_tell(move |_, _: node::ShutdownExecutor| executor())
        .on_tell(move |_, _: node::ShutdownFramework| framework())
        .on_tell(move |_, _: node::ShutdownAgent| agent())
        .on_tell(|_, _: node::UpdateFramework| {})
        .on_tell(|_, _: node::AcknowledgeUpdate| {})
        .build()
}

/// By name: `ended` connections, those of them that were `silent`, registrations that were `refused` or `unanswered`, and
/// `orders` to end something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counts(pub(crate) BTreeMap<&'static str, usize>);

impl Tally {
    fn first(&self) -> MutexGuard<'_, Option<Instant>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> Counts {
        let read = |count: &AtomicUsize| count.load(Relaxed);
        Counts(BTreeMap::from([
            ("ended", read(&self.ended)),
            ("silent", read(&self.silent)),
            ("refused", read(&self.refused)),
            ("unanswered", read(&self.unanswered)),
            ("orders", read(&self.orders)),
        ]))
    }
}

impl Counts {
    pub(crate) fn since(&self, before: &Counts) -> Counts {
        let less = |name: &&'static str, count: &usize| (*name, count - before.0[*name]);
        Counts(
            self.0
                .iter()
                .map(|(name, count)| less(name, count))
                .collect(),
        )
    }
}
