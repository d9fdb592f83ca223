//! Every path of the table and of what is mounted, with and without credentials and rights.

use tepui_http::Credentials;
use tepui_protocol::acls::{AUTHORIZABLE_PATHS, Acls};

use super::*;
use crate::{
    Guarded,
    http::{
        access::{Entrance, Rule},
        routes::{Route, TABLE},
    },
};

/// `ops:sesame`.
const OPS: (&str, &str) = ("authorization", "Basic b3BzOnNlc2FtZQ==");
const BAD: (&str, &str) = ("authorization", "Basic b3BzOm9wZW4=");
const JSON: (&str, &str) = ("content-type", "application/json");
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"];

fn with(guarded: Guarded, acls: &str) -> Scene {
    let credentials = Arc::new(Credentials::parse("ops sesame").unwrap());
    let acls = Arc::new(Acls::from_json(acls).unwrap());
    let security = Security::new(guarded, &credentials, acls);
    secured(
        Standing::Leading { term: 3 },
        Arc::new(|| Some(3)),
        security,
    )
}

fn guarded() -> Guarded {
    Guarded {
        readonly: true,
        readwrite: true,
        scheduler: true,
    }
}

fn routes() -> impl Iterator<Item = (String, Route)> {
    let own = TABLE.own.iter().flat_map(|(name, route)| {
        [
            (format!("/{name}"), *route),
            (format!("/master/{name}"), *route),
        ]
    });
    let others = TABLE
        .others
        .iter()
        .map(|(name, route)| (format!("/{name}"), *route));
    own.chain(others)
}

#[actix_web::test]
async fn without_credentials_only_what_is_listed_here_answers() {
    let scene = with(guarded(), "{}");
    let mut open = Vec::new();
    for (path, route) in routes() {
        for method in METHODS {
            let realm = match route.access(method).0 {
                Entrance::Open => None,
                Entrance::Readonly => Some("mesos-master-readonly"),
                Entrance::Readwrite => Some("mesos-master-readwrite"),
                Entrance::Scheduler => Some("mesos-master-scheduler"),
            };
            for headers in [&[][..], &[BAD]] {
                let got = send(&scene, method, &path, headers, b"").await;
                let Some(realm) = realm else {
                    assert_ne!(got.status, 401, "{method} {path}");
                    open.push(path.clone());
                    continue;
                };
                assert_eq!(got.status, 401, "{method} {path}");
                assert_eq!(got.text(), "401 Unauthorized.");
                assert_eq!(
                    got.header("www-authenticate"),
                    format!("Basic realm=\"{realm}\"")
                );
            }
            let got = send(&scene, method, &path, &[OPS], b"").await;
            assert_ne!(got.status, 401, "{method} {path}");
        }
    }
    open.dedup();
    let expected = [
        "/health",
        "/master/health",
        "/redirect",
        "/master/redirect",
        "/help",
        "/system/stats.json",
        "/tepui/v1/leader",
        "/version",
    ];
    assert_eq!(open, expected);
}

#[actix_web::test]
async fn each_realm_is_guarded_by_itself() {
    for (guarded, expected) in [
        (
            Guarded {
                readonly: true,
                ..Guarded::default()
            },
            [401, 400, 400],
        ),
        (
            Guarded {
                readwrite: true,
                ..Guarded::default()
            },
            [200, 401, 400],
        ),
        (
            Guarded {
                scheduler: true,
                ..Guarded::default()
            },
            [200, 400, 401],
        ),
    ] {
        let scene = with(guarded, "{}");
        let mut got = Vec::new();
        for (method, path) in [
            ("GET", "/state"),
            ("POST", "/api/v1"),
            ("POST", "/api/v1/scheduler"),
        ] {
            got.push(send(&scene, method, path, &[], b"").await.status);
        }
        assert_eq!(got, expected, "{guarded:?}");
    }
}

#[actix_web::test]
async fn the_principal_goes_with_the_call() {
    let call =
        br#"{"type": "DEACTIVATE_AGENT", "deactivate_agent": {"agent_id": {"value": "S0"}}}"#;
    let scene = with(guarded(), "{}");
    let got = send(&scene, "POST", "/api/v1", &[OPS, JSON], call).await;
    assert_eq!(got.text(), "for Some(\"ops\")");
    let got = send(&leading(), "POST", "/api/v1", &[OPS, JSON], call).await;
    assert_eq!(got.text(), "for None", "nobody asked");
}

#[actix_web::test]
async fn a_framework_subscribes_as_who_it_is() {
    let scene = with(guarded(), "{}");
    let subscribe = |principal: serde_json::Value| {
        let info = json!({"user": "u", "name": "n", "principal": principal});
        json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": info}}).to_string()
    };
    let body = subscribe(json!("zz"));
    let got = send(
        &scene,
        "POST",
        "/api/v1/scheduler",
        &[OPS, JSON],
        body.as_bytes(),
    )
    .await;
    let text = "Failed to validate scheduler::Call: Authenticated principal 'ops' does not match principal 'zz' set in `FrameworkInfo`";
    assert_eq!((got.status, got.text().as_str()), (400, text));
    for principal in [json!("ops"), json!(null)] {
        let body = subscribe(principal);
        let got = send(
            &scene,
            "POST",
            "/api/v1/scheduler",
            &[OPS, JSON],
            body.as_bytes(),
        )
        .await;
        assert_eq!(got.status, 200, "{}", got.text());
    }
    let subscribed = SUBSCRIBED.lock().unwrap();
    let principals: Vec<_> = subscribed
        .iter()
        .filter(|it| it.as_deref() == Some("ops"))
        .collect();
    assert!(principals.len() >= 2, "{subscribed:?}");
}

#[actix_web::test]
async fn where_nobody_is_asked_a_framework_is_whom_it_says() {
    let info = json!({"user": "u", "name": "n", "principal": "somebody"});
    let body = json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": info}}).to_string();
    let scene = leading();
    let path = "/api/v1/scheduler";
    let got = send(&scene, "POST", path, &[OPS, JSON], body.as_bytes()).await;
    assert_eq!(got.status, 200, "{}", got.text());
    let subscribed = SUBSCRIBED.lock().unwrap();
    assert!(subscribed.contains(&Some("somebody".to_string())));
}

#[actix_web::test]
async fn endpoints_are_refused_by_their_path() {
    for (path, route) in routes() {
        for method in ["GET", "POST"] {
            let (endpoint, whole) = match route.access(method).1 {
                Rule::Own => continue,
                Rule::Endpoint(endpoint) => (endpoint, false),
                Rule::Whole(endpoint) => (endpoint, true),
            };
            assert!(AUTHORIZABLE_PATHS.contains(&endpoint), "{endpoint}");
            let rule = |paths: &str| {
                format!(
                    r#"{{"get_endpoints": [{{"principals": {{"type": "ANY"}}, "paths": {{"values": [{paths}]}}}},
                    {{"principals": {{"type": "ANY"}}, "paths": {{"type": "NONE"}}}}]}}"#
                )
            };
            let refused = send(
                &with(Guarded::default(), &rule("")),
                method,
                &path,
                &[],
                b"",
            )
            .await;
            assert_eq!(
                (refused.status, refused.text().as_str()),
                (403, "403 Forbidden."),
                "{method} {path}"
            );
            let allowed = rule(&format!("\"{endpoint}\""));
            let got = send(&with(Guarded::default(), &allowed), method, &path, &[], b"").await;
            assert_ne!(got.status, 403, "{method} {path}");
            let blind = r#"{"view_tasks": [{"principals": {"type": "ANY"}, "users": {"values": ["u"]}}, {"principals": {"type": "ANY"}, "users": {"type": "NONE"}}]}"#;
            let got = send(&with(Guarded::default(), blind), method, &path, &[], b"").await;
            assert_eq!(got.status == 403, whole, "{method} {path}");
        }
    }
}

#[actix_web::test]
async fn flags_logs_and_levels_have_lists_of_their_own() {
    let strict = with(Guarded::default(), r#"{"permissive": false}"#);
    let calls = [
        (r#"{"type": "GET_FLAGS"}"#, "403 Forbidden."),
        (
            r#"{"type": "SET_LOGGING_LEVEL", "set_logging_level": {"level": 1, "duration": {"nanoseconds": 1}}}"#,
            "403 Forbidden.",
        ),
        (
            r#"{"type": "LIST_FILES", "list_files": {"path": "/master/log"}}"#,
            "",
        ),
        (
            r#"{"type": "READ_FILE", "read_file": {"path": "/master/log", "offset": 0}}"#,
            "",
        ),
    ];
    for (call, text) in calls {
        let got = send(&strict, "POST", "/api/v1", &[JSON], call.as_bytes()).await;
        assert_eq!((got.status, got.text().as_str()), (403, text), "{call}");
    }
    for (path, text) in [
        ("/flags", "403 Forbidden."),
        ("/files/browse?path=/master/log", ""),
        ("/files/read?path=/master/log", ""),
        ("/files/download?path=/master/log", ""),
    ] {
        let got = send(&strict, "GET", path, &[], b"").await;
        assert_eq!((got.status, got.text().as_str()), (403, text), "{path}");
    }
    let got = send(
        &strict,
        "POST",
        "/api/v1",
        &[JSON],
        br#"{"type": "GET_VERSION"}"#,
    )
    .await;
    assert_eq!(got.status, 200);
}

#[actix_web::test]
async fn the_view_is_told_who_asks_only_where_something_is_kept_from_them() {
    let limits = r#"{"view_frameworks": [{"principals": {"values": ["ops"]}, "users": {"values": ["u"]}}, {"principals": {"type": "ANY"}, "users": {"type": "NONE"}}]}"#;
    for (acls, expected) in [("{}", None), (limits, Some("ops"))] {
        let scene = with(guarded(), acls);
        let state = br#"{"type": "GET_STATE"}"#;
        for (method, path, body) in [
            ("GET", "/state", &b""[..]),
            ("GET", "/quota", b""),
            ("POST", "/api/v1", state),
        ] {
            let got = send(&scene, method, path, &[OPS, JSON], body).await;
            assert_eq!(got.status, 200, "{path}");
        }
        for query in scene.asked.lock().unwrap().iter() {
            let viewer = query
                .viewer
                .as_ref()
                .map(|it| it.principal.as_deref().unwrap_or_default());
            assert_eq!(viewer, expected, "{query:?}");
        }
    }
}

/// What is mounted beside ours, as it stands in the server.
async fn mounted(scene: &Scene, path: &str, headers: &[(&str, &str)]) -> u16 {
    let mount: Mount = Arc::new(|config| {
        for path in ["/", "/admin/{file:.*}", "/anything/else"] {
            config.route(
                path,
                web::get().to(|| async { HttpResponse::ImATeapot().finish() }),
            );
        }
    });
    let app = App::new().configure(|config| configure(config, &scene.door, Some(&mount)));
    let app = init_service(app).await;
    let mut request = TestRequest::get().uri(path);
    for header in headers {
        request = request.append_header(*header);
    }
    call_service(&app, request.to_request())
        .await
        .status()
        .as_u16()
}

#[actix_web::test]
async fn pages_that_are_mounted_are_for_those_who_may_read_everything() {
    const SERVED: u16 = 418;
    let closed = with(guarded(), "{}");
    let blind = with(
        Guarded::default(),
        r#"{"access_sandboxes": [{"principals": {"type": "ANY"}, "users": {"type": "NONE"}}]}"#,
    );
    for path in [
        "/",
        "/admin/live?view=overview",
        "/admin/a/b/stdout",
        "/anything/else",
        "//admin/x",
        "/%61dmin/x",
        "/admin/task/F/job%20100%",
    ] {
        assert_eq!(mounted(&closed, path, &[]).await, 401, "{path}");
        assert_eq!(mounted(&closed, path, &[BAD]).await, 401, "{path}");
        assert_eq!(mounted(&blind, path, &[]).await, 403, "{path}");
    }
    for path in ["/", "/admin/live", "/anything/else"] {
        assert_eq!(mounted(&leading(), path, &[]).await, SERVED, "{path}");
        assert_eq!(mounted(&closed, path, &[OPS]).await, SERVED, "{path}");
    }
    // What is ours asks for itself.
    assert_eq!(mounted(&closed, "/version", &[]).await, 200);
    assert_eq!(mounted(&closed, "/state", &[]).await, 401);
    assert_eq!(mounted(&closed, "/state", &[OPS]).await, 200);
    let got = mounted(&leading(), "/nowhere", &[]).await;
    assert_eq!(got, 404);
}
