//! Whole allocation cycles, and a bare loop that gives the same agents away, for `tepui-bench`.
//!
//! Owns both subjects. Only ever called by benchmarks; it reads the wall clock.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    time::{Duration, Instant},
};

use tepui_kit::Random;
use tepui_messages::allocator::{Allocation, Proposals, WorldChange};
use tepui_protocol::v1::{AgentId, AgentInfo, FrameworkId, FrameworkInfo, Resource, value};

use crate::core::{AllocatorCore, Config, Effect, Input};

/// What every agent has: thousandths of cpus, mem, disk and gpus.
const AGENT: [i64; 4] = [24_000, 98_304_000, 1_024_000_000, 0];
pub(crate) const SEED: u64 = 1;
pub(crate) const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// An offer a framework holds.
pub(crate) type Offer = (Arc<AgentId>, Allocation);

/// Offers that frameworks hold, as a master's tables have them.
#[derive(Default)]
pub(crate) struct Offers(pub(crate) Vec<Offer>);

impl Offers {
    pub(crate) fn add(&mut self, run: Proposals) {
        for proposal in run.proposals {
            for (agent_id, resources) in proposal.agents {
                let allocation = Allocation {
                    framework_id: proposal.framework_id.clone(),
                    role: proposal.role.clone(),
                    resources,
                };
                self.0.push((agent_id, allocation));
            }
        }
    }

    /// Takes out some, chosen by chance.
    pub(crate) fn draw(&mut self, count: usize, random: &mut Random) -> Vec<Offer> {
        let count = count.min(self.0.len());
        let drawn = (0..count).map(|_| {
            let at = random.below(self.0.len() as u64);
            self.0.swap_remove(usize::try_from(at).unwrap_or_default())
        });
        drawn.collect()
    }
}

/// What comes back, refused or not.
pub(crate) fn recovered(
    (agent_id, allocation): Offer,
    refused_for: Option<Duration>,
) -> WorldChange {
    WorldChange::Recovered {
        agent_id: AgentId::clone(&agent_id),
        allocation,
        refused_for,
    }
}

/// The production core with agents and frameworks, and a master's side of the conversation.
pub struct Cluster {
    core: AllocatorCore,
    random: Random,
    agents: usize,
    offers: Offers,
    to_master: Sender<Proposals>,
    master: Receiver<Proposals>,
}

impl Cluster {
    /// Agents and frameworks of one role; none of them offered anything yet.
    /// There are `shapes` sizes of agents.
    pub fn new(agents: usize, frameworks: usize, shapes: usize) -> Self {
        let core = AllocatorCore::new(&Config::default(), Random::seeded(SEED));
        let (to_master, master) = channel();
        let mut cluster = Self {
            core: core.expect("the default policy exists"),
            random: Random::seeded(SEED),
            agents,
            offers: Offers::default(),
            to_master,
            master,
        };
        for number in 0..agents {
            cluster.tell(agent(number, shapes));
        }
        for number in 0..frameworks {
            cluster.tell(framework(number));
        }
        cluster
    }

    /// Times one cycle, from the trigger until the master has the proposals.
    pub fn cycle(&mut self) -> Duration {
        let mut effects = Vec::new();
        let begun = Instant::now();
        self.core.on(Duration::ZERO, Input::Woke, &mut effects);
        for effect in effects {
            if let Effect::Propose(proposals) = effect {
                self.to_master
                    .send(proposals)
                    .expect("the other end is beside this one");
            }
        }
        let took = begun.elapsed();
        while let Ok(run) = self.master.try_recv() {
            self.offers.add(run);
        }
        took
    }

    /// Offers nobody has answered.
    pub fn offers(&self) -> usize {
        self.offers.0.len()
    }

    /// Declines every offer for ever.
    pub fn decline_all(&mut self) {
        for offer in std::mem::take(&mut self.offers.0) {
            self.tell(recovered(offer, Some(FOR_EVER)));
        }
    }

    /// Gives back some offers, chosen by chance, without a refusal.
    pub fn give_back_some(&mut self, count: usize) {
        for offer in self.offers.draw(count, &mut self.random) {
            self.tell(recovered(offer, None));
        }
    }

    /// Makes the next cycle look at every agent, though none has more than before.
    pub fn touch_all(&mut self) {
        for number in 0..self.agents {
            for active in [false, true] {
                self.tell(WorldChange::AgentActive {
                    agent_id: agent_id(number),
                    active,
                });
            }
        }
    }

    fn tell(&mut self, change: WorldChange) {
        let change = Input::World(change);
        self.core.on(Duration::ZERO, change, &mut Vec::new());
    }
}

pub(crate) fn agent_id(number: usize) -> AgentId {
    AgentId {
        value: format!("4f3c9a52-6d7e-4b0e-9f51-0c1d2e3f4a5b-S{number}"),
    }
}

fn agent(number: usize, shapes: usize) -> WorldChange {
    let names = ["cpus", "mem", "disk"];
    let more = (number % shapes.max(1)) as f64;
    let scalars = names.iter().zip(AGENT).map(|(name, thousandths)| Resource {
        name: (*name).to_owned(),
        r#type: value::Type::Scalar.into(),
        scalar: Some(value::Scalar {
            value: thousandths as f64 / 1000.0 + more,
        }),
        ..Resource::default()
    });
    let range = value::Range {
        begin: 31_000,
        end: 32_000,
    };
    let ports = Resource {
        name: "ports".to_owned(),
        r#type: value::Type::Ranges.into(),
        ranges: Some(value::Ranges { range: vec![range] }),
        ..Resource::default()
    };
    WorldChange::AgentAdded {
        info: Arc::new(AgentInfo {
            hostname: format!("host-{number}"),
            id: Some(agent_id(number)),
            ..AgentInfo::default()
        }),
        total: scalars.chain([ports]).collect(),
        used: Vec::new(),
        active: true,
    }
}

fn framework(number: usize) -> WorldChange {
    let value = format!("4f3c9a52-6d7e-4b0e-9f51-0c1d2e3f4a5b-{number:04}");
    WorldChange::FrameworkAdded {
        info: Arc::new(FrameworkInfo {
            id: Some(FrameworkId { value }),
            ..FrameworkInfo::default()
        }),
        suppressed_roles: Vec::new(),
        offer_constraints: None,
        active: true,
        used: Vec::new(),
    }
}

/// Times the bare loop: shuffled agents, each given whole to the framework of least dominant share from a
/// heap; quantities of 64 bits in dense arrays; no roles, filters, ids or messages.
pub fn bare_cycle(agents: usize, frameworks: usize) -> Duration {
    let free = vec![AGENT; agents];
    let total = AGENT.map(|amount| amount * i64::try_from(agents).unwrap_or(i64::MAX));
    let mut allocated = vec![[0_i64; 4]; frameworks];
    let mut heap: BinaryHeap<Reverse<(u64, usize)>> = (0..frameworks)
        .map(|framework| Reverse((0, framework)))
        .collect();
    let mut random = Random::seeded(SEED);
    let mut offers: Vec<(usize, usize, [i64; 4])> = Vec::with_capacity(agents);

    let begun = Instant::now();
    let mut order: Vec<usize> = (0..agents).collect();
    random.shuffle(&mut order);
    for agent in order {
        let Some(Reverse((_, framework))) = heap.pop() else {
            break;
        };
        let mut share = 0.0_f64;
        for (name, amount) in free[agent].iter().enumerate() {
            allocated[framework][name] += amount;
            if total[name] > 0 {
                share = share.max(allocated[framework][name] as f64 / total[name] as f64);
            }
        }
        offers.push((framework, agent, free[agent]));
        // Doubles at or above zero order like their bits.
        heap.push(Reverse((share.to_bits(), framework)));
    }
    let took = begun.elapsed();
    std::hint::black_box(&offers);
    took
}
