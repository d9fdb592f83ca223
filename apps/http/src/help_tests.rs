use actix_web::{body::to_bytes, http::header::HeaderMap, test::TestRequest};
use serde_json::{Value, json};

use super::*;

const OPEN: u8 = 0;
const GUARDED: u8 = 1;
const TABLE: Table<u8> = Table {
    process: "master",
    own: &[("state", GUARDED), ("health", OPEN)],
    others: &[
        ("files/browse", GUARDED),
        ("help", OPEN),
        ("__processes__", GUARDED),
        ("version", OPEN),
    ],
};

/// Status, content type and body.
async fn asked(target: &str, agent: &str) -> (u16, String, String) {
    let request = TestRequest::get()
        .uri(target)
        .insert_header(("user-agent", agent));
    let request = Incoming::head(&request.to_http_request()).unwrap();
    let rest = request.path.strip_prefix("/help").unwrap();
    let rest = rest.strip_prefix('/');
    let reply = help(&TABLE, |route| route == GUARDED, rest, &request);
    let response = reply.into_response(&HeaderMap::new());
    let status = response.status().as_u16();
    let kind = response.headers().get("content-type").unwrap();
    let kind = kind.to_str().unwrap().to_owned();
    let body = to_bytes(response.into_body()).await;
    let body = body.unwrap_or_else(|_| panic!("a body"));
    (status, kind, String::from_utf8_lossy(&body).into_owned())
}

#[actix_web::test]
async fn json_lists_processes_and_their_endpoints_in_order() {
    for target in ["/help?format=json", "/help/?format=json"] {
        let (status, kind, body) = asked(target, "curl/8").await;
        assert_eq!((status, kind.as_str()), (200, "application/json"));
        assert!(body.starts_with(
            "{\"processes\":[{\"id\":\"files\",\"endpoints\":[{\"name\":\"/browse\",\"text\":"
        ));
        let told: Value = serde_json::from_str(&body).unwrap();
        let listed: Vec<(&str, Vec<&str>)> = told["processes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|process| {
                let endpoints = process["endpoints"].as_array().unwrap().iter();
                let names = endpoints.map(|it| it["name"].as_str().unwrap());
                (process["id"].as_str().unwrap(), names.collect())
            })
            .collect();
        let expected = [
            ("files", vec!["/browse"]),
            ("master", vec!["/health", "/state"]),
            ("version", vec!["/"]),
        ];
        assert_eq!(listed, expected);
        let state = told["processes"][1]["endpoints"][1].clone();
        let text = "### USAGE ###\n>        /state\n>        /master/state\n\n### AUTHENTICATION ###\n\
                    This endpoint requires authentication where the daemon has it switched on.\n";
        assert_eq!(state, json!({"name": "/state", "text": text}));
        let health = told["processes"][1]["endpoints"][0]["text"].as_str();
        assert!(!health.unwrap().contains("requires"));
    }
}

#[actix_web::test]
async fn tools_of_a_shell_get_markdown_and_browsers_a_page() {
    for agent in ["curl/7.88", "HTTPie/3"] {
        for (target, expected) in [
            (
                "/help",
                "## HELP\n> [/files][files]\n> [/master][master]\n> [/version][version]\n\n\
                 [files]: help/files\n[master]: help/master\n[version]: help/version\n",
            ),
            (
                "/help/master",
                "## `/master` ##\n> [/master/health][master/health]\n> [/master/state][master/state]\n\n\
                 [master/health]: master/health\n[master/state]: master/state\n",
            ),
            (
                "/help/version",
                "## `/version` ##\n> [/version][version]\n\n[version]: version\n",
            ),
            (
                "/help/files/browse",
                "### USAGE ###\n>        /files/browse\n\n### AUTHENTICATION ###\n\
                 This endpoint requires authentication where the daemon has it switched on.\n\n",
            ),
        ] {
            let told = asked(target, agent).await;
            let markdown = "text/x-markdown".to_owned();
            assert_eq!(told, (200, markdown, expected.to_owned()), "{target}");
        }
    }
    for (target, expected) in [
        ("/help", "<a href=\"/help/master\">/master</a>"),
        (
            "/help/master",
            "<a href=\"/help/master/state\">/master/state</a>",
        ),
        ("/help/master/state", "<code>/master/state</code>"),
        ("/help/master/state?format=json", "<h2>AUTHENTICATION</h2>"),
    ] {
        let (status, kind, body) = asked(target, "Mozilla/5.0 (like curl)").await;
        assert_eq!((status, kind.as_str()), (200, "text/html"), "{target}");
        assert!(body.contains(expected), "{target}: {body}");
    }
}

#[actix_web::test]
async fn what_is_not_there_has_no_help() {
    for (target, path) in [
        ("/help/nope", "/nope"),
        ("/help/nope/state", "/nope/state"),
        ("/help/master/nope", "/master/nope"),
        ("/help/master/state/", "/master/state/"),
        ("/help/help", "/help"),
        ("/help/__processes__", "/__processes__"),
    ] {
        let (status, kind, body) = asked(target, "curl/8").await;
        assert_eq!((status, kind.as_str()), (400, "text/plain; charset=utf-8"));
        assert_eq!(body, format!("No help available for '{path}'.\n"));
    }
}
