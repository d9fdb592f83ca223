//! A member of the group in virtual time: the real consensus and registry, without their thread.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tepui_consensus::{
    Consensus, ConsensusError, Driven, Identity, Options, StateError, StateMachine, Transport,
};
use tepui_engine::{Batch, Engine, MemoryEngine};
use tepui_kit::{Clock, Random};
use tepui_registry::{Command, RegistryMachine, RegistryReader};
use tokio::{
    task::AbortHandle,
    time::{Instant, sleep_until},
};

use crate::{
    disk::Disk,
    entrance::Papers,
    history::{History, digest},
    net::{Net, Pipe, Place},
    planted::{Bug, Planted},
};

/// The ids that a run gives at most: to founders, and to those that join or take another's place.
pub const MASTERS: u64 = 64;

const STALL_SLICE: Duration = Duration::from_millis(100);
/// Of [`Bug::SkipCommandOnOneMember`].
const SKIPPING_MEMBER: u64 = 2;
const SKIPPED_INDEX: u64 = 40;

/// The members that run, for what arrives.
#[derive(Clone, Default)]
pub struct Roster(Arc<Mutex<BTreeMap<u64, Running>>>);

/// A life of a member.
#[derive(Clone)]
pub struct Running {
    pub life: u64,
    pub consensus: Consensus,
    pub reader: RegistryReader,
    pub papers: Papers,
}

impl Roster {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn running(&self) -> BTreeMap<u64, Running> {
        self.lock().clone()
    }

    /// What each believes of the group, and whom it does not let in: a line each.
    pub fn beliefs(&self) -> String {
        let belief = |(id, member): (&u64, &Running)| {
            let it = member.consensus.status().borrow().clone();
            format!(
                "master {id}: {:?} of term {}, leader {:?}, voters {:?}, learners {:?}, log {} to {}, committed {}, applied {}",
                it.role,
                it.term,
                it.leader,
                it.voters,
                it.learners,
                it.first_index,
                it.last_index,
                it.committed_index,
                it.applied_index
            )
        };
        let members = self.running();
        let mut lines: Vec<String> = members.iter().map(belief).collect();
        for (id, member) in &members {
            for (other, who) in members.iter().filter(|(other, _)| *other != id) {
                if let Err(refusal) = member.papers.admit(&who.papers) {
                    lines.push(format!("master {id} does not let {other} in: {refusal}"));
                }
            }
        }
        lines.join("\n")
    }

    fn get(&self, id: u64) -> Option<Consensus> {
        self.lock().get(&id).map(|it| it.consensus.clone())
    }

    fn life(&self, id: u64) -> Option<u64> {
        self.lock().get(&id).map(|it| it.life)
    }

    pub fn leave(&self, id: u64) {
        self.lock().remove(&id);
    }
}

/// One ordered stream for each pair, whatever lives its ends have had.
pub struct RaftLinks {
    net: Net,
    pipes: Mutex<Pipes>,
    /// The lives in which two, the smaller id first, let each other in.
    met: Mutex<BTreeMap<(u64, u64), (u64, u64)>>,
}

struct Pipes {
    /// By sender and receiver.
    open: BTreeMap<(u64, u64), Pipe>,
    random: Random,
}

impl RaftLinks {
    pub fn new(net: &Net, random: &mut Random) -> RaftLinks {
        RaftLinks {
            net: net.clone(),
            pipes: Mutex::new(Pipes {
                open: BTreeMap::new(),
                random: random.fork(),
            }),
            met: Mutex::default(),
        }
    }

    fn get(&self, from: u64, to: u64) -> Pipe {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let Pipes { open, random } = &mut *pipes;
        let fresh = || {
            let (here, there) = (Place::Master(from), Place::Master(to));
            Pipe::open(&self.net, here, there, random.fork(), false)
        };
        open.entry((from, to)).or_insert_with(fresh).clone()
    }

    /// Whether two masters have let each other in, in the lives they have; where they have not, they meet now.
    ///
    /// # Errors
    /// What the one that refuses says; or that one is not there.
    pub fn meet(
        &self,
        one: u64,
        other: u64,
        roster: &Roster,
        planted: Planted,
    ) -> Result<(), String> {
        let pair = (one.min(other), one.max(other));
        let (here, there) = {
            let roster = roster.lock();
            let (Some(here), Some(there)) = (roster.get(&pair.0), roster.get(&pair.1)) else {
                return Err("one of the two does not run".to_owned());
            };
            (here.clone(), there.clone())
        };
        let lives = (here.life, there.life);
        let known = |met: &BTreeMap<_, _>| met.get(&pair) == Some(&lives);
        if known(&self.met.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        if !self.joins(one, other) {
            return Err("there is no way between them".to_owned());
        }
        // Nobody would let in who comes back empty, either.
        let trusts = planted.is(Bug::TrustDisks) || planted.is(Bug::ComeBackEmpty);
        if !trusts {
            here.papers.admit(&there.papers)?;
            there.papers.admit(&here.papers)?;
        }
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.insert(pair, lives);
        Ok(())
    }

    /// Whether the two have a connection.
    pub fn joins(&self, from: u64, to: u64) -> bool {
        self.net.joins(Place::Master(from), Place::Master(to))
    }
}

struct Way {
    planted: Planted,
    from: u64,
    life: u64,
    alive: Arc<AtomicBool>,
    links: Arc<RaftLinks>,
    roster: Roster,
    history: History,
}

impl Transport for Way {
    fn send(&self, to: u64, message: Bytes) {
        if !self.alive.load(Ordering::Relaxed) {
            return;
        }
        self.history.observe(|seen| {
            seen.fail_stop
                .speaks(self.from, self.life, "a message of Raft")
        });
        let met = self.links.meet(self.from, to, &self.roster, self.planted);
        if met.is_err() {
            return;
        }
        let pipe = self.links.get(self.from, to);
        let (roster, meant) = (self.roster.clone(), self.roster.life(to));
        pipe.send(move || {
            // The connection to an earlier life of the receiver is gone with it.
            if roster.life(to) == meant
                && let Some(member) = roster.get(to)
            {
                // A full inbox loses it, which raft bears.
                let _ = member.step(message.clone());
            }
        });
    }
}

/// The registry's state machine, watched.
struct Watched {
    machine: RegistryMachine,
    history: History,
    member: u64,
    planted: Planted,
}

impl StateMachine for Watched {
    fn load(&mut self, engine: &dyn Engine) -> Result<(), StateError> {
        self.machine.load(engine)
    }

    fn check(&self, command: &[u8]) -> Result<(), String> {
        self.machine.check(command)
    }

    fn apply(
        &mut self,
        index: u64,
        command: &[u8],
        batch: &mut Batch,
    ) -> Result<Bytes, StateError> {
        let skips = self.planted.is(Bug::SkipCommandOnOneMember)
            && self.member == SKIPPING_MEMBER
            && index.is_multiple_of(SKIPPED_INDEX);
        let outcome = if skips {
            Bytes::from_static(&[0])
        } else {
            self.machine.apply(index, command, batch)?
        };
        let (known, state) = (digest(command), digest(&self.machine.snapshot()));
        let (member, now) = (self.member, self.history.now());
        self.history
            .observe(|seen| seen.writes.applied(member, index, known));
        self.history
            .observe(|seen| seen.replicas.reached(member, index, state));
        if let Ok(Command::MarkUnreachable { id, .. }) = Command::decode(command) {
            self.history
                .observe(|seen| seen.eviction.given_up(&id, now));
        }
        Ok(outcome)
    }

    fn snapshot(&self) -> Bytes {
        self.machine.snapshot()
    }

    fn restore(&mut self, snapshot: &[u8], batch: &mut Batch) -> Result<(), StateError> {
        self.history
            .note(format!("master {} installs a snapshot", self.member));
        self.machine.restore(snapshot, batch)
    }
}

/// Of a run's group: the default one, or a longer one, since leaders that stay do not hide what only another election would repair.
pub fn election_timeout(seed: u64) -> Duration {
    match seed % 2 {
        0 => Options::DEFAULT_ELECTION_TIMEOUT,
        _ => Duration::from_millis(500),
    }
}

/// What a member is started with.
pub struct Start<'a> {
    pub identity: Identity,
    pub life: u64,
    pub engine: &'a MemoryEngine,
    pub alive: &'a Arc<AtomicBool>,
    pub links: &'a Arc<RaftLinks>,
    pub roster: &'a Roster,
    pub history: &'a History,
    pub planted: Planted,
    /// The same for all of a group.
    pub election_timeout: Duration,
    pub random: Random,
    /// Nanoseconds of [`Clock::nanos`] until which the disk answers nobody.
    pub stalled_until: &'a Arc<AtomicU64>,
    pub clock: &'a Clock,
}

/// A running member.
pub struct Member {
    pub consensus: Consensus,
    pub reader: RegistryReader,
    pub driver: AbortHandle,
}

impl Start<'_> {
    pub fn start(mut self) -> Result<Member, ConsensusError> {
        let disk = Disk {
            engine: self.engine.clone(),
            alive: Arc::clone(self.alive),
            history: self.history.clone(),
            planted: self.planted,
            member: self.identity.node_id,
            life: self.life,
        };
        let machine = RegistryMachine::new();
        let reader = machine.reader();
        let watched = Watched {
            machine,
            history: self.history.clone(),
            member: self.identity.node_id,
            planted: self.planted,
        };
        let way = Way {
            planted: self.planted,
            from: self.identity.node_id,
            life: self.life,
            alive: Arc::clone(self.alive),
            links: Arc::clone(self.links),
            roster: self.roster.clone(),
            history: self.history.clone(),
        };
        let options = self.options();
        let now = Instant::now().into_std();
        let (consensus, driven) =
            Consensus::driven(options, Arc::new(disk), watched, Arc::new(way), now)?;
        let running = Running {
            life: self.life,
            consensus: consensus.clone(),
            reader: reader.clone(),
            papers: Papers {
                identity: self.identity.clone(),
                engine: self.engine.clone(),
                reader: reader.clone(),
                consensus: consensus.clone(),
            },
        };
        let id = self.identity.node_id;
        self.roster.lock().insert(id, running);
        let work = drive(driven, self.clock.clone(), Arc::clone(self.stalled_until));
        Ok(Member {
            consensus,
            reader,
            driver: tokio::task::spawn_local(work).abort_handle(),
        })
    }

    /// Small logs, so that snapshots are part of every run.
    fn options(&mut self) -> Options {
        let id = self.identity.node_id;
        let options = Options::new(id, &self.identity.first_voters());
        let options = options.with_election_timeout(self.election_timeout);
        // Never the same for two members, or they could stand for election together for ever.
        let wait = options.election_ticks as u64 + 2 * id + self.random.below(2);
        Options {
            fixed_election_ticks: Some(wait as usize),
            compact_after_entries: 60,
            keep_entries: 20,
            snapshot_timeout: match self.planted.is(Bug::LoseSnapshot) {
                true => Duration::from_secs(86_400),
                false => Duration::from_secs(3),
            },
            ..options
        }
    }
}

/// Stands for the thread: turns when something arrives and when a tick is due.
async fn drive(mut driven: Driven, clock: Clock, stalled_until: Arc<AtomicU64>) {
    loop {
        let due = Instant::from_std(driven.next_tick());
        tokio::select! {
            biased;
            () = driven.arrival() => {}
            () = sleep_until(due) => {}
        }
        loop {
            let until = clock.instant_at(stalled_until.load(Ordering::Relaxed));
            if until <= Instant::now() {
                break;
            }
            // In slices: it may go on earlier.
            sleep_until(until.min(Instant::now() + STALL_SLICE)).await;
        }
        if !driven.turn(Instant::now().into_std()) {
            return;
        }
    }
}
