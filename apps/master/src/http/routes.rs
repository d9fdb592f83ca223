//! The table of routes (Mesos: `Master::initialize`).

use tepui_http::{Found, Incoming, Reply, Table, audit, processes, system, version};
use tepui_messages::view::Question;

use super::{MasterHttp, pages};

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Scheduler,
    Operator,
    State,
    StateSummary,
    Slaves,
    AbsentAgents,
    Frameworks,
    Tasks,
    Roles,
    Weights,
    Quota,
    MaintenanceSchedule,
    MaintenanceStatus,
    MachineUp,
    MachineDown,
    Teardown,
    Reserve,
    Unreserve,
    CreateVolumes,
    DestroyVolumes,
    Flags,
    Health,
    Redirect,
    Registry,
    Version,
    Snapshot,
    Prometheus,
    Stats,
    Logging,
    Browse,
    Read,
    Download,
    Debug,
    Help,
    Processes,
    Leader,
    Cluster,
    ClusterBackup,
    Offers,
    Why,
    Exclusions,
    Allocator,
}

/// All of them.
pub(super) const TABLE: Table<Route> = Table {
    process: "master",
    own: &[
        ("api/v1", Route::Operator),
        ("api/v1/scheduler", Route::Scheduler),
        ("create-volumes", Route::CreateVolumes),
        ("destroy-volumes", Route::DestroyVolumes),
        ("flags", Route::Flags),
        ("frameworks", Route::Frameworks),
        ("health", Route::Health),
        ("machine/down", Route::MachineDown),
        ("machine/up", Route::MachineUp),
        ("maintenance/schedule", Route::MaintenanceSchedule),
        ("maintenance/status", Route::MaintenanceStatus),
        ("quota", Route::Quota),
        ("redirect", Route::Redirect),
        ("reserve", Route::Reserve),
        ("roles", Route::Roles),
        ("slaves", Route::Slaves),
        ("state", Route::State),
        ("state-summary", Route::StateSummary),
        ("tasks", Route::Tasks),
        ("teardown", Route::Teardown),
        ("unreserve", Route::Unreserve),
        ("weights", Route::Weights),
    ],
    others: &[
        ("__processes__", Route::Processes),
        ("allocator/offer_constraints_debug", Route::Exclusions),
        ("files/browse", Route::Browse),
        ("files/debug", Route::Debug),
        ("files/download", Route::Download),
        ("files/read", Route::Read),
        ("help", Route::Help),
        ("logging/toggle", Route::Logging),
        ("metrics", Route::Prometheus),
        ("metrics/snapshot", Route::Snapshot),
        ("registrar(1)/registry", Route::Registry),
        ("system/stats.json", Route::Stats),
        ("tepui/v1/absent-agents", Route::AbsentAgents),
        ("tepui/v1/allocator", Route::Allocator),
        ("tepui/v1/cluster", Route::Cluster),
        ("tepui/v1/cluster/backup", Route::ClusterBackup),
        ("tepui/v1/leader", Route::Leader),
        ("tepui/v1/offers", Route::Offers),
        ("tepui/v1/why", Route::Why),
        ("version", Route::Version),
    ],
};

impl Route {
    /// Whether only the leader answers. All others tell what is true of any master.
    pub(super) fn needs_leader(self) -> bool {
        !matches!(
            self,
            Route::Flags
                | Route::Health
                | Route::Redirect
                | Route::Registry
                | Route::Version
                | Route::Snapshot
                | Route::Prometheus
                | Route::Stats
                | Route::Logging
                | Route::Browse
                | Route::Read
                | Route::Download
                | Route::Debug
                | Route::Help
                | Route::Processes
                | Route::Leader
                | Route::Cluster
        )
    }
}

impl MasterHttp {
    pub(super) async fn route(
        &self,
        found: Found<'_, Route>,
        request: &Incoming,
    ) -> Result<Reply, Reply> {
        match found.route {
            Route::Scheduler => self.scheduler_call(request).await,
            Route::Operator => self.operator_call(request).await,
            Route::State => self.read(request, Question::State).await,
            Route::StateSummary => self.read(request, Question::StateSummary).await,
            Route::Slaves => self.slaves(request).await,
            Route::Frameworks => self.frameworks(request).await,
            Route::Tasks => self.tasks(request).await,
            Route::Roles => self.read(request, Question::Roles).await,
            Route::Weights => self.weights(request).await,
            Route::Quota => self.quota(request, found.rest).await,
            Route::MaintenanceSchedule => self.maintenance_schedule(request).await,
            Route::MaintenanceStatus => self.maintenance_status(request).await,
            Route::MachineUp => self.machines(request, true).await,
            Route::MachineDown => self.machines(request, false).await,
            Route::Teardown => self.teardown(request).await,
            Route::Reserve | Route::Unreserve | Route::CreateVolumes | Route::DestroyVolumes => {
                self.change_resources(request, found.route).await
            }
            Route::Registry => self.registry(request).await,
            Route::Snapshot => self.snapshot(request).await,
            Route::Prometheus => self.prometheus(found.rest).await,
            Route::Browse | Route::Read | Route::Download => self.file(found.route, request).await,
            Route::Debug => Ok(self.files.debug(request)),
            Route::Redirect => self.redirect(found.rest),
            Route::Flags => self.flags(request),
            Route::Health => Ok(Reply::empty(200)),
            Route::Version => Ok(version::version(&self.facts.version, request)),
            Route::Stats => Ok(system::stats(request)),
            Route::Logging => {
                let answer = Ok(self.logging.toggle(request));
                audit::change(request, "logging", &request.target, &answer);
                answer
            }
            Route::Help => Ok(pages::help(found.rest, request)),
            Route::Processes => Ok(processes::processes(&self.directory, request)),
            Route::Leader => self.leader(request).await,
            Route::Cluster => self.cluster(request).await,
            Route::ClusterBackup => self.cluster_backup(request).await,
            Route::Offers => self.offers(request).await,
            Route::AbsentAgents => self.absent_agents(request).await,
            Route::Allocator => self.allocator(request).await,
            Route::Exclusions => self.exclusions(request).await,
            Route::Why => self.why(request).await,
        }
    }

    async fn file(&self, route: Route, request: &Incoming) -> Result<Reply, Reply> {
        self.expect_logs(request)?;
        Ok(match route {
            Route::Browse => self.files.browse(request).await,
            Route::Read => self.files.read_text(request).await,
            _ => self.files.download(request).await,
        })
    }
}
