//! One master's process: a member of the group, and reigns over it, which follow each other by the real rules.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::anyhow;
use tepui_consensus::{Consensus, ConsensusError, Identity, Role, Status};
use tepui_engine::{MemoryEngine, SharedEngine, keys::MASTER_FAMILIES};
use tepui_kit::{Clock, Directory, Link, Random};
use tepui_master::{
    steward,
    succession::{Announce, House, Succession},
};
use tepui_master_actor::Master;
use tokio::{sync::watch, task::AbortHandle};

use crate::{
    history::{History, ensure},
    member::{RaftLinks, Roster, Start},
    operator,
    planted::{Bug, Planted},
    reign::{Ground, Heard, Reign},
};

/// The way to a master that leads.
#[derive(Clone)]
pub struct Doorway {
    pub member: u64,
    pub term: u64,
    pub master: Link<Master>,
    pub heard: Arc<Mutex<Heard>>,
    /// True once the reign is over.
    pub over: watch::Receiver<bool>,
    pub alive: Arc<AtomicBool>,
}

impl Doorway {
    pub fn is_open(&self) -> bool {
        self.alive.load(Ordering::Relaxed) && !*self.over.borrow()
    }
}

/// What others see of a process.
#[derive(Default)]
struct Court {
    reign: Option<Arc<Reign>>,
    door: Option<Doorway>,
}

/// What all masters of a run share.
#[derive(Clone)]
pub struct Realm {
    pub clock: Clock,
    pub history: History,
    pub links: Arc<RaftLinks>,
    pub roster: Roster,
    pub planted: Planted,
    pub election_timeout: Duration,
    pub reigns: Arc<AtomicU64>,
    /// The founders, by id.
    pub group: BTreeMap<u64, String>,
}

struct Life {
    alive: Arc<AtomicBool>,
    consensus: Consensus,
    ground: Arc<Ground>,
    court: Arc<Mutex<Court>>,
    tasks: [AbortHandle; 3],
}

/// What became of a master's machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Well,
    /// Its disk lost or falsified something it had kept; the process may not have noticed yet.
    Harmed,
    /// The process refuses its disk: only another master can take its place.
    Lost,
    /// Its operator has taken it away.
    Retired,
}

pub struct MasterHost {
    pub id: u64,
    pub engine: MemoryEngine,
    pub fate: Fate,
    pub(crate) name: String,
    /// Numbers drawn for its disks.
    pub(crate) disks: u64,
    pub(crate) copy: Option<MemoryEngine>,
    pub(crate) realm: Realm,
    random: Random,
    lives: u64,
    life: Option<Life>,
    /// The last start failed, on a disk that may work again.
    failed: bool,
    pub stalled_until: Arc<AtomicU64>,
}

fn lock(court: &Mutex<Court>) -> MutexGuard<'_, Court> {
    court.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MasterHost {
    /// With an empty disk that is made its own.
    pub fn new(id: u64, name: &str, realm: Realm, random: Random) -> MasterHost {
        let mut host = MasterHost {
            id,
            name: name.to_owned(),
            disks: 0,
            copy: None,
            fate: Fate::Well,
            failed: false,
            engine: MemoryEngine::new(&MASTER_FAMILIES),
            realm,
            random,
            lives: 0,
            life: None,
            stalled_until: Arc::default(),
        };
        let group = host.realm.group.clone();
        host.own_disk(group);
        host
    }

    pub fn is_running(&self) -> bool {
        self.life.is_some()
    }

    /// Whether the process has ended by itself, as after a failed disk.
    pub fn has_ended(&self) -> bool {
        let status = self.life.as_ref().map(|life| life.consensus.status());
        self.failed || status.is_some_and(|status| status.borrow().stopped.is_some())
    }

    pub fn start(&mut self) {
        if matches!(self.fate, Fate::Lost | Fate::Retired) {
            return;
        }
        self.failed = false;
        let engine: SharedEngine = Arc::new(self.engine.clone());
        let identity = match Identity::read(&engine, &self.name) {
            Ok(Some(identity)) => identity,
            Ok(None) => {
                let text = "the owner is gone".to_owned();
                return self.refused(&ConsensusError::Damaged(text));
            }
            Err(error) => return self.refused(&error),
        };
        self.lives += 1;
        let alive = Arc::new(AtomicBool::new(true));
        let disk = identity.disk.clone();
        let member = Start {
            identity,
            life: self.lives,
            engine: &self.engine,
            alive: &alive,
            links: &self.realm.links,
            roster: &self.realm.roster,
            history: &self.realm.history,
            planted: self.realm.planted,
            election_timeout: self.realm.election_timeout,
            random: self.random.fork(),
            stalled_until: &self.stalled_until,
            clock: &self.realm.clock,
        };
        let member = match member.start() {
            Ok(member) => member,
            Err(error) => return self.refused(&error),
        };
        self.realm
            .history
            .note(format!("master {} starts", self.id));
        let (consensus, driver) = (member.consensus.clone(), member.driver.clone());
        let (status, living) = (consensus.status(), Arc::clone(&alive));
        let planted = self.realm.planted;
        let now = self.realm.clock.clone();
        let ground = Arc::new(Ground {
            id: self.id,
            life: self.lives,
            clock: self.realm.clock.clone(),
            directory: Directory::new(format!("m{}", self.id), self.realm.clock.clone()),
            member,
            lease: Arc::new(move || {
                let status = status.borrow();
                let may = match planted.is(Bug::ActWithoutLease) {
                    true => status.role == Role::Leader,
                    false => status.may_lead(now.now().into_std()),
                };
                (may && living.load(Ordering::Relaxed)).then_some(status.term)
            }),
            history: self.realm.history.clone(),
            planted,
            random: Mutex::new(self.random.fork()),
            reigns: Arc::clone(&self.realm.reigns),
        });
        let court: Arc<Mutex<Court>> = Arc::default();
        let throne = Throne {
            ground: Arc::clone(&ground),
            court: Arc::clone(&court),
            alive: Arc::clone(&alive),
            over: Mutex::new(watch::Sender::new(false)),
        };
        let throne = tokio::task::spawn_local(throne.run()).abort_handle();
        let steward = self.steward(&ground, disk);
        self.life = Some(Life {
            alive,
            consensus,
            ground,
            court,
            tasks: [driver, throne, steward],
        });
    }

    /// The real steward, with what it knows from this simulation's links.
    fn steward(&self, ground: &Arc<Ground>, own_disk: String) -> AbortHandle {
        let (realm, id) = (self.realm.clone(), self.id);
        let ground = Arc::clone(ground);
        let work = async move {
            let (consensus, reader) = (&ground.member.consensus, &ground.member.reader);
            let look = |status: &Status| {
                let running = realm.roster.running().into_keys();
                let reachable = running.filter(|other| realm.links.joins(id, *other));
                let reachable = reachable.collect();
                let founders = match realm.group.contains_key(&id) {
                    true => realm
                        .group
                        .keys()
                        .map(|id| operator::founder(*id))
                        .collect(),
                    false => Vec::new(),
                };
                reader.with(|registry| {
                    let own = registry.members.get(&id);
                    steward::next_step(&steward::Sight {
                        status,
                        registry,
                        founders,
                        own_address: own.map(|it| it.address.clone()).unwrap_or_default(),
                        own_disk: &own_disk,
                        reachable,
                    })
                })
            };
            steward::take_steps(consensus, look).await;
        };
        tokio::task::spawn_local(work).abort_handle()
    }

    /// A member that does not start. Disks lose only what was not synced here, unless they were harmed: whoever does
    /// not find its own again otherwise had not made sure of it.
    fn refused(&mut self, error: &ConsensusError) {
        self.realm
            .history
            .note(format!("master {} does not start: {error}", self.id));
        if matches!(error, ConsensusError::Engine(_)) {
            self.failed = true;
            return;
        }
        self.realm.history.observe(|_| {
            ensure("I2", self.fate == Fate::Harmed, || {
                format!("master {} does not find what it synced: {error}", self.id)
            })
        });
        if self.realm.planted.is(Bug::ComeBackEmpty) {
            self.engine = MemoryEngine::new(&MASTER_FAMILIES);
            self.own_disk(self.realm.group.clone());
            self.fate = Fate::Well;
            return self.start();
        }
        self.fate = Fate::Lost;
    }

    pub fn start_if_down(&mut self) {
        if !self.is_running() {
            self.start();
        }
    }

    /// The disk answers nobody for so long.
    pub fn stall(&self, length: Duration) {
        let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        let until = self.realm.clock.nanos().saturating_add(nanos);
        self.stalled_until.store(until, Ordering::Relaxed);
    }

    /// Its disk works from now on.
    pub fn mend(&mut self) {
        self.stalled_until.store(0, Ordering::Relaxed);
        self.engine.fail_sync_after(u64::MAX);
        self.engine.disk_full_after(None);
    }

    /// The machine dies; of the unsynced writes the oldest `kept` had reached the disk.
    pub fn crash(&mut self, kept: usize) {
        self.die();
        self.engine.crash_keeping(kept);
    }

    /// The machine dies while it writes: the last unsynced record is torn off.
    pub fn tear(&mut self, bytes: u64) {
        if self.die() {
            match self.engine.unsynced() {
                0 => self.engine.crash(),
                _ => self.engine.crash_tearing(bytes),
            }
        }
    }

    /// The machine dies, and so many bytes that it had synced are gone.
    pub fn lose(&mut self, bytes: u64) {
        self.die();
        self.engine.crash();
        self.engine.crash_tearing(bytes);
        self.fate = Fate::Harmed;
    }

    /// A bit of what it has kept flips.
    pub fn rot(&mut self, choice: u64) {
        if let Some((family, key)) = self.engine.damage_any(choice) {
            let (id, key) = (self.id, key.escape_ascii());
            self.realm.history.note(format!(
                "master {id}: a bit of {} {key} flips",
                family.name()
            ));
            self.fate = Fate::Harmed;
        }
    }

    /// Its operator takes it away for good.
    pub fn retire(&mut self) {
        self.crash(0);
        self.fate = Fate::Retired;
    }

    /// The process is gone; whether there was one.
    pub(crate) fn die(&mut self) -> bool {
        self.failed = false;
        let Some(life) = self.life.take() else {
            return false;
        };
        life.alive.store(false, Ordering::Relaxed);
        self.realm.roster.leave(self.id);
        life.tasks.iter().for_each(AbortHandle::abort);
        let mut court = lock(&life.court);
        court.door = None;
        if let Some(reign) = court.reign.take() {
            reign.actors.stop();
        }
        drop(court);
        self.realm
            .history
            .note(format!("master {} crashes", self.id));
        true
    }

    /// The way in, while this master leads and a majority confirms it.
    pub fn door(&self) -> Option<Doorway> {
        let life = self.life.as_ref()?;
        let door = lock(&life.court).door.clone()?;
        let confirmed = (life.ground.lease)() == Some(door.term);
        (confirmed && door.is_open()).then_some(door)
    }

    pub fn consensus(&self) -> Option<Consensus> {
        self.life.as_ref().map(|life| life.consensus.clone())
    }

    pub fn reader(&self) -> Option<tepui_registry::RegistryReader> {
        let life = self.life.as_ref();
        life.map(|life| life.ground.member.reader.clone())
    }
}

/// What shows of reigns in the simulation; `apps/master/src/throne.rs` stands there for it.
struct Throne {
    ground: Arc<Ground>,
    court: Arc<Mutex<Court>>,
    alive: Arc<AtomicBool>,
    /// Of the reign that leads, or led last.
    over: Mutex<watch::Sender<bool>>,
}

impl Throne {
    /// Runs until consensus has failed.
    async fn run(self) {
        let member = &self.ground.member;
        let (consensus, reader) = (member.consensus.clone(), member.reader.clone());
        let court = Arc::clone(&self.court);
        let history = self.ground.history.clone();
        let ended = match Succession::new(self, consensus, reader) {
            Ok(mut succession) => succession.run().await,
            Err(error) => error,
        };
        history.note(format!("{ended:#}"));
        if let Some(reign) = lock(&court).reign.take() {
            reign.actors.stop();
        }
    }

    fn over(&self) -> MutexGuard<'_, watch::Sender<bool>> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        lock(&self.court).door = None;
        self.over().send_replace(true);
    }
}

impl House for Throne {
    type Reign = Arc<Reign>;

    fn begin(&self, number: u64, announce: Announce) -> anyhow::Result<Arc<Reign>> {
        Reign::begin(&self.ground, number == 0, announce).map(Arc::new)
    }

    fn master<'a>(&self, reign: &'a Arc<Reign>) -> &'a Link<Master> {
        &reign.actors.master
    }

    fn seat(&self, reign: &Arc<Reign>) {
        lock(&self.court).reign = Some(Arc::clone(reign));
    }

    fn crown(&self, reign: &Arc<Reign>, term: u64) {
        self.ground.history.note(format!(
            "master {} leads in term {term}, reign {}",
            self.ground.id, reign.number
        ));
        let (over, is_over) = watch::channel(false);
        *self.over() = over;
        lock(&self.court).door = Some(Doorway {
            member: self.ground.id,
            term,
            master: reign.actors.master.clone(),
            heard: Arc::clone(&reign.heard),
            over: is_over,
            alive: Arc::clone(&self.alive),
        });
    }

    fn depose(&self, _: &Status) {
        self.close();
    }

    fn stand(&self, _: &Status) {}

    async fn end(&self, reign: Arc<Reign>) {
        reign.actors.end().await;
    }

    fn failed(&self, _status: &Status, reason: &str) -> anyhow::Error {
        self.close();
        anyhow!("master {} has stopped: {reason}", self.ground.id)
    }
}
