use actix_web::test::TestRequest;

use super::*;

fn asked(target: &str) -> Incoming {
    let request = TestRequest::get().uri(target).to_http_request();
    Incoming::head(&request).unwrap()
}

#[test]
fn a_query_is_parted_at_semicolons_but_not_at_our_own_endpoints() {
    for (target, name, expected) in [
        ("/tasks?task_id=1;framework_id=F", "task_id", "1"),
        ("/tasks?task_id=1;framework_id=F", "framework_id", "F"),
        (
            "/tepui/v1/why?need=cpus:4;mem:512&limit=3",
            "need",
            "cpus:4;mem:512",
        ),
        (
            "/tepui/v1/why?need=cpus:4%3Bmem:512&limit=3",
            "need",
            "cpus:4;mem:512",
        ),
        ("/tepui/v1/why?need=cpus:4;mem:512&limit=3", "limit", "3"),
    ] {
        assert_eq!(asked(target).parameter(name), Some(expected), "{target}");
    }
}

#[test]
fn a_form_is_parted_like_a_query_of_mesos() {
    let mut request = asked("/teardown");
    request.body = Bytes::from_static(b"a=1;frameworkId=f");
    let form = request.form().unwrap();
    assert_eq!(form.get("frameworkId").map(String::as_str), Some("f"));
}

/// As Go's client sends what it wants of a stream.
#[test]
fn of_a_header_on_two_lines_the_last_one_counts() {
    let request = TestRequest::post()
        .append_header(("Accept", "application/x-protobuf"))
        .append_header(("Accept", "application/recordio"))
        .append_header(("Content-Type", "text/plain"))
        .append_header(("Content-Type", "application/json"))
        .append_header(("Authorization", "Basic YTph"))
        .append_header(("Authorization", "Basic YjpiYg=="))
        .to_http_request();
    let incoming = Incoming::head(&request).unwrap();
    assert_eq!(incoming.header("accept"), Some("application/recordio"));
    assert_eq!(incoming.header("content-type"), Some("application/json"));
    assert_eq!(incoming.headers.get_all("authorization").count(), 2);
    for headers in [&incoming.headers, request.headers()] {
        assert!(crate::media::accepts(headers, "application/recordio"));
        assert!(!crate::media::accepts(headers, "application/x-protobuf"));
    }
}
