//! A connection between an agent and a master: the messages of the bridge, the same types by the same calls, over two
//! simulated pipes. What is lost ends it, after the time that two missing beats take to be noticed.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tepui_kit::{Ask, AskError, Link, Message, Random, Tell, TellError};
use tepui_messages::{
    agent::{MasterConnected, MasterLost},
    master::{AgentLost, AgentMessage, AgentRegisters, AgentSays, PeerId},
};
use tepui_node::actor::NodeActor;
use tepui_protocol::node;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use crate::{
    history::History,
    master::Doorway,
    net::{Net, Pipe, Place},
    planted::{Bug, Planted},
};

/// Beats are 2 s apart, and two are missed.
const SILENCE: Duration = Duration::from_secs(4);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// One life of an agent.
#[derive(Clone)]
pub struct Node {
    pub name: String,
    pub place: Place,
    pub link: Link<NodeActor>,
    pub alive: Arc<AtomicBool>,
    /// The highest term it has registered in.
    pub known_term: Arc<AtomicU64>,
    /// Its id, once it has registered.
    pub agent_id: Arc<Mutex<Option<String>>>,
    pub history: History,
    pub planted: Planted,
}

struct Parts {
    id: u64,
    node: Node,
    door: Doorway,
    up: Pipe,
    down: Pipe,
    /// Neither end sends any more, and the agent knows.
    closed: AtomicBool,
}

/// One connection.
#[derive(Clone)]
pub struct Connection(Arc<Parts>);

impl Connection {
    /// Opens it and tells the agent; the master hears of it by the agent's registration.
    pub fn open(id: u64, node: &Node, door: Doorway, net: &Net, random: &mut Random) -> Self {
        let there = Place::Master(door.member);
        let connection = Self(Arc::new(Parts {
            id,
            up: Pipe::open(net, node.place, there, random.fork(), true),
            down: Pipe::open(net, there, node.place, random.fork(), true),
            node: node.clone(),
            door,
            closed: AtomicBool::new(false),
        }));
        let peer = Arc::new(AgentEnd(connection.clone()));
        let connected = MasterConnected {
            connection: id,
            peer,
        };
        // The mailbox is far from its bound, here and below; one that is closed belongs to a dead agent.
        let _ = node.link.tell(connected);
        connection
    }

    /// Watches over it until it is closed.
    pub async fn closed(&self, net: &Net) {
        let parts = &*self.0;
        let (here, there) = (parts.node.place, Place::Master(parts.door.member));
        let mut silent_since = None;
        loop {
            let broken = parts.up.has_lost() || parts.down.has_lost() || !net.joins(here, there);
            let since = broken.then(|| *silent_since.get_or_insert_with(Instant::now));
            silent_since = since;
            let silent = since.is_some_and(|since| since.elapsed() >= SILENCE);
            let node_dead = !parts.node.alive.load(Ordering::Relaxed);
            let silent = silent && !parts.node.planted.is(Bug::HalfOpen);
            if silent || node_dead || !parts.door.is_open() {
                return self.close(silent);
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    fn close(&self, silent: bool) {
        let parts = &*self.0;
        parts.closed.store(true, Ordering::Relaxed);
        let peer = PeerId(parts.id);
        let _ = parts.door.master.tell(AgentLost { peer, silent });
        if !parts.node.alive.load(Ordering::Relaxed) {
            return;
        }
        let connection = parts.id;
        let _ = parts.node.link.tell(MasterLost { connection });
        if let Some(id) = &*lock(&parts.node.agent_id) {
            let now = parts.node.history.now();
            parts.node.history.observe(|seen| {
                seen.eviction.left(id, now);
                Ok(())
            });
        }
    }

    fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Relaxed)
    }

    fn to_agent<M: Message + Termed + Clone + Sync>(&self, message: M) -> Result<(), TellError>
    where
        Link<NodeActor>: Tell<M>,
    {
        let (parts, history) = (&*self.0, &self.0.node.history);
        if let Some(term) = message.term() {
            let member = parts.door.member;
            history.observe(|seen| seen.leaders.acted(term, member, "an order"));
        }
        if self.is_closed() {
            return Err(TellError::Closed);
        }
        let (node, connection) = (parts.node.clone(), self.clone());
        parts.down.send(move || {
            let mut message = message.clone();
            let known = node.known_term.load(Ordering::Relaxed);
            // The bridge routes nothing once its end was told (`Service::on_disconnect`), so that what an agent registers with
            // is after all it was ordered. What a leader of a lower term said has to be refused whatever carries it.
            if connection.is_closed() && message.term().is_none_or(|term| term >= known) {
                return;
            }
            if let (Some(task), Some(term)) = (message.task(), message.term()) {
                node.history.observe(|seen| {
                    seen.leaders.ordered(task, term, known);
                    Ok(())
                });
            }
            if node.planted.is(Bug::IgnoreStaleTerm) {
                message.raise(known);
            }
            let _ = node.link.tell(message);
        });
        Ok(())
    }

    fn to_master(&self, what: AgentMessage) -> Result<(), TellError> {
        if self.is_closed() {
            return Err(TellError::Closed);
        }
        let (master, peer) = (self.0.door.master.clone(), PeerId(self.0.id));
        self.0.up.send(move || {
            let what = what.clone();
            let _ = master.tell(AgentSays { peer, what });
        });
        Ok(())
    }

    fn registered(&self, answer: &node::AgentRegistration) {
        let Some(id) = &answer.agent_id else {
            return;
        };
        let node = &self.0.node;
        let term = answer.term.unwrap_or(0);
        node.known_term.fetch_max(term, Ordering::Relaxed);
        *lock(&node.agent_id) = Some(id.value.clone());
        node.history
            .note(format!("{} registers as {} in {term}", node.name, id.value));
        node.history.observe(|seen| {
            seen.eviction.registered(&id.value);
            Ok(())
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the master holds.
struct MasterEnd(Connection);

/// What the agent holds.
struct AgentEnd(Connection);

/// An order, as far as the simulation looks into it.
trait Termed {
    fn term(&self) -> Option<u64>;
    fn raise(&mut self, term: u64);
    /// The task it starts.
    fn task(&self) -> Option<&str> {
        None
    }
}

macro_rules! orders {
    ($($order:ident)*) => {$(
        impl Termed for node::$order {
            fn term(&self) -> Option<u64> {
                Some(self.term)
            }

            fn raise(&mut self, term: u64) {
                self.term = self.term.max(term);
            }
        }

        impl Tell<node::$order> for MasterEnd {
            fn tell(&self, order: node::$order) -> Result<(), TellError> {
                self.0.to_agent(order)
            }
        }
    )*};
}

orders! {
    RunTaskGroup KillTask ShutdownExecutor ShutdownFramework UpdateFramework DrainAgent ShutdownAgent AcknowledgeUpdate
    ApplyOperation AcknowledgeOperation
}

impl Termed for node::RunTask {
    fn term(&self) -> Option<u64> {
        Some(self.term)
    }

    fn raise(&mut self, term: u64) {
        self.term = self.term.max(term);
    }

    fn task(&self) -> Option<&str> {
        Some(&self.task.task_id.value)
    }
}

impl Tell<node::RunTask> for MasterEnd {
    fn tell(&self, order: node::RunTask) -> Result<(), TellError> {
        let parts = &*self.0.0;
        let heard = lock(&parts.door.heard);
        let task = &order.task.task_id.value;
        parts
            .node
            .history
            .observe(|seen| seen.offers.launches(task, &heard.offers));
        drop(heard);
        self.0.to_agent(order)
    }
}

impl Termed for node::ToExecutor {
    fn term(&self) -> Option<u64> {
        self.term
    }

    fn raise(&mut self, term: u64) {
        self.term = self.term.max(Some(term));
    }
}

impl Tell<node::ToExecutor> for MasterEnd {
    fn tell(&self, message: node::ToExecutor) -> Result<(), TellError> {
        self.0.to_agent(message)
    }
}

impl Tell<node::StatusUpdate> for AgentEnd {
    fn tell(&self, update: node::StatusUpdate) -> Result<(), TellError> {
        self.0
            .to_master(AgentMessage::StatusUpdate(Box::new(update)))
    }
}

impl Tell<node::OperationUpdate> for AgentEnd {
    fn tell(&self, update: node::OperationUpdate) -> Result<(), TellError> {
        self.0
            .to_master(AgentMessage::OperationUpdate(Box::new(update)))
    }
}

impl Tell<node::OversubscribedResources> for AgentEnd {
    fn tell(&self, resources: node::OversubscribedResources) -> Result<(), TellError> {
        self.0.to_master(AgentMessage::Oversubscribed(resources))
    }
}

impl Tell<node::ExecutorExited> for AgentEnd {
    fn tell(&self, exited: node::ExecutorExited) -> Result<(), TellError> {
        self.0.to_master(AgentMessage::ExecutorExited(exited))
    }
}

impl Tell<node::ToFramework> for AgentEnd {
    fn tell(&self, message: node::ToFramework) -> Result<(), TellError> {
        self.0.to_master(AgentMessage::ToFramework(message))
    }
}

impl Tell<node::AgentLeaves> for AgentEnd {
    fn tell(&self, leaves: node::AgentLeaves) -> Result<(), TellError> {
        self.0.to_master(AgentMessage::Leaves(leaves))
    }
}

impl Ask<node::RegisterAgent> for AgentEnd {
    fn ask(
        &self,
        request: node::RegisterAgent,
    ) -> BoxFuture<'static, Result<node::AgentRegistration, AskError>> {
        let (answered, answer) = oneshot::channel();
        let connection = self.0.clone();
        self.0.0.up.send_once(move || {
            let registers = AgentRegisters {
                peer: PeerId(connection.0.id),
                handle: Arc::new(MasterEnd(connection.clone())),
                address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                request,
            };
            let asked = connection.0.door.master.ask(registers);
            tokio::task::spawn_local(async move {
                let answer = asked.await;
                let down = connection.0.down.clone();
                down.send_once(move || {
                    if let Ok(answer) = &answer {
                        connection.registered(answer);
                    }
                    // An agent that died meanwhile needs no answer.
                    let _ = answered.send(answer);
                });
            });
        });
        Box::pin(async { answer.await.unwrap_or(Err(AskError::Closed)) })
    }
}

/// The connections of a run, so that each has its own number.
#[derive(Clone, Default)]
pub struct Numbers(Arc<AtomicU64>);

impl Numbers {
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Where the leader is, as the masters that can be reached say.
pub type Doors = Arc<dyn Fn() -> BTreeMap<u64, Doorway> + Send + Sync>;
