use std::sync::Mutex;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use tokio::net::TcpListener;

use super::*;

/// Where a server listens that answers each request with what `answer` makes of it.
async fn serving(answer: impl Fn(&str) -> String + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 512];
            let count = stream.read(&mut asked).await.unwrap_or_default();
            let answer = answer(&String::from_utf8_lossy(&asked[..count]));
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    port
}

async fn served(answer: &'static str) -> u16 {
    serving(|_| answer.to_owned()).await
}

fn machine() -> Network {
    Network(Box::new(|_| Box::pin(async { Ok(None) })))
}

async fn get(port: u16, path: &str, tls: bool) -> Option<u16> {
    let target = Target::new(tls, loopback(false), port, path).unwrap();
    status_code(&machine(), target).await
}

#[tokio::test]
async fn the_status_of_an_answer_is_read_and_nothing_else_is_one() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\n\r\n", Some(200)),
        ("HTTP/1.0 503 Busy\r\nx: y\r\n\r\n", Some(503)),
        ("SSH-2.0-OpenSSH_9", None),
        ("HTTP/1.1 2x0 OK\r\n\r\n", None),
        ("HTTP", None),
        ("HTTP/1.1 302 Found\r\n\r\n", Some(302)),
        ("HTTP/1.1 304 Same\r\nLocation: \r\nx: y\r\n\r\n", Some(304)),
        (
            "HTTP/1.1 103 Hints\r\nLocation: /no\r\n\r\nHTTP/1.1 500 No\r\n\r\n",
            Some(500),
        ),
        ("HTTP/1.1 100 Go on\r\n\r\n", None),
    ] {
        let port = served(answer).await;
        assert_eq!(get(port, "/health", false).await, expected, "{answer}");
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up_after_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = within(Some(Duration::from_millis(50)), get(port, "/", false));
    assert_eq!(asked.await, None);
}

#[tokio::test]
async fn a_port_without_a_server_is_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    assert_eq!(get(port, "/", false).await, None);
}

/// As [`served`], by TLS.
async fn served_by_tls(answer: String) -> u16 {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["elsewhere.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let provider = tokio_rustls::rustls::crypto::ring::default_provider();
    let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.serialize_der().try_into().unwrap());
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut asked = [0; 512];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    port
}

#[tokio::test]
async fn by_https_any_certificate_will_do_and_no_plain_answer() {
    let port = served_by_tls("HTTP/1.1 204 None\r\n\r\n".to_owned()).await;
    assert_eq!(get(port, "/", true).await, Some(204));
    assert_eq!(get(port, "/", false).await, None);
    let plain = served("HTTP/1.1 200 OK\r\n\r\n").await;
    assert_eq!(get(plain, "/", true).await, None);
}

fn found(location: &str) -> String {
    format!(
        "HTTP/1.1 302 Found\r\nServer: x\r\nlocation:  {location} \r\nContent-Length: 0\r\n\r\n"
    )
}

#[tokio::test]
async fn redirects_are_followed_and_the_last_answer_counts() {
    let last = serving(|asked| {
        let code = if asked.starts_with("GET /ready?x ") {
            200
        } else {
            404
        };
        format!("HTTP/1.1 {code} Last\r\n\r\n")
    });
    let last = last.await;
    let tls = served_by_tls(found(&format!("http://localhost:{last}/ready?x"))).await;
    let first = serving(move |asked| {
        let path = asked.split(' ').nth(1).unwrap_or_default();
        match path.strip_prefix("/old/") {
            Some("same") => found("../new"),
            Some("port") => found(&format!("//127.0.0.1:{last}/other")),
            Some("tls") => found(&format!("https://localhost:{tls}/")),
            Some("ftp") => found("ftp://127.0.0.1/"),
            _ if path == "/new" => "HTTP/1.1 503 Busy\r\n\r\n".to_owned(),
            _ => "HTTP/1.1 400 What\r\n\r\n".to_owned(),
        }
    });
    let first = first.await;
    for (path, expected) in [
        ("/old/same", Some(503)),
        ("/old/port", Some(404)),
        ("/old/tls", Some(200)),
        ("/old/ftp", None),
    ] {
        assert_eq!(get(first, path, false).await, expected, "{path}");
    }
}

#[tokio::test]
async fn a_server_that_sends_on_without_end_has_no_answer() {
    let port = serving(|asked| {
        let path = asked.split(' ').nth(1).unwrap_or_default();
        match path.strip_prefix('/').and_then(|it| it.parse::<u32>().ok()) {
            Some(0) => "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
            Some(left) => found(&format!("/{}", left - 1)),
            None => found(path),
        }
    });
    let port = port.await;
    assert_eq!(get(port, "/10", false).await, Some(200));
    assert_eq!(get(port, "/11", false).await, None);
    assert_eq!(get(port, "/round", false).await, None);
}

#[tokio::test]
async fn of_an_endless_head_little_is_read() {
    let port = serving(|_| format!("HTTP/1.1 302 Found\r\nx: {}", "y".repeat(1 << 20))).await;
    assert_eq!(get(port, "/", false).await, None);
    let port = serving(|_| format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(1 << 20))).await;
    assert_eq!(get(port, "/", false).await, Some(200));
}

/// One of the task's own, and of which kind its sockets were.
fn own_network() -> (Network, Arc<Mutex<Vec<bool>>>) {
    let made = Arc::new(Mutex::new(Vec::new()));
    let sockets = Arc::clone(&made);
    let network = Network(Box::new(move |v6| {
        sockets.lock().unwrap().push(v6);
        Box::pin(async move {
            let family = match v6 {
                true => AddressFamily::Inet6,
                false => AddressFamily::Inet,
            };
            Ok(Some(socket(
                family,
                SockType::Stream,
                SockFlag::SOCK_NONBLOCK,
                None,
            )?))
        })
    }));
    (network, made)
}

#[tokio::test]
async fn a_redirect_stays_in_the_network_of_the_task() {
    let (network, made) = own_network();
    let port = serving(|asked| match asked.contains("GET /there ") {
        true => "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
        false => found(
            asked
                .split(' ')
                .nth(1)
                .unwrap_or_default()
                .trim_start_matches("/?"),
        ),
    });
    let port = port.await;
    for (location, expected, tried) in [
        (
            format!("http://localhost:{port}/there"),
            Some(200),
            vec![false, false],
        ),
        ("http://[::1]:1/there".to_owned(), None, vec![false, true]),
    ] {
        let target = Target::new(false, loopback(false), port, &format!("/?{location}")).unwrap();
        assert_eq!(status_code(&network, target).await, expected, "{location}");
        assert_eq!(
            std::mem::take(&mut *made.lock().unwrap()),
            tried,
            "{location}"
        );
    }
}

#[tokio::test]
async fn names_are_looked_up_only_for_a_task_in_the_machines_network() {
    let name = nix::unistd::gethostname().unwrap();
    let name = name.to_string_lossy().into_owned();
    let found = (name.as_str(), 0).to_socket_addrs();
    if !found.is_ok_and(|mut it| it.any(|it| it.is_ipv4())) {
        eprintln!("left out: this machine does not know its own name");
        return;
    }
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let target = Target::new(false, loopback(false), 1, "/").unwrap();
    let target = target.follow(format!("http://{name}:{port}/").as_bytes());
    let target = target.unwrap();
    assert!(machine().reach(&target).await.is_some());
    assert!(own_network().0.reach(&target).await.is_none());
}
