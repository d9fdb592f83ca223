use super::*;

/// Mesos' `DockerSpecTest.ParseDockerConfig`.
#[test]
fn logins_of_a_docker_configuration() {
    let json = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "bWVzb3M6dGVzdA==", "email": "u@example.com"},
        "localhost:5000": {"auth": "dW5pZmllZA=="}}, "HttpHeaders": {"User-Agent": "Docker"}}"#;
    let logins = Logins::parse(json).expect("a configuration");
    assert_eq!(logins.of("registry-1.docker.io"), Some("bWVzb3M6dGVzdA=="));
    assert_eq!(logins.of("localhost:5000"), Some("dW5pZmllZA=="));
    assert_eq!(logins.of("localhost"), None);
}

/// Mesos' `DockerSpecTest.ParseDockercfg` and `ParseAuthUrl`.
#[test]
fn logins_of_the_older_file_and_addresses_of_registries() {
    let json = r#"{"quay.io": {"auth": "cQ=="}, "https://192.168.0.1:5050": {"auth": "aQ=="}, "http://a.io/v2/x": {"auth": "YQ=="}, "none.io": {}}"#;
    let logins = Logins::parse(json).expect("a configuration");
    assert_eq!(logins.of("quay.io"), Some("cQ=="));
    assert_eq!(logins.of("192.168.0.1:5050"), Some("aQ=="));
    assert_eq!(logins.of("a.io"), Some("YQ=="));
    assert_eq!(logins.of("none.io"), None);
}

#[test]
fn logins_are_never_shown() {
    let logins = Logins::parse(r#"{"quay.io": {"auth": "c2VjcmV0"}}"#).expect("a configuration");
    assert_eq!(format!("{logins:?}"), r#"{"quay.io"}"#);
    let wrong = Logins::parse(r#"{"quay.io": "c2VjcmV0"}"#).expect_err("no login");
    assert!(!wrong.contains("c2VjcmV0"));
}

fn service(realm: &str) -> TokenService {
    TokenService {
        realm: realm.to_owned(),
        service: Some("registry.io".to_owned()),
        scope: Some("repository:a/b:pull,push".to_owned()),
    }
}

#[test]
fn challenges_of_registries() {
    let header = r#"Bearer realm="https://auth.io/token",service="registry.io",scope="repository:a/b:pull,push""#;
    let expected = Challenge::Bearer(service("https://auth.io/token"));
    assert_eq!(Challenge::parse(header), Some(expected));
    let header = "bearer service=registry.io, realm=https://auth.io/token , scope=\"repository:a/b:pull,push\"";
    assert!(matches!(
        Challenge::parse(header),
        Some(Challenge::Bearer(_))
    ));
    assert_eq!(
        Challenge::parse(r#"Basic realm="x""#),
        Some(Challenge::Basic)
    );
    for header in [
        "",
        "Bearer",
        "Bearer service=\"x\"",
        "Negotiate",
        "Bearer \"",
        "Bearer ====\"\"\"",
    ] {
        assert_eq!(Challenge::parse(header), None, "{header}");
    }
}

#[test]
fn a_token_is_asked_for_by_https_or_on_this_machine() {
    let url = |realm: &str| service(realm).url(|host| host == "127.0.0.1");
    let asked = url("https://auth.io/token?a=b").expect("an address");
    assert_eq!(
        asked,
        "https://auth.io/token?a=b&service=registry.io&scope=repository%3Aa%2Fb%3Apull%2Cpush"
    );
    assert!(url("http://127.0.0.1:5001/token").is_ok());
    for realm in [
        "http://auth.io/token",
        "file:///etc/passwd",
        "auth.io",
        "http://",
    ] {
        assert!(url(realm).is_err(), "{realm}");
    }
}

#[test]
fn a_token_for_whatever_is_asked_for_the_repository() {
    let header = r#"Bearer realm="https://auth.io/token",service="s""#;
    let Some(Challenge::Bearer(token)) = Challenge::parse(header) else {
        panic!("it asks for a token");
    };
    let url = token.for_repository("team/box").url(|_| false);
    let expected = "https://auth.io/token?service=s&scope=repository%3Ateam%2Fbox%3Apull";
    assert_eq!(url.as_deref(), Ok(expected));
    let said = service("https://auth.io/token").for_repository("other");
    assert!(said.url(|_| false).is_ok_and(|url| url.contains("a%2Fb")));
}

#[test]
fn tokens_that_are_none_are_refused() {
    assert_eq!(
        Challenge::token(br#"{"token": "abc"}"#),
        Ok("abc".to_owned())
    );
    assert_eq!(
        Challenge::token(br#"{"access_token": "abc"}"#),
        Ok("abc".to_owned())
    );
    for json in [
        &br#"{}"#[..],
        br#"{"token": ""}"#,
        br#"{"token": "a\r\nX: y"}"#,
        b"x",
    ] {
        assert!(Challenge::token(json).is_err());
    }
}
