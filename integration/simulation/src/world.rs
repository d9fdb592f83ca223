//! A whole cluster in one thread on virtual time, and the run of one seed through it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tepui_consensus::Role;
use tepui_kit::{Clock, Random, stage::OPENING_UNIX_NANOS};
use tokio::{
    runtime,
    task::LocalSet,
    time::{Instant, sleep},
};

use crate::{
    agent::{AgentHost, Field},
    bridge::{Doors, Numbers},
    clients::Client,
    framework::{FrameworkHost, Stage},
    history::{Broken, History, Violation},
    invariants::liveness::Recovery,
    master::{Doorway, MasterHost, Realm},
    member::{MEMBERS, RaftLinks, Roster},
    net::{Condition, Net, Place},
    panics,
    planted::Planted,
    schedule::{AGENTS, FRAMEWORKS, Fault, Schedule, TROUBLE},
};

/// Invariants are looked at so often, besides at each thing that happens.
const STEP: Duration = Duration::from_millis(20);
/// After the last fault all must be back within this.
const HEAL: Duration = Duration::from_secs(90);
/// A process that ended by itself is started again after this.
const SUPERVISION: Duration = Duration::from_secs(1);
/// What a framework may be late to be removed: the longest time without a leader, and more.
const OVERDUE: Duration = Duration::from_secs(60);
/// One framework comes back whenever it likes, the other must hurry.
const TIMEOUTS: [Duration; FRAMEWORKS as usize] =
    [Duration::from_secs(3_600), Duration::from_secs(15)];
const REGISTERS: [&str; 2] = ["a", "b"];

/// One run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    pub seed: u64,
    pub planted: Option<Planted>,
}

/// What a run without a violation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub faults: usize,
    pub acknowledged_writes: usize,
    pub reads: usize,
    pub tasks: usize,
    pub healed_after: Duration,
    /// Equal for equal runs.
    pub digest: u64,
}

struct World {
    history: History,
    net: Net,
    roster: Roster,
    masters: Arc<Mutex<Vec<MasterHost>>>,
    agents: Vec<AgentHost>,
    frameworks: Vec<FrameworkHost>,
    /// When each master that ended by itself is started again.
    restarts: BTreeMap<u64, Duration>,
}

impl Run {
    /// Runs the seed.
    ///
    /// # Errors
    /// The first violation.
    ///
    /// # Panics
    /// If no runtime can be built.
    pub fn run(self) -> Result<Summary, Box<Violation>> {
        panics::watch();
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime on this thread needs only an epoll descriptor");
        let local = LocalSet::new();
        local.block_on(&runtime, self.go())
    }

    async fn go(self) -> Result<Summary, Box<Violation>> {
        let mut random = Random::seeded(self.seed);
        let schedule = Schedule::drawn(&mut random.fork());
        let mut world = World::new(self.planted, &mut random);
        let mut due = schedule.faults.iter().peekable();
        while world.history.now() < TROUBLE + Duration::from_secs(1) {
            while let Some((_, fault)) = due.next_if(|(at, _)| *at <= world.history.now()) {
                world.suffer(fault);
            }
            world.step().await?;
        }
        let healed_after = world.heal().await?;
        let (acknowledged_writes, reads, tasks) = world.history.read(|seen| {
            let tasks = seen.ledger.started_tasks();
            (seen.writes.count(), seen.reads.count(), tasks)
        });
        Ok(Summary {
            faults: schedule.faults.len(),
            acknowledged_writes,
            reads,
            tasks,
            healed_after,
            digest: world.history.digest(),
        })
    }
}

impl World {
    fn new(planted: Option<Planted>, random: &mut Random) -> World {
        let (history, net) = (History::default(), Net::default());
        let clock = Clock::simulated(OPENING_UNIX_NANOS);
        let roster = Roster::default();
        let realm = Realm {
            clock: clock.clone(),
            history: history.clone(),
            links: Arc::new(RaftLinks::new(&net, random)),
            roster: roster.clone(),
            planted,
            reigns: Arc::default(),
        };
        let masters = MEMBERS.map(|id| MasterHost::new(id, realm.clone(), random.fork()));
        let masters = Arc::new(Mutex::new(Vec::from(masters)));
        let known = Arc::downgrade(&masters);
        let doors: Doors = Arc::new(move || {
            let masters = known.upgrade();
            masters.map(|it| open_doors(&it)).unwrap_or_default()
        });
        let field = Field {
            clock,
            history: history.clone(),
            net: net.clone(),
            doors: Arc::clone(&doors),
            numbers: Numbers::default(),
            planted,
        };
        let stage = Stage {
            history: history.clone(),
            net: net.clone(),
            doors,
            planted,
        };
        let agents = (0..AGENTS)
            .map(|it| AgentHost::new(it, field.clone(), random.fork()))
            .collect();
        let frameworks = (0..FRAMEWORKS)
            .zip(TIMEOUTS)
            .map(|(it, timeout)| FrameworkHost::new(it, stage.clone(), timeout, random.fork()))
            .collect();
        let mut world = World {
            roster: roster.clone(),
            net,
            masters,
            agents,
            frameworks,
            restarts: BTreeMap::new(),
            history: history.clone(),
        };
        for key in REGISTERS {
            let client = Client {
                key,
                roster: roster.clone(),
                history: history.clone(),
                planted,
            };
            tokio::task::spawn_local(client.clone().write(random.fork()));
            tokio::task::spawn_local(client.read(random.fork()));
        }
        world.start_all();
        world
    }

    fn start_all(&mut self) {
        for master in self.hosts().iter_mut().filter(|it| !it.is_running()) {
            master.start();
        }
        for agent in self.agents.iter_mut().filter(|it| !it.is_running()) {
            agent.start();
        }
        for framework in self.frameworks.iter_mut().filter(|it| !it.is_running()) {
            framework.start();
        }
    }

    fn hosts(&self) -> std::sync::MutexGuard<'_, Vec<MasterHost>> {
        self.masters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries a fault out.
    fn suffer(&mut self, fault: &Fault) {
        self.history.note(format!("{fault:?}"));
        match *fault {
            Fault::CrashMaster { id, kept } => self.master(id, |it| it.crash(kept)),
            Fault::StartMaster { id } => self.master(id, MasterHost::start_if_down),
            Fault::CrashAllMasters => self.hosts().iter_mut().for_each(|it| it.crash(0)),
            Fault::StallDisk { id, length } => self.master(id, |it| it.stall(length)),
            Fault::FailSync { id, after } => self.master(id, |it| it.engine.fail_sync_after(after)),
            Fault::DiskFull { id, after } => {
                self.master(id, |it| it.engine.disk_full_after(Some(after)));
            }
            Fault::Link {
                from,
                to,
                condition,
            } => self.link(from, to, condition),
            Fault::MendLink { from, to } => self.link(from, to, Condition::default()),
            Fault::CrashAgent { number } => self.agents[number as usize].crash(),
            Fault::StartAgent { number } => self.agents[number as usize].start_if_down(),
            Fault::StopFramework { number } => self.frameworks[number as usize].stop(),
            Fault::StartFramework { number } => self.frameworks[number as usize].start_if_down(),
            Fault::FailOverFramework { number } => self.frameworks[number as usize].start(),
            Fault::EndOldScheduler { number } => self.frameworks[number as usize].stop_older(),
            Fault::TransferLead { to } => {
                for (_, member) in self.roster.running() {
                    // Without effect but for the leader.
                    let _ = member.consensus.transfer_leader(to);
                }
            }
        }
    }

    fn master(&self, id: u64, act: impl FnOnce(&mut MasterHost)) {
        if let Some(host) = self.hosts().iter_mut().find(|it| it.id == id) {
            act(host);
        }
    }

    fn link(&self, from: Place, to: Option<Place>, condition: Condition) {
        let masters = MEMBERS.iter().map(|id| Place::Master(*id));
        let all = masters
            .chain((0..AGENTS).map(Place::Agent))
            .chain((0..FRAMEWORKS).map(Place::Framework));
        for other in all.filter(|it| *it != from && to.is_none_or(|to| to == *it)) {
            self.net.set(from, other, condition);
        }
    }

    /// Lets time pass, and looks at what must hold at every moment.
    async fn step(&mut self) -> Result<(), Box<Violation>> {
        sleep(STEP).await;
        self.supervise();
        let now = Instant::now().into_std();
        let mut acting = Vec::new();
        for (id, member) in self.roster.running() {
            let status = member.consensus.status().borrow().clone();
            if status.role == Role::Leader {
                self.history
                    .observe(|seen| seen.leaders.elected(status.term, id));
            }
            if status.may_lead(now) {
                acting.push((id, status.term));
            }
        }
        self.history.observe(|seen| seen.leaders.together(&acting));
        let now = self.history.now();
        self.history.observe(|seen| seen.ledger.fits(now));
        if let Some(text) = panics::taken() {
            let invariant = "I20";
            self.history.observe(|_| Err(Broken { invariant, text }));
        }
        self.history
            .violation()
            .map_or(Ok(()), |it| Err(Box::new(it)))
    }

    /// Starts processes again that ended by themselves, on a disk that works.
    fn supervise(&mut self) {
        let now = self.history.now();
        let mut hosts = self.masters.lock().unwrap_or_else(PoisonError::into_inner);
        for host in hosts.iter_mut().filter(|it| it.has_ended()) {
            let at = *self.restarts.entry(host.id).or_insert(now + SUPERVISION);
            if now >= at {
                self.restarts.remove(&host.id);
                host.crash(0);
                host.engine.disk_full_after(None);
                host.start();
            }
        }
    }

    /// Ends all faults and waits until everybody is back; how long that took.
    async fn heal(&mut self) -> Result<Duration, Box<Violation>> {
        self.history.note("all faults end");
        let begin = self.history.now();
        self.net.heal();
        for host in self.hosts().iter_mut() {
            host.mend();
        }
        self.frameworks
            .iter_mut()
            .for_each(FrameworkHost::stop_older);
        self.start_all();
        let ran: Vec<u64> = self.frameworks.iter().map(FrameworkHost::ran).collect();
        let mut settled = BTreeSet::new();
        loop {
            self.step().await?;
            let recovery = self.recovery(&ran, &mut settled).await;
            let now = self.history.now();
            if recovery.is_whole() || now >= begin + HEAL {
                self.history.observe(|_| recovery.check());
                self.history
                    .observe(|seen| seen.failover.overdue(now, OVERDUE));
                self.step().await?;
                return Ok(now - begin);
            }
        }
    }

    async fn recovery(&self, ran: &[u64], settled: &mut BTreeSet<String>) -> Recovery {
        let door = open_doors(&self.masters).into_values().next();
        let mut recovery = Recovery {
            leader: door.is_some(),
            ..Recovery::default()
        };
        for agent in &self.agents {
            if !agent.is_registered().await {
                recovery.agents_missing.push(agent.name());
            }
            // Tasks come and go all the time: it is enough that the books were equal once.
            if let (Some(door), Some(id)) = (&door, agent.agent_id()) {
                let heard = door.heard.lock().unwrap_or_else(PoisonError::into_inner);
                let here = self.history.read(|seen| seen.ledger.running(&agent.name()));
                if heard.books.running(&id) == here {
                    settled.insert(agent.name());
                }
            }
            if !settled.contains(&agent.name()) {
                recovery.unsettled.push(agent.name());
            }
        }
        for (framework, before) in self.frameworks.iter().zip(ran) {
            if !framework.is_subscribed() {
                recovery.frameworks_missing.push(framework.name());
            }
            if framework.ran() == *before {
                recovery.idle.push(framework.name());
            }
        }
        if let Some(door) = door {
            let applied = self.roster.running().get(&door.member).map(|it| {
                let status = it.consensus.status();
                status.borrow().applied_index
            });
            self.history
                .observe(|seen| seen.writes.last(applied.unwrap_or(0)));
        }
        recovery
    }
}

fn open_doors(masters: &Mutex<Vec<MasterHost>>) -> BTreeMap<u64, Doorway> {
    let masters = masters.lock().unwrap_or_else(PoisonError::into_inner);
    let doors = masters.iter().filter_map(|it| Some((it.id, it.door()?)));
    doors.collect()
}
