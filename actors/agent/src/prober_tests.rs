use super::*;
use tokio::net::TcpListener;

async fn served(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 512];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

async fn get(address: SocketAddr, path: &str, tls: bool) -> Option<u16> {
    let stream = TcpStream::connect(address).await.ok()?;
    status_code(stream, address, path, tls).await
}

#[tokio::test]
async fn the_status_of_an_answer_is_read_and_nothing_else_is_one() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\n\r\n", Some(200)),
        ("HTTP/1.0 503 Busy\r\nx: y\r\n\r\n", Some(503)),
        ("SSH-2.0-OpenSSH_9", None),
        ("HTTP/1.1 2x0 OK\r\n\r\n", None),
        ("HTTP", None),
    ] {
        let address = served(answer).await;
        assert_eq!(get(address, "/health", false).await, expected, "{answer}");
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up_after_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = within(Some(Duration::from_millis(50)), get(address, "/", false));
    assert_eq!(asked.await, None);
}

#[tokio::test]
async fn a_port_without_a_server_is_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(get(address, "/", false).await, None);
}

#[tokio::test]
async fn by_https_any_certificate_will_do_and_no_plain_answer() {
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
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut asked = [0; 512];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(b"HTTP/1.1 204 None\r\n\r\n").await;
        }
    });
    assert_eq!(get(address, "/", true).await, Some(204));
    assert_eq!(get(address, "/", false).await, None);
    let plain = served("HTTP/1.1 200 OK\r\n\r\n").await;
    assert_eq!(get(plain, "/", true).await, None);
}
