use crate::{
    Options,
    testing::{Authority, Server, found, moved},
    tls::Roots,
};

use super::*;

/// Long enough for a busy machine; only what must not happen waits for it.
const PATIENCE: Duration = Duration::from_mins(1);

fn client(authority: &Authority) -> Client {
    Client::new(Options {
        roots: Roots::Only(vec![authority.root.clone()]),
        ..Options::default()
    })
}

async fn whole(client: &Client, url: &str) -> Result<Vec<u8>, Error> {
    let mut download = client.download(url, PATIENCE).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = download.next().await? {
        bytes.extend(piece);
    }
    Ok(bytes)
}

async fn refusal(client: &Client, url: &str) -> String {
    whole(client, url).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_trusted_server_gives_the_bytes_it_has() {
    let authority = Authority::new("ours");
    let file: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let sent = file.clone();
    let server = Server::start(Some(authority.valid()), move |_| found(&sent)).await;
    let url = format!("https://{}/big", server.address);
    assert!(whole(&client(&authority), &url).await.unwrap() == file);
}

#[tokio::test]
async fn each_certificate_that_cannot_be_trusted_is_told_plainly() {
    let (authority, other) = (Authority::new("ours"), Authority::new("theirs"));
    let client = client(&authority);
    let cases = [
        (
            other.valid(),
            "the certificate of 127.0.0.1 comes from an unknown issuer: if that is meant, add the issuer's \
             certificate to this machine's roots, or to the file that SSL_CERT_FILE names, and restart the process that asked;",
        ),
        (
            Authority::new("ours").valid(),
            "the certificate of 127.0.0.1 is not signed by the issuer that is known here by its name: ",
        ),
        (
            authority.own(),
            "the certificate of 127.0.0.1 cannot be accepted (",
        ),
        (
            authority.certify("127.0.0.1", (2019, 2020)),
            "the certificate of 127.0.0.1 expired ",
        ),
        (
            authority.certify("127.0.0.1", (3999, 4000)),
            "the certificate of 127.0.0.1 is not valid yet: ",
        ),
        (
            authority.certify("files.example.org", (2020, 4000)),
            "the certificate of 127.0.0.1 has the wrong name, it is for files.example.org: ask by such a name, \
             or have it issued for 127.0.0.1",
        ),
    ];
    for (certificate, expected) in cases {
        let server = Server::start(Some(certificate), |_| found(b"secret")).await;
        let error = refusal(&client, &format!("https://{}/file", server.address)).await;
        assert!(error.starts_with(expected), "{error}");
    }
}

#[tokio::test]
async fn without_roots_http_works_and_https_says_what_to_install() {
    let client = Client::new(Options {
        roots: Roots::Only(Vec::new()),
        ..Options::default()
    });
    let server = Server::start(None, |_| found(b"hello")).await;
    let url = format!("http://{}/file", server.address);
    assert_eq!(whole(&client, &url).await.unwrap(), b"hello");
    let error = refusal(&client, "https://127.0.0.1:1/file").await;
    assert!(error.contains("ca-certificates"), "{error}");
}

#[tokio::test]
async fn what_is_not_https_behind_https_is_told() {
    let client = client(&Authority::new("ours"));
    let server = Server::start(None, |_| found(b"hello")).await;
    // The server waits for the end of a head, which a TLS greeting has by chance at most: it must speak first.
    let talkative = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = talkative.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut stream, _) = talkative.accept().await.unwrap();
        let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut stream, answer)
            .await
            .unwrap();
        std::future::pending::<()>().await;
    });
    let error = refusal(&client, &format!("https://{address}/file")).await;
    let expected = "127.0.0.1 does not speak TLS at this port (";
    assert!(error.starts_with(expected), "{error}");
    task.abort();
    let url = format!("https://{}/file", server.address);
    let silent = client.download(&url, Duration::from_millis(50));
    assert!(matches!(silent.await, Err(Error::Silent(_))));
}

#[tokio::test]
async fn redirects_are_followed_but_never_from_https_to_http() {
    let authority = Authority::new("ours");
    let client = client(&authority);
    let plain = Server::start(None, |_| found(b"plain")).await;
    let plain_url = format!("http://{}/file?token=1", plain.address);
    let secure = Server::start(Some(authority.valid()), move |head| {
        let host = head.lines().find_map(|line| line.strip_prefix("host: "));
        let path = head.split(' ').nth(1).unwrap_or_default();
        match path {
            "/a/down" => moved(&plain_url),
            "/a/rooted" => moved("/b/file"),
            "/a/relative" => moved("../b/file"),
            "/a/same-scheme" => moved(&format!("//{}/b/file", host.unwrap_or_default())),
            "/a/ftp" => moved("ftp://127.0.0.1/file"),
            "/a/round" => moved("round"),
            "/b/file" => found(b"secure"),
            _ => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        }
    })
    .await;
    let base = format!("https://{}/a", secure.address);
    for path in ["rooted", "relative", "same-scheme"] {
        let file = whole(&client, &format!("{base}/{path}")).await.unwrap();
        assert_eq!(file, b"secure", "{path}");
    }
    let up = format!("{base}/rooted");
    let upwards = Server::start(None, move |_| moved(&up)).await;
    let file = whole(&client, &format!("http://{}/up", upwards.address)).await;
    assert_eq!(file.unwrap(), b"secure");
    assert_eq!(
        refusal(&client, &format!("{base}/down")).await,
        "127.0.0.1 redirects from https to plain http at 127.0.0.1, where anyone on the way could change the file: \
         refused; use an https address of 127.0.0.1, or name the http address itself if that is meant"
    );
    for (path, expected) in [
        (
            "ftp",
            "the server redirects to what is neither http nor https",
        ),
        ("round", "more than 5 redirects"),
        ("none", "the server answered 404 Not Found"),
    ] {
        assert_eq!(
            refusal(&client, &format!("{base}/{path}")).await,
            expected,
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_login_of_a_url_goes_to_its_own_server_only() {
    let authority = Authority::new("ours");
    let client = client(&authority);
    let shows_login = |head: &str| {
        let login = head
            .lines()
            .find_map(|line| line.strip_prefix("authorization: "));
        found(login.unwrap_or("none").as_bytes())
    };
    let other = Server::start(Some(authority.valid()), shows_login).await;
    let elsewhere = format!("https://x:y@{}/file", other.address);
    let server = Server::start(Some(authority.valid()), move |head| {
        match head.split(' ').nth(1) {
            Some("/here") => moved("/file"),
            Some("/elsewhere") => moved(&elsewhere),
            _ => shows_login(head),
        }
    })
    .await;
    let base = format!("https://us%20er:p%3Aw@{}", server.address);
    let here = whole(&client, &format!("{base}/here")).await.unwrap();
    let expected = format!("Basic {}", BASE64.encode("us er:p:w"));
    assert_eq!(here, expected.as_bytes());
    let there = whole(&client, &format!("{base}/elsewhere")).await.unwrap();
    assert_eq!(there, b"none");
}

#[tokio::test]
async fn half_a_file_is_no_file() {
    let authority = Authority::new("ours");
    let client = client(&authority);
    let server = Server::start(Some(authority.valid()), |_| {
        let mut answer = found(b"hello");
        answer.truncate(answer.len() - 2);
        answer
    })
    .await;
    let error = refusal(&client, &format!("https://{}/file", server.address)).await;
    assert!(error.starts_with("the download broke off ("), "{error}");
}

#[tokio::test]
async fn what_is_no_web_address_is_refused_before_anything_is_asked() {
    let client = Client::default();
    for url in ["https://", "http://[::1/x", "ftp://127.0.0.1/x", "file"] {
        let error = refusal(&client, url).await;
        assert!(error.starts_with("it is not a valid URL ("), "{error}");
    }
}

#[tokio::test]
async fn what_is_asked_for_comes_with_its_headers_and_any_status() {
    let authority = Authority::new("ours");
    let other = Server::start(Some(authority.valid()), |head| found(head.as_bytes())).await;
    let elsewhere = format!("https://{}/there", other.address);
    let server = Server::start(Some(authority.valid()), move |head| match head {
        head if head.starts_with("GET /moved ") => moved(&elsewhere),
        head if head.contains("authorization: Bearer t") && head.contains("accept: a/b") => {
            found(b"given")
        }
        _ => b"HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer realm=\"x\"\r\ncontent-length: 0\r\n\r\n"
            .to_vec(),
    })
    .await;
    let client = client(&authority);
    let url = |path: &str| format!("https://{}/{path}", server.address);
    let (there, nothing) = (url("x"), Asking::default());
    let plain = client.ask_for(&there, &nothing, PATIENCE).await.unwrap();
    assert_eq!(
        (plain.status, plain.challenges),
        (401, vec!["Bearer realm=\"x\"".to_owned()])
    );
    let asking = Asking {
        accept: Some("a/b".to_owned()),
        authorization: Some("Bearer t".to_owned()),
    };
    let mut given = client.ask_for(&url("x"), &asking, PATIENCE).await.unwrap();
    assert_eq!(given.status, 200);
    assert_eq!(given.body.next().await.unwrap().unwrap(), "given");
    let mut moved = client
        .ask_for(&url("moved"), &asking, PATIENCE)
        .await
        .unwrap();
    let head = moved.body.next().await.unwrap().unwrap();
    let head = String::from_utf8_lossy(&head);
    assert!(
        head.contains("accept: a/b") && !head.contains("Bearer"),
        "{head}"
    );
}
