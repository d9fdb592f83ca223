//! The actors of one term: master, allocator, view, registrar and the streams of schedulers. They are made ahead (by
//! `wiring`), lead at most once, and end together, so that nothing a master believed outlives its lead.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tepui_allocator::Allocator;
use tepui_consensus::Consensus;
use tepui_framework::Proxies;
use tepui_http::metrics::Number;
use tepui_kit::{Actor, Ask, AskError, Asker, Link, Tell, TellError};
use tepui_master_actor::Master;
use tepui_messages::{master::Leads, traffic::Traffic, view::Query};
use tepui_protocol::v1::MasterInfo;
use tepui_registrar::Registrar;
use tepui_view::View;
use tokio::{sync::mpsc, time::sleep};

use crate::{
    bridge::Agents,
    cluster::Desk,
    ground::Ground,
    http::{Door, Facts, MasterHttp},
};

/// How often it is looked whether all actors have ended.
const END_LOOK: Duration = Duration::from_millis(1);

/// An election, and which reign of this process it is for.
pub(crate) struct Elected {
    pub(crate) reign: u64,
    pub(crate) leads: Leads,
}

/// See the module.
pub(crate) struct Reign {
    /// Counts the reigns of this process, from 0.
    pub(crate) number: u64,
    pub(crate) master: Link<Master>,
    pub(crate) agents: Arc<Agents>,
    pub(crate) allocator: Link<Allocator>,
    pub(crate) view: Link<View>,
    pub(crate) registrar: Link<Registrar>,
    pub(crate) proxies: Proxies,
    pub(crate) changes: Arc<AtomicU64>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) info: MasterInfo,
}

/// The registrar's way to say that this member leads: through the one place that decides on standings.
pub(crate) struct Announce {
    pub(crate) reign: u64,
    pub(crate) elections: mpsc::UnboundedSender<Elected>,
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
    /// The endpoints that reach these actors.
    pub(crate) fn http(&self, ground: &Ground) -> MasterHttp {
        let group = Arc::clone(&ground.group);
        MasterHttp {
            scheduler: self.master.asker(),
            operator: self.master.asker(),
            subscribe: self.master.teller(),
            proxies: self.proxies.clone(),
            view: self.view.asker(),
            watch: self.view.teller(),
            changes: Arc::clone(&self.changes),
            traffic: Arc::clone(&self.traffic),
            directory: ground.directory.clone(),
            leadership: ground.leadership.clone(),
            facts: Facts {
                master: self.info.clone(),
                version: ground.version.clone(),
                flags: ground.view_config.flags.clone(),
                bridge: ground.group.bridge(),
            },
            files: ground.files.clone(),
            logging: ground.logging.clone(),
            limiter: Arc::clone(&ground.limiter),
            cluster: Arc::new(Desk {
                group: Arc::clone(&group),
                consensus: ground.consensus.clone(),
                registry: ground.reader.clone(),
                election_timeout: ground.settings.election_timeout,
            }),
            registry: registry_numbers(&ground.consensus),
            cluster_id: Arc::new(move || group.cluster_id()),
        }
    }

    /// Ends all, and returns when nothing of it runs any more: agents are sent away, streams break, whoever asked
    /// hears that nobody is there.
    pub(crate) async fn end(self) {
        self.agents.end();
        self.proxies.end();
        self.master.stop();
        self.registrar.stop();
        self.allocator.stop();
        self.view.stop();
        ended(&self.master).await;
        ended(&self.registrar).await;
        ended(&self.allocator).await;
        ended(&self.view).await;
    }
}

async fn ended<A: Actor>(link: &Link<A>) {
    while !link.is_closed() {
        sleep(END_LOOK).await;
    }
}

/// What this member did since it started, as metrics. Syncs stay far below the rest where many write at once.
fn registry_numbers(consensus: &Consensus) -> Arc<dyn Fn() -> Vec<Number> + Send + Sync> {
    let status = consensus.status();
    Arc::new(move || {
        let counters = status.borrow().counters;
        vec![
            ("registry/proposals", counters.proposals as f64),
            ("registry/applied", counters.applied as f64),
            ("registry/syncs", counters.syncs as f64),
        ]
    })
}

/// The view of the moment, for pages that outlive it.
pub(crate) struct CurrentView(pub(crate) Arc<Door>);

impl Ask<Query> for CurrentView {
    fn ask(&self, mut query: Query) -> BoxFuture<'static, Result<bytes::Bytes, AskError>> {
        let http = self.0.current();
        // The number may be of an earlier view, and counts views: this one would wait for it in vain.
        query.after = query.after.min(http.changes.load(Ordering::Acquire));
        http.view.ask(query)
    }
}

impl CurrentView {
    pub(crate) fn asker(door: &Arc<Door>) -> Asker<Query> {
        Arc::new(CurrentView(Arc::clone(door)))
    }
}
