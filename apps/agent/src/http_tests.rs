//! The recorded answers of Mesos' agent, against a node that is a stand-in.

use std::{collections::BTreeSet, fs, net::IpAddr, path::Path, sync::Mutex, time::Duration};

use actix_web::{App, dev::Service, http::Method, test};
use futures_util::future::{BoxFuture, FutureExt, ready};
use tepui_http::{Logging, metrics::Limiter};
use tepui_kit::{AskError, Clock, Tell, TellError};
use tepui_messages::agent::{
    Answer, ContainerUsageRecord, ExecutorCall, ExecutorStreamLost, ExecutorSubscribe, LaunchGuest,
    NodeCounts, RemoveGuest, SignalContainer, WaitGuest,
};
use tepui_node::{
    config::{Enforced, default_capabilities},
    fetcher::Fetcher,
};
use tepui_protocol::{
    resources::Resources,
    v1::{AgentId, AgentInfo, MasterInfo},
    values::parse_attributes,
};

use super::*;
use crate::{AgentSettings, sweeping::AllowedAge};

const GOLDEN: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../integration/conformance/golden"
);

/// An idle agent, as in the recordings.
pub(super) struct Idle {
    state: Arc<NodeState>,
    /// Containers that were to be signalled.
    pub(super) signalled: Mutex<Vec<String>>,
    /// What containers use cannot be had.
    fails: Option<AskError>,
}

impl Idle {
    pub(super) fn new() -> Self {
        let resources = Resources::parse("cpus:4;mem:4096;disk:10240;ports:[31000-32000]", "*");
        let info = AgentInfo {
            hostname: "localhost".to_owned(),
            port: Some(15051),
            resources: resources.unwrap().to_proto(),
            attributes: parse_attributes("rack:r1;gen:[1-5];num:3.5").unwrap(),
            id: Some(AgentId {
                value: "d5954213-589f-443a-acc8-58cca08d7216-S1".to_owned(),
            }),
            ..AgentInfo::default()
        };
        let master = MasterInfo {
            hostname: Some("localhost".to_owned()),
            ..MasterInfo::default()
        };
        let state = NodeState {
            total: info.resources.clone(),
            counts: NodeCounts {
                recovery: Some(Duration::from_millis(8)),
                ..NodeCounts::default()
            },
            operations: Vec::new(),
            draining: None,
            info: Arc::new(info),
            phase: NodePhase::Running,
            master: Some(Arc::new(master)),
            registered_at: None,
            guests: Vec::new(),
            inner_sandboxes: Vec::new(),
            frameworks: Vec::new(),
            completed_frameworks: Vec::new(),
        };
        Self {
            state: Arc::new(state),
            signalled: Mutex::default(),
            fails: None,
        }
    }
}

fn now<T: Send + 'static>(value: T) -> BoxFuture<'static, Result<T, AskError>> {
    ready(Ok(value)).boxed()
}

impl Ask<ExecutorSubscribe> for Idle {
    fn ask(&self, asked: ExecutorSubscribe) -> BoxFuture<'static, Result<Answer, AskError>> {
        now(match asked.framework_id.value.as_str() {
            "known" => Answer::OK,
            "of the time before" => Answer::refused(503, "Agent has not finished recovery"),
            _ => Answer::refused(400, "Framework cannot be found"),
        })
    }
}

macro_rules! knows_no_container {
    ($($message:ident => $answer:expr;)*) => {
        $(
            impl Ask<$message> for Idle {
                fn ask(
                    &self,
                    asked: $message,
                ) -> BoxFuture<'static, Result<<$message as Message>::Reply, AskError>> {
                    now($answer(asked.container_id))
                }
            }
        )*
    };
}
knows_no_container! {
    LaunchGuest => |id: String| match id.rsplit_once('.') {
        Some(("known", _)) => Answer::OK,
        Some((outer, _)) => {
            Answer::refused(400, format!("Parent container {outer} does not exist"))
        }
        None => Answer::refused(400, "Parent container  does not exist"),
    };
    RemoveGuest => |id: String| Answer::refused(404, format!("Container {id} cannot be found"));
    WaitGuest => |_: String| None;
}

impl Ask<SignalContainer> for Idle {
    fn ask(&self, asked: SignalContainer) -> BoxFuture<'static, Result<Answer, AskError>> {
        let id = asked.container_id;
        let text = format!("Container '{id}' cannot be found (or is already killed)");
        self.signalled.lock().unwrap().push(id);
        now(Answer::refused(404, text))
    }
}

impl Ask<ExecutorCall> for Idle {
    fn ask(&self, _: ExecutorCall) -> BoxFuture<'static, Result<Answer, AskError>> {
        now(Answer::refused(400, "Framework cannot be found"))
    }
}

impl Tell<ExecutorStreamLost> for Idle {
    fn tell(&self, _: ExecutorStreamLost) -> Result<(), TellError> {
        Ok(())
    }
}

impl Ask<GetNodeState> for Idle {
    fn ask(&self, _: GetNodeState) -> BoxFuture<'static, Result<Arc<NodeState>, AskError>> {
        now(Arc::clone(&self.state))
    }
}

impl Ask<ContainerUsage> for Idle {
    fn ask(
        &self,
        _: ContainerUsage,
    ) -> BoxFuture<'static, Result<Vec<ContainerUsageRecord>, AskError>> {
        ready(self.fails.clone().map_or(Ok(Vec::new()), Err)).boxed()
    }
}

impl Idle {
    pub(super) fn failing(fault: AskError) -> Self {
        Self {
            fails: Some(fault),
            ..Self::new()
        }
    }
}

/// An agent on which nothing runs.
pub(super) fn idle() -> Arc<NodeState> {
    Idle::new().state
}

pub(super) fn api() -> Api {
    secured(Security::default())
}

pub(super) fn secured(security: Security) -> Api {
    let settings = AgentSettings {
        work_dir: "/nowhere".into(),
        masters: vec!["127.0.0.1:15050".to_owned()],
        ip: IpAddr::from([127, 0, 0, 1]),
        ip6: None,
        port: 15051,
        hostname: "localhost".to_owned(),
        hostname_lookup: true,
        resources: Some("cpus:4".to_owned()),
        attributes: Some("rack:r1".to_owned()),
        domain: None,
        lending: Default::default(),
        security: security.clone(),
        images: Default::default(),
        engine: None,
        isolation: Default::default(),
        networks: Default::default(),
        sandboxes: Default::default(),
        machine: Default::default(),
        executors: Default::default(),
        fetching: Default::default(),
        recovery: Default::default(),
        reconfiguration: Default::default(),
        log_file: Some("/nowhere/log/tepui-agent.log".into()),
        verbosity: Default::default(),
    };
    let found = Circumstances {
        enforced: Enforced::NONE,
        is_root: true,
        runtime_dir: Path::new("/run"),
        socket: None,
        work_dir: &settings.work_dir,
    };
    let facts = Facts {
        pid: "slave(1)@127.0.0.1:15051".to_owned(),
        capabilities: default_capabilities(),
        flags: flags(&settings, &found),
        version: tepui_http::version::own(),
        started_at: 0,
        launch_errors: Arc::default(),
        allowed_age: Arc::new(AllowedAge::new(&Default::default())),
        removals: Arc::default(),
        fetcher: Fetcher::default(),
        volume_gids: None,
        disabled_endpoints: Default::default(),
        security,
    };
    Api {
        node: Arc::new(Idle::new()),
        facts: Arc::new(facts),
        files: Sandboxes::new("/nowhere".into(), "/nowhere".into(), None),
        logging: Logging::new(tepui_http::Verbosity::default()),
        directory: Directory::new("test", Clock::system()),
        limiter: Arc::new(Limiter::default()),
        sockets: super::Sockets::new("/nowhere".into()),
        images: None,
        only_executors: false,
    }
}

/// The agent of a node in this state.
pub(super) fn showing(state: NodeState) -> Api {
    let idle = Idle {
        state: Arc::new(state),
        signalled: Mutex::default(),
        fails: None,
    };
    Api {
        node: Arc::new(idle),
        ..api()
    }
}

/// A recorded exchange.
struct Recording {
    name: String,
    method: Method,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    status: u16,
    answer_headers: Vec<(String, String)>,
    answer: Vec<u8>,
}

fn recordings(kind: &str) -> Vec<Recording> {
    let mut found: Vec<Recording> = fs::read_dir(GOLDEN)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().contains(kind))
        .map(|path| recording(&path))
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn recording(path: &Path) -> Recording {
    let text = fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once("=== REQUEST ===\n").unwrap();
    let (request, rest) = rest.split_once("\n=== RESPONSE ===\n").unwrap();
    let (response, _) = rest.rsplit_once("\n=== END ===").unwrap();
    let (first, headers, body) = message(request);
    let mut words = first.split(' ');
    let (status_line, answer_headers, answer) = message(response);
    Recording {
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        method: words.next().unwrap().parse().unwrap(),
        target: words.next().unwrap().to_owned(),
        headers,
        body,
        status: status_line.split(' ').nth(1).unwrap().parse().unwrap(),
        answer_headers,
        answer,
    }
}

fn message(text: &str) -> (String, Vec<(String, String)>, Vec<u8>) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap().to_owned();
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_owned(), value.to_owned())
    });
    (first, headers.collect(), body.as_bytes().to_vec())
}

/// Our answer: status, content type, body.
async fn ours(recording: &Recording) -> (u16, Option<String>, Vec<u8>) {
    let app = test::init_service(App::new().configure(api().configure())).await;
    let mut request = test::TestRequest::with_uri(&recording.target)
        .method(recording.method.clone())
        .set_payload(recording.body.clone());
    for (name, value) in &recording.headers {
        request = request.insert_header((name.as_str(), value.as_str()));
    }
    let response = app.call(request.to_request()).await.unwrap();
    let status = response.status().as_u16();
    let content_type = response.headers().get("content-type");
    let content_type = content_type.map(|value| value.to_str().unwrap().to_owned());
    (
        status,
        content_type,
        test::read_body(response).await.to_vec(),
    )
}

#[actix_web::test]
async fn refusals_are_those_of_mesos_to_the_letter() {
    let recordings = recordings("-err-agent-");
    assert_eq!(recordings.len(), 16);
    for recording in recordings {
        let (status, content_type, body) = ours(&recording).await;
        let name = &recording.name;
        let body = String::from_utf8_lossy(&body).into_owned();
        let expected = String::from_utf8_lossy(&recording.answer).into_owned();
        assert_eq!((status, &body), (recording.status, &expected), "{name}");
        let headers = recording.answer_headers.iter();
        let expected = headers.clone().find(|(name, _)| name == "Content-Type");
        assert_eq!(
            content_type.as_ref(),
            expected.map(|(_, value)| value),
            "{name}"
        );
    }
}

/// Names and kinds of values; numbers and texts themselves differ.
fn shape(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                shape(value, &format!("{path}.{name}"), found);
            }
        }
        Value::Array(items) => {
            found.insert(format!("{path}[]"));
            for item in items {
                shape(item, &format!("{path}[]"), found);
            }
        }
        Value::String(_) => drop(found.insert(format!("{path}: text"))),
        Value::Number(number) => {
            let kind = if number.is_f64() { "double" } else { "integer" };
            found.insert(format!("{path}: {kind}"));
        }
        other => drop(found.insert(format!("{path}: {other}"))),
    }
}

#[actix_web::test]
async fn an_idle_agent_answers_in_the_shape_of_mesos() {
    let recordings = recordings("-idle-agent-");
    assert_eq!(recordings.len(), 28);
    for recording in recordings {
        let (status, _, body) = ours(&recording).await;
        let name = &recording.name;
        assert_eq!(status, recording.status, "{name}");
        if name.contains("GET_CONTAINERS") {
            // Ours has an empty list where Mesos has none: pymesos reads it without asking.
            continue;
        }
        let (Ok(ours), Ok(theirs)) = (
            serde_json::from_slice::<Value>(&body),
            serde_json::from_slice::<Value>(&recording.answer),
        ) else {
            assert_eq!(body, recording.answer, "{name}");
            continue;
        };
        let [mut ours, mut theirs] = [ours, theirs].map(|value| {
            let mut found = BTreeSet::new();
            shape(&value, "", &mut found);
            found
        });
        // Which flags there are is this agent's own matter; that they are texts is not.
        for side in [&mut ours, &mut theirs] {
            side.retain(|line| !line.starts_with(".flags.") || !line.ends_with(": text"));
        }
        assert_eq!(ours, theirs, "{name}");
    }
}

/// The answer to a call of an executor: status, content type, text.
async fn executor_call(
    headers: &[(&str, &str)],
    body: impl Into<Vec<u8>>,
) -> (u16, String, String) {
    let recording = Recording {
        name: String::new(),
        method: Method::POST,
        target: "/api/v1/executor".to_owned(),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body: body.into(),
        status: 0,
        answer_headers: Vec::new(),
        answer: Vec::new(),
    };
    let (status, content_type, body) = ours(&recording).await;
    let text = String::from_utf8_lossy(&body).into_owned();
    (status, content_type.unwrap_or_default(), text)
}

/// SUBSCRIBE in both encodings, with the type of each.
fn subscriptions(framework: &str) -> [(&'static str, Vec<u8>); 2] {
    use tepui_protocol::{
        codec::{Limits, json, protobuf},
        v1::executor::Call,
    };
    let text = json!({"type": "SUBSCRIBE", "subscribe": {}, "executor_id": {"value": "e"},
        "framework_id": {"value": framework}});
    let text = text.to_string().into_bytes();
    let call: Call = json::decode(&text, &Limits::HTTP).unwrap();
    let bytes = protobuf::encode(&call).to_vec();
    [
        ("application/json", text),
        ("application/x-protobuf", bytes),
    ]
}

#[actix_web::test]
async fn an_executors_call_says_what_it_is_written_in() {
    for (media, body) in subscriptions("known") {
        let (status, _, text) = executor_call(&[], body.clone()).await;
        assert_eq!(
            (status, text.as_str()),
            (400, "Expecting 'Content-Type' to be present")
        );
        let unknown = ("content-type", "application/unknown-media-type");
        let (status, _, text) = executor_call(&[unknown, ("accept", media)], body).await;
        let expected = "Expecting 'Content-Type' of application/json or application/x-protobuf";
        assert_eq!((status, text.as_str()), (415, expected));
        let malformed = executor_call(&[("content-type", media)], "MALFORMED_CONTENT").await;
        let expected = match media {
            "application/json" => {
                "Failed to parse body into JSON: syntax error at line 1 near: MALFORMED_CONTENT"
            }
            _ => "Failed to parse body into Call protobuf",
        };
        assert_eq!((malformed.0, malformed.2.as_str()), (400, expected));
    }
}

#[actix_web::test]
async fn an_executors_stream_is_json_for_those_who_take_anything() {
    for (media, body) in subscriptions("known") {
        for (accept, expected) in [
            (None, "application/json"),
            (Some("*/*"), "application/json"),
            (Some("application/x-protobuf"), "application/x-protobuf"),
        ] {
            let mut headers = vec![("content-type", media)];
            headers.extend(accept.map(|accept| ("accept", accept)));
            let (status, content_type, text) = executor_call(&headers, body.clone()).await;
            assert_eq!(status, 200, "{media} {accept:?}: {text}");
            assert_eq!(content_type, expected, "{media} {accept:?}");
        }
        let headers = [("content-type", media), ("accept", "foo")];
        let (status, _, text) = executor_call(&headers, body).await;
        let expected = "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'";
        assert_eq!((status, text.as_str()), (406, expected));
    }
}

#[actix_web::test]
async fn an_executor_that_comes_before_the_agent_remembers_is_asked_to_come_again() {
    for (media, body) in subscriptions("of the time before") {
        let (status, _, text) = executor_call(&[("content-type", media)], body).await;
        assert_eq!(
            (status, text.as_str()),
            (503, "Agent has not finished recovery")
        );
    }
}
