use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn of(text: &str) -> Target {
    Target(Url::parse(text).unwrap())
}

fn told(target: &Target) -> (bool, String, u16, String) {
    let (host, path) = (target.host().to_string(), target.path().to_owned());
    (target.tls(), host, target.port(), path)
}

#[test]
fn a_redirect_leads_where_its_location_says() {
    let from = of("http://127.0.0.1:81/a/b?c=d");
    for (location, to) in [
        (
            "http://127.0.0.1:82/x?y#z",
            (false, "127.0.0.1", 82, "/x?y"),
        ),
        ("HTTPS://Example.ORG", (true, "example.org", 443, "/")),
        ("http://u:p@h:1?q", (false, "h", 1, "/?q")),
        ("https://[::1]:9/x", (true, "[::1]", 9, "/x")),
        ("//h/x", (false, "h", 80, "/x")),
        ("/x/./y/../z", (false, "127.0.0.1", 81, "/x/z")),
        ("../x", (false, "127.0.0.1", 81, "/x")),
        ("?e", (false, "127.0.0.1", 81, "/a/b?e")),
        ("/ü b", (false, "127.0.0.1", 81, "/%C3%BC%20b")),
    ] {
        let found = from.follow(location.as_bytes()).unwrap();
        let (tls, host, port, path) = to;
        assert_eq!(
            told(&found),
            (tls, host.to_owned(), port, path.to_owned()),
            "{location}"
        );
    }
    for location in [
        "ftp://h/x",
        "file:///etc/passwd",
        "http://h:65536/",
        "http://a b/",
        "http://[::1/",
    ] {
        assert_eq!(from.follow(location.as_bytes()), None, "{location}");
    }
}

#[test]
fn a_host_header_has_the_port_where_the_scheme_does_not_say_it_and_no_login() {
    let v4 = Ipv4Addr::LOCALHOST.into();
    let v6 = Ipv6Addr::LOCALHOST.into();
    for (tls, ip, port, expected) in [
        (false, v4, 80, "127.0.0.1"),
        (true, v4, 80, "127.0.0.1:80"),
        (true, v6, 443, "[::1]"),
        (false, v6, 8080, "[::1]:8080"),
    ] {
        assert_eq!(
            Target::new(tls, ip, port, "/").unwrap().authority(),
            expected
        );
    }
    assert_eq!(of("http://u:p@h:1/").authority(), "h:1");
}

#[test]
fn what_a_framework_asks_for_is_one_word_of_a_line() {
    let path = |path| {
        let target = Target::new(false, Ipv4Addr::LOCALHOST.into(), 1, path);
        target.unwrap().path().to_owned()
    };
    assert_eq!(path("/a b?c#d"), "/a%20b?c");
    assert_eq!(path("health"), "/");
    assert_eq!(path(""), "/");
}

proptest! {
    #[test]
    fn whatever_a_server_says_the_next_request_is_one_line(
        first in prop::collection::vec(any::<u8>(), 0..40),
        second in "(https?:|//|[/?#.:@a\\[\\]])*",
    ) {
        let from = of("http://127.0.0.1:81/a/b?c=d");
        for location in [&first, second.as_bytes()] {
            if let Some(to) = from.follow(location) {
                prop_assert!(to.path().starts_with('/'));
                prop_assert!(to.path().bytes().all(|it| it.is_ascii_graphic()));
                prop_assert!(to.authority().bytes().all(|it| it.is_ascii_graphic()));
            }
        }
    }
}
