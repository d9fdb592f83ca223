//! Against stand-ins for master and view: the recorded refusals of Mesos, and what a stream looks like.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use actix_web::{
    App, HttpResponse,
    body::MessageBody,
    dev::ServiceResponse,
    http::Method,
    test::{TestRequest, call_service, init_service},
    web,
};
use bytes::Bytes;
use serde_json::json;
use tepui_framework::Proxies;
use tepui_http::{Attached, Files, Logging};
use tepui_kit::{
    Clock, Directory, Tell, TellError,
    stage::{Answering, Recorder, TestStage},
};
use tepui_messages::{
    allocator::{Policies, PolicyStatus, ShadowStatus},
    framework::{Deliver, EndStream},
    master::{Answer, Lease, OperatorCall, Subscribe},
    registrar::{self, Commit, Committed},
    view::{Query, Question},
    why::{Exclusions, Explain, Explanation, RoleExplanation},
};
use tepui_protocol::v1::{
    MasterInfo, VersionInfo,
    master::call::Type,
    scheduler::{Event, event},
};
use tepui_registry::Command;

use super::{ClusterCall, Door, Facts, MasterFlags, MasterHttp, Mount, Refusal, configure};
use crate::{
    Security,
    leadership::{Leader, Leadership, Standing},
};

#[path = "http/cluster_tests.rs"]
mod group;

#[path = "http/access_tests.rs"]
mod access;

#[path = "http/metrics_tests.rs"]
mod metrics;

/// Refuses every subscription, as the master does those with a bad role.
struct Refuser;

/// The principals that subscribed ever.
static SUBSCRIBED: Mutex<Vec<Option<String>>> = Mutex::new(Vec::new());

impl Tell<Subscribe> for Refuser {
    fn tell(&self, message: Subscribe) -> Result<(), TellError> {
        SUBSCRIBED.lock().unwrap().push(message.info.principal);
        let error = event::Error {
            message: "no".to_string(),
        };
        let event = Event {
            r#type: Some(event::Type::Error as i32),
            error: Some(error),
            ..Event::default()
        };
        message.stream.tell(Deliver(vec![Arc::new(event)]))?;
        message.stream.tell(EndStream)
    }
}

fn operator(call: &OperatorCall) -> Answer {
    match call.call.r#type() {
        Type::MarkAgentGone => Answer::refused(404, "Agent 'nope' not found"),
        Type::Teardown => Answer::refused(400, "No framework found with specified ID"),
        Type::ReserveResources => Answer::refused(400, "No agent found with specified ID"),
        Type::DeactivateAgent => Answer::refused(400, format!("for {:?}", call.principal)),
        Type::DrainAgent => Answer::refused(400, "Unknown agent"),
        Type::RemoveQuota => {
            Answer::refused(400, "Failed to remove quota: Role 'qb' has no quota set")
        }
        _ => Answer::OK,
    }
}

fn cluster(call: &ClusterCall) -> Result<Bytes, Refusal> {
    match call {
        ClusterCall::Remove { .. } => Err(Refusal {
            status: 409,
            text: "m9 is no master of this group".to_string(),
        }),
        call => Ok(Bytes::from(format!("{call:?}"))),
    }
}

fn policies(change: &Policies) -> Result<PolicyStatus, String> {
    if change.policy.as_deref() == Some("fifo") {
        return Err("there is no allocation policy `fifo`".to_string());
    }
    let shadow = change.shadow.clone().flatten().map(|_| ShadowStatus {
        policy: "priority",
        runs: 0,
        grants: 0,
        differences: 0,
    });
    Ok(PolicyStatus {
        policy: "drf",
        known: vec!["drf", "priority"],
        runs: 2,
        grants: 3,
        shadow,
    })
}

/// Takes only documents that name what was chosen; no shadow does not fit any more.
fn written(commit: &Commit) -> Committed {
    let Commit(Command::PutDocument { value, .. }) = commit else {
        return Committed::Unknown;
    };
    let chosen: serde_json::Value = serde_json::from_slice(value).unwrap();
    assert_eq!(chosen["policy"], "drf");
    if chosen["shadow"] == "priority" {
        Committed::Applied
    } else {
        Committed::Refused(registrar::WriteRefusal::NotNow(
            "the disk is nearly full".to_string(),
        ))
    }
}

/// Of one framework, "f", under "a".
fn explanation(question: Explain) -> Explanation {
    let knows = question.framework_id == "f" && question.role.as_deref() != Some("b");
    let role = RoleExplanation {
        role: "a".to_string(),
        bars: Vec::new(),
        takers: 1,
        ahead: Some(0),
        counts: BTreeMap::new(),
        open: 0,
        agents: Vec::new(),
    };
    Explanation {
        question,
        policy: "drf",
        roles: if knows { vec![role] } else { Vec::new() },
    }
}

struct Scene {
    door: Arc<Door>,
    asked: Arc<Mutex<Vec<Query>>>,
}

fn scene(standing: Standing) -> Scene {
    scene_with(standing, Arc::new(|| Some(3)))
}

fn scene_with(standing: Standing, lease: Lease) -> Scene {
    secured(standing, lease, Security::default())
}

fn secured(standing: Standing, lease: Lease, security: Security) -> Scene {
    let directory = Directory::new("test", Clock::system());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let queries = Arc::clone(&asked);
    let view = Answering::asker(move |query: Query| {
        let body = match query.question {
            Question::Metrics => return Ok(metrics::of_view()),
            _ => format!("{{\"x\":\"{}\"}}", "y".repeat(2000)),
        };
        queries.lock().unwrap().push(query);
        Ok(Bytes::from(body))
    });
    let master = MasterInfo {
        id: "m".to_string(),
        port: 5050,
        hostname: Some("here".to_string()),
        ..MasterInfo::default()
    };
    let version = VersionInfo {
        version: "1.11.0".to_string(),
        ..VersionInfo::default()
    };
    let http = MasterHttp {
        scheduler: Answering::asker(|_| Ok(Answer::refused(400, "Framework cannot be found"))),
        operator: Answering::asker(|call| Ok(operator(&call))),
        subscribe: Arc::new(Refuser),
        proxies: Proxies::new(
            directory.clone(),
            None,
            Recorder::new().teller(),
            Arc::default(),
        ),
        view,
        allocator: Answering::asker(|explain| Ok(explanation(explain))),
        numbers: Answering::asker(|_| Ok(metrics::of_allocator())),
        registrar: Answering::asker(|_| Ok(metrics::of_registrar())),
        registry_size: Arc::new(|| 567),
        policies: Answering::asker(|change| Ok(policies(&change))),
        commit: Answering::asker(move |commit| Ok(written(&commit))),
        exclusions: Answering::asker(|_| {
            Ok(vec![Exclusions {
                framework_id: "f".to_string(),
                suppressed_roles: vec!["b".to_string()],
                excluded: BTreeMap::from([("a".to_string(), vec!["S0".to_string()])]),
            }])
        }),
        watch: Answering::asker(|_| Ok(())),
        changes: Arc::new(AtomicU64::new(7)),
        traffic: Arc::default(),
        directory,
        leadership: Leadership::new(standing, lease),
        security,
        facts: Facts {
            master,
            version,
            flags: MasterFlags::default().table(),
            bridge: "127.0.0.1:5052".to_string(),
        },
        files: Files::new(Attached(BTreeMap::new())),
        logging: Logging::new(tepui_http::Verbosity::default()),
        limiter: Arc::default(),
        cluster: Answering::asker(|call| Ok(cluster(&call))),
        registry: Arc::new(|| vec![("registry/syncs", 12.0)]),
        cluster_id: Arc::new(|| Some("c".to_string())),
    };
    Scene {
        door: Arc::new(Door::new(http)),
        asked,
    }
}

fn leading() -> Scene {
    scene(Standing::Leading { term: 3 })
}

struct Got {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Got {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

async fn read(response: ServiceResponse<impl MessageBody>) -> Got {
    let status = response.status().as_u16();
    let headers = response.headers().iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_string()));
    let headers = headers.collect();
    let body = actix_web::body::to_bytes(response.into_body()).await;
    Got {
        status,
        headers,
        body: body.map_err(Into::into).unwrap().to_vec(),
    }
}

async fn send(
    scene: &Scene,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Got {
    let app = App::new().configure(|config| configure(config, &scene.door, None));
    let app = init_service(app).await;
    let mut request = TestRequest::default()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(uri)
        .set_payload(body.to_vec());
    for (name, value) in headers {
        request = request.append_header((*name, *value));
    }
    read(call_service(&app, request.to_request()).await).await
}

/// Words of the request line, headers and body, and what Mesos answered.
type Recorded = (Vec<String>, Vec<(String, String)>, Vec<u8>, Got);

/// One recorded exchange: request line, headers and body; status, content type and body.
fn recorded(number: u32) -> Recorded {
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../integration/conformance/golden");
    let prefix = format!("{number:03}-");
    let file = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with(&prefix)
        })
        .unwrap();
    let text = std::fs::read(file).unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    let (_, text) = text.split_once("=== REQUEST ===\n").unwrap();
    let (request, response) = text.split_once("\n=== RESPONSE ===\n").unwrap();
    let (response, _) = response.rsplit_once("\n=== END ===").unwrap();
    let (line, headers, body) = message(request);
    let (status, answer_headers, answer) = message(response);
    let line = line.split(' ').map(str::to_string).collect();
    let got = Got {
        status: status.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: answer_headers
            .into_iter()
            .map(|(name, value)| (name.to_lowercase(), value))
            .collect(),
        body: answer.into_bytes(),
    };
    (line, headers, body.into_bytes(), got)
}

fn message(text: &str) -> (String, Vec<(String, String)>, String) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap().to_string();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    (first, headers, body.to_string())
}

#[actix_web::test]
async fn refusals_are_those_that_mesos_was_recorded_with() {
    let scene = leading();
    // The level of the log is asked for before calls of the list change it.
    let numbers = [21, 59, 9, 12, 15, 16, 30, 31, 33]
        .into_iter()
        .chain(85..=107)
        .chain([112, 113, 115, 116, 117])
        .chain(119..=122)
        .chain([125, 127, 128, 129, 130, 131, 132])
        .chain(138..=151)
        .chain([158, 159, 160, 209, 303, 304, 305]);
    for number in numbers {
        let (line, headers, body, expected) = recorded(number);
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let got = send(&scene, &line[0], &line[1], &headers, &body).await;
        let context = format!("{number}: {line:?} {}", String::from_utf8_lossy(&body));
        assert_eq!(got.status, expected.status, "{context}: {}", got.text());
        for name in ["content-type", "allow"] {
            assert_eq!(got.header(name), expected.header(name), "{context}");
        }
        assert_eq!(got.text(), expected.text(), "{context}");
    }
}

const SUBSCRIBE: &[u8] =
    br#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"u","name":"n"}}}"#;
const JSON: (&str, &str) = ("content-type", "application/json");

#[actix_web::test]
async fn a_subscription_is_a_stream_whatever_becomes_of_it() {
    let got = send(&leading(), "POST", "/api/v1/scheduler", &[JSON], SUBSCRIBE).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!(got.header("mesos-stream-id").len(), 36);
    assert_eq!(got.header("content-length"), "");
    assert_eq!(
        got.text(),
        "41\n{\"type\":\"ERROR\",\"error\":{\"message\":\"no\"}}"
    );
}

#[actix_web::test]
async fn a_stream_is_json_for_those_who_take_anything() {
    use tepui_protocol::{
        codec::{Limits, json, protobuf},
        v1::scheduler::Call,
    };
    let call: Call = json::decode(SUBSCRIBE, &Limits::HTTP).unwrap();
    let protobuf = protobuf::encode(&call);
    let scene = leading();
    for (media, body) in [
        ("application/json", SUBSCRIBE),
        ("application/x-protobuf", &protobuf[..]),
    ] {
        for (accept, expected) in [
            (None, "application/json"),
            (Some("*/*"), "application/json"),
            (Some("application/x-protobuf"), "application/x-protobuf"),
        ] {
            let mut headers = vec![("content-type", media)];
            headers.extend(accept.map(|accept| ("accept", accept)));
            let got = send(&scene, "POST", "/api/v1/scheduler", &headers, body).await;
            assert_eq!(got.status, 200, "{media} {accept:?}: {}", got.text());
            assert_eq!(got.header("content-type"), expected, "{media} {accept:?}");
        }
    }
}

#[actix_web::test]
async fn only_the_leader_answers_and_others_show_the_way() {
    let following = scene(Standing::Following(Leader {
        http: "there:5050".to_string(),
        bridge: "there:5060".to_string(),
        term: 4,
    }));
    for (path, location) in [
        ("/", "//there:5050/"),
        ("/state?jsonp=x", "//there:5050/state?jsonp=x"),
        ("//api/v1", "//there:5050/api/v1"),
        ("/master/redirect", "//there:5050"),
    ] {
        let got = send(&following, "POST", path, &[], b"").await;
        assert_eq!(
            (got.status, got.header("location")),
            (307, location),
            "{path}"
        );
    }
    assert_eq!(
        send(&following, "GET", "/health", &[], b"").await.status,
        200
    );
    assert_eq!(
        send(&following, "GET", "/redirect/x", &[], b"")
            .await
            .status,
        404
    );
    let got = send(&following, "GET", "/tepui/v1/leader", &[], b"").await;
    let answer: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(
        (&answer["leader"], &answer["bridge"], &answer["term"]),
        (&"there:5050".into(), &"there:5060".into(), &4.into())
    );
    // Asked about the leader that was lost, it answers the same once its patience is at an end.
    let path = "/tepui/v1/leader?wait_ms=1&not=there:5060";
    assert_eq!(send(&following, "GET", path, &[], b"").await.status, 200);
    for (standing, text) in [
        (Standing::NoLeader, "No leader elected"),
        (Standing::Recovering, "Master has not finished recovery"),
    ] {
        for path in ["/api/v1/scheduler", "/state", "/tepui/v1/leader"] {
            let got = send(&scene(standing.clone()), "GET", path, &[], b"").await;
            assert_eq!((got.status, got.text().as_str()), (503, text), "{path}");
        }
    }
    let got = send(&scene(Standing::NoLeader), "GET", "/redirect", &[], b"").await;
    assert_eq!(
        (got.status, got.text().as_str()),
        (503, "No leader elected")
    );
    let got = send(&leading(), "GET", "/redirect", &[], b"").await;
    assert_eq!((got.status, got.header("location")), (307, "//here:5050"));
    let got = send(&leading(), "GET", "/tepui/v1/leader", &[], b"").await;
    let answer: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(answer["bridge"], "127.0.0.1:5052");
    assert_eq!(answer["leader"], "here:5050");
    assert_eq!(
        (&answer["term"], &answer["cluster_id"]),
        (&3.into(), &"c".into())
    );
}

#[test]
fn a_leader_without_its_lease_keeps_requests_waiting_and_then_leads_no_more() {
    TestStage::run(1, async |_| {
        let looks = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&looks);
        // Renewed at the tenth look.
        let lease: Lease = Arc::new(move || (seen.fetch_add(1, Relaxed) >= 9).then_some(3));
        let lapsed = scene_with(Standing::Leading { term: 3 }, lease);
        assert_eq!(send(&lapsed, "GET", "/state", &[], b"").await.status, 200);
        assert_eq!(looks.load(Relaxed), 10);
        for lease in [None, Some(5)] {
            let gone = scene_with(Standing::Leading { term: 3 }, Arc::new(move || lease));
            for path in ["/state", "/api/v1/scheduler", "/tepui/v1/leader"] {
                let got = send(&gone, "POST", path, &[JSON], SUBSCRIBE).await;
                assert_eq!(
                    (got.status, got.text().as_str()),
                    (503, "No leader elected")
                );
                assert!(gone.asked.lock().unwrap().is_empty());
            }
        }
    });
}

#[actix_web::test]
async fn large_answers_are_compressed_for_those_who_ask_and_streams_never() {
    for (asked, compressed) in [
        ("gzip", true),
        ("GZIP", true),
        ("*", true),
        ("gzip;q=0.5", true),
        ("gzip;q=0", false),
        ("*;q=0", false),
        ("x-gzip", false),
        ("deflate", false),
        ("identity", false),
    ] {
        let got = send(
            &leading(),
            "GET",
            "/state",
            &[("accept-encoding", asked)],
            b"",
        )
        .await;
        assert_eq!(
            got.header("content-encoding") == "gzip",
            compressed,
            "{asked}"
        );
    }
    let small = send(
        &leading(),
        "GET",
        "/redirect",
        &[("accept-encoding", "gzip")],
        b"",
    )
    .await;
    assert_eq!(small.header("content-encoding"), "");
}

#[actix_web::test]
async fn questions_wait_for_what_was_decided_before_them() {
    let scene = leading();
    let got = send(
        &scene,
        "POST",
        "/master/tasks?limit=2&order=asc&jsonp=a.b",
        &[],
        b"",
    )
    .await;
    assert_eq!(got.header("content-type"), "text/javascript");
    assert!(got.text().starts_with("a.b({") && got.text().ends_with("})"));
    let asked = scene.asked.lock().unwrap().pop().unwrap();
    assert_eq!(asked.after, 7);
    let expected = Question::Tasks {
        framework_id: None,
        task_id: None,
        limit: 2,
        offset: 0,
        ascending: true,
    };
    assert_eq!(asked.question, expected);
}

#[actix_web::test]
async fn a_negative_limit_of_tasks_is_none() {
    let scene = leading();
    for (query, expected) in [
        ("", (100, 0)),
        ("?limit=-1", (usize::MAX, 0)),
        ("?limit=x&offset=3", (100, 3)),
        ("?limit=0&offset=-1", (0, usize::MAX)),
    ] {
        send(&scene, "GET", &format!("/tasks{query}"), &[], b"").await;
        let asked = scene.asked.lock().unwrap().pop().unwrap();
        let Question::Tasks { limit, offset, .. } = asked.question else {
            panic!("{:?}", asked.question);
        };
        assert_eq!((limit, offset), expected, "{query}");
    }
}

#[actix_web::test]
async fn bodies_are_bounded_also_when_compressed() {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(br#"{"type":"GET_HEALTH"}"#).unwrap();
    let body = encoder.finish().unwrap();
    let gzip = ("content-encoding", "gzip");
    let got = send(&leading(), "POST", "/api/v1", &[JSON, gzip], &body).await;
    assert_eq!(
        got.text(),
        r#"{"type":"GET_HEALTH","get_health":{"healthy":true}}"#
    );

    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&vec![b' '; (16 << 20) + 1]).unwrap();
    let bomb = encoder.finish().unwrap();
    assert_eq!(
        send(&leading(), "POST", "/api/v1", &[JSON, gzip], &bomb)
            .await
            .status,
        413
    );
    let large = vec![b' '; (16 << 20) + 1];
    assert_eq!(
        send(&leading(), "POST", "/api/v1", &[JSON], &large)
            .await
            .status,
        413
    );
}

#[actix_web::test]
async fn the_registry_is_counted_in_the_metrics() {
    let got = send(&leading(), "GET", "/metrics", &[], b"").await;
    let text = got.text();
    assert!(text.contains("\nmesos_registry_syncs 12.0\n"), "{text}");
    // Who compares the snapshot with that of Mesos finds what Mesos has.
    let snapshot = send(&leading(), "GET", "/metrics/snapshot", &[], b"").await;
    assert!(!snapshot.text().contains("registry/syncs"));
}

#[actix_web::test]
async fn the_allocator_counts_in_the_snapshot() {
    let got = send(&leading(), "GET", "/metrics/snapshot", &[], b"").await;
    let told: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(told["allocator/mesos/allocation_runs"], 2.0);
    for name in [
        "allocator/mesos/event_queue_dispatches",
        "allocator/event_queue_dispatches",
    ] {
        assert_eq!(told[name], 0.0, "{name}");
    }
    assert_eq!(told["master/elected"], 1.0);
}

/// Mesos: `HierarchicalAllocatorProcess::offerConstraintsDebug`.
#[actix_web::test]
async fn what_frameworks_rule_out_is_listed_as_mesos_does() {
    let path = "/allocator/offer_constraints_debug";
    let got = send(&leading(), "GET", path, &[], b"").await;
    let expected = json!({"frameworks": {"f": {
        "suppressed_roles": ["b"],
        "excluded_by_attribute_constraints": {"a": ["S0"]},
    }}});
    let told: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!((got.status, told), (200, expected));
}

#[actix_web::test]
async fn the_policies_are_shown_and_changed() {
    let path = "/tepui/v1/allocator";
    let got = send(&leading(), "GET", path, &[], b"").await;
    let told: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
    let expected = json!({
        "policy": "drf", "policies": ["drf", "priority"], "runs": 2, "grants": 3, "shadow": null,
    });
    assert_eq!((got.status, told), (200, expected));
    for (body, status, expected) in [
        (r#"{"shadow":"priority"}"#, 200, r#""differences":0"#),
        (
            r#"{"shadow":null}"#,
            503,
            "the next one may not know of them: the disk is nearly full",
        ),
        (
            r#"{"policy":"fifo"}"#,
            400,
            "there is no allocation policy `fifo`",
        ),
        (r#"{"polcy":"drf"}"#, 400, "Failed to read the policies"),
        ("drf", 400, "Failed to read the policies"),
    ] {
        let got = send(&leading(), "POST", path, &[], body.as_bytes()).await;
        let text = String::from_utf8_lossy(&got.body).into_owned();
        assert_eq!(got.status, status, "{body}: {text}");
        assert!(text.contains(expected), "{body}: {text}");
    }
}

#[actix_web::test]
async fn why_is_asked_of_the_allocator_and_told_by_the_view() {
    let scene = leading();
    let path = "/tepui/v1/why?framework_id=f&role=a&need=cpus:1.5;mem:64&limit=3";
    assert_eq!(send(&scene, "GET", path, &[], b"").await.status, 200);
    let asked = scene.asked.lock().unwrap().pop().unwrap();
    let Question::Why { explanation, .. } = asked.question else {
        panic!("{asked:?}");
    };
    let need = [("cpus".to_string(), 1_500), ("mem".to_string(), 64_000)];
    assert_eq!(explanation.question.need, BTreeMap::from(need));
    assert_eq!((explanation.question.most, asked.after), (3, 7));
    for (path, status, expected) in [
        ("/tepui/v1/why", 400, "Missing 'framework_id'"),
        ("/tepui/v1/why?framework_id=g", 404, "No framework 'g'"),
        ("/tepui/v1/why?framework_id=f&role=b", 404, "under role 'b'"),
        (
            "/tepui/v1/why?framework_id=f&need=cpus",
            400,
            "cpus:4;mem:512",
        ),
        (
            "/tepui/v1/why?framework_id=f&need=cpus:-1",
            400,
            "'need' is",
        ),
        (
            "/tepui/v1/why?framework_id=f&need=cpus:1e300",
            400,
            "'need' is",
        ),
        (
            "/tepui/v1/why?framework_id=f&need=ports:[1-2]",
            400,
            "no unreserved amount",
        ),
        (
            "/tepui/v1/why?framework_id=f&need=cpus(a):1",
            400,
            "no unreserved amount",
        ),
        (
            "/tepui/v1/why?framework_id=f&limit=-1",
            400,
            "'limit' is '-1'",
        ),
        ("/tepui/v1/offers?limit=10001", 400, "up to 10000"),
    ] {
        let got = send(&scene, "GET", path, &[], b"").await;
        let text = String::from_utf8_lossy(&got.body).into_owned();
        assert_eq!(got.status, status, "{path}: {text}");
        assert!(text.contains(expected), "{path}: {text}");
    }
    let got = send(&scene, "GET", "/tepui/v1/offers?limit=5", &[], b"").await;
    assert_eq!(got.status, 200);
    let asked = scene.asked.lock().unwrap().pop().unwrap();
    assert!(matches!(asked.question, Question::Offers { most: 5, .. }));
}

#[actix_web::test]
async fn older_endpoints_want_an_agent_and_a_list() {
    let missing = |name: &str| format!("Missing '{name}' query parameter in the request body");
    for (paths, list) in [
        (["/reserve", "/unreserve"], "resources"),
        (["/create-volumes", "/destroy-volumes"], "volumes"),
    ] {
        for path in paths {
            for (body, expected) in [
                (format!("{list}=[]"), missing("slaveId")),
                ("slaveId=S0".to_string(), missing(list)),
                (
                    format!("slaveId=S0&{list}={{}}"),
                    format!(
                        "Error in parsing '{list}' query parameter in the request body: Unexpected JSON type parsed"
                    ),
                ),
            ] {
                let got = send(&leading(), "POST", path, &[], body.as_bytes()).await;
                let text = String::from_utf8_lossy(&got.body).into_owned();
                assert_eq!((got.status, text), (400, expected), "{path} {body}");
            }
        }
    }
}

#[actix_web::test]
async fn weights_are_a_list_of_roles_and_numbers() {
    for body in [
        r#"[{"weight":3.2,"role"}]"#,
        r#"[{"weight":"two","role":"role1"}]"#,
        r#"weights=[{"weight":2.0}]"#,
        r#"[{"role":"role1"}]"#,
    ] {
        let got = send(&leading(), "PUT", "/weights", &[], body.as_bytes()).await;
        let text = String::from_utf8_lossy(&got.body).into_owned();
        assert_eq!(got.status, 400, "{body}: {text}");
        let told = [
            "Failed to parse update weights",
            "Failed to convert weights JSON array",
        ];
        let is_told = told.iter().any(|prefix| text.starts_with(prefix));
        assert!(is_told, "{body}: {text}");
    }
}
