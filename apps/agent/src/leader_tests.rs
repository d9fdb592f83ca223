use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// Masters that answer in turn which of them leads, and in which term; each on a connection of its own.
async fn master(named: Vec<(&'static str, u64)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        for (leader, term) in named {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let body = format!(r#"{{"leader":"{leader}","bridge":"{leader}","term":{term}}}"#);
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
async fn a_question_in_doubt_does_not_forget_who_is_followed() {
    let answers = vec![(FIRST, 5), (FIRST, 5), (NEXT, 6), (NEXT, 6)];
    let finder = LeaderFinder::new(&[master(answers).await], 0, Arc::default());
    assert!(!finder.leads_elsewhere().await, "nobody is followed yet");
    assert_eq!(finder.find().await, [FIRST.parse().unwrap()]);
    assert!(!finder.leads_elsewhere().await);
    assert!(finder.leads_elsewhere().await);
    assert_eq!(
        finder.named().as_ref().map(|it| it.term),
        Some(5),
        "the next look for a leader is for another one"
    );
    assert_eq!(finder.find().await, [NEXT.parse().unwrap()]);
}

#[tokio::test]
async fn a_leader_of_an_old_group_is_not_taken_for_the_one_that_is_obeyed() {
    let old = || master(vec![(FIRST, 5), (FIRST, 5)]);
    let both = [old().await, master(vec![(NEXT, 9), (NEXT, 9)]).await];
    let finder = LeaderFinder::new(&both, 9, Arc::default());
    for _ in 0..2 {
        assert_eq!(finder.find().await, [NEXT.parse().unwrap()]);
    }
    // Nor is it where it answers alone, once another one was followed.
    let alone = [master(vec![(NEXT, 9), (FIRST, 5)]).await];
    let finder = LeaderFinder::new(&alone, 0, Arc::default());
    assert_eq!(finder.find().await, [NEXT.parse().unwrap()]);
    assert_eq!(finder.find().await, []);
}
