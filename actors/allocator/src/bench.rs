//! One whole allocation cycle beside a bare loop that gives the same agents away, for `tepui-bench`.
//!
//! Owns both subjects. Only ever called by benchmarks; it reads the wall clock.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::Arc,
    time::{Duration, Instant},
};

use tepui_kit::Random;
use tepui_messages::allocator::{Allocation, Proposal, WorldChange};
use tepui_protocol::v1::{AgentId, AgentInfo, FrameworkId, FrameworkInfo, Resource, value};

use crate::core::{AllocatorCore, Config, Effect, Input};

/// What every agent has: thousandths of cpus, mem, disk and gpus.
const AGENT: [i64; 4] = [24_000, 98_304_000, 1_024_000_000, 0];
const SEED: u64 = 1;

/// Times a cycle of the production core that offers every agent, and the bare loop.
///
/// The cycle starts at the trigger and ends with the proposals in the master's form; agents and frameworks
/// were told before. The bare loop: shuffled agents, each given whole to the framework of least dominant
/// share from a heap, quantities in dense arrays.
pub fn bench_cycle(agents: usize, frameworks: usize) -> (Duration, Duration) {
    let mut scene = Scene::new(agents, frameworks);
    (scene.cycle(), bare_cycle(agents, frameworks))
}

/// As [`bench_cycle`], but the second cycle: after every agent was offered once and declined for ever.
pub fn bench_declined(agents: usize, frameworks: usize) -> (Duration, Duration) {
    let mut scene = Scene::new(agents, frameworks);
    scene.cycle();
    scene.decline_all();
    (scene.cycle(), bare_cycle(agents, frameworks))
}

struct Scene {
    core: AllocatorCore,
    now: Duration,
    effects: Vec<Effect>,
    offered: Vec<Proposal>,
}

impl Scene {
    fn new(agents: usize, frameworks: usize) -> Self {
        let core = AllocatorCore::new(&Config::default(), Random::seeded(SEED));
        let mut scene = Self {
            core: core.expect("the default policy exists"),
            now: Duration::ZERO,
            effects: Vec::new(),
            offered: Vec::new(),
        };
        for number in 0..agents {
            scene.tell(agent(number));
        }
        for number in 0..frameworks {
            scene.tell(framework(number));
        }
        scene
    }

    fn tell(&mut self, change: WorldChange) {
        self.core
            .on(self.now, Input::World(change), &mut self.effects);
    }

    fn cycle(&mut self) -> Duration {
        self.effects.clear();
        let begun = Instant::now();
        self.core.on(self.now, Input::Woke, &mut self.effects);
        let took = begun.elapsed();
        self.offered = self
            .effects
            .drain(..)
            .filter_map(|effect| match effect {
                Effect::Propose(proposals) => Some(proposals.proposals),
                Effect::WakeAt(_) => None,
            })
            .flatten()
            .collect();
        took
    }

    fn decline_all(&mut self) {
        for proposal in std::mem::take(&mut self.offered) {
            for (agent_id, resources) in proposal.agents {
                self.tell(WorldChange::Recovered {
                    agent_id,
                    allocation: Allocation {
                        framework_id: proposal.framework_id.clone(),
                        role: proposal.role.clone(),
                        resources,
                    },
                    refused_for: Some(Duration::from_secs(365 * 24 * 60 * 60)),
                });
            }
        }
    }
}

fn agent(number: usize) -> WorldChange {
    let names = ["cpus", "mem", "disk"];
    let scalars = names.iter().zip(AGENT).map(|(name, thousandths)| Resource {
        name: (*name).to_owned(),
        r#type: value::Type::Scalar.into(),
        scalar: Some(value::Scalar {
            value: thousandths as f64 / 1000.0,
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
    let value = format!("4f3c9a52-6d7e-4b0e-9f51-0c1d2e3f4a5b-S{number}");
    WorldChange::AgentAdded {
        info: Arc::new(AgentInfo {
            hostname: format!("host-{number}"),
            id: Some(AgentId { value }),
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

fn bare_cycle(agents: usize, frameworks: usize) -> Duration {
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
