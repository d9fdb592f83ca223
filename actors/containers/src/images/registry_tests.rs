use super::*;

fn registry(url: &str) -> Registry {
    Registry::new(Client::default(), url, Logins::default()).expect(url)
}

fn urls(default: &str, names: &[&str]) -> Vec<String> {
    let registry = registry(default);
    let url = |name: &&str| registry.endpoint(&name.parse().expect("a name")).url();
    names.iter().map(url).collect()
}

/// Mesos' `DockerSpecTest.GetRegistrySpec`, but for port 80: in the open only what does not leave the machine.
#[test]
fn by_which_address_a_registry_is_asked() {
    let names = [
        "a",
        "quay.io/a",
        "localhost:80/a",
        "localhost:1234/a",
        "127.0.0.1:443/a",
        "127.0.0.1:1234/a",
        "r.io:443/a",
        "r.io:80/a",
        "docker.io/a/b",
    ];
    let expected = [
        "https://registry-1.docker.io/v2",
        "https://quay.io/v2",
        "http://localhost:80/v2",
        "http://localhost:1234/v2",
        "https://127.0.0.1:443/v2",
        "http://127.0.0.1:1234/v2",
        "https://r.io:443/v2",
        "https://r.io:80/v2",
        "https://registry-1.docker.io/v2",
    ];
    assert_eq!(urls("https://registry-1.docker.io", &names), expected);
}

#[test]
fn the_operator_says_how_the_own_registry_is_asked() {
    assert_eq!(
        urls("http://r.io:5000/", &["a", "r.io:5000/a", "r.io/a"]),
        [
            "http://r.io:5000/v2",
            "http://r.io:5000/v2",
            "https://r.io/v2"
        ]
    );
    assert_eq!(urls("r.io", &["a"]), ["https://r.io/v2"]);
    for url in [
        "ftp://r.io",
        "https://",
        "https://u:p@r.io",
        "https://r.io/path",
        "r.io:port",
    ] {
        assert!(
            Registry::new(Client::default(), url, Logins::default()).is_err(),
            "{url}"
        );
    }
}
