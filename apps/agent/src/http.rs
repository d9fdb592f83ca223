//! The agent's HTTP side: which route means what. Owns no state of its own; the node answers, and what it says is
//! written the way Mesos' agent writes it.

mod access;
mod attach;
mod bearer;
mod calls;
mod containers;
mod executor;
mod flags;
mod input;
mod metrics;
mod negotiation;
mod sandboxes;
mod state;
mod values;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Once},
};

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use tepui_containers::volume_gids::VolumeGids;
use tepui_http::{
    Files, Found, Incoming, Logging, Reply, Table, audit, deadline, help, incoming::read_body,
    metrics as common, processes, system, version,
};
use tepui_kit::{Ask, AskError, Asker, Directory, Message, within};
use tepui_messages::{
    UnixNanos,
    agent::{ContainerUsage, ContainerUsageRecord, GetNodeState, NodePhase, NodeState},
};
use tepui_node::fetcher::Fetcher;
use tepui_protocol::{
    acls::{Action, Subject},
    v1::{VersionInfo, agent_info},
};

use crate::Security;
pub(crate) use crate::node::Node;
use crate::provisioner::Provisioner;
use crate::sweeping::{AllowedAge, Removals};
use access::Caller;
pub(crate) use attach::Sockets;
pub(crate) use flags::{Circumstances, flags};
use sandboxes::LOG;
pub(crate) use sandboxes::Sandboxes;

/// What paths of messages of libprocess contain.
const OF_THE_DRIVER: &str = "/mesos.internal.";

/// What is behind the endpoints. Clones are the same agent.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) node: Arc<dyn Node>,
    pub(crate) facts: Arc<Facts>,
    pub(crate) files: Sandboxes,
    pub(crate) logging: Logging,
    pub(crate) directory: Directory,
    pub(crate) limiter: Arc<common::Limiter>,
    pub(crate) sockets: Sockets,
    /// `None` where there are none.
    pub(crate) images: Option<Provisioner>,
    /// Nothing is answered but what executors ask.
    pub(crate) only_executors: bool,
}

/// What does not change while the agent runs.
pub(crate) struct Facts {
    /// `slave(1)@ip:port`.
    pub(crate) pid: String,
    pub(crate) capabilities: Vec<agent_info::Capability>,
    /// By Mesos' names.
    pub(crate) flags: BTreeMap<String, String>,
    pub(crate) version: VersionInfo,
    pub(crate) started_at: UnixNanos,
    pub(crate) launch_errors: Arc<crate::runtime::Errors>,
    /// Of sandboxes.
    pub(crate) allowed_age: Arc<AllowedAge>,
    /// Of them, too.
    pub(crate) removals: Arc<Removals>,
    /// For its numbers.
    pub(crate) fetcher: Fetcher,
    /// For theirs.
    pub(crate) volume_gids: Option<Arc<VolumeGids>>,
    /// Whom the endpoints let in, and what they may do.
    pub(crate) security: Security,
    /// Paths that the operator switched off (`--firewall_rules`).
    pub(crate) disabled_endpoints: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy)]
enum Route {
    Executor,
    Call,
    State,
    Containers,
    Statistics,
    ContainerizerDebug,
    Flags,
    Health,
    Version,
    Metrics,
    Prometheus,
    Browse,
    Read,
    Download,
    FilesDebug,
    SystemStats,
    LoggingToggle,
    Help,
    Processes,
}

const TABLE: Table<Route> = Table {
    process: "slave(1)",
    own: &[
        ("api/v1/executor", Route::Executor),
        ("api/v1", Route::Call),
        ("state", Route::State),
        ("containers", Route::Containers),
        ("monitor/statistics", Route::Statistics),
        ("containerizer/debug", Route::ContainerizerDebug),
        ("flags", Route::Flags),
        ("health", Route::Health),
    ],
    others: &[
        ("version", Route::Version),
        ("metrics/snapshot", Route::Metrics),
        ("metrics", Route::Prometheus),
        ("files/browse", Route::Browse),
        ("files/read", Route::Read),
        ("files/download", Route::Download),
        ("files/debug", Route::FilesDebug),
        ("system/stats.json", Route::SystemStats),
        ("logging/toggle", Route::LoggingToggle),
        ("help", Route::Help),
        ("__processes__", Route::Processes),
    ],
};

impl Api {
    /// Registers the one handler behind all paths.
    pub(crate) fn configure(self) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
        move |config| {
            config
                .app_data(web::Data::new(self.clone()))
                .default_service(web::to(handle));
        }
    }

    /// The same agent, at a socket of executors.
    pub(crate) fn only_executors(self) -> Self {
        Self {
            only_executors: true,
            ..self
        }
    }

    async fn ask<M: Message>(&self, message: M) -> Result<M::Reply, Reply>
    where
        dyn Node: Ask<M>,
    {
        let node: Asker<M> = Arc::new(Asking(Arc::clone(&self.node)));
        deadline::ask(&node, message).await
    }

    async fn node_state(&self) -> Result<Arc<NodeState>, Reply> {
        let state = self.ask(GetNodeState).await?;
        if state.phase == NodePhase::Recovering {
            return Err(Reply::text(503, "Agent has not finished recovery"));
        }
        Ok(state)
    }

    /// The containers that `subject` may see; `state` is that of all.
    async fn measured(
        &self,
        subject: &Subject,
        state: &NodeState,
    ) -> Result<Vec<state::Measured>, Reply> {
        let records = self.usage().await?;
        let measured = state::measured(records, state);
        Ok(access::seen_containers(subject, state, measured))
    }

    /// Mesos answers 500 where usage cannot be had. Who comes while too many wait is told to come again.
    async fn usage(&self) -> Result<Vec<ContainerUsageRecord>, Reply> {
        let node: Asker<ContainerUsage> = Arc::new(Asking(Arc::clone(&self.node)));
        let answer = within(deadline::ANSWER_TIMEOUT, node.ask(ContainerUsage)).await;
        answer.map_err(|error| {
            let reason = match error {
                AskError::Full => return deadline::refusal(error),
                AskError::Closed => "the agent ends".to_owned(),
                AskError::Timeout => "the agent gave no answer in time".to_owned(),
                AskError::Refused(words) => words,
            };
            Reply::text(500, format!("Failed to collect resource usage: {reason}"))
        })
    }

    fn flags_json(&self) -> Value {
        json!(self.facts.flags)
    }

    async fn answer(
        &self,
        found: Found<'_, Route>,
        request: Incoming,
        caller: Caller,
    ) -> Result<Reply, Reply> {
        let route = found.route;
        let subject = &caller.subject;
        let jsonp = request.parameter("jsonp");
        let json = |value: Value| Reply::json(value.to_string(), jsonp);
        Ok(match route {
            Route::Executor => return executor::call(self, request, caller.claims).await,
            Route::Call => return calls::call(self, request, &caller).await,
            Route::State => json(self.state_json(subject).await?),
            Route::Containers => {
                let chosen = state::Chosen::of(&request)?;
                let state = self.node_state().await?;
                let mut measured = self.measured(subject, &state).await?;
                measured.retain(|it| chosen.is(it));
                json(state::containers(&measured))
            }
            Route::Statistics => {
                let state = self.node_state().await?;
                json(state::statistics(&self.measured(subject, &state).await?))
            }
            Route::ContainerizerDebug => {
                let whole = self.node_state().await?;
                let hung = self.facts.launch_errors.unfinished.shown();
                let hung = access::seen_hung(subject, &whole, hung);
                let node = access::seen(subject, whole);
                json(json!({ "pending": state::pending(&node, &hung) }))
            }
            Route::Flags => {
                access::expect_allowed(subject, Action::ViewFlags)?;
                json(json!({ "flags": self.flags_json() }))
            }
            Route::Health => Reply::empty(200),
            Route::Version => version::version(&self.facts.version, &request),
            Route::Metrics => {
                common::check_timeout(&request)?;
                self.limiter.turn().await?;
                json(Value::Object(metrics::all(self).await?))
            }
            Route::Prometheus => {
                let mut all = metrics::all(self).await?;
                all.extend(metrics::stuck(self));
                tepui_http::prometheus(&all, &self.directory)
            }
            Route::Browse | Route::Read | Route::Download => {
                self.file(route, &request, subject).await?
            }
            Route::FilesDebug => self.known_files().await.debug_many(&request).await,
            Route::SystemStats => system::stats(&request),
            Route::LoggingToggle => {
                let answer = Ok(self.logging.toggle(&request));
                audit::change(&request, "logging", &request.target, &answer);
                return answer;
            }
            Route::Help => {
                let is_guarded = |route: Route| route.access().0 != access::Entrance::Open;
                help::help(&TABLE, is_guarded, found.rest, &request)
            }
            Route::Processes => processes::processes(&self.directory, &request),
        })
    }

    async fn file(
        &self,
        route: Route,
        request: &Incoming,
        subject: &Subject,
    ) -> Result<Reply, Reply> {
        let path = request.parameter("path").unwrap_or_default();
        // Logs are read where the node does not answer, too.
        if access::limits_files(subject) {
            let node = self.ask(GetNodeState).await?;
            access::expect_file(subject, &node, path)?;
        }
        if let Route::Browse = route {
            return Ok(self.known_files().await.browse(request).await);
        }
        let found = file_of(&self.files.files(), route, request).await;
        if found.status() != 404 || path == LOG {
            return Ok(found);
        }
        // Most files are read without asking the node; where volumes lie it alone knows.
        Ok(file_of(&self.known_files().await, route, request).await)
    }

    /// With what the node knows, if it answers.
    async fn known_files(&self) -> Files {
        match self.ask(GetNodeState).await {
            Ok(node) => self.files.files_with(&node),
            Err(_) => self.files.files(),
        }
    }

    async fn state_json(&self, subject: &Subject) -> Result<Value, Reply> {
        let node = access::seen(subject, self.node_state().await?);
        let version = &self.facts.version;
        let mut fields = serde_json::Map::new();
        let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
        fields.insert("version".to_owned(), json!(version.version));
        values::optional(&mut fields, "git_sha", text(&version.git_sha));
        values::optional(&mut fields, "git_branch", text(&version.git_branch));
        values::optional(&mut fields, "git_tag", text(&version.git_tag));
        values::optional(&mut fields, "build_date", text(&version.build_date));
        let time = version.build_time.map(|time| json!(time));
        values::optional(&mut fields, "build_time", time);
        values::optional(&mut fields, "build_user", text(&version.build_user));
        let around = state::Around {
            version: fields,
            started_at: self.facts.started_at,
            pid: &self.facts.pid,
            capabilities: &self.facts.capabilities,
            flags: self.flags_json(),
        };
        let mut state = state::state(&node, around);
        if !subject.may(Action::ViewFlags, None) {
            let fields = state.as_object_mut().into_iter();
            fields.for_each(|fields| fields.retain(|name, _| name != "flags" && name != "log_dir"));
        }
        Ok(state)
    }
}

/// The node as the asker of one kind of question.
struct Asking(Arc<dyn Node>);

impl<M: Message> Ask<M> for Asking
where
    dyn Node: Ask<M>,
{
    fn ask(
        &self,
        message: M,
    ) -> futures_util::future::BoxFuture<'static, Result<M::Reply, tepui_kit::AskError>> {
        self.0.ask(message)
    }
}

/// The paths that rules name, each as [`Table::rule_path`](tepui_http::Table::rule_path) has it.
pub(crate) fn rules(given: &BTreeSet<String>) -> BTreeSet<String> {
    let known = |path: &String| {
        let found = TABLE.find(path).filter(|found| found.rest.is_none());
        found.map_or_else(|| path.clone(), |found| TABLE.rule_path(&found))
    };
    given.iter().map(known).collect()
}

/// Answers one request, whatever its path.
async fn handle(request: HttpRequest, payload: web::Payload, api: web::Data<Api>) -> HttpResponse {
    let headers = request.headers().clone();
    let reply = reply(&request, payload, &api).await;
    reply
        .unwrap_or_else(|refused| refused)
        .into_response(&headers)
}

async fn reply(request: &HttpRequest, payload: web::Payload, api: &Api) -> Result<Reply, Reply> {
    let mut incoming = Incoming::head(request)?;
    let path = incoming.path.clone();
    let found = TABLE.find(&path);
    let is_disabled = |path: &str| api.facts.disabled_endpoints.contains(path);
    let by_rule = found.as_ref().map(|found| TABLE.rule_path(found));
    if is_disabled(path.trim_end_matches('/')) || by_rule.is_some_and(|path| is_disabled(&path)) {
        let text = format!("Endpoint '{path}' is disabled");
        return Err(Reply::text(403, text));
    }
    let route = found.as_ref().map(|found| found.route);
    if api.only_executors && !matches!(route, Some(Route::Executor | Route::Call)) {
        return Err(Reply::bare(403));
    }
    let Some(found) = found else {
        if path.contains(OF_THE_DRIVER) {
            warn_of_driver();
        }
        return Ok(if TABLE.is_root(&path) {
            front_page(api)
        } else {
            Reply::bare(404)
        });
    };
    let caller = access::enter(api, found.route, &incoming)?;
    incoming.principal = caller.subject.principal.clone();
    let is_stream = negotiation::is_stream(&incoming.headers);
    if is_stream && matches!(found.route, Route::Call) && incoming.method == "POST" {
        let node = api.node_state().await?;
        return input::call(api, &incoming, payload, (node, &caller)).await;
    }
    // Also where nothing is in it for us, so that the connection can be used again.
    incoming.body = read_body(&incoming.headers, payload).await?;
    if matches!(found.route, Route::Executor | Route::Call) {
        incoming.expect_method(&["POST"])?;
    }
    api.answer(found, incoming, caller).await
}

/// Once: whoever sends these sends them again and again.
fn warn_of_driver() {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        tracing::warn!(
            "a program on the driver before the v1 API calls this agent, which does not serve it: expected an executor that \
             uses /api/v1/executor"
        );
    });
}

async fn file_of(files: &Files, route: Route, request: &Incoming) -> Reply {
    match route {
        Route::Read => files.read_text(request).await,
        _ => files.download(request).await,
    }
}

fn front_page(api: &Api) -> Reply {
    let pid = &api.facts.pid;
    Reply::ok(
        "text/html",
        format!(
            "<!DOCTYPE html><html><head><title>Tepui agent</title></head><body><p>Agent {pid}: \
             <a href=\"/state\">state</a>, <a href=\"/help\">all endpoints</a>. \
             The web admin is on the master.</p></body></html>"
        ),
    )
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "http/usage_tests.rs"]
mod usage_tests;
