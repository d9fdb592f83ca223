//! Who may use which endpoint (docs/security.md). Every route has its rule here: one without does not compile.

use actix_web::http::header::HeaderMap;
use tepui_http::{Incoming, Realm, Reply};
use tepui_messages::view::LIMITING;
use tepui_protocol::acls::{Action, Subject};

use super::{MasterHttp, routes::Route};
use crate::security::Security;

/// What the web admin is called in `get_endpoints`.
const ADMIN: &str = "/admin";

/// Whose credentials an endpoint asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entrance {
    /// Nobody's, as in Mesos: what is told here every client and every part of ours must know before it calls.
    Open,
    Readonly,
    Readwrite,
    Scheduler,
}

/// What is asked of who entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Nothing, or what the handler itself asks: it knows the objects.
    Own,
    /// `get_endpoints`, for this path.
    Endpoint(&'static str),
    /// The same, and to be allowed to view everything: nothing can be left out of what it tells.
    Whole(&'static str),
}

impl Route {
    pub(super) fn access(self, method: &str) -> (Entrance, Rule) {
        use Entrance::{Open, Readonly, Readwrite, Scheduler};
        use Rule::{Endpoint, Own, Whole};
        // Our own endpoints read by GET, and change by POST.
        let by_method = match method {
            "GET" | "HEAD" => Readonly,
            _ => Readwrite,
        };
        match self {
            Route::Scheduler => (Scheduler, Own),
            Route::Operator
            | Route::Weights
            | Route::Quota
            | Route::MaintenanceSchedule
            | Route::MachineUp
            | Route::MachineDown
            | Route::Teardown
            | Route::Reserve
            | Route::Unreserve
            | Route::CreateVolumes
            | Route::DestroyVolumes => (Readwrite, Own),
            Route::State
            | Route::StateSummary
            | Route::Slaves
            | Route::AbsentAgents
            | Route::Frameworks
            | Route::Tasks
            | Route::Roles
            | Route::MaintenanceStatus
            | Route::Flags
            | Route::Registry
            | Route::Browse
            | Route::Read
            | Route::Download
            | Route::Processes => (Readonly, Own),
            Route::Snapshot => (Readonly, Endpoint("/metrics/snapshot")),
            Route::Prometheus => (Readonly, Endpoint("/metrics")),
            Route::Debug => (Readonly, Endpoint("/files/debug")),
            Route::Logging => (Readwrite, Endpoint("/logging/toggle")),
            Route::Offers => (Readonly, Whole("/tepui/v1/offers")),
            Route::Why => (Readonly, Whole("/tepui/v1/why")),
            Route::Exclusions => (Readonly, Whole("/allocator/offer_constraints_debug")),
            Route::Allocator => (by_method, Endpoint("/tepui/v1/allocator")),
            Route::Cluster => (by_method, Endpoint("/tepui/v1/cluster")),
            // All that is in the registry, to keep.
            Route::ClusterBackup => (Readwrite, Whole("/tepui/v1/cluster/backup")),
            Route::Health
            | Route::Redirect
            | Route::Version
            | Route::Stats
            | Route::Help
            | Route::Leader => (Open, Own),
        }
    }
}

impl MasterHttp {
    /// Who asks, where the route wants to know it.
    ///
    /// # Errors
    /// The 401 to answer.
    pub(super) fn authenticate(
        &self,
        route: Route,
        request: &Incoming,
    ) -> Result<Option<String>, Reply> {
        let (entrance, _) = route.access(&request.method);
        let realm = self.realm(entrance);
        realm.map_or(Ok(None), |realm| realm.enter(&request.headers))
    }

    fn realm(&self, entrance: Entrance) -> Option<&Realm> {
        match entrance {
            Entrance::Open => None,
            Entrance::Readonly => Some(&self.security.readonly),
            Entrance::Readwrite => Some(&self.security.readwrite),
            Entrance::Scheduler => Some(&self.security.scheduler),
        }
    }

    /// What the lists say of the route as such.
    ///
    /// # Errors
    /// The 403 to answer.
    pub(super) fn authorize(&self, route: Route, request: &Incoming) -> Result<(), Reply> {
        let (path, whole) = match route.access(&request.method) {
            (_, Rule::Own) => return Ok(()),
            (_, Rule::Endpoint(path)) => (path, false),
            (_, Rule::Whole(path)) => (path, true),
        };
        let subject = self.subject(request);
        let sees = !whole || !is_limited(&subject);
        expect(sees && subject.may(Action::GetEndpoints, Some(path)))
    }

    /// Who asks, with the lists that hold.
    pub(super) fn subject(&self, request: &Incoming) -> Subject {
        Subject {
            acls: self.security.acls.clone(),
            principal: request.principal.clone(),
        }
    }

    /// Who asks, if something must be kept from them.
    pub(super) fn viewer(&self, request: &Incoming) -> Option<Subject> {
        Some(self.subject(request)).filter(is_limited)
    }

    /// # Errors
    /// The 403 to answer.
    pub(super) fn expect_allowed(&self, request: &Incoming, action: Action) -> Result<(), Reply> {
        expect(self.subject(request).may(action, None))
    }

    /// `/files/*` of a master are its logs. Mesos answers without a text here.
    ///
    /// # Errors
    /// The 403 to answer.
    pub(super) fn expect_logs(&self, request: &Incoming) -> Result<(), Reply> {
        let allowed = self.subject(request).may(Action::AccessMesosLogs, None);
        allowed.then_some(()).ok_or_else(|| Reply::empty(403))
    }
}

/// Lets nobody to the pages that are mounted beside ours who may not read everything: they show all there is.
///
/// # Errors
/// The 401 or 403 to answer.
pub(super) fn enter_pages(security: &Security, headers: &HeaderMap) -> Result<(), Reply> {
    let principal = security.readonly.enter(headers)?;
    let subject = Subject {
        acls: security.acls.clone(),
        principal,
    };
    let reads = !is_limited(&subject) && subject.may_all(Action::AccessSandboxes);
    expect(reads && subject.may(Action::GetEndpoints, Some(ADMIN)))
}

fn is_limited(subject: &Subject) -> bool {
    LIMITING.iter().any(|action| !subject.may_all(*action))
}

fn expect(allowed: bool) -> Result<(), Reply> {
    allowed.then_some(()).ok_or_else(|| Reply::bare(403))
}
