//! The actors of one term and the ways to them: agents' connections, streams of schedulers, endpoints. They are made
//! ahead (by `wiring`), lead at most once, and end together, so that nothing a master believed outlives its lead.

use std::sync::{Arc, atomic::Ordering};

use futures_util::future::BoxFuture;
use tepui_consensus::Consensus;
use tepui_framework::Proxies;
use tepui_http::metrics::Number;
use tepui_kit::{Ask, AskError, Asker};
use tepui_messages::{traffic::Traffic, view::Query};
use tepui_protocol::v1::MasterInfo;
use tepui_registry::RegistryReader;
use tokio::task::JoinHandle;

use crate::{
    actors::Actors,
    bridge::Agents,
    cluster::Desk,
    ground::Ground,
    http::{Door, Facts, MasterHttp},
    readers::{Few, Readers},
};

/// See the module.
pub(crate) struct Reign {
    pub(crate) actors: Actors,
    pub(crate) agents: Arc<Agents>,
    pub(crate) proxies: Proxies,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) info: MasterInfo,
    /// Tells the allocator of the list of agents that are offered.
    pub(crate) lists: Option<JoinHandle<()>>,
}

impl Reign {
    /// The endpoints that reach these actors.
    pub(crate) fn http(&self, ground: &Ground) -> MasterHttp {
        let group = Arc::clone(&ground.group);
        let Actors {
            master,
            view,
            allocator,
            changes,
            registrar,
        } = &self.actors;
        let readers = Readers::of(view.asker(), view.asker());
        let few = Few::new();
        MasterHttp {
            scheduler: master.asker(),
            operator: master.asker(),
            subscribe: master.teller(),
            proxies: self.proxies.clone(),
            view: readers.clone(),
            allocator: few.asking(allocator.asker()),
            numbers: few.asking(allocator.asker()),
            exclusions: few.asking(allocator.asker()),
            policies: few.asking(allocator.asker()),
            commit: registrar.asker(),
            registrar: registrar.asker(),
            watch: readers,
            changes: Arc::clone(changes),
            traffic: Arc::clone(&self.traffic),
            directory: ground.directory.clone(),
            leadership: ground.leadership.clone(),
            facts: Facts {
                master: self.info.clone(),
                version: ground.version.clone(),
                flags: ground.view_config.flags.clone(),
                bridge: ground.group.bridge(),
            },
            security: ground.settings.security.clone(),
            files: ground.files.clone(),
            logging: ground.logging.clone(),
            limiter: Arc::clone(&ground.limiter),
            cluster: Arc::new(Desk {
                name: ground.settings.cluster.clone(),
                group: Arc::clone(&group),
                consensus: ground.consensus.clone(),
                registry: ground.reader.clone(),
                election_timeout: ground.settings.election_timeout,
            }),
            registry: registry_numbers(&ground.consensus),
            registry_size: registry_size(&ground.reader),
            cluster_id: Arc::new(move || group.cluster_id()),
        }
    }

    /// Ends all, and returns when nothing of it runs any more: agents are sent away, streams break, whoever asked
    /// hears that nobody is there.
    pub(crate) async fn end(self) {
        self.agents.end();
        self.proxies.end();
        if let Some(lists) = self.lists {
            lists.abort();
        }
        self.actors.end().await;
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

/// How many bytes the registry's records have.
fn registry_size(reader: &RegistryReader) -> Arc<dyn Fn() -> usize + Send + Sync> {
    let reader = reader.clone();
    Arc::new(move || reader.bytes())
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
