use actix_web::http::header::HeaderValue;

use super::*;

fn headers(values: &[&'static str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(AUTHORIZATION, HeaderValue::from_static(value));
    }
    headers
}

/// `ops:sesame` and `fw:x`.
const OPS: &str = "Basic b3BzOnNlc2FtZQ==";
const FW: &str = "Basic Znc6eA==";

fn guarded() -> Realm {
    let credentials = Credentials::parse("ops sesame\nfw x").unwrap();
    Realm::guarded("mesos-master-readonly", Arc::new(credentials))
}

#[test]
fn an_open_realm_asks_nobody() {
    let realm = Realm::open("mesos-master-readonly");
    for given in [&[][..], &[OPS], &["nonsense"]] {
        assert_eq!(realm.enter(&headers(given)).ok(), Some(None));
    }
}

#[test]
fn a_guarded_realm_names_who_enters() {
    let entered = guarded().enter(&headers(&[OPS])).ok();
    assert_eq!(entered, Some(Some("ops".to_string())));
}

#[tokio::test]
async fn who_does_not_prove_it_is_told_the_realm() {
    for given in [
        &[][..],
        &["Basic b3BzOnNlc2FtZXg="],
        &["nonsense"],
        &[OPS, FW],
        &[OPS, OPS],
    ] {
        let refused = guarded().enter(&headers(given)).err();
        let response = refused.expect("refused").into_response(&HeaderMap::new());
        assert_eq!(response.status(), 401, "{given:?}");
        let challenge = response.headers().get(WWW_AUTHENTICATE).unwrap();
        assert_eq!(challenge, "Basic realm=\"mesos-master-readonly\"");
        let body = actix_web::body::to_bytes(response.into_body())
            .await
            .unwrap();
        assert_eq!(body, "401 Unauthorized.");
    }
}

#[test]
fn where_nobody_is_known_nobody_enters() {
    let realm = Realm::guarded("mesos-master-readonly", Arc::default());
    for given in [&[][..], &[OPS], &["Basic Og=="]] {
        assert!(realm.enter(&headers(given)).is_err(), "{given:?}");
    }
}
