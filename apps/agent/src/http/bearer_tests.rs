use std::sync::Arc;

use actix_web::test;
use tepui_http::Credentials;

use super::*;

fn executors(asked: bool) -> ExecutorSecurity {
    ExecutorSecurity {
        key: Some(TokenKey::new(b"secret")),
        asked,
        shown_key: None,
    }
}

fn guarded() -> Realm {
    let credentials = Arc::new(Credentials::parse("ops sesame").unwrap());
    Realm::guarded("tatooine", credentials)
}

fn of_executor() -> ExecutorClaims {
    ExecutorClaims {
        framework_id: "f".to_owned(),
        executor_id: "e".to_owned(),
        container_id: "c".to_owned(),
    }
}

/// Who came in, or the challenge.
fn shown(
    realm: &Realm,
    executors: &ExecutorSecurity,
    given: &[&str],
) -> Result<Entered, (u16, String)> {
    let mut headers = HeaderMap::new();
    for value in given {
        headers.append(AUTHORIZATION, value.parse().unwrap());
    }
    enter(realm, executors, &headers).map_err(|refused| {
        let response = refused.into_response(&headers);
        let challenge = response.headers().get(WWW_AUTHENTICATE).unwrap();
        let challenge = challenge.to_str().unwrap().to_owned();
        (response.status().as_u16(), challenge)
    })
}

/// `ops:sesame`.
const OPS: &str = "Basic b3BzOnNlc2FtZQ==";

fn bearer(key: &[u8]) -> String {
    format!("Bearer {}", TokenKey::new(key).sign(&of_executor()))
}

#[test]
async fn a_name_or_a_token_lets_in_and_who_has_neither_is_told_of_both() {
    let (own, foreign) = (bearer(b"secret"), bearer(b"incorrect_key"));
    let asks = |given: &[&str]| shown(&guarded(), &executors(true), given);
    assert_eq!(asks(&[&own]), Ok(Entered::Executor(of_executor())));
    assert_eq!(asks(&[OPS]), Ok(Entered::Named(Some("ops".to_owned()))));
    let both = "Basic realm=\"tatooine\",Bearer realm=\"tatooine\"";
    assert_eq!(asks(&[]), Err((401, both.to_owned())));
    let malformed = "Malformed 'Authorization' header";
    for (given, why) in [
        (
            &[foreign.as_str()][..],
            "Invalid JWT: Token signature does not match",
        ),
        (&["Bearer a.b"], "Invalid JWT: Expected 3 components"),
        (&["Basic b3BzOm9wZW4="], "Scheme 'Basic' unsupported"),
        (&["Bearer"], malformed),
        (&["Bearer a b"], malformed),
        (&[&own, &own], malformed),
        (&[OPS, &own], malformed),
    ] {
        let challenge = format!("{both}, error=\"invalid_token\", error_description=\"{why}\"");
        assert_eq!(asks(given), Err((401, challenge)), "{given:?}");
    }
}

#[test]
async fn where_executors_are_not_asked_nobody_looks_at_tokens() {
    let own = bearer(b"secret");
    let named = Ok(Entered::Named(Some("ops".to_owned())));
    assert_eq!(shown(&guarded(), &executors(false), &[OPS]), named);
    let basic = Err((401, "Basic realm=\"tatooine\"".to_owned()));
    assert_eq!(shown(&guarded(), &executors(false), &[&own]), basic);
    let open = Realm::open("tatooine");
    for given in [&[][..], &[own.as_str()], &["Bearer x"]] {
        let entered = shown(&open, &executors(true), given);
        assert_eq!(entered, Ok(Entered::Named(None)), "{given:?}");
    }
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
