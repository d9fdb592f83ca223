use tepui_protocol::v1::executor::event::Type;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixListener,
};

use super::Executor;
use crate::{Client, Error};

const EVENT: &str = r#"{"type": "SHUTDOWN"}"#;

fn variables(socket: Option<String>) -> impl Fn(&str) -> Option<String> {
    move |name| match name {
        "MESOS_DOMAIN_SOCKET" => socket.clone(),
        // Nobody listens there.
        "MESOS_AGENT_ENDPOINT" => Some("127.0.0.1:1".to_owned()),
        "MESOS_EXECUTOR_AUTHENTICATION_TOKEN" => Some("a.b.c".to_owned()),
        "MESOS_FRAMEWORK_ID" | "MESOS_EXECUTOR_ID" => Some("some".to_owned()),
        _ => None,
    }
}

#[tokio::test]
async fn an_executor_reaches_its_agent_at_the_socket_that_it_is_told_of() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let agent = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let at = head.len();
            stream.read_line(&mut head).await.unwrap();
            let line = head[at..].to_lowercase();
            if let Some(given) = line.strip_prefix("content-length:") {
                length = given.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let record = format!("{}\n{EVENT}", EVENT.len());
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{record}",
            record.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        (head, String::from_utf8(body).unwrap())
    });
    let told = variables(Some(path.display().to_string()));
    let executor = Executor::from_variables(Client::default(), told).unwrap();
    let mut events = executor.subscribe().await.unwrap();
    let event = events.next().await.unwrap().unwrap();
    assert_eq!(event.r#type(), Type::Shutdown);
    let (head, body) = agent.await.unwrap();
    assert!(
        head.starts_with("POST /api/v1/executor HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.to_lowercase()
            .contains("\r\nauthorization: bearer a.b.c\r\n"),
        "{head}"
    );
    assert!(body.contains("SUBSCRIBE"), "{body}");
}

#[test]
fn a_token_that_is_none_is_told_of_without_showing_it() {
    let variables = variables(None);
    let find = |name: &str| match name {
        "MESOS_EXECUTOR_AUTHENTICATION_TOKEN" => Some("some\nsecret".to_owned()),
        other => variables(other),
    };
    let refused = Executor::from_variables(Client::default(), find).unwrap_err();
    let refused = refused.to_string();
    assert!(
        refused.contains("AUTHENTICATION_TOKEN") && !refused.contains("secret"),
        "{refused}"
    );
}

#[tokio::test]
async fn without_one_it_takes_the_endpoint_and_a_socket_that_is_gone_is_told_of() {
    let executor = Executor::from_variables(Client::default(), variables(None)).unwrap();
    let refused = executor.subscribe().await.map(drop).unwrap_err();
    assert!(matches!(&refused, Error::Unreachable { address, .. } if address == "127.0.0.1:1"));
    let told = variables(Some("/nowhere/agent.sock".to_owned()));
    let executor = Executor::from_variables(Client::default(), told).unwrap();
    let refused = executor.subscribe().await.map(drop).unwrap_err();
    assert!(
        refused.to_string().contains("/nowhere/agent.sock"),
        "{refused}"
    );
}
