use futures_util::StreamExt;
use tepui_containers::switchboard::frame;
use tepui_http::MediaType;
use tepui_protocol::{codec::Limits, v1::agent::call::LaunchNestedContainerSession};
use tokio::io::AsyncWriteExt;

use super::*;
use crate::http::tests::{Idle, api};

fn form(message: MediaType) -> Form {
    Form {
        message,
        is_stream: true,
    }
}

async fn decoded(stream: UnixStream, message: MediaType, take: usize) -> Vec<ProcessIo> {
    let records = records(stream, form(message), None).take(take);
    let records: Vec<Bytes> = records.map(Result::unwrap).collect().await;
    let mut decoder = recordio::Decoder::new(Limits::HTTP.bytes);
    let records = records.iter().flat_map(|it| decoder.feed(it).unwrap());
    records
        .map(|record| {
            message
                .decode::<ProcessIo>(&record)
                .map_err(|_| "no ProcessIO")
                .unwrap()
        })
        .collect()
}

#[actix_web::test]
async fn what_the_shim_says_is_told_in_records_up_to_its_end() {
    for media in [MediaType::Json, MediaType::Protobuf] {
        let (ours, mut shim) = UnixStream::pair().unwrap();
        shim.write_all(&frame(Kind::Stdout, b"out")).await.unwrap();
        shim.write_all(&frame(Kind::Stderr, b"\xff\0"))
            .await
            .unwrap();
        drop(shim);
        let expected = [
            said(data::Type::Stdout, b"out".to_vec()),
            said(data::Type::Stderr, b"\xff\0".to_vec()),
        ];
        assert_eq!(decoded(ours, media, 10).await, expected, "{media:?}");
    }
}

#[actix_web::test]
async fn the_heart_beats_while_nothing_is_said() {
    tokio::time::pause();
    let (ours, _shim) = UnixStream::pair().unwrap();
    let begun = Instant::now();
    let beats = decoded(ours, MediaType::Json, 5).await;
    assert_eq!(beats, vec![heartbeat(); 5]);
    // Timers of the runtime are whole milliseconds, rounded up.
    assert_eq!(begun.elapsed().as_secs(), 5 * HEARTBEAT_INTERVAL.as_secs());
    let text = json::encode(&heartbeat()).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&text),
        r#"{"type":"CONTROL","control":{"type":"HEARTBEAT","heartbeat":{"interval":{"nanoseconds":30000000000}}}}"#
    );
}

#[actix_web::test]
async fn what_is_no_frame_breaks_the_stream() {
    let (ours, mut shim) = UnixStream::pair().unwrap();
    shim.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
    let mut records = Box::pin(records(ours, form(MediaType::Json), None));
    assert!(records.next().await.unwrap().is_err());
}

#[actix_web::test]
async fn one_whose_streams_are_files_is_refused_in_mesos_words() {
    let connected = api().sockets.connect("c", Greeting::Output).await;
    let refused = connected.map(drop).unwrap_err();
    assert_eq!(refused.status(), 500);
}

#[actix_web::test]
async fn a_session_that_cannot_be_attached_to_is_killed() {
    let idle = Arc::new(Idle::new());
    let node = Arc::clone(&idle);
    let api = Api { node, ..api() };
    let parent = ContainerId {
        value: "known".to_owned(),
        parent: None,
    };
    let asked = LaunchNestedContainerSession {
        container_id: ContainerId {
            value: "session".to_owned(),
            parent: Some(Box::new(parent)),
        },
        ..LaunchNestedContainerSession::default()
    };
    let call = Call {
        launch_nested_container_session: Some(asked),
        ..Call::default()
    };
    let refused = session(&api, call, form(MediaType::Json)).await;
    assert_eq!(refused.map(drop).unwrap_err().status(), 500);
    let killed = idle.signalled.lock().unwrap().clone();
    assert_eq!(killed, ["known.session"]);
}
