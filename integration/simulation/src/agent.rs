//! One agent's machine: the real actor and checkpoint over a disk in memory, and containers that outlive it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tepui_engine::{MemoryEngine, keys::AGENT_FAMILIES};
use tepui_kit::{Ask, Clock, Directory, OnPanic, Random, Spawn};
use tepui_messages::agent::{GetNodeState, NodePhase};
use tepui_node::{
    actor::{Memory, NodeActor, NodeParts},
    config::NodeConfig,
    durable,
    effect::Keep,
    fetcher::Fetcher,
};
use tepui_protocol::{resources::Resources, v1::AgentInfo};
use tokio::time::sleep;

use crate::{
    bridge::{Connection, Doors, Node, Numbers},
    containers::Machine,
    history::History,
    invariants::ledger::Share,
    net::{Net, Place},
    planted::{Bug, Planted},
};

pub const RESOURCES: &str = "cpus:4;mem:4096;disk:10000";
const TOTAL: Share = Share {
    cpu_milli: 4_000,
    memory_bytes: 4_096 << 20,
};
const MAILBOX: usize = 16_384;
const LOOK_FOR_LEADER: (Duration, Duration) =
    (Duration::from_millis(50), Duration::from_millis(600));

/// What all agents of a run share.
#[derive(Clone)]
pub struct Field {
    pub clock: Clock,
    pub history: History,
    pub net: Net,
    pub doors: Doors,
    pub numbers: Numbers,
    pub planted: Planted,
}

/// The checkpoint as one life of the agent sees it.
struct Fenced {
    memory: durable::DurableMemory,
    alive: Arc<AtomicBool>,
    planted: Planted,
}

impl Memory for Fenced {
    fn commit(&self, changes: &[Keep], synced: bool) -> Result<(), String> {
        if !self.alive.load(Ordering::Relaxed) {
            return Err("the process is dead".to_owned());
        }
        if self.planted.is(Bug::ForgetTasks) {
            let kept = |change: &&Keep| !matches!(change, Keep::Task(_) | Keep::Container(_));
            let kept: Vec<Keep> = changes.iter().filter(kept).cloned().collect();
            return self.memory.commit(&kept, synced);
        }
        self.memory.commit(changes, synced)
    }

    fn waits(&self) -> bool {
        false
    }
}

struct Life {
    node: Node,
}

pub struct AgentHost {
    number: u64,
    field: Field,
    engine: MemoryEngine,
    machine: Machine,
    random: Random,
    life: Option<Life>,
}

impl AgentHost {
    pub fn new(number: u64, field: Field, mut random: Random) -> AgentHost {
        let name = format!("agent-{number}");
        field.history.observe(|seen| {
            seen.ledger.agent(&name, TOTAL);
            Ok(())
        });
        let machine = Machine::new(name, field.history.clone(), field.planted, random.fork());
        AgentHost {
            number,
            field,
            engine: MemoryEngine::new(&AGENT_FAMILIES),
            machine,
            random,
            life: None,
        }
    }

    pub fn name(&self) -> String {
        format!("agent-{}", self.number)
    }

    pub fn start_if_down(&mut self) {
        if !self.is_running() {
            self.start();
        }
    }

    pub fn is_running(&self) -> bool {
        self.life.is_some()
    }

    /// # Panics
    /// If its checkpoint cannot be opened: the disk's promise was broken.
    pub fn start(&mut self) {
        let alive = Arc::new(AtomicBool::new(true));
        let engine = Arc::new(self.engine.clone());
        let (memory, remembered) =
            durable::open(engine, "boot").expect("a checkpoint in memory opens");
        let id = remembered
            .agent
            .as_ref()
            .and_then(|(info, _)| info.id.clone());
        let config = self.config();
        let parts = NodeParts {
            config,
            memory: Arc::new(Fenced {
                memory,
                alive: Arc::clone(&alive),
                planted: self.field.planted,
            }),
            remembered,
            runtime: Arc::new(self.machine.clone()),
            fetcher: Fetcher::default(),
            on_end: Box::new({
                let (history, name) = (self.field.history.clone(), self.name());
                move |ending| history.note(format!("{name} ends by itself: {ending:?}"))
            }),
        };
        let directory = Directory::new(self.name(), self.field.clock.clone());
        let link = Spawn::new(&directory)
            .capacity(MAILBOX)
            .on_panic(OnPanic::Stop)
            .start_once(move || NodeActor::new(parts));
        let node = Node {
            name: self.name(),
            place: Place::Agent(self.number),
            link,
            alive,
            known_term: Arc::new(AtomicU64::new(0)),
            agent_id: Arc::new(Mutex::new(id.map(|id| id.value))),
            history: self.field.history.clone(),
            planted: self.field.planted,
        };
        self.field.history.note(format!("{} starts", node.name));
        // Ends with this life, after it has told the master of its connection's end.
        let work = connect(node.clone(), self.field.clone(), self.random.fork());
        tokio::task::spawn_local(work);
        self.life = Some(Life { node });
    }

    fn config(&mut self) -> NodeConfig {
        let resources = Resources::parse(RESOURCES, "*").expect("a constant that can be read");
        let info = AgentInfo {
            hostname: self.name(),
            port: Some(5051),
            resources: resources.to_proto(),
            ..AgentInfo::default()
        };
        NodeConfig {
            boot_id: "boot".to_owned(),
            seed: [self.random.next_u64(), self.random.next_u64()],
            ..NodeConfig::new(info, "127.0.0.1", "/nowhere")
        }
    }

    /// Kills the process; containers run on, and so does the kernel: what was written is kept.
    pub fn crash(&mut self) {
        let Some(life) = self.life.take() else {
            return;
        };
        life.node.alive.store(false, Ordering::Relaxed);
        life.node.link.stop();
        let now = self.field.history.now();
        if let Some(id) = self.agent_id_of(&life.node) {
            self.field.history.observe(|seen| {
                seen.eviction.left(&id, now);
                Ok(())
            });
        }
        self.field.history.note(format!("{} crashes", self.name()));
    }

    fn agent_id_of(&self, node: &Node) -> Option<String> {
        let id = node.agent_id.lock();
        id.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The id the masters know it by.
    pub fn agent_id(&self) -> Option<String> {
        self.life
            .as_ref()
            .and_then(|life| self.agent_id_of(&life.node))
    }

    /// Whether it is registered with the master of the moment.
    pub async fn is_registered(&self) -> bool {
        let Some(life) = &self.life else {
            return false;
        };
        let state = life.node.link.ask(GetNodeState).await;
        state.is_ok_and(|state| state.phase == NodePhase::Running)
    }
}

/// Looks for the leader, connects, and begins anew when the connection is over.
async fn connect(node: Node, field: Field, mut random: Random) {
    while node.alive.load(Ordering::Relaxed) {
        sleep(random.between(LOOK_FOR_LEADER.0, LOOK_FOR_LEADER.1)).await;
        let doors = (field.doors)();
        let mut reached = doors
            .into_values()
            .filter(|door| field.net.joins(node.place, Place::Master(door.member)));
        if let Some(door) = reached.next() {
            let number = field.numbers.next();
            let connection = Connection::open(number, &node, door, &field.net, &mut random);
            connection.closed(&field.net).await;
        }
    }
}
