use actix_web::test::TestRequest;

use super::*;

const LOOPBACK: &str = "127.0.0.1:5050";
const NETWORK: &str = "0.0.0.0:5050";

fn names(address: &str, given: &[&str]) -> Names {
    let given: Vec<_> = given.iter().map(ToString::to_string).collect();
    Names::new(address.parse().unwrap(), "box.example", &given)
}

fn is_let_in(names: &Names, method: Method, headers: &[(&'static str, &str)]) -> bool {
    let mut request = TestRequest::with_uri("/state").method(method);
    for header in headers {
        request = request.append_header(*header);
    }
    names.refusal(&request.to_http_request()).is_none()
}

#[test]
fn what_is_for_this_machine_goes_by_its_names_only() {
    let hosts = [
        ("127.0.0.1:5050", true),
        ("[::1]:5050", true),
        ("10.1.2.3", true),
        ("localhost:5050", true),
        ("LocalHost.", true),
        ("a.localhost:1", true),
        (
            &format!("{}:5050", uname().nodename().to_str().unwrap()),
            true,
        ),
        ("BOX.example", true),
        ("master:5050", true),
        ("tepui.example:8443", true),
        ("evil.example:5050", false),
        ("127.0.0.1.evil.example", false),
        ("localhost.evil.example", false),
        ("evil.example@127.0.0.1", true),
        ("127.0.0.1@evil.example", false),
        ("", true),
        ("a b", false),
        ("\u{e9}", false),
    ];
    let loopback = names(LOOPBACK, &["Tepui.example"]);
    for (host, expected) in hosts {
        let found = is_let_in(&loopback, Method::GET, &[("host", host)]);
        assert_eq!(found, expected, "{host:?}");
    }
    // Clients older than HTTP/1.1.
    assert!(is_let_in(&loopback, Method::GET, &[]));
    let two = [("host", "localhost"), ("host", "evil.example")];
    assert!(!is_let_in(&loopback, Method::GET, &two));
}

#[test]
fn any_name_may_lead_to_what_is_for_the_network_unless_some_are_given() {
    let evil = [("host", "evil.example:5050")];
    assert!(is_let_in(&names(NETWORK, &[]), Method::GET, &evil));
    assert!(!is_let_in(
        &names(NETWORK, &["a.example"]),
        Method::GET,
        &evil
    ));
}

#[test]
fn pages_of_others_change_nothing() {
    let cases: [(&[(&str, &str)], bool); 14] = [
        (&[], true),
        (&[("sec-fetch-site", "same-origin")], true),
        (&[("sec-fetch-site", "none")], true),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("sec-fetch-site", "\u{e9}")], false),
        // Behind a proxy that has a name of its own.
        (
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "https://tepui.example"),
            ],
            true,
        ),
        (
            &[
                ("sec-fetch-site", "cross-site"),
                ("origin", "https://ui.example:8443"),
            ],
            true,
        ),
        (&[("origin", "http://localhost:5050")], true),
        (&[("origin", "http://LOCALHOST:5050")], true),
        (&[("origin", "http://localhost:4000")], false),
        (&[("origin", "http://evil.example")], false),
        (&[("origin", "null")], false),
        (&[("origin", "http://ui.example")], true),
    ];
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        for (headers, expected) in cases {
            let names = names(LOOPBACK, &["ui.example"]);
            let headers = [&[("host", "localhost:5050")], headers].concat();
            let found = is_let_in(&names, method.clone(), &headers);
            assert_eq!(found, expected, "{method} {headers:?}");
        }
    }
}

#[test]
fn pages_of_others_lead_people_here_and_read_nothing() {
    let names = names(LOOPBACK, &[]);
    for (site, mode, expected) in [
        ("cross-site", "navigate", true),
        ("cross-site", "cors", true),
        ("cross-site", "no-cors", false),
        ("same-site", "no-cors", true),
        ("same-origin", "no-cors", true),
    ] {
        let headers = [("sec-fetch-site", site), ("sec-fetch-mode", mode)];
        let found = is_let_in(&names, Method::GET, &headers);
        assert_eq!(found, expected, "{site} {mode}");
    }
}

#[test]
fn a_refusal_says_what_to_do() {
    let request = TestRequest::post().append_header(("host", "evil.example"));
    let text = names(LOOPBACK, &[]).refusal(&request.to_http_request());
    assert!(
        text.unwrap()
            .contains("'evil.example': expected an address")
    );
    let request = TestRequest::post().append_header(("origin", "http://evil.example"));
    let text = names(LOOPBACK, &[]).refusal(&request.to_http_request());
    assert!(text.unwrap().contains("a page of 'http://evil.example'"));
}
