//! The real actors of one term, wired as `apps/master` wires them, with the simulation's ears on their links.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tepui_allocator::{Allocator, AllocatorCore};
use tepui_kit::{
    Actor, Ask, AskError, Clock, Directory, Link, OnPanic, Random, Spawn, Tell, TellError, Teller,
};
use tepui_master_actor::{Master, MasterConfig, MasterLinks};
use tepui_messages::{
    allocator::WorldChange,
    change::Change,
    master::{Leads, Lease},
    registrar::{Commit, Committed},
    view::Follow,
};
use tepui_protocol::v1::{MasterInfo, Task};
use tepui_registrar::{Beginning, Registrar};
use tepui_view::{View, ViewConfig};
use tokio::{sync::mpsc, time::sleep};

use crate::{
    history::{History, digest},
    invariants::{ledger::Books, offers::Standing},
    member::Member,
    planted::Planted,
};

/// As in `apps/master`.
const MASTER_CAPACITY: usize = 100_000;
const ALLOCATOR_CAPACITY: usize = 1_000_000;
const VIEW_CAPACITY: usize = 100_000;
const REGISTRAR_CAPACITY: usize = 16_384;
const AGENT_REREGISTER_TIMEOUT: Duration = Duration::from_secs(600);
const AGENT_SILENCE_TIMEOUT: Duration = Duration::from_secs(75);
/// Of [`Planted::EvictEarly`].
const EARLY: Duration = Duration::from_secs(5);

/// An election, and which reign of this process it is for.
pub struct Elected {
    pub reign: u64,
    pub leads: Leads,
}

/// What all reigns of one process are made of.
pub struct Ground {
    pub id: u64,
    pub life: u64,
    pub clock: Clock,
    pub directory: Directory,
    pub member: Member,
    pub lease: Lease,
    pub history: History,
    pub planted: Option<Planted>,
    pub random: Mutex<Random>,
    /// Numbers reigns over the whole run.
    pub reigns: Arc<AtomicU64>,
}

/// What the simulation heard of one reign.
#[derive(Default)]
pub struct Heard {
    pub books: Books,
    pub offers: Standing,
}

pub struct Reign {
    pub number: u64,
    pub master: Link<Master>,
    allocator: Link<Allocator>,
    view: Link<View>,
    registrar: Link<Registrar>,
    pub heard: Arc<Mutex<Heard>>,
}

/// Hears the change stream on its way to the view.
struct Ear {
    view: Teller<Follow>,
    heard: Arc<Mutex<Heard>>,
    history: History,
}

impl Ear {
    fn note_task(&self, what: &str, task: &Task) {
        self.history.note(format!(
            "the master {what} {} on {}: {}",
            task.task_id.value,
            task.agent_id.value,
            task.state().as_str_name()
        ));
    }
}

impl Tell<Follow> for Ear {
    fn tell(&self, follow: Follow) -> Result<(), TellError> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.offers.next_batch();
        for numbered in &follow.0 {
            heard.books.follow(&numbered.change);
            match &numbered.change {
                Change::TaskAdded(task) => self.note_task("has", task),
                Change::TaskUpdated { task, .. } => self.note_task("believes", task),
                Change::OfferAdded(offer) => heard.offers.added(&offer.id.value),
                Change::OfferRemoved { offer_id, .. } => heard.offers.removed(&offer_id.value),
                Change::FrameworkRemoved { framework_id, .. } => {
                    let (id, now) = (&framework_id.value, self.history.now());
                    self.history.note(format!("{id} is removed"));
                    self.history.observe(|seen| seen.failover.removed(id, now));
                }
                _ => {}
            }
        }
        self.history.observe(|_| heard.books.balance());
        drop(heard);
        self.view.tell(follow)
    }
}

/// Hears what becomes of writes.
struct Clerk {
    registrar: Link<Registrar>,
    history: History,
    member: (u64, u64),
    planted: Option<Planted>,
}

impl Ask<Commit> for Clerk {
    fn ask(&self, commit: Commit) -> BoxFuture<'static, Result<Committed, AskError>> {
        let command = digest(&commit.0.encode());
        let (history, (member, life)) = (self.history.clone(), self.member);
        let written = self.registrar.ask(commit);
        let hasty = self.planted == Some(Planted::AcknowledgeBeforeCommit);
        Box::pin(async move {
            let written = if hasty {
                Ok(Committed::Applied)
            } else {
                written.await
            };
            if written == Ok(Committed::Applied) {
                history.observe(|seen| seen.writes.believed(command));
                history.observe(|seen| seen.fail_stop.speaks(member, life, "an acknowledgement"));
            }
            written
        })
    }
}

/// Passes changes of the world on to the allocator, or forgets some.
struct Crier {
    allocator: Teller<WorldChange>,
    planted: Option<Planted>,
}

impl Tell<WorldChange> for Crier {
    fn tell(&self, mut change: WorldChange) -> Result<(), TellError> {
        if self.planted == Some(Planted::ForgetWhatRuns) {
            match &mut change {
                WorldChange::AgentAdded { used, .. } => used.clear(),
                WorldChange::FrameworkAdded { used, .. } => used.clear(),
                WorldChange::Used { .. } => return Ok(()),
                _ => {}
            }
        }
        self.allocator.tell(change)
    }
}

struct Announce {
    reign: u64,
    elections: mpsc::UnboundedSender<Elected>,
}

impl Tell<Leads> for Announce {
    fn tell(&self, leads: Leads) -> Result<(), TellError> {
        let elected = Elected {
            reign: self.reign,
            leads,
        };
        self.elections.send(elected).map_err(|_| TellError::Closed)
    }
}

impl Reign {
    pub fn begin(ground: &Ground, first: bool, elections: &mpsc::UnboundedSender<Elected>) -> Self {
        let number = ground.reigns.fetch_add(1, Ordering::Relaxed) + 1;
        let spawn = |capacity| {
            let spawn = Spawn::new(&ground.directory);
            spawn.capacity(capacity).on_panic(OnPanic::Stop)
        };
        let heard: Arc<Mutex<Heard>> = Arc::default();
        heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .offers
            .reign = number;
        let master = spawn(MASTER_CAPACITY).prepare::<Master>();
        let random = ground
            .random
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fork();
        let core = AllocatorCore::new(&tepui_allocator::Config::default(), random)
            .expect("the default policy is known");
        let proposals = master.link().teller();
        let allocator =
            spawn(ALLOCATOR_CAPACITY).start_once(move || Allocator::new(core, proposals));
        let view = spawn(VIEW_CAPACITY).start_once(|| View::new(ViewConfig::default()));
        let registrar = spawn(REGISTRAR_CAPACITY).prepare::<Registrar>();
        let links = MasterLinks {
            allocator: Arc::new(Crier {
                allocator: allocator.teller(),
                planted: ground.planted,
            }),
            view: Arc::new(Ear {
                view: view.teller(),
                heard: Arc::clone(&heard),
                history: ground.history.clone(),
            }),
            registrar: Arc::new(Clerk {
                registrar: registrar.link(),
                history: ground.history.clone(),
                member: (ground.id, ground.life),
                planted: ground.planted,
            }),
            changes: Arc::default(),
            lease: Arc::clone(&ground.lease),
        };
        let config = config(ground, number);
        let master = master.start_once(move || Master::new(config, links));
        let announce = Announce {
            reign: number,
            elections: elections.clone(),
        };
        let beginning = Beginning {
            cluster_id: format!("cluster-{number}"),
            settle: !first,
        };
        let (member, reader) = (
            ground.member.consensus.clone(),
            ground.member.reader.clone(),
        );
        let registrar = registrar
            .start_once(move || Registrar::new(member, reader, Arc::new(announce), beginning));
        Self {
            number,
            master,
            allocator,
            view,
            registrar,
            heard,
        }
    }

    /// Asks all to end, at once.
    pub fn stop(&self) {
        self.master.stop();
        self.registrar.stop();
        self.allocator.stop();
        self.view.stop();
    }

    /// Ends all, and returns when nothing of it runs any more.
    pub async fn end(&self) {
        self.stop();
        ended(&self.master).await;
        ended(&self.registrar).await;
        ended(&self.allocator).await;
        ended(&self.view).await;
    }
}

async fn ended<A: Actor>(link: &Link<A>) {
    while !link.is_closed() {
        sleep(Duration::from_millis(1)).await;
    }
}

fn config(ground: &Ground, number: u64) -> MasterConfig {
    let early = ground.planted == Some(Planted::EvictEarly);
    let or_early = |patience| if early { EARLY } else { patience };
    MasterConfig {
        info: MasterInfo {
            // Ids of offers, frameworks and agents begin with it: no two reigns may give the same.
            id: format!("reign-{number}"),
            ..MasterInfo::default()
        },
        cluster: None,
        started_at: ground.clock.unix_nanos() as i64,
        agent_reregister_timeout: or_early(AGENT_REREGISTER_TIMEOUT),
        agent_silence_timeout: or_early(AGENT_SILENCE_TIMEOUT),
        removal_rate: None,
        roles: None,
        root_submissions: true,
        forgetting: Default::default(),
        rate_limits: Default::default(),
        traffic: Default::default(),
    }
}
