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
    master::{Doorway, Fate, MasterHost, Realm},
    member::{self, MASTERS, RaftLinks, Roster},
    net::{Condition, Net, Place},
    operator::{self, Wish, Wishes},
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Run {
    pub seed: u64,
    pub planted: Planted,
    /// Ends it at this virtual time, as if something were wrong: to see what happened until then.
    pub until: Option<Duration>,
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

pub(crate) struct World {
    pub(crate) history: History,
    net: Net,
    pub(crate) roster: Roster,
    pub(crate) realm: Realm,
    random: Random,
    masters: Arc<Mutex<Vec<MasterHost>>>,
    wishes: Wishes,
    agents: Vec<AgentHost>,
    frameworks: Vec<FrameworkHost>,
    /// When each master that ended by itself is started again.
    restarts: BTreeMap<u64, Duration>,
    until: Duration,
}

/// What was seen since the last fault.
#[derive(Default)]
struct Since {
    /// Tasks of each framework that had run before.
    ran: Vec<u64>,
    /// Agents whose books were equal once: tasks come and go all the time.
    settled: BTreeSet<String>,
    /// What the first leader had applied.
    target: Option<u64>,
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
        let mut world = World::new(self, &schedule.founders, random);
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
    fn new(run: Run, founders: &[u64], mut random: Random) -> World {
        let (history, net, roster) = (History::default(), Net::default(), Roster::default());
        let planted = run.planted;
        let clock = Clock::simulated(OPENING_UNIX_NANOS);
        let realm = Realm {
            clock: clock.clone(),
            history: history.clone(),
            links: Arc::new(RaftLinks::new(&net, &mut random)),
            roster: roster.clone(),
            planted,
            election_timeout: member::election_timeout(run.seed),
            reigns: Arc::default(),
            group: founders
                .iter()
                .map(|id| operator::founder(*id))
                .map(|(id, name, _)| (id, name))
                .collect(),
        };
        let masters = founders
            .iter()
            .map(|id| MasterHost::new(*id, &format!("m{id}"), realm.clone(), random.fork()));
        let masters = Arc::new(Mutex::new(masters.collect()));
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
            roster,
            net,
            masters,
            wishes: Wishes::default(),
            agents,
            frameworks,
            restarts: BTreeMap::new(),
            history,
            realm,
            until: run.until.unwrap_or(Duration::MAX),
            random,
        };
        world.start_clients();
        world.start_all();
        world
    }

    /// Clients of the registry, and the operator.
    fn start_clients(&mut self) {
        for key in REGISTERS {
            let client = Client {
                key,
                roster: self.roster.clone(),
                history: self.history.clone(),
                planted: self.realm.planted,
            };
            tokio::task::spawn_local(client.clone().write(self.random.fork()));
            tokio::task::spawn_local(client.read(self.random.fork()));
        }
        let operator = self.wishes.clone();
        tokio::task::spawn_local(operator.serve(self.roster.clone(), self.random.fork()));
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

    pub(crate) fn hosts(&self) -> std::sync::MutexGuard<'_, Vec<MasterHost>> {
        self.masters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries a fault out.
    fn suffer(&mut self, fault: &Fault) {
        self.history.note(format!("{fault:?}"));
        match *fault {
            Fault::CrashMaster { id, kept } => self.master(id, |it| it.crash(kept)),
            Fault::TearRecord { id, bytes } => self.master(id, |it| it.tear(bytes)),
            Fault::StartMaster { id } => self.master(id, MasterHost::start_if_down),
            Fault::CrashAllMasters => self.hosts().iter_mut().for_each(|it| it.crash(0)),
            Fault::StopMaster { id, length } => {
                self.net.stop(Place::Master(id), Instant::now() + length);
                self.master(id, |it| it.stall(length));
            }
            Fault::StallDisk { id, length } => self.master(id, |it| it.stall(length)),
            Fault::FailSync { id, after } => self.master(id, |it| it.engine.fail_sync_after(after)),
            Fault::DiskFull { id, after } => {
                self.master(id, |it| it.engine.disk_full_after(Some(after)));
            }
            Fault::FlipBit { id, choice } => {
                if self.bears_a_loss() {
                    self.master(id, |it| it.rot(choice));
                }
            }
            Fault::LoseSynced { id, bytes } => {
                if self.bears_a_loss() {
                    self.master(id, |it| it.lose(bytes));
                }
            }
            Fault::CopyDisk { id } => self.master(id, MasterHost::copy_disk),
            Fault::SwapDisk { id, by } => self.swap_disk(id, by),
            Fault::Wish(wish) => self.wishes.add(wish),
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

    pub(crate) fn master(&self, id: u64, act: impl FnOnce(&mut MasterHost)) {
        if let Some(host) = self.hosts().iter_mut().find(|it| it.id == id) {
            act(host);
        }
    }

    fn link(&self, from: Place, to: Option<Place>, condition: Condition) {
        let masters = (1..=MASTERS).map(Place::Master);
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
        self.keep_machines();
        let now = Instant::now().into_std();
        let mut acting = Vec::new();
        for (id, member) in self.roster.running() {
            let mut status = member.consensus.status().borrow().clone();
            if status.role == Role::Leader {
                self.history
                    .observe(|seen| seen.leaders.elected(status.term, id));
            }
            if status.may_lead(now) {
                acting.push((id, status.term));
            }
            status.voters.sort_unstable();
            status.learners.sort_unstable();
            let group = (status.voters, status.learners);
            self.history
                .observe(|seen| seen.replicas.belongs(id, status.applied_index, group));
        }
        self.history.observe(|seen| seen.leaders.together(&acting));
        self.history.observe(|seen| seen.ledger.fits());
        if let Some(text) = panics::taken() {
            let invariant = "I20";
            self.history.observe(|_| Err(Broken { invariant, text }));
        }
        if self.history.now() >= self.until {
            let (invariant, text) = ("none", "the run was to end here".to_owned());
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

    /// There is a machine for each master that the group wants, and none for one that it has let go. Who has lost
    /// its disk is to be replaced.
    fn keep_machines(&mut self) {
        let Some(leader) = operator::leader(&self.roster) else {
            return;
        };
        let members = leader.reader.with(|it| it.members.clone());
        let wanted: Vec<u64> = members.keys().copied().collect();
        let status = leader.consensus.status().borrow().clone();
        let mut hosts = self.masters.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted.is_empty() {
            return;
        }
        for id in &wanted {
            if hosts.iter().all(|it| it.id != *id) {
                self.history.note(format!("a machine for master {id}"));
                let realm = self.realm.clone();
                let name = &members[id].name;
                let mut host = MasterHost::new(*id, name, realm, self.random.fork());
                host.claim(&leader.consensus);
                host.start();
                hosts.push(host);
            }
        }
        for host in hosts.iter_mut() {
            let is_member = status.has_member(host.id);
            match host.fate {
                Fate::Retired => {}
                _ if !wanted.contains(&host.id) => {
                    if !is_member {
                        self.history.note(format!("master {} is let go", host.id));
                        host.retire();
                    }
                }
                Fate::Lost => self.wishes.add(Wish::Replace(host.id)),
                Fate::Well | Fate::Harmed => {}
            }
        }
    }

    /// Ends all faults and waits until everybody is back; how long that took. Disks that lost something stay as they
    /// are: their masters are replaced, by the same means as before.
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
        let mut since = Since {
            ran: self.frameworks.iter().map(FrameworkHost::ran).collect(),
            ..Since::default()
        };
        loop {
            self.step().await?;
            let recovery = self.recovery(&mut since).await;
            let now = self.history.now();
            if recovery.is_whole() || now >= begin + HEAL {
                if !recovery.is_whole() {
                    self.history.note(self.roster.beliefs());
                }
                self.history.observe(|_| recovery.check());
                self.history
                    .observe(|seen| seen.failover.overdue(now, OVERDUE));
                self.step().await?;
                return Ok(now - begin);
            }
        }
    }

    async fn recovery(&self, since: &mut Since) -> Recovery {
        let door = open_doors(&self.masters).into_values().next();
        let mut recovery = Recovery {
            leader: door.is_some(),
            wishes: self.wishes.count(),
            ..Recovery::default()
        };
        for agent in &self.agents {
            if !agent.is_registered().await {
                recovery.agents_missing.push(agent.name());
            }
            if let (Some(door), Some(id)) = (&door, agent.agent_id()) {
                let heard = door.heard.lock().unwrap_or_else(PoisonError::into_inner);
                let here = self.history.read(|seen| seen.ledger.running(&agent.name()));
                if heard.books.running(&id) == here {
                    since.settled.insert(agent.name());
                }
            }
            if !since.settled.contains(&agent.name()) {
                recovery.unsettled.push(agent.name());
            }
        }
        for (framework, before) in self.frameworks.iter().zip(&since.ran) {
            if !framework.is_subscribed() {
                recovery.frameworks_missing.push(framework.name());
            }
            if framework.ran() == *before {
                recovery.idle.push(framework.name());
            }
        }
        if let Some(door) = door {
            recovery.masters_missing = self.masters_missing(door.member, since);
        }
        recovery
    }

    /// The masters that are wanted and do not run, have no vote or lag behind, and those that vote and are not
    /// wanted. `leader` is the member that leads.
    fn masters_missing(&self, leader: u64, since: &mut Since) -> Vec<u64> {
        let running = self.roster.running();
        let Some(leader) = running.get(&leader) else {
            return Vec::new();
        };
        let status = leader.consensus.status().borrow().clone();
        self.history
            .observe(|seen| seen.writes.last(status.applied_index));
        let target = *since.target.get_or_insert(status.applied_index);
        let mut wanted: Vec<u64> = leader
            .reader
            .with(|it| it.members.keys().copied().collect());
        let is_there = |id: &u64| {
            let member = running.get(id);
            let applied = member.map(|it| it.consensus.status().borrow().applied_index);
            status.voters.contains(id) && applied.is_some_and(|it| it >= target)
        };
        let voters = status.voters.iter().chain(&status.learners);
        let unwanted: Vec<u64> = voters.filter(|id| !wanted.contains(id)).copied().collect();
        wanted.retain(|id| !is_there(id));
        wanted.extend(unwanted);
        wanted
    }
}

fn open_doors(masters: &Mutex<Vec<MasterHost>>) -> BTreeMap<u64, Doorway> {
    let masters = masters.lock().unwrap_or_else(PoisonError::into_inner);
    let doors = masters.iter().filter_map(|it| Some((it.id, it.door()?)));
    doors.collect()
}
