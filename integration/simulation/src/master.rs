//! One master's process: a member of the group, and reigns over it. Who leads is decided as in
//! `apps/master/src/throne.rs`, whose rules are restated here: that file is bound to HTTP, the bridge and threads.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tepui_consensus::{Consensus, ConsensusError, Role, Status};
use tepui_engine::{MemoryEngine, keys::MASTER_FAMILIES};
use tepui_kit::{Clock, Directory, Link, Random, Tell};
use tepui_master_actor::Master;
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
    time::sleep,
};

use crate::{
    history::{History, ensure},
    member::{RaftLinks, Roster, Start},
    planted::Planted,
    reign::{Elected, Ground, Heard, Reign},
};

const LOOK_INTERVAL: Duration = Duration::from_millis(50);

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
    pub planted: Option<Planted>,
    pub reigns: Arc<AtomicU64>,
}

struct Life {
    alive: Arc<AtomicBool>,
    consensus: Consensus,
    ground: Arc<Ground>,
    court: Arc<Mutex<Court>>,
    tasks: [AbortHandle; 2],
}

pub struct MasterHost {
    pub id: u64,
    pub engine: MemoryEngine,
    realm: Realm,
    random: Random,
    lives: u64,
    life: Option<Life>,
    pub stalled_until: Arc<AtomicU64>,
}

fn lock(court: &Mutex<Court>) -> MutexGuard<'_, Court> {
    court.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MasterHost {
    pub fn new(id: u64, realm: Realm, random: Random) -> MasterHost {
        MasterHost {
            id,
            engine: MemoryEngine::new(&MASTER_FAMILIES),
            realm,
            random,
            lives: 0,
            life: None,
            stalled_until: Arc::default(),
        }
    }

    pub fn is_running(&self) -> bool {
        self.life.is_some()
    }

    /// Whether the process has ended by itself, as after a failed disk.
    pub fn has_ended(&self) -> bool {
        let status = self.life.as_ref().map(|life| life.consensus.status());
        status.is_some_and(|status| status.borrow().stopped.is_some())
    }

    pub fn start(&mut self) {
        self.lives += 1;
        let alive = Arc::new(AtomicBool::new(true));
        let member = Start {
            id: self.id,
            life: self.lives,
            engine: &self.engine,
            alive: &alive,
            links: &self.realm.links,
            roster: &self.realm.roster,
            history: &self.realm.history,
            planted: self.realm.planted,
            random: self.random.fork(),
            stalled_until: &self.stalled_until,
            clock: &self.realm.clock,
        };
        let member = match member.start() {
            Ok(member) => member,
            Err(error) => return self.lost(&error),
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
                let may = match planted {
                    Some(Planted::ActWithoutLease) => status.role == Role::Leader,
                    _ => status.may_lead(now.now().into_std()),
                };
                (may && living.load(Ordering::Relaxed)).then_some(status.term)
            }),
            history: self.realm.history.clone(),
            planted,
            random: Mutex::new(self.random.fork()),
            reigns: Arc::clone(&self.realm.reigns),
        });
        let court: Arc<Mutex<Court>> = Arc::default();
        let throne = Throne::new(Arc::clone(&ground), Arc::clone(&court), Arc::clone(&alive));
        let throne = tokio::task::spawn_local(throne.run()).abort_handle();
        self.life = Some(Life {
            alive,
            consensus,
            ground,
            court,
            tasks: [driver, throne],
        });
    }

    /// Disks lose only what was not synced here: whoever does not find its own again had not made sure of it.
    fn lost(&self, error: &ConsensusError) {
        self.realm.history.observe(|_| {
            ensure("I2", false, || {
                format!("master {} does not find what it synced: {error}", self.id)
            })
        });
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
        let Some(life) = self.life.take() else {
            return;
        };
        life.alive.store(false, Ordering::Relaxed);
        self.realm.roster.leave(self.id);
        life.tasks.iter().for_each(AbortHandle::abort);
        let mut court = lock(&life.court);
        court.door = None;
        if let Some(reign) = court.reign.take() {
            reign.stop();
        }
        self.engine.crash_keeping(kept);
        self.realm
            .history
            .note(format!("master {} crashes", self.id));
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

/// See `apps/master/src/throne.rs`.
struct Throne {
    ground: Arc<Ground>,
    court: Arc<Mutex<Court>>,
    alive: Arc<AtomicBool>,
    reign: Arc<Reign>,
    over: watch::Sender<bool>,
    leads: Option<u64>,
    elections: mpsc::UnboundedReceiver<Elected>,
    announce: mpsc::UnboundedSender<Elected>,
}

impl Throne {
    fn new(ground: Arc<Ground>, court: Arc<Mutex<Court>>, alive: Arc<AtomicBool>) -> Throne {
        let (announce, elections) = mpsc::unbounded_channel();
        let reign = Arc::new(Reign::begin(&ground, true, &announce));
        lock(&court).reign = Some(Arc::clone(&reign));
        Throne {
            ground,
            court,
            alive,
            reign,
            over: watch::Sender::new(false),
            leads: None,
            elections,
            announce,
        }
    }

    async fn run(mut self) {
        let mut status = self.ground.member.consensus.status();
        loop {
            let now = status.borrow_and_update().clone();
            if now.stopped.is_some() {
                self.close();
                return self.reign.stop();
            }
            let over = |term| now.role != Role::Leader || now.term != term;
            if self.reign.master.is_closed() || self.leads.is_some_and(over) {
                self.renew().await;
            }
            tokio::select! {
                biased;
                Some(elected) = self.elections.recv() => self.elect(elected).await,
                changed = status.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = sleep(LOOK_INTERVAL) => {}
            }
        }
    }

    async fn elect(&mut self, elected: Elected) {
        if self.reign.number != elected.reign {
            return;
        }
        let status: Status = self.ground.member.consensus.status().borrow().clone();
        let term = elected.leads.term;
        let stale = status.role != Role::Leader || status.term != term;
        if stale || self.reign.master.tell(elected.leads).is_err() {
            return self.renew().await;
        }
        self.leads = Some(term);
        self.ground.history.note(format!(
            "master {} leads in term {term}, reign {}",
            self.ground.id, self.reign.number
        ));
        lock(&self.court).door = Some(Doorway {
            member: self.ground.id,
            term,
            master: self.reign.master.clone(),
            heard: Arc::clone(&self.reign.heard),
            over: self.over.subscribe(),
            alive: Arc::clone(&self.alive),
        });
    }

    fn close(&mut self) {
        lock(&self.court).door = None;
        self.over.send_replace(true);
        self.over = watch::Sender::new(false);
        self.leads = None;
    }

    async fn renew(&mut self) {
        self.close();
        self.reign.end().await;
        self.reign = Arc::new(Reign::begin(&self.ground, false, &self.announce));
        lock(&self.court).reign = Some(Arc::clone(&self.reign));
    }
}
