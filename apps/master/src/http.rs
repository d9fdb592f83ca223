//! The master's HTTP side: Mesos' scheduler API, operator API and old endpoints, with their texts.
//!
//! Owns routes, the order of refusals and the translation between HTTP and messages. Decides nothing:
//! calls go to the master, questions to the view, and what they answer is passed on.

mod access;
mod cluster;
mod discovery;
mod flags;
mod leading;
mod legacy;
mod metrics;
mod offering;
mod operator;
mod pages;
mod reads;
mod routes;
mod scheduler;
mod standing;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use actix_web::{
    HttpRequest, HttpResponse,
    guard::fn_guard,
    http::header::HeaderMap,
    web::{self, Payload, ServiceConfig},
};
use bytes::Bytes;
use tepui_framework::Proxies;
use tepui_http::{
    Files, Incoming, Logging, MediaType, Reply, ask,
    incoming::read_body,
    metrics::{Limiter, Number},
    percent,
};
use tepui_kit::{Asker, Directory, Teller};
use tepui_messages::{
    allocator::{AllocatorNumbers, Policies},
    master::{Answer, OperatorCall, SchedulerCall, Subscribe},
    registrar::{Commit, RegistrarNumbers},
    traffic::Traffic,
    view::{Encoding, Query, Question, Watch},
    why::{Explain, ListExclusions},
};
use tepui_protocol::{
    acls::Subject,
    v1::{MasterInfo, VersionInfo},
};

pub use cluster::{ClusterCall, Refusal};
pub use flags::MasterFlags;

use crate::{leadership::Leadership, security::Security};

/// Routes that another crate mounts before ours, such as the web admin's.
pub type Mount = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// What this master is, as it tells clients.
#[derive(Debug, Clone)]
pub struct Facts {
    pub master: MasterInfo,
    pub version: VersionInfo,
    /// Mesos' names of flags, and our values.
    pub flags: BTreeMap<String, String>,
    /// Where agents connect, `host:port`.
    pub bridge: String,
}

/// All that the endpoints reach. Each master actor has its own: another election of this process is another one.
pub struct MasterHttp {
    pub scheduler: Asker<SchedulerCall>,
    pub operator: Asker<OperatorCall>,
    pub subscribe: Teller<Subscribe>,
    /// Opens event streams, and tells the master of those that are lost.
    pub proxies: Proxies,
    pub view: Asker<Query>,
    /// Says what stands between a framework and offers.
    pub allocator: Asker<Explain>,
    /// Counts for the metrics.
    pub numbers: Asker<AllocatorNumbers>,
    /// Shows and changes the policies.
    pub policies: Asker<Policies>,
    /// Writes what was chosen to the registry.
    pub commit: Asker<Commit>,
    /// Counts for the metrics, too.
    pub registrar: Asker<RegistrarNumbers>,
    /// Lists what frameworks keep away from themselves.
    pub exclusions: Asker<ListExclusions>,
    pub watch: Asker<Watch>,
    /// The number of the last change.
    pub changes: Arc<AtomicU64>,
    /// Calls of schedulers, by principal.
    pub traffic: Arc<Traffic>,
    pub directory: Directory,
    pub leadership: Leadership,
    pub facts: Facts,
    /// Whom the endpoints let in, and what they may do.
    pub security: Security,
    pub files: Files,
    pub logging: Logging,
    pub limiter: Arc<Limiter>,
    /// Shows the group of masters, and takes changes of it.
    pub cluster: Asker<ClusterCall>,
    /// This member's counters of the replicated registry.
    pub registry: Arc<dyn Fn() -> Vec<Number> + Send + Sync>,
    /// Bytes of the registry.
    pub registry_size: Arc<dyn Fn() -> usize + Send + Sync>,
    /// The cluster's id, once it has one.
    pub cluster_id: Arc<dyn Fn() -> Option<String> + Send + Sync>,
}

/// Changes of one master, as a power of two: more than it can make in its life.
const CHANGE_BITS: u32 = 44;

/// Leads each request to the endpoints of the moment.
pub struct Door {
    current: RwLock<Arc<MasterHttp>>,
    /// How often the endpoints were replaced.
    replaced: AtomicU64,
}

impl Door {
    pub fn new(http: MasterHttp) -> Door {
        Door {
            current: RwLock::new(Arc::new(http)),
            replaced: AtomicU64::new(0),
        }
    }

    /// The endpoints of the moment; a request keeps to those it began with.
    pub fn current(&self) -> Arc<MasterHttp> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A number that is another one after each change, whichever master made it.
    pub(crate) fn change_number(&self) -> u64 {
        let replaced = self.replaced.load(Ordering::Acquire);
        replaced << CHANGE_BITS | self.current().changes.load(Ordering::Acquire)
    }

    pub(crate) fn replace(&self, http: MasterHttp) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(http);
        self.replaced.fetch_add(1, Ordering::Release);
    }
}

/// Puts everything on a server: first what `mount` brings, then ours as what is left. On a follower the page at `/`
/// is the leader's.
pub fn configure(config: &mut ServiceConfig, door: &Arc<Door>, mount: Option<&Mount>) {
    // The pages of a follower would show a cluster of nothing.
    let (looking, redirecting) = (Arc::clone(door), Arc::clone(door));
    let page = web::resource("/")
        .guard(fn_guard(move |_| {
            looking.current().leader_elsewhere().is_some()
        }))
        .to(move || {
            let leader = redirecting.current().leader_elsewhere();
            let location = leader.map_or_else(|| "/".to_string(), |leader| format!("//{leader}/"));
            async move { Reply::redirect(&location).into_response(&HeaderMap::new()) }
        });
    config.service(page);
    if let Some(mount) = mount {
        guard(config, door);
        mount(config);
    }
    let door = Arc::clone(door);
    config.default_service(web::to(move |request: HttpRequest, payload: Payload| {
        // Taken before the standing is looked at: see `throne`.
        let http = door.current();
        async move { http.respond(request, payload).await }
    }));
}

/// Stands before all that is mounted, whatever its paths: what is not in our table is answered by it, or not at all.
fn guard(config: &mut ServiceConfig, door: &Arc<Door>) {
    let (looking, refusing) = (Arc::clone(door), Arc::clone(door));
    let refused = web::resource("{path:.*}")
        .guard(fn_guard(move |context| {
            let (head, http) = (context.head(), looking.current());
            if access::enter_pages(&http.security, head.headers()).is_ok() {
                return false;
            }
            // Ours ask for themselves.
            let path = percent::decode(head.uri.path(), false);
            !path.is_ok_and(|path| routes::TABLE.find(&path).is_some())
        }))
        .to(move |request: HttpRequest| {
            let http = refusing.current();
            let entered = access::enter_pages(&http.security, request.headers());
            let reply = entered.map_or_else(|refused| refused, |()| Reply::bare(404));
            async move { reply.into_response(&HeaderMap::new()) }
        });
    config.service(refused);
}

impl MasterHttp {
    async fn respond(&self, request: HttpRequest, payload: Payload) -> HttpResponse {
        let reply = self.answer(&request, payload).await;
        let reply = reply.unwrap_or_else(|refused| refused);
        reply.into_response(request.headers())
    }

    async fn answer(&self, request: &HttpRequest, payload: Payload) -> Result<Reply, Reply> {
        let mut incoming = Incoming::head(request)?;
        let found = routes::TABLE.find(&incoming.path);
        // Nobody who may not call fills the memory.
        if let Some(found) = &found {
            incoming.principal = self.authenticate(found.route, &incoming)?;
        }
        // Read before anything else is refused, so that the connection can be used again.
        incoming.body = read_body(&incoming.headers, payload).await?;
        let Some(found) = found else {
            return if routes::TABLE.is_root(&incoming.path) {
                Ok(pages::root())
            } else {
                Err(Reply::bare(404))
            };
        };
        if found.route.needs_leader() {
            self.expect_leading(&incoming).await?;
        }
        self.authorize(found.route, &incoming)?;
        self.route(found, &incoming).await
    }

    /// Asks the view, once it knows all that was decided before now, for what `viewer` may see.
    async fn question(&self, question: Question, viewer: Option<Subject>) -> Result<Bytes, Reply> {
        let query = Query {
            after: self.changes.load(Ordering::Acquire),
            question,
            viewer,
            seat: None,
        };
        ask(&self.view, query).await
    }
}

/// What the master answered, as HTTP says it.
fn said(answer: Answer) -> Reply {
    match (answer.status, answer.text.is_empty()) {
        (status, true) if status < 300 => Reply::empty(status),
        (status, true) => Reply::bare(status),
        (status, false) => Reply::text(status, answer.text),
    }
}

fn encoding(media: MediaType) -> Encoding {
    match media {
        MediaType::Json => Encoding::Json,
        MediaType::Protobuf => Encoding::Protobuf,
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
