use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

use super::*;
use crate::masters::tests::{master, names_of};

/// A leader that subscribes whoever comes, and then says nothing any more.
async fn subscribing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let event = r#"{"type":"SUBSCRIBED","subscribed":{"framework_id":{"value":"f"}}}"#;
            let record = format!("{}\n{event}", event.len());
            let head =
                "HTTP/1.1 200 OK\r\nMesos-Stream-Id: s\r\nTransfer-Encoding: chunked\r\n\r\n";
            let chunk = format!("{head}{:x}\r\n{record}\r\n", record.len());
            let _ = stream.write_all(chunk.as_bytes()).await;
            held.push(stream);
        }
    });
    address
}

#[tokio::test]
async fn a_stream_of_a_leader_that_was_stopped_ends_when_another_leads() {
    let (stopped, next) = (subscribing().await, subscribing().await);
    let knows = vec![
        names_of(&stopped, 5),
        names_of(&stopped, 5),
        names_of(&next, 6),
    ];
    let masters = [stopped.clone(), master(knows).await];
    let info = FrameworkInfo::default();
    let (mut scheduler, mut events) = Scheduler::subscribe(&Client::default(), &masters, info)
        .await
        .unwrap();
    // Whoever waits for other things too gives each wait up.
    let error = loop {
        if let Ok(event) = timeout(Duration::from_millis(300), events.next()).await {
            break event.unwrap_err();
        }
    };
    assert!(matches!(error, Error::Unreachable { address, .. } if address == stopped));
    scheduler.resubscribe().await.unwrap();
    assert_eq!(scheduler.leader.address, next);
}
