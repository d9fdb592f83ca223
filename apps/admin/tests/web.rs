//! The web admin as a browser meets it, over a made-up cluster.

#[path = "../examples/demo/fake.rs"]
mod fake;

use std::{
    collections::BTreeSet,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use actix_web::{
    App,
    body::MessageBody,
    http::{StatusCode, header},
    test::{self, TestRequest},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use fake::{FRAMEWORK, View};
use futures_util::future::poll_fn;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tepui_admin::AdminState;

/// An app over the made-up cluster, whose agent listens at `$agent`; its view; and the number of the last change.
macro_rules! app {
    ($agent:expr) => {{
        let view = Arc::new(View {
            agent: $agent,
            asked: AtomicU64::new(0),
        });
        let (sources, changes) = fake::sources(Arc::clone(&view));
        let admin = AdminState::new(sources);
        let app = App::new().configure(|cfg| tepui_admin::configure(cfg, admin));
        (test::init_service(app).await, view, changes)
    }};
}

macro_rules! get {
    ($app:expr, $path:expr) => {
        test::call_service(&$app, TestRequest::get().uri($path).to_request()).await
    };
}

/// Reads a stream until `count` events of that name have come; returns the names and data of all.
async fn events(body: impl MessageBody, name: &str, count: usize) -> Vec<(String, Value)> {
    let mut body = pin!(body);
    let mut events = Vec::new();
    while events.iter().filter(|(found, _)| found == name).count() < count {
        let chunk = poll_fn(|cx| body.as_mut().poll_next(cx)).await;
        let Some(Ok(chunk)) = chunk else {
            panic!("the stream ended");
        };
        for event in text(&chunk).split_terminator("\n\n") {
            events.push(parse(event).expect("an event is a name and JSON"));
        }
    }
    events
}

fn parse(event: &str) -> Option<(String, Value)> {
    let (name, data) = event.split_once('\n')?;
    let data = serde_json::from_str(data.strip_prefix("data: ")?).ok()?;
    Some((name.strip_prefix("event: ")?.to_owned(), data))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("all that is served is UTF-8")
}

/// All paths `/admin/…` that a text names in double quotes, and its relative imports.
fn mentioned(source: &str) -> impl Iterator<Item = String> + '_ {
    source.split('"').filter_map(|quoted| {
        let path = quoted
            .strip_prefix("/admin/")
            .or_else(|| quoted.strip_prefix("./"))?;
        path.rsplit_once('.')
            .filter(|(_, ending)| ["mjs", "js", "css", "svg"].contains(ending))
            .map(|_| format!("/admin/{path}"))
    })
}

#[actix_web::test]
async fn the_page_may_run_its_own_files_and_nothing_else() {
    let (app, ..) = app!(String::new());
    let answer = get!(app, "/");
    let policy = answer
        .headers()
        .get(header::CONTENT_SECURITY_POLICY)
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let page = test::read_body(answer).await;
    let page = text(&page);
    let import_map = page.split_once("<script type=\"importmap\">").unwrap().1;
    let import_map = import_map.split_once("</script>").unwrap().0;
    let hash = STANDARD.encode(Sha256::digest(import_map));
    assert!(policy.contains(&format!("script-src 'self' 'sha256-{hash}';")));
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.matches("<script").count(), 3);
    assert!(
        !page.contains("style=") && !page.contains(" on"),
        "inline code is refused by the policy"
    );
}

#[actix_web::test]
async fn every_file_the_page_names_is_there_and_has_its_type() {
    let (app, ..) = app!(String::new());
    let mut ahead = vec!["/".to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(path) = ahead.pop() {
        let answer = get!(app, &path);
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let wanted = match path.rsplit('.').next().unwrap() {
            "mjs" | "js" => "text/javascript",
            "css" => "text/css",
            "svg" => "image/svg+xml",
            _ => "text/html",
        };
        let media_type = answer
            .headers()
            .get(header::CONTENT_TYPE)
            .unwrap()
            .to_str()
            .unwrap();
        assert!(media_type.starts_with(wanted), "{path} is {media_type}");
        assert_eq!(
            answer
                .headers()
                .get(header::X_CONTENT_TYPE_OPTIONS)
                .unwrap(),
            "nosniff"
        );
        let body = test::read_body(answer).await;
        if !path.contains("/vendor/") {
            let source = text(&body);
            assert!(!source.contains("innerHTML"), "{path} writes markup");
            ahead.extend(mentioned(source).filter(|path| seen.insert(path.clone())));
        }
    }
    assert!(seen.len() > 15, "{seen:?}");
    for outside in [
        "/admin/nothing.mjs",
        "/admin/../Cargo.toml",
        "/admin/%2e%2e/Cargo.toml",
    ] {
        assert_eq!(
            get!(app, outside).status(),
            StatusCode::NOT_FOUND,
            "{outside}"
        );
    }
}

#[actix_web::test]
async fn an_unchanged_file_is_not_sent_again() {
    let (app, ..) = app!(String::new());
    let etag = get!(app, "/admin/app.mjs")
        .headers()
        .get(header::ETAG)
        .unwrap()
        .clone();
    let again = TestRequest::get()
        .uri("/admin/app.mjs")
        .insert_header((header::IF_NONE_MATCH, etag));
    let answer = test::call_service(&app, again.to_request()).await;
    assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
}

#[actix_web::test]
async fn a_view_is_made_once_for_all_and_only_when_something_changed() {
    let (app, view, changes) = app!("127.0.0.1:1".to_owned());
    assert_eq!(view.asked.load(Relaxed), 0, "nobody watches");
    let first = get!(app, "/admin/live?view=overview");
    let second = get!(app, "/admin/live?view=overview");
    assert_eq!(
        first.headers().get(header::CONTENT_TYPE).unwrap(),
        "text/event-stream"
    );
    let look = events(first.into_body(), "overview", 2).await;
    assert_eq!(look[0].0, "history");
    let (_, overview) = &look[1];
    assert_eq!(overview["leads"], true);
    assert_eq!(overview["cluster"]["agents"]["total"], 3);
    assert_eq!(overview["cluster"]["agents"]["active"], 2);
    assert_eq!(overview["cluster"]["tasks"]["finished"], 1_284);
    assert_eq!(overview["cluster"]["resources"]["cpus"]["total"], 12.0);
    assert_eq!(
        overview["cluster"]["recent"][0]["agent"],
        "rack0-node0.example"
    );
    let framework = &overview["cluster"]["frameworks"]["rows"][0];
    assert_eq!(framework["user"], "www");
    assert_eq!(framework["roles"][1], "batch/nightly");
    assert_eq!(overview["error"], Value::Null);
    assert_eq!(
        view.asked.load(Relaxed),
        5,
        "summary, frameworks, shortcomings, metrics, tasks: once for two looks"
    );

    changes.fetch_add(1, Relaxed);
    let both = events(second.into_body(), "overview", 2).await;
    assert_eq!(both[0].0, "history");
    assert_eq!(view.asked.load(Relaxed), 10);
}

#[actix_web::test]
async fn every_mailbox_is_shown_with_its_rates() {
    let (app, ..) = app!(String::new());
    let answer = get!(app, "/admin/live?view=actors");
    let looks = events(answer.into_body(), "actors", 2).await;
    let rows = looks[1].1["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 12);
    assert_eq!(rows[0]["node"], "rack0-node0.example");
    assert!(rows.iter().all(|row| row["in_per_s"].is_f64()));
    assert!(rows[0]["per_message"][0]["per_s"].is_f64());
    let bad = get!(app, "/admin/live?view=all");
    assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
}

#[actix_web::test]
async fn a_task_is_shown_with_its_life_and_what_it_wrote() {
    let (agent, server) = fake::start_agent().unwrap();
    actix_web::rt::spawn(server);
    let (app, ..) = app!(agent.clone());
    let path = |task: &str| format!("/admin/task/{FRAMEWORK}/{task}");
    macro_rules! json {
        ($path:expr) => {{
            let body = test::read_body(get!(app, &$path)).await;
            serde_json::from_slice::<Value>(&body).unwrap()
        }};
    }
    let life = json!(path("job-3"));
    assert_eq!(life["state"], "TASK_FAILED");
    assert_eq!(life["ended"], true);
    assert_eq!(life["agent"]["address"], agent);
    let at = |step: usize| life["life"][step]["at_ms"].as_i64().unwrap();
    assert_eq!((at(1) - at(0), at(2) - at(0)), (38, 2_412));

    let whole = json!(path("job-1/stdout"));
    assert_eq!(
        whole,
        serde_json::json!({ "data": "hello\n", "offset": 0, "next": 6, "size": 6 })
    );
    let rest = json!(path("job-1/stdout?offset=4"));
    assert_eq!((&rest["data"], &rest["next"]), (&"o\n".into(), &6.into()));
    let nothing = json!(path("job-1/stdout?offset=6"));
    assert_eq!(
        (&nothing["data"], &nothing["next"]),
        (&"".into(), &6.into())
    );

    assert_eq!(get!(app, &path("none")).status(), StatusCode::NOT_FOUND);
    assert_eq!(
        get!(app, &path("job-1/secrets")).status(),
        StatusCode::BAD_REQUEST
    );
}
