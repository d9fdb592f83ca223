//! The delay scheduling experiment of the Mesos paper (Hindman et al., NSDI 2011, section 6.3) on a simulated block
//! layout: sixteen jobs scan a file each on 93 machines with four slots; how many tasks run where their block is, and
//! how long a job takes, with a machine set aside for each job, and with offers and waits of 0, 1 and 5 s.
//!
//! Time is simulated. The allocator and the SDK's policy are the real ones; this file plays the master between them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use serde_json::{Value, json};
use tepui_allocator::{AllocatorCore, Config, Effect, Input};
use tepui_client::locality::{Choice, WaitForLocal};
use tepui_kit::Random;
use tepui_messages::allocator::{Allocation, Proposal, WorldChange};
use tepui_protocol::v1::{AgentId, AgentInfo, FrameworkId, FrameworkInfo, Resource, value};

const MACHINES: usize = 93;
const SLOTS: usize = 4;
const JOBS: usize = 16;
/// 100 GB in blocks of 128 MB, three copies of each.
const BLOCKS: usize = 800;
const COPIES: usize = 3;
/// A task that reads its block from another machine takes twice as long: the model's one assumption on the network.
const LOCAL: Duration = Duration::from_secs(10);
const REMOTE: Duration = Duration::from_secs(20);
/// Tasks take up to so much more or less, in percent, so that they do not end in step.
const SPREAD_PERCENT: u64 = 20;
const WAITS_S: [u64; 3] = [0, 1, 5];
/// How long what a job does not use is kept from it.
const REFUSED_FOR: Duration = Duration::from_secs(1);
const ROLE: &str = "*";

#[derive(Debug, Clone, Args)]
pub(crate) struct LocalityOptions {
    /// Block layouts to try; figures are medians over them
    #[arg(long, default_value_t = 5)]
    rounds: u64,
    /// Print one JSON line
    #[arg(long)]
    pub(crate) json: bool,
}

/// `subject_ms`: simulated time of a job that waits 5 s; `bare_ms`: that of the same slots with every task local.
pub(crate) fn run(options: &LocalityOptions) -> Value {
    let rounds = || 0..options.rounds.max(1);
    let median = |mut samples: Vec<f64>| crate::quantile(&mut samples, 0.5);
    let measured = |run: &dyn Fn(u64) -> Measured| {
        let measured: Vec<Measured> = rounds().map(run).collect();
        let locality = median(measured.iter().map(|it| it.locality).collect());
        let job_s = median(measured.iter().map(|it| it.job_s).collect());
        (locality, job_s)
    };
    let (partitioned, partitioned_s) = measured(&partitioned);
    let offered = WAITS_S.map(|wait| {
        let (locality, job_s) = measured(&|seed| Cluster::new(seed, wait).run());
        (wait, locality, job_s)
    });
    let ideal_s = LOCAL.as_secs_f64() * (BLOCKS * JOBS) as f64 / (MACHINES * SLOTS) as f64;
    let [.., (_, _, waiting_s)] = offered;
    let rows = offered.iter().map(|(wait, locality, job_s)| {
        json!({ "wait_s": wait, "local_share": locality, "job_s": job_s, "speedup": partitioned_s / job_s })
    });
    json!({
        "name": "locality",
        "rounds": options.rounds,
        "subject_ms": waiting_s * 1e3,
        "bare_ms": ideal_s * 1e3,
        "ratio": waiting_s / ideal_s,
        "partitioned": { "local_share": partitioned, "job_s": partitioned_s },
        "offers": rows.collect::<Vec<_>>(),
    })
}

struct Measured {
    /// Of all tasks.
    locality: f64,
    /// Mean over the jobs.
    job_s: f64,
}

/// The machines that hold each block of one job.
fn layout(random: &mut Random) -> Vec<[usize; COPIES]> {
    let mut machines: Vec<usize> = (0..MACHINES).collect();
    let block = |_| {
        random.shuffle(&mut machines);
        std::array::from_fn(|copy| machines[copy])
    };
    (0..BLOCKS).map(block).collect()
}

fn waiting_tasks(random: &mut Random, wait: Duration) -> WaitForLocal<usize> {
    let mut waiting = WaitForLocal::new(wait);
    for (block, machines) in layout(random).into_iter().enumerate() {
        waiting.add(block, machines.map(host));
    }
    waiting
}

fn host(machine: usize) -> String {
    format!("machine-{machine}")
}

fn takes(choice: &Choice<usize>, random: &mut Random) -> Duration {
    let base = match choice {
        Choice::Local(_) => LOCAL,
        Choice::Remote(_) => REMOTE,
    };
    let percent = 100 - SPREAD_PERCENT + random.below(2 * SPREAD_PERCENT + 1);
    base * u32::try_from(percent).expect("below 200") / 100
}

/// Each job on machines of its own, as many as its share; a slot takes a local task if there is one.
fn partitioned(seed: u64) -> Measured {
    let mut random = Random::seeded(seed);
    let (mut local, mut total_s) = (0, 0.0);
    for job in 0..JOBS {
        let mut waiting = waiting_tasks(&mut random, Duration::ZERO);
        let machines = (MACHINES * job / JOBS)..(MACHINES * (job + 1) / JOBS);
        let mut slots: BinaryHeap<Reverse<(Duration, usize)>> = machines
            .flat_map(|machine| std::iter::repeat_n(Reverse((Duration::ZERO, machine)), SLOTS))
            .collect();
        let mut end = Duration::ZERO;
        while let Some(Reverse((now, machine))) = slots.pop()
            && let Some(choice) = waiting.choose(now, &host(machine))
        {
            local += usize::from(matches!(choice, Choice::Local(_)));
            let ends = now + takes(&choice, &mut random);
            end = end.max(ends);
            slots.push(Reverse((ends, machine)));
        }
        total_s += end.as_secs_f64();
    }
    Measured {
        locality: local as f64 / (BLOCKS * JOBS) as f64,
        job_s: total_s / JOBS as f64,
    }
}

/// What happens at a moment.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    TaskEnds { machine: usize, job: usize },
    Woke,
}

/// The shared cluster: the allocator offers, each job chooses.
struct Cluster {
    core: AllocatorCore,
    random: Random,
    now: Duration,
    events: BinaryHeap<Reverse<(Duration, Event)>>,
    jobs: Vec<WaitForLocal<usize>>,
    ended: Vec<Duration>,
    local: usize,
    machines: BTreeMap<String, usize>,
    frameworks: BTreeMap<String, usize>,
}

impl Cluster {
    fn new(seed: u64, wait_s: u64) -> Self {
        let mut random = Random::seeded(seed);
        let wait = Duration::from_secs(wait_s);
        let jobs = (0..JOBS).map(|_| waiting_tasks(&mut random, wait));
        let jobs = jobs.collect();
        let core = AllocatorCore::new(&Config::default(), random.fork());
        let mut cluster = Self {
            core: core.expect("the default policy exists"),
            random,
            now: Duration::ZERO,
            events: BinaryHeap::new(),
            jobs,
            ended: vec![Duration::ZERO; JOBS],
            local: 0,
            machines: (0..MACHINES)
                .map(|machine| (host(machine), machine))
                .collect(),
            frameworks: (0..JOBS).map(|job| (framework(job), job)).collect(),
        };
        for job in 0..JOBS {
            cluster.tell(framework_added(job));
        }
        for machine in 0..MACHINES {
            cluster.tell(agent_added(machine));
        }
        cluster
    }

    fn run(mut self) -> Measured {
        while let Some(Reverse((at, event))) = self.events.pop() {
            self.now = at;
            match event {
                Event::Woke => self.input(Input::Woke),
                Event::TaskEnds { machine, job } => {
                    self.ended[job] = at;
                    self.tell(WorldChange::Recovered {
                        agent_id: AgentId {
                            value: host(machine),
                        },
                        allocation: allocation(job, 1),
                        refused_for: None,
                    });
                }
            }
        }
        debug_assert!(
            self.jobs.iter().all(WaitForLocal::is_empty),
            "every task has run"
        );
        let total_s: f64 = self.ended.iter().map(Duration::as_secs_f64).sum();
        Measured {
            locality: self.local as f64 / (BLOCKS * JOBS) as f64,
            job_s: total_s / JOBS as f64,
        }
    }

    fn tell(&mut self, change: WorldChange) {
        self.input(Input::World(change));
    }

    fn input(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.core.on(self.now, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::WakeAt(at) => self.events.push(Reverse((at.max(self.now), Event::Woke))),
                Effect::Propose(proposals) => {
                    for proposal in proposals.proposals {
                        self.offer(&proposal);
                    }
                }
            }
        }
    }

    /// A job's scheduler has an offer of each agent before it.
    fn offer(&mut self, proposal: &Proposal) {
        let job = self.frameworks[&proposal.framework_id.value];
        for (agent_id, resources) in &proposal.agents {
            let slots = slots_of(resources);
            let used = self.launch(job, &agent_id.value, slots);
            if used < slots {
                self.tell(WorldChange::Recovered {
                    agent_id: AgentId::clone(agent_id),
                    allocation: allocation(job, slots - used),
                    refused_for: Some(REFUSED_FOR),
                });
            }
        }
        if self.jobs[job].is_empty() {
            self.tell(WorldChange::Suppress {
                framework_id: proposal.framework_id.clone(),
                roles: Vec::new(),
            });
        }
    }

    /// How many slots it used.
    fn launch(&mut self, job: usize, host: &str, slots: usize) -> usize {
        let machine = self.machines[host];
        for used in 0..slots {
            let Some(choice) = self.jobs[job].choose(self.now, host) else {
                return used;
            };
            self.local += usize::from(matches!(choice, Choice::Local(_)));
            let ends = self.now + takes(&choice, &mut self.random);
            self.events
                .push(Reverse((ends, Event::TaskEnds { machine, job })));
        }
        slots
    }
}

fn framework(job: usize) -> String {
    format!("job-{job:02}")
}

fn framework_added(job: usize) -> WorldChange {
    let id = FrameworkId {
        value: framework(job),
    };
    WorldChange::FrameworkAdded {
        info: Arc::new(FrameworkInfo {
            id: Some(id),
            ..FrameworkInfo::default()
        }),
        suppressed_roles: Vec::new(),
        offer_constraints: None,
        active: true,
        used: Vec::new(),
    }
}

/// A slot is a cpu.
fn agent_added(machine: usize) -> WorldChange {
    let id = AgentId {
        value: host(machine),
    };
    WorldChange::AgentAdded {
        info: Arc::new(AgentInfo {
            hostname: host(machine),
            id: Some(id),
            ..AgentInfo::default()
        }),
        total: vec![cpus(SLOTS)],
        used: Vec::new(),
        active: true,
    }
}

fn allocation(job: usize, slots: usize) -> Allocation {
    Allocation {
        framework_id: FrameworkId {
            value: framework(job),
        },
        role: ROLE.to_owned(),
        resources: [cpus(slots)].into(),
    }
}

fn cpus(slots: usize) -> Resource {
    Resource {
        name: "cpus".to_owned(),
        r#type: value::Type::Scalar.into(),
        scalar: Some(value::Scalar {
            value: slots as f64,
        }),
        ..Resource::default()
    }
}

fn slots_of(resources: &[Resource]) -> usize {
    let cpus = resources.iter().filter_map(|resource| resource.scalar);
    cpus.map(|scalar| scalar.value as usize).sum()
}
