use std::sync::Arc;

use actix_web::test;
use tepui_http::Credentials;

use super::*;
use crate::ExecutorSecurity;

fn security(asked: bool, readwrite: bool) -> Security {
    let credentials = Arc::new(Credentials::parse("ops sesame").unwrap());
    let mut security = Security::new(false, readwrite, &credentials, Arc::default());
    security.executors = ExecutorSecurity {
        key: Some(TokenKey::new(b"secret")),
        asked,
        shown_key: None,
    };
    security
}

fn of_executor() -> ExecutorClaims {
    ExecutorClaims {
        framework_id: "f".to_owned(),
        executor_id: "e".to_owned(),
        container_id: "c".to_owned(),
    }
}

fn shown(
    security: &Security,
    route: Route,
    header: Option<&str>,
) -> Result<Option<ExecutorClaims>, (u16, String)> {
    let mut request = test::TestRequest::post().uri("/api/v1/executor");
    if let Some(header) = header {
        request = request.insert_header(("authorization", header));
    }
    let request = Incoming::head(&request.to_http_request()).unwrap();
    claims(security, route, &request).map_err(|refused| {
        let response = refused.into_response(&request.headers);
        let challenge = response.headers().get("www-authenticate").unwrap();
        let challenge = challenge.to_str().unwrap().to_owned();
        (response.status().as_u16(), challenge)
    })
}

#[test]
async fn an_executor_shows_its_token_where_it_is_asked_to() {
    let bearer = |key: &[u8]| format!("Bearer {}", TokenKey::new(key).sign(&of_executor()));
    let (own, foreign) = (bearer(b"secret"), bearer(b"incorrect_key"));
    let asks = security(true, true);
    let told = shown(&asks, Route::Executor, Some(&own));
    assert_eq!(told, Ok(Some(of_executor())));
    let realm = "Bearer realm=\"mesos-agent-executor\"";
    let wrong = |why: &str| {
        let text = format!("{realm}, error=\"invalid_token\", error_description=\"{why}\"");
        Err((401, text))
    };
    for (header, expected) in [
        (None, Err((401, realm.to_owned()))),
        (
            Some(foreign.as_str()),
            wrong("Invalid JWT: Token signature does not match"),
        ),
        (Some("Bearer"), wrong("Malformed 'Authorization' header")),
        (Some("Basic b3BzOnNlc2FtZQ=="), wrong("Scheme unsupported")),
        (
            Some("Bearer a.b"),
            wrong("Invalid JWT: Expected 3 components"),
        ),
    ] {
        assert_eq!(
            shown(&asks, Route::Executor, header),
            expected,
            "{header:?}"
        );
    }
    // Where nobody asks, nobody looks.
    for header in [None, Some(foreign.as_str())] {
        assert_eq!(
            shown(&security(false, true), Route::Executor, header),
            Ok(None)
        );
    }
}

#[test]
async fn executors_and_operators_come_by_one_door() {
    let token = TokenKey::new(b"secret").sign(&of_executor());
    let bearer = format!("Bearer {token}");
    let guarded = security(true, true);
    let told = shown(&guarded, Route::Call, Some(&bearer));
    assert_eq!(told, Ok(Some(of_executor())));
    let told = shown(&guarded, Route::Call, Some("Basic b3BzOnNlc2FtZQ=="));
    assert_eq!(told, Ok(None), "the password is looked at elsewhere");
    assert_eq!(
        shown(&security(true, false), Route::Call, Some(&bearer)),
        Ok(None)
    );
    assert!(shown(&guarded, Route::Call, Some("Bearer x")).is_err());
    assert_eq!(shown(&guarded, Route::State, Some("Bearer x")), Ok(None));
}

#[test]
async fn an_executor_speaks_of_what_is_within_its_own_container_alone() {
    use tepui_protocol::{acls::Subject, v1::agent::Call};

    let caller = super::super::access::Caller {
        subject: Subject {
            acls: Arc::default(),
            principal: None,
        },
        claims: Some(of_executor()),
    };
    let node = super::super::tests::idle();
    let allowed = |kind: &str, body: serde_json::Value| {
        let field = kind.to_lowercase();
        let text = serde_json::json!({"type": kind, field: body}).to_string();
        let limits = tepui_protocol::codec::Limits::HTTP;
        let call: Call = tepui_protocol::codec::json::decode(text.as_bytes(), &limits).unwrap();
        caller.authorize(&call, &node).map_err(|it| it.status())
    };
    let within = |outer: &str| serde_json::json!({"container_id": {"value": "inner", "parent": {"value": outer}}});
    for kind in [
        "LAUNCH_NESTED_CONTAINER",
        "LAUNCH_NESTED_CONTAINER_SESSION",
        "WAIT_NESTED_CONTAINER",
        "KILL_NESTED_CONTAINER",
        "REMOVE_NESTED_CONTAINER",
        "ATTACH_CONTAINER_OUTPUT",
    ] {
        assert_eq!(allowed(kind, within("c")), Ok(()), "{kind}");
        assert_eq!(allowed(kind, within("other")), Err(403), "{kind}");
        let alone = serde_json::json!({"container_id": {"value": "c"}});
        assert_eq!(allowed(kind, alone), Err(403), "{kind}");
    }
    for kind in ["GET_STATE", "GET_CONTAINERS", "GET_FLAGS", "PRUNE_IMAGES"] {
        assert_eq!(allowed(kind, serde_json::json!({})), Err(403), "{kind}");
    }
}
