use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// A master that names this leader; without one it takes connections and says nothing.
async fn master(named: Option<(&'static str, u64)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut silent = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let Some((bridge, term)) = named else {
                silent.push(stream);
                continue;
            };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let body = format!(r#"{{"leader":"127.0.0.1:1","bridge":"{bridge}","term":{term}}}"#);
            let length = body.len();
            let head =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n");
            let _ = stream
                .write_all(format!("{head}\r\n{body}").as_bytes())
                .await;
        }
    });
    address
}

const FIRST: &str = "127.0.0.1:7001";
const NEXT: &str = "127.0.0.1:7002";

#[tokio::test]
async fn a_silent_master_is_left_only_for_a_later_term_of_another() {
    let silent = master(None).await;
    for (others, expected) in [
        ([(FIRST, 5), (FIRST, 5)], false),
        // Led before, and whoever names it has not heard since.
        ([(NEXT, 4), (FIRST, 5)], false),
        ([(NEXT, 5), (FIRST, 5)], false),
        // It was led by none for a while.
        ([(FIRST, 6), (FIRST, 6)], false),
        ([(FIRST, 5), (NEXT, 6)], true),
        ([(NEXT, 6), (NEXT, 6)], true),
    ] {
        let told = [master(Some(others[0])).await, master(Some(others[1])).await];
        let mut masters = vec![silent.clone()];
        masters.extend(told);
        let finder = LeaderFinder::new(&masters, Arc::default());
        *finder.named() = Some((FIRST.to_owned(), 5));
        let connected = FIRST.parse().unwrap();
        assert_eq!(
            finder.leads_elsewhere(connected).await,
            expected,
            "{others:?}"
        );
    }
}

#[tokio::test]
async fn a_question_in_doubt_does_not_forget_who_was_followed() {
    let first = master(Some((FIRST, 5))).await;
    let finder = LeaderFinder::new(&[first], Arc::default());
    assert_eq!(finder.find().await, [FIRST.parse().unwrap()]);
    assert!(!finder.leads_elsewhere(NEXT.parse().unwrap()).await);
    assert_eq!(*finder.named(), Some((FIRST.to_owned(), 5)));
}
