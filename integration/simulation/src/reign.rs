//! The real actors of one term, wired as `tepui_master::actors` wires them, with the simulation's ears on their links.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tepui_kit::{Ask, AskError, Asker, Clock, Directory, OnPanic, Random, Tell, TellError, Teller};
use tepui_master::{
    Patience,
    actors::{Actors, Making, Places},
    succession::Announce,
};
use tepui_master_actor::{MasterConfig, MasterLinks};
use tepui_messages::{
    allocator::WorldChange,
    change::Change,
    master::Lease,
    registrar::{Commit, Committed},
    view::Follow,
};
use tepui_protocol::v1::{MasterInfo, Task};
use tepui_registrar::Beginning;
use tepui_view::ViewConfig;

use crate::{
    history::{History, digest},
    invariants::{ledger::Books, offers::Standing},
    member::Member,
    planted::{Bug, Planted},
};

/// Of [`Bug::EvictEarly`].
const EARLY: Duration = Duration::from_secs(5);

/// What all reigns of one process are made of.
pub struct Ground {
    pub id: u64,
    pub life: u64,
    pub clock: Clock,
    pub directory: Directory,
    pub member: Member,
    pub lease: Lease,
    pub history: History,
    pub planted: Planted,
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
    /// Counts the reigns of the whole run, so that no two give the same ids.
    pub number: u64,
    pub actors: Actors,
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
                Change::OfferAdded { offer, .. } => heard.offers.added(&offer.id.value),
                Change::OfferRemoved { offer_id, .. } => heard.offers.removed(&offer_id.value),
                Change::FrameworkRemoved { framework_id, .. } => {
                    let (id, now) = (&framework_id.value, self.history.now());
                    self.history.note(format!("{id} is removed"));
                    self.history.observe(|seen| {
                        seen.ledger.removed(id);
                        seen.failover.removed(id, now)
                    });
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
    registrar: Asker<Commit>,
    history: History,
    member: (u64, u64),
    planted: Planted,
}

impl Ask<Commit> for Clerk {
    fn ask(&self, commit: Commit) -> BoxFuture<'static, Result<Committed, AskError>> {
        let command = digest(&commit.0.encode());
        let (history, (member, life)) = (self.history.clone(), self.member);
        let written = self.registrar.ask(commit);
        let hasty = self.planted.is(Bug::AcknowledgeBeforeCommit);
        Box::pin(async move {
            let written = if hasty {
                Ok(Committed::Applied)
            } else {
                written.await
            };
            if written == Ok(Committed::Applied) {
                history.observe(|seen| seen.writes.believed(command));
                let now = history.now();
                history.observe(|seen| {
                    let what = "an acknowledgement";
                    seen.fail_stop.heard(member, life, what, now)
                });
            }
            written
        })
    }
}

/// Passes changes of the world on to the allocator, or forgets some.
struct Crier {
    allocator: Teller<WorldChange>,
    planted: Planted,
}

impl Tell<WorldChange> for Crier {
    fn tell(&self, mut change: WorldChange) -> Result<(), TellError> {
        if self.planted.is(Bug::ForgetWhatRuns) {
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

impl Reign {
    /// `first` is the first one of its process.
    ///
    /// # Errors
    /// As [`Actors::begin`].
    pub fn begin(ground: &Ground, first: bool, announce: Announce) -> anyhow::Result<Self> {
        let number = ground.reigns.fetch_add(1, Ordering::Relaxed) + 1;
        let heard: Arc<Mutex<Heard>> = Arc::default();
        heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .offers
            .reign = number;
        let random = &mut ground.random.lock().unwrap_or_else(PoisonError::into_inner);
        let making = Making {
            directory: ground.directory.clone(),
            on_panic: OnPanic::Stop,
            places: Places::default(),
            master: config(ground, number),
            view: ViewConfig::default(),
            allocation: Default::default(),
            random: random.fork(),
            consensus: ground.member.consensus.clone(),
            reader: ground.member.reader.clone(),
            lease: Arc::clone(&ground.lease),
            room: Arc::new(|| None),
            beginning: Beginning {
                cluster_id: format!("cluster-{number}"),
                settle: !first,
            },
            elected: Arc::new(announce),
        };
        let actors = Actors::begin(making, |links| tapped(links, ground, &heard))?;
        Ok(Self {
            number,
            actors,
            heard,
        })
    }
}

fn tapped(links: MasterLinks, ground: &Ground, heard: &Arc<Mutex<Heard>>) -> MasterLinks {
    MasterLinks {
        allocator: Arc::new(Crier {
            allocator: links.allocator,
            planted: ground.planted,
        }),
        view: Arc::new(Ear {
            view: links.view,
            heard: Arc::clone(heard),
            history: ground.history.clone(),
        }),
        registrar: Arc::new(Clerk {
            registrar: links.registrar,
            history: ground.history.clone(),
            member: (ground.id, ground.life),
            planted: ground.planted,
        }),
        ..links
    }
}

fn config(ground: &Ground, number: u64) -> MasterConfig {
    let early = ground.planted.is(Bug::EvictEarly);
    let patience = Patience::default();
    let hasty = Patience {
        reregister: EARLY,
        ping: EARLY,
        pings: 1,
    };
    MasterConfig {
        info: MasterInfo {
            // Ids of offers, frameworks and agents begin with it: no two reigns may give the same.
            id: format!("reign-{number}"),
            ..MasterInfo::default()
        },
        cluster: None,
        started_at: ground.clock.unix_nanos() as i64,
        patience: if early { hasty } else { patience },
        removal_rate: None,
        roles: None,
        root_submissions: true,
        require_agent_domain: false,
        offer_timeout: None,
        allocation_interval: Duration::from_secs(1),
        forgetting: Default::default(),
        kept: Default::default(),
        rate_limits: Default::default(),
        traffic: Default::default(),
        acls: Default::default(),
    }
}
