use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// A master that gives its answers in turn, the last one again and again: status and body.
pub(crate) async fn master(answers: Vec<(u16, String)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut answers = answers.into_iter().peekable();
        let mut answer = (500, String::new());
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            answer = answers.next().unwrap_or(answer);
            let (status, body) = &answer;
            let mut request = vec![0; 4096];
            let _ = stream.read(&mut request).await;
            let text = format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(text.as_bytes()).await;
        }
    });
    address
}

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// An address where connections are taken and nothing is said, as by a process that is stopped.
pub(crate) async fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            held.push(listener.accept().await.unwrap());
        }
    });
    address
}

fn names(leader: &str) -> (u16, String) {
    names_of(leader, 0)
}

pub(crate) fn names_of(leader: &str, term: u64) -> (u16, String) {
    let body = format!("{{\"leader\":\"{leader}\",\"bridge\":\"b:1\",\"term\":{term}}}");
    (200, body)
}

fn no_leader() -> (u16, String) {
    (503, "No leader elected".to_string())
}

fn unreachable(address: &str) -> Error {
    Error::Unreachable {
        address: address.to_string(),
        reason: "gone".to_string(),
    }
}

#[tokio::test]
async fn the_leader_is_asked_whoever_names_it_and_again_after_it_changed() {
    let dead = nobody().await;
    let alive = master(vec![no_leader(), names("old:1"), names("new:1")]).await;
    let masters = Masters::new(Client::default(), &[dead, alive]);
    let called = Mutex::new(Vec::new());
    let answer = masters.call(async |leader| {
        called.lock().unwrap().push(leader.to_string());
        match leader {
            "old:1" => Err(unreachable(leader)),
            _ => Ok(7),
        }
    });
    assert_eq!(answer.await.unwrap(), 7);
    assert_eq!(*called.lock().unwrap(), ["old:1", "new:1"]);
}

#[tokio::test]
async fn what_the_leader_refuses_is_its_answer() {
    let one = master(vec![names("l:1")]).await;
    let other = master(vec![names("l:1")]).await;
    let masters = Masters::new(Client::default(), &[one, other]);
    for (status, calls) in [(400, 1), (403, 1), (404, 1)] {
        let called = AtomicUsize::new(0);
        let answer: Result<(), Error> = masters
            .call(async |_| {
                called.fetch_add(1, Relaxed);
                Err(Error::Refused {
                    status,
                    text: String::new(),
                })
            })
            .await;
        assert!(matches!(answer, Err(Error::Refused { status: s, .. }) if s == status));
        assert_eq!(called.load(Relaxed), calls);
    }
}

#[tokio::test]
async fn a_leader_that_was_stopped_and_did_not_read_the_request_in_time_is_asked_again() {
    let one = master(vec![names("stopped:1"), names("next:1")]).await;
    let masters = Masters::new(Client::default(), &[one, nobody().await]);
    let answer = masters.call(async |leader| match leader {
        "stopped:1" => Err(Error::Refused {
            status: 408,
            text: String::new(),
        }),
        _ => Ok(leader.to_string()),
    });
    assert_eq!(answer.await.unwrap(), "next:1");
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_not_waited_for() {
    for addresses in [vec![nobody().await], vec![nobody().await, nobody().await]] {
        let client = Client::default();
        let masters = Masters::new(client.clone(), &addresses).with_patience(Duration::MAX / 4);
        let answer = masters
            .call(async |leader| client.get(leader, "/state").await)
            .await;
        assert!(
            matches!(answer, Err(Error::Unreachable { .. })),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_group_without_a_leader_is_waited_for_until_patience_ends() {
    let [one, other] = [master(vec![no_leader()]).await, nobody().await];
    let masters = Masters::new(Client::default(), &[one, other]);
    let masters = masters.with_patience(Duration::from_millis(350));
    let answer = masters.call(async |_| Ok(())).await;
    assert!(matches!(answer, Err(Error::NoLeader(text)) if text == "No leader elected"));
}

#[tokio::test]
async fn masters_of_mesos_are_taken_as_they_are() {
    let mesos = master(vec![(404, String::new())]).await;
    let masters = Masters::new(Client::default(), &[mesos.clone(), mesos.clone()]);
    let asked = masters.call(async |it| Ok(it.to_string())).await;
    assert_eq!(asked.unwrap(), mesos);
}

#[tokio::test]
async fn a_leader_that_says_nothing_is_left_when_another_leads() {
    let stopped = silent().await;
    let next = master(vec![(200, "next".to_string())]).await;
    let knows = master(vec![names_of(&stopped, 5), names_of(&next, 6)]).await;
    let client = Client::default();
    let masters = Masters::new(client.clone(), &[stopped, knows]);
    let answer = masters.call(async |leader| client.get(leader, "/").await);
    assert_eq!(&answer.await.unwrap()[..], b"next");
}

#[tokio::test]
async fn a_slow_leader_is_left_only_for_a_later_term_of_another() {
    let leader = Leader {
        address: "first:1".to_string(),
        bridge: String::new(),
        term: 5,
    };
    for (others, expected) in [
        ([("first:1", 5), ("first:1", 5)], false),
        // Led before, and whoever names it has not heard since.
        ([("next:1", 4), ("first:1", 5)], false),
        ([("next:1", 5), ("first:1", 5)], false),
        ([("first:1", 6), ("first:1", 6)], false),
        ([("first:1", 5), ("next:1", 6)], true),
    ] {
        let [one, other] = others.map(|(leader, term)| vec![names_of(leader, term)]);
        let addresses = [silent().await, master(one).await, master(other).await];
        let masters = Masters::new(Client::default(), &addresses);
        assert_eq!(
            masters.leads_elsewhere(&leader).await,
            expected,
            "{others:?}"
        );
    }
}
