use std::{collections::BTreeMap, fs};

use actix_web::{body::to_bytes, http::header::HeaderMap, test};

use super::*;
use crate::Attached;

fn shown() -> (tempfile::TempDir, Files) {
    let home = tempfile::tempdir().unwrap();
    let one = home.path().join("1");
    fs::create_dir_all(one.join("2")).unwrap();
    fs::create_dir_all(one.join("empty")).unwrap();
    fs::write(one.join("two"), "two").unwrap();
    fs::write(one.join("2/three"), "three").unwrap();
    fs::write(one.join("foo%3Abar"), "body").unwrap();
    fs::write(one.join("black.gif"), b"GIF87a").unwrap();
    let other = home.path().join("2");
    fs::create_dir_all(&other).unwrap();
    let attached = BTreeMap::from([("/one".to_owned(), one), ("/two".to_owned(), other)]);
    (home, Files::new(Attached(attached)))
}

fn asked(query: &str) -> Incoming {
    let request = test::TestRequest::get().uri(&format!("/files/x?{query}"));
    Incoming::head(&request.to_http_request()).unwrap()
}

/// Status, content type and body.
async fn told(reply: Reply) -> (u16, String, String) {
    let response = reply.into_response(&HeaderMap::new());
    let status = response.status().as_u16();
    let kind = response.headers().get("content-type");
    let kind = kind.map_or("", |it| it.to_str().unwrap()).to_owned();
    let body = to_bytes(response.into_body()).await;
    let body = body.unwrap_or_else(|_| panic!("a body"));
    (status, kind, String::from_utf8_lossy(&body).into_owned())
}

async fn read(files: &Files, query: &str) -> (u16, String) {
    let (status, _, body) = told(files.read_text(&asked(query)).await).await;
    (status, body)
}

#[actix_web::test]
async fn a_file_is_read_as_asked_or_it_is_said_what_is_wrong() {
    let (_home, files) = shown();
    let ok = |data: &str| (200, format!("{{\"data\":\"{data}\",\"offset\":0}}"));
    let bad = |text: &str| (400, format!("{text}\n"));
    for (query, expected) in [
        ("", bad("Expecting 'path=value' in query.")),
        ("path=&offset=0", bad("Expecting 'path=value' in query.")),
        (
            "path=none&offset=hello",
            bad("Failed to parse offset: Failed to convert 'hello' to number."),
        ),
        (
            "path=none&length=hello",
            bad("Failed to parse length: Failed to convert 'hello' to number."),
        ),
        ("path=/one/two&offset=0", ok("two")),
        ("path=/one/two&length=-1&offset=0", ok("two")),
        ("path=/one/two&length=2&offset=0", ok("tw")),
        (
            "path=/one/two&length=-2",
            bad("Negative length provided: -2."),
        ),
        ("path=missing", (404, String::new())),
        ("path=/one/missing", (404, String::new())),
    ] {
        assert_eq!(read(&files, query).await, expected, "{query}");
    }
}

#[actix_web::test]
async fn a_path_is_found_however_it_is_written_and_decoded_once() {
    let (_home, files) = shown();
    for path in ["/one/2/three", "%2Fone%2F2%2Fthree", "/one//2/./three"] {
        let query = format!("path={path}&offset=0");
        assert_eq!(read(&files, &query).await.0, 200, "{path}");
    }
    let coded = read(&files, "path=/one/foo%253Abar&offset=0").await;
    assert_eq!(coded, (200, "{\"data\":\"body\",\"offset\":0}".to_owned()));
    assert_eq!(read(&files, "path=/one/foo%3Abar&offset=0").await.0, 404);
    for directory in ["/one", "/one/", "/one/2", "/one/2/"] {
        let (status, body) = read(&files, &format!("path={directory}")).await;
        assert_eq!((status, body.as_str()), (400, "Cannot read a directory.\n"));
    }
    assert_eq!(read(&files, "path=/one/2/../../2/secret").await.0, 404);
}

#[actix_web::test]
async fn a_directory_is_listed_by_any_of_its_names() {
    let (_home, files) = shown();
    for path in ["/one/", "/one%2F", "/one"] {
        let (status, _, body) = told(files.browse(&asked(&format!("path={path}"))).await).await;
        let listed: Vec<serde_json::Value> = serde_json::from_str(&body).unwrap();
        let paths: Vec<_> = listed
            .iter()
            .map(|it| it["path"].as_str().unwrap())
            .collect();
        let tail = |it: &&str| it.trim_start_matches('/').to_owned();
        let paths: Vec<_> = paths.iter().map(tail).collect();
        assert_eq!(status, 200);
        assert_eq!(
            paths,
            [
                "one/2",
                "one/black.gif",
                "one/empty",
                "one/foo%3Abar",
                "one/two"
            ]
        );
        assert_eq!(listed[0]["mode"], "drwxr-xr-x");
    }
    let (status, _, body) = told(files.browse(&asked("path=/one/empty")).await).await;
    assert_eq!((status, body.as_str()), (200, "[]"));
    assert_eq!(
        told(files.browse(&asked("path=missing")).await).await.0,
        404
    );
    assert_eq!(told(files.browse(&asked("")).await).await.0, 400);
}

#[actix_web::test]
async fn a_download_is_of_the_kind_its_name_tells() {
    let (_home, files) = shown();
    for (path, kind, data) in [
        ("/one/two", "application/octet-stream", "two"),
        ("/one/black.gif", "image/gif", "GIF87a"),
    ] {
        let reply = files.download(&asked(&format!("path={path}"))).await;
        let expected = (200, kind.to_owned(), data.to_owned());
        assert_eq!(told(reply).await, expected);
    }
    let (status, _, body) = told(files.download(&asked("path=/one/2")).await).await;
    assert_eq!(
        (status, body.as_str()),
        (400, "Cannot download a directory.\n")
    );
    assert_eq!(
        told(files.download(&asked("path=missing")).await).await.0,
        404
    );
}

#[actix_web::test]
async fn what_is_attached_is_shown_with_where_it_lies() {
    let (home, files) = shown();
    let (status, _, body) = told(files.debug(&asked(""))).await;
    let all: BTreeMap<String, String> = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200);
    let lies = |name: &str| home.path().join(name).display().to_string();
    assert_eq!(
        (all["/one"].clone(), all["/two"].clone()),
        (lies("1"), lies("2"))
    );
    // Once it is not attached any more nothing of it is found.
    let files = Files::new(Attached(BTreeMap::new()));
    assert_eq!(told(files.debug(&asked(""))).await.2, "{}");
    assert_eq!(read(&files, "path=/one/two").await.0, 404);
}
