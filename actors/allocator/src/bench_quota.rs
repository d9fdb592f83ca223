//! A cluster in which every role has quota, and a bare loop that gives the same agents away, for
//! `tepui-bench`.
//!
//! Owns both subjects. Only ever called by benchmarks; it reads the wall clock.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::Arc,
    time::{Duration, Instant},
};

use tepui_kit::Random;
use tepui_messages::allocator::{Allocation, WorldChange};
use tepui_protocol::v1::{
    AgentInfo, FrameworkId, FrameworkInfo, Resource,
    framework_info::{Capability, capability},
    quota::QuotaConfig,
    resource::{ReservationInfo, reservation_info},
    value,
};

use crate::{
    bench::{FOR_EVER, Offers, SEED, agent_id, recovered},
    core::{AllocatorCore, Config, Effect, Input},
    invariants,
};

const CPUS: f64 = 24.0;
const MEM: f64 = 96_000.0;
/// Each tenth agent has a quarter of what it has reserved for a role.
const RESERVED_EVERY: usize = 10;
const RESERVED_PART: f64 = 0.25;
/// Each third role is guaranteed, and limited to, two agents, the others half of one: all that there is.
const LARGE_EVERY: usize = 3;
const LARGE: f64 = 2.0;
const SMALL: f64 = 0.5;
/// One pair of framework and agent in so many is one in which the framework refused the agent.
const REFUSED_EVERY: u64 = 16;

/// The production core; as many roles as frameworks, each in one of its own.
pub struct QuotaCluster {
    core: AllocatorCore,
    agents: usize,
    frameworks: usize,
    random: Random,
    offers: Offers,
}

impl QuotaCluster {
    /// Agents and quota; no framework yet.
    pub fn new(agents: usize, frameworks: usize) -> Self {
        let core = AllocatorCore::new(&Config::default(), Random::seeded(SEED));
        let mut cluster = Self {
            core: core.expect("the default policy exists"),
            agents,
            frameworks,
            random: Random::seeded(SEED),
            offers: Offers::default(),
        };
        for number in 0..agents {
            cluster.tell(agent(number, frameworks));
        }
        let quota = (0..frameworks).map(quota).collect();
        cluster.tell(WorldChange::Quota(Arc::new(quota)));
        cluster
    }

    /// Times telling of all frameworks.
    pub fn add_frameworks(&mut self) -> Duration {
        let changes: Vec<WorldChange> = (0..self.frameworks).map(framework).collect();
        let begun = Instant::now();
        for change in changes {
            self.tell(change);
        }
        begun.elapsed()
    }

    /// Refusals of whole agents, for ever.
    pub fn refuse_some(&mut self) {
        for framework in 0..self.frameworks {
            for agent in 0..self.agents {
                if is_refused(framework, agent) {
                    let resources = agent_resources(agent, self.frameworks);
                    self.tell(WorldChange::Refused {
                        agent_id: agent_id(agent),
                        allocation: Allocation {
                            framework_id: framework_id(framework),
                            role: role(framework),
                            resources: resources.into(),
                        },
                        refused_for: FOR_EVER,
                    });
                }
            }
        }
    }

    /// Times one run.
    pub fn cycle(&mut self) -> Duration {
        let mut effects = Vec::new();
        let begun = Instant::now();
        self.core.on(Duration::ZERO, Input::Woke, &mut effects);
        let took = begun.elapsed();
        for effect in effects {
            if let Effect::Propose(proposals) = effect {
                self.offers.add(proposals);
            }
        }
        took
    }

    /// Offers nobody has answered.
    pub fn offers(&self) -> usize {
        self.offers.0.len()
    }

    /// Gives back so many offers, chosen by chance, without a refusal.
    pub fn give_back(&mut self, count: usize) {
        for offer in self.offers.draw(count, &mut self.random) {
            self.tell(recovered(offer, None));
        }
    }

    /// The refusals that stand.
    pub fn filters(&self) -> usize {
        self.core.world().filters.count()
    }

    /// Whether the books are right and nobody could get anything more; looks at every pair.
    pub fn is_right(&self) -> bool {
        let world = self.core.world();
        invariants::quota_balances(world) && invariants::nothing_is_overlooked(world)
    }

    fn tell(&mut self, change: WorldChange) {
        let change = Input::World(change);
        self.core.on(Duration::ZERO, change, &mut Vec::new());
    }
}

/// A pair by the hash of its numbers, so that the bare loop has the same ones.
fn is_refused(framework: usize, agent: usize) -> bool {
    let pair = ((framework as u64) << 32) | agent as u64;
    (pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40).is_multiple_of(REFUSED_EVERY)
}

fn framework_id(number: usize) -> FrameworkId {
    FrameworkId {
        value: format!("4f3c9a52-6d7e-4b0e-9f51-0c1d2e3f4a5b-{number:04}"),
    }
}

fn role(number: usize) -> String {
    format!("role-{number}")
}

fn scalar(name: &str, value: f64, reserved: Option<&str>) -> Resource {
    let reservation = reserved.map(|role| ReservationInfo {
        r#type: Some(reservation_info::Type::Static.into()),
        role: Some(role.to_owned()),
        ..ReservationInfo::default()
    });
    Resource {
        name: name.to_owned(),
        r#type: value::Type::Scalar.into(),
        scalar: Some(value::Scalar { value }),
        reservations: reservation.into_iter().collect(),
        ..Resource::default()
    }
}

fn agent_resources(number: usize, roles: usize) -> Vec<Resource> {
    let has_reserved = number.is_multiple_of(RESERVED_EVERY);
    let reserved = if has_reserved { RESERVED_PART } else { 0.0 };
    let owner = role(number % roles);
    let mut resources = Vec::new();
    for (name, amount) in [("cpus", CPUS), ("mem", MEM)] {
        resources.push(scalar(name, amount * (1.0 - reserved), None));
        if has_reserved {
            resources.push(scalar(name, amount * reserved, Some(&owner)));
        }
    }
    resources
}

fn agent(number: usize, roles: usize) -> WorldChange {
    WorldChange::AgentAdded {
        info: Arc::new(AgentInfo {
            hostname: format!("host-{number}"),
            id: Some(agent_id(number)),
            ..AgentInfo::default()
        }),
        total: agent_resources(number, roles),
        used: Vec::new(),
        active: true,
    }
}

/// In agents.
fn guaranteed(number: usize) -> f64 {
    if number.is_multiple_of(LARGE_EVERY) {
        LARGE
    } else {
        SMALL
    }
}

fn quota(number: usize) -> QuotaConfig {
    let amounts = [("cpus", CPUS), ("mem", MEM)].map(|(name, amount)| {
        let value = amount * guaranteed(number);
        (name.to_owned(), value::Scalar { value })
    });
    QuotaConfig {
        role: role(number),
        guarantees: amounts.clone().into(),
        limits: amounts.into(),
    }
}

fn framework(number: usize) -> WorldChange {
    WorldChange::FrameworkAdded {
        info: Arc::new(FrameworkInfo {
            id: Some(framework_id(number)),
            roles: vec![role(number)],
            capabilities: vec![Capability {
                r#type: Some(capability::Type::MultiRole.into()),
            }],
            ..FrameworkInfo::default()
        }),
        suppressed_roles: Vec::new(),
        offer_constraints: None,
        active: true,
        used: Vec::new(),
    }
}

/// Times the bare loop: shuffled agents, each given in parts to the roles of least share that lack
/// something and do not refuse it; cpus only, no reservations, ids or messages. How many parts it gave.
pub fn bare_quota_cycle(agents: usize, roles: usize) -> (Duration, usize) {
    let thousandths = |agents: f64| (agents * CPUS * 1000.0) as i64;
    let mut missing: Vec<i64> = (0..roles).map(guaranteed).map(thousandths).collect();
    let mut allocated = vec![0_i64; roles];
    let mut heap: BinaryHeap<Reverse<(i64, usize)>> = (0..roles).map(|r| Reverse((0, r))).collect();
    let mut random = Random::seeded(SEED);
    let mut parts: Vec<(usize, usize, i64)> = Vec::with_capacity(2 * agents);
    let mut passed = Vec::new();

    let begun = Instant::now();
    let mut order: Vec<usize> = (0..agents).collect();
    random.shuffle(&mut order);
    for agent in order {
        let mut free = thousandths(1.0);
        while free > 0
            && let Some(Reverse((share, role))) = heap.pop()
        {
            if is_refused(role, agent) {
                passed.push(Reverse((share, role)));
                continue;
            }
            let part = free.min(missing[role]);
            free -= part;
            missing[role] -= part;
            allocated[role] += part;
            parts.push((role, agent, part));
            if missing[role] > 0 {
                heap.push(Reverse((allocated[role], role)));
            }
        }
        heap.extend(passed.drain(..));
    }
    (begun.elapsed(), parts.len())
}
