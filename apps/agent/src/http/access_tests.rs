use std::path::PathBuf;

use actix_web::{App, dev::Service, http::Method, test as http_test};
use tepui_http::Credentials;
use tepui_messages::agent::ExecutorPhase;
use tepui_protocol::{
    acls::{AUTHORIZABLE_PATHS, Acls},
    v1::{CommandInfo, ExecutorId, ExecutorInfo, FrameworkId, TaskId},
};

use super::*;
use crate::{
    Security,
    http::{
        TABLE,
        tests::{api, idle, secured},
    },
    runtime::{Step, Unfinished},
};

/// `ops:sesame`.
const OPS: &str = "Basic b3BzOnNlc2FtZQ==";

fn guarded() -> Security {
    let credentials = Arc::new(Credentials::parse("ops sesame").unwrap());
    Security::new(true, true, &credentials, Arc::default())
}

fn with(acls: &str) -> Security {
    let acls = Arc::new(Acls::from_json(acls).unwrap());
    Security::new(false, false, &Arc::default(), acls)
}

/// Status, challenge and body.
async fn got(
    api: Api,
    method: &str,
    path: &str,
    credentials: Option<&str>,
) -> (u16, String, String) {
    let app = http_test::init_service(App::new().configure(api.configure())).await;
    let mut request = http_test::TestRequest::with_uri(path)
        .method(Method::from_bytes(method.as_bytes()).unwrap());
    if let Some(credentials) = credentials {
        request = request.insert_header(("authorization", credentials));
    }
    let response = app.call(request.to_request()).await.unwrap();
    let status = response.status().as_u16();
    let challenge = response.headers().get("www-authenticate");
    let challenge = challenge.map_or("", |it| it.to_str().unwrap()).to_string();
    let body = http_test::read_body(response).await;
    (
        status,
        challenge,
        String::from_utf8_lossy(&body).into_owned(),
    )
}

fn routes() -> impl Iterator<Item = (String, Route)> {
    let own = TABLE.own.iter().flat_map(|(name, route)| {
        [
            (format!("/{name}"), *route),
            (format!("/slave(1)/{name}"), *route),
        ]
    });
    own.chain(
        TABLE
            .others
            .iter()
            .map(|(name, route)| (format!("/{name}"), *route)),
    )
}

#[actix_web::test]
async fn without_credentials_only_what_is_listed_here_answers() {
    let mut open = Vec::new();
    for (path, route) in routes() {
        let realm = match route.access().0 {
            Entrance::Open | Entrance::Executor => {
                open.push(path);
                continue;
            }
            Entrance::Readonly => "mesos-agent-readonly",
            Entrance::Readwrite => "mesos-agent-readwrite",
        };
        for method in ["GET", "POST", "PUT", "HEAD"] {
            for given in [None, Some("Basic b3BzOm9wZW4=")] {
                let answer = got(secured(guarded()), method, &path, given).await;
                let challenge = format!("Basic realm=\"{realm}\"");
                assert_eq!(
                    answer,
                    (401, challenge, "401 Unauthorized.".to_string()),
                    "{method} {path}"
                );
            }
            let (status, ..) = got(secured(guarded()), method, &path, Some(OPS)).await;
            assert_ne!(status, 401, "{method} {path}");
        }
    }
    let expected = [
        "/api/v1/executor",
        "/slave(1)/api/v1/executor",
        "/health",
        "/slave(1)/health",
        "/version",
        "/system/stats.json",
        "/help",
    ];
    assert_eq!(open, expected);
}

#[actix_web::test]
async fn each_realm_is_guarded_by_itself() {
    let credentials = Arc::new(Credentials::parse("ops sesame").unwrap());
    for (readonly, readwrite, expected) in [(true, false, [401, 400]), (false, true, [200, 401])] {
        let security = Security::new(readonly, readwrite, &credentials, Arc::default());
        let state = got(secured(security.clone()), "GET", "/state", None)
            .await
            .0;
        let call = got(secured(security), "POST", "/api/v1", None).await.0;
        assert_eq!([state, call], expected);
    }
}

#[actix_web::test]
async fn an_agent_that_asks_executors_takes_names_and_tokens_at_every_door() {
    use tepui_messages::agent::ExecutorClaims;
    use tepui_node::tokens::TokenKey;

    let asking = || {
        let mut security = guarded();
        security.executors = crate::ExecutorSecurity {
            key: Some(TokenKey::new(b"secret")),
            asked: true,
            shown_key: None,
        };
        secured(security)
    };
    let claims = ExecutorClaims {
        framework_id: "f".to_owned(),
        executor_id: "e".to_owned(),
        container_id: "c".to_owned(),
    };
    let token = format!("Bearer {}", TokenKey::new(b"secret").sign(&claims));
    let body = "\"Basic\" authenticator returned:\n401 Unauthorized.\n\n\
                \"Bearer\" authenticator returned:\n401 Unauthorized.";
    for (path, route) in routes() {
        let realm = match route.access().0 {
            Entrance::Open => continue,
            Entrance::Executor => "mesos-agent-executor",
            Entrance::Readonly => "mesos-agent-readonly",
            Entrance::Readwrite => "mesos-agent-readwrite",
        };
        for (given, why) in [
            (None, ""),
            (
                Some("Bearer x"),
                ", error=\"invalid_token\", error_description=\"Invalid JWT: Expected 3 components\"",
            ),
        ] {
            let answer = got(asking(), "POST", &path, given).await;
            let challenge = format!("Basic realm=\"{realm}\",Bearer realm=\"{realm}\"{why}");
            assert_eq!(answer, (401, challenge, body.to_owned()), "{path}");
        }
        // Executors have nothing to ask for but at their own doors.
        let expected = match route {
            Route::Executor | Route::Call => 400,
            _ => 403,
        };
        let (status, ..) = got(asking(), "POST", &path, Some(&token)).await;
        assert_eq!(status, expected, "{path}");
        let (status, ..) = got(asking(), "POST", &path, Some(OPS)).await;
        assert!(![401, 403].contains(&status), "{path}: {status}");
    }
}

#[actix_web::test]
async fn endpoints_are_refused_by_their_path() {
    let none = r#"{"get_endpoints": [{"principals": {"type": "ANY"}, "paths": {"type": "NONE"}}]}"#;
    for (path, route) in routes() {
        let Some(endpoint) = route.access().1 else {
            continue;
        };
        assert!(AUTHORIZABLE_PATHS.contains(&endpoint), "{endpoint}");
        let (status, _, body) = got(secured(with(none)), "GET", &path, None).await;
        assert_eq!((status, body.as_str()), (403, "403 Forbidden."), "{path}");
        let (status, ..) = got(api(), "GET", &path, None).await;
        assert_eq!(status, 200, "{path}");
    }
    let strict = r#"{"permissive": false}"#;
    let (status, _, body) = got(secured(with(strict)), "GET", "/flags", None).await;
    assert_eq!((status, body.as_str()), (403, "403 Forbidden."));
    let (status, _, body) = got(
        secured(with(strict)),
        "GET",
        "/files/read?path=/slave/log",
        None,
    )
    .await;
    assert_eq!((status, body.as_str()), (403, ""));
    let (status, _, body) = got(secured(with(strict)), "GET", "/state", None).await;
    let state: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, state.get("flags")), (200, None));
}

// --- what is there ------------------------------------------------------------------------------------------------

fn executor_of(name: &str, user: Option<&str>) -> ExecutorState {
    let task = |id: &str, user: Option<&str>| {
        Arc::new(Task {
            task_id: TaskId {
                value: id.to_string(),
            },
            user: user.map(str::to_string),
            ..Task::default()
        })
    };
    ExecutorState {
        info: Arc::new(ExecutorInfo {
            executor_id: ExecutorId {
                value: name.to_string(),
            },
            command: Some(CommandInfo {
                user: user.map(str::to_string),
                ..CommandInfo::default()
            }),
            ..ExecutorInfo::default()
        }),
        command_task: false,
        phase: ExecutorPhase::Running,
        container_id: ContainerId {
            value: format!("container-{name}"),
            parent: None,
        },
        sandbox: PathBuf::new(),
        pid: None,
        queued_tasks: Vec::new(),
        launched_tasks: vec![task("own", None), task("web", Some("web"))],
        terminated_tasks: Vec::new(),
        completed_tasks: Vec::new(),
        nested: Vec::new(),
    }
}

/// Frameworks `f` of user root and `g` of user web; `f` has executors of root and of db.
fn node() -> Arc<NodeState> {
    let framework = |id: &str, user: &str, executors| FrameworkState {
        info: Arc::new(FrameworkInfo {
            user: user.to_string(),
            id: Some(FrameworkId {
                value: id.to_string(),
            }),
            ..FrameworkInfo::default()
        }),
        executors,
        completed_executors: Vec::new(),
    };
    let mut node = (*idle()).clone();
    node.frameworks = vec![
        framework(
            "f",
            "root",
            vec![executor_of("a", None), executor_of("b", Some("db"))],
        ),
        framework("g", "web", vec![executor_of("c", None)]),
    ];
    Arc::new(node)
}

/// Who may do this only to `users`.
fn subject(lists: &[&str], users: &[&str]) -> Subject {
    let rules = serde_json::json!([
        {"principals": {"type": "ANY"}, "users": {"values": users}},
        {"principals": {"type": "ANY"}, "users": {"type": "NONE"}},
    ]);
    let lists: serde_json::Map<_, _> = lists
        .iter()
        .map(|list| (list.to_string(), rules.clone()))
        .collect();
    Subject {
        acls: Arc::new(Acls::from_json(&serde_json::Value::from(lists).to_string()).unwrap()),
        principal: None,
    }
}

fn shown(node: &NodeState) -> Vec<String> {
    let mut shown = Vec::new();
    for framework in &node.frameworks {
        let id = &framework.info.id.as_ref().unwrap().value;
        shown.push(id.clone());
        for executor in &framework.executors {
            let executor_id = &executor.info.executor_id.value;
            shown.push(format!("{id}/{executor_id}"));
            let tasks = executor.launched_tasks.iter();
            shown.extend(tasks.map(|task| format!("{id}/{executor_id}/{}", task.task_id.value)));
        }
    }
    shown
}

#[test]
fn what_may_not_be_viewed_is_left_out() {
    for (lists, users, expected) in [
        (
            &["view_frameworks"][..],
            &["web"][..],
            &["g", "g/c", "g/c/own", "g/c/web"][..],
        ),
        (
            &["view_executors"],
            &["db"],
            &["f", "f/b", "f/b/own", "f/b/web", "g"],
        ),
        (
            &["view_tasks"],
            &["root"],
            &["f", "f/a", "f/a/own", "f/b", "f/b/own", "g", "g/c"],
        ),
        (
            &["view_frameworks", "view_tasks", "view_executors"],
            &["root", "db"],
            &["f", "f/a", "f/a/own", "f/b", "f/b/own"],
        ),
        (&["view_frameworks"], &[], &[]),
    ] {
        assert_eq!(
            shown(&seen(&subject(lists, users), node())),
            expected,
            "{lists:?} {users:?}"
        );
    }
    let all = node();
    let unlimited = Subject {
        acls: Arc::default(),
        principal: None,
    };
    assert!(Arc::ptr_eq(&seen(&unlimited, Arc::clone(&all)), &all));
}

#[test]
fn those_that_hang_are_seen_as_their_containers_are() {
    let hung = Unfinished::default();
    for id in ["container-b", "container-b.task", "container-c", "nobodys"] {
        hung.hangs(id, Step::Destroy, "");
    }
    let db = subject(&["view_containers"], &["db"]);
    let seen: Vec<_> = seen_hung(&db, &node(), hung.shown()).into_keys().collect();
    assert_eq!(seen, ["container-b", "container-b.task", "nobodys"]);
}

#[test]
fn sandboxes_are_those_of_their_user() {
    let db = subject(&["access_sandboxes"], &["db"]);
    let allowed = |path: &str| expect_file(&db, &node(), path).is_ok();
    for (path, expected) in [
        ("/frameworks/f/executors/b/runs/latest/stdout", true),
        (
            "/var/agent/slaves/S0/frameworks/f/executors/b/runs/latest/stdout",
            true,
        ),
        ("/frameworks/f/executors/a/runs/latest/stdout", false),
        ("/frameworks/g/executors/c/runs/latest", false),
        // What the task itself put there decides nothing.
        (
            "/frameworks/f/executors/a/runs/latest/frameworks/f/executors/b/runs/x",
            false,
        ),
        ("/frameworks/f/executors/nobody/runs/latest", false),
        ("/frameworks/nobody/executors/b/runs/latest", false),
        ("/frameworks/f/executors/a/runs/../../b/runs/latest", false),
        ("/slave/log", true),
    ] {
        assert_eq!(allowed(path), expected, "{path}");
    }
    let logs =
        r#"{"access_mesos_logs": [{"principals": {"type": "ANY"}, "logs": {"type": "NONE"}}]}"#;
    let blind = Subject {
        acls: Arc::new(Acls::from_json(logs).unwrap()),
        principal: None,
    };
    assert!(expect_file(&blind, &node(), "/slave/log").is_err());
    assert!(expect_file(&blind, &node(), "/frameworks/f/executors/a/runs/latest").is_ok());
}

/// The call about a container within that of executor `b`, whose user is db; `user` is that of a command.
fn about(kind: Type, user: Option<&str>) -> Call {
    let name = kind.as_str_name();
    let id = serde_json::json!({"value": "n", "parent": {"value": "container-b"}});
    let mut body = serde_json::json!({"container_id": id});
    if name.starts_with("LAUNCH") {
        body["command"] = serde_json::json!({"value": "true", "user": user});
    }
    if kind == Type::AttachContainerInput {
        body["type"] = "CONTAINER_ID".into();
    }
    let mut call = serde_json::json!({"type": name});
    call[name.to_lowercase()] = body;
    let limits = tepui_protocol::codec::Limits::HTTP;
    tepui_protocol::codec::json::decode(call.to_string().as_bytes(), &limits).unwrap()
}

#[test]
fn nested_containers_are_those_of_the_executor_around_them() {
    for (kind, lists) in [
        (Type::WaitNestedContainer, &["wait_nested_containers"][..]),
        (Type::WaitContainer, &["wait_nested_containers"]),
        (Type::KillNestedContainer, &["kill_nested_containers"]),
        (Type::KillContainer, &["kill_nested_containers"]),
        (Type::RemoveNestedContainer, &["remove_nested_containers"]),
        (Type::RemoveContainer, &["remove_nested_containers"]),
        (Type::AttachContainerInput, &["attach_containers_input"]),
        (Type::AttachContainerOutput, &["attach_containers_output"]),
        (
            Type::LaunchNestedContainer,
            &["launch_nested_containers_under_parent_with_user"],
        ),
        (
            Type::LaunchContainer,
            &["launch_nested_containers_under_parent_with_user"],
        ),
        (
            Type::LaunchNestedContainerSession,
            &["launch_nested_container_sessions_under_parent_with_user"],
        ),
    ] {
        let call = about(kind, Some("root"));
        assert!(
            authorize(&subject(lists, &["db"]), &call, &node()).is_ok(),
            "{kind:?}"
        );
        assert!(
            authorize(&subject(lists, &["root"]), &call, &node()).is_err(),
            "{kind:?}"
        );
    }
    for (kind, list) in [
        (
            Type::LaunchNestedContainer,
            "launch_nested_containers_as_user",
        ),
        (
            Type::LaunchNestedContainerSession,
            "launch_nested_container_sessions_as_user",
        ),
    ] {
        let web = subject(&[list], &["web"]);
        assert!(authorize(&web, &about(kind, Some("web")), &node()).is_ok());
        assert!(authorize(&web, &about(kind, Some("root")), &node()).is_err());
        assert!(
            authorize(&web, &about(kind, None), &node()).is_err(),
            "any user"
        );
    }
}

#[test]
fn what_is_about_the_whole_agent_has_lists_of_its_own() {
    let strict = Subject {
        acls: Arc::new(Acls::from_json(r#"{"permissive": false}"#).unwrap()),
        principal: Some("ops".to_string()),
    };
    let call = |kind: Type| Call {
        r#type: Some(kind as i32),
        ..Call::default()
    };
    for kind in [
        Type::GetFlags,
        Type::SetLoggingLevel,
        Type::PruneImages,
        Type::GetResourceProviders,
        Type::AddResourceProviderConfig,
        Type::UpdateResourceProviderConfig,
        Type::RemoveResourceProviderConfig,
        Type::MarkResourceProviderGone,
        Type::ListFiles,
        Type::ReadFile,
    ] {
        assert!(
            authorize(&strict, &call(kind), &node()).is_err(),
            "{kind:?}"
        );
    }
    for kind in [
        Type::GetHealth,
        Type::GetVersion,
        Type::GetMetrics,
        Type::GetState,
    ] {
        assert!(authorize(&strict, &call(kind), &node()).is_ok(), "{kind:?}");
    }
    // A container that is nobody's, at the top or below another.
    let mut alone = about(Type::KillContainer, None);
    alone.kill_container.as_mut().unwrap().container_id.parent = None;
    let only_root = subject(&["kill_nested_containers"], &["root"]);
    assert!(authorize(&only_root, &alone, &node()).is_ok());
    assert!(authorize(&strict, &alone, &node()).is_err());
}
