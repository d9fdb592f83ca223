use futures_util::StreamExt;
use tepui_protocol::v1::{ExecutorId, FrameworkId};

use super::*;
use crate::http::tests::api;

fn opened() -> (Events, (mpsc::Receiver<Arc<Event>>, Arc<AtomicUsize>)) {
    let (sender, events) = mpsc::channel(2);
    let waiting = Arc::<AtomicUsize>::default();
    let node = Events {
        sender: Mutex::new(Some(sender)),
        waiting: Arc::clone(&waiting),
    };
    (node, (events, waiting))
}

fn lost() -> Lost {
    Lost {
        api: api(),
        message: Some(ExecutorStreamLost {
            framework_id: FrameworkId::default(),
            executor_id: ExecutorId::default(),
            stream_id: 1,
        }),
    }
}

fn event(kind: event::Type) -> DeliverExecutorEvent {
    DeliverExecutorEvent(Arc::new(Event {
        r#type: Some(kind as i32),
        ..Event::default()
    }))
}

#[tokio::test]
async fn what_was_sent_goes_out_in_order_before_the_end() {
    let (node, events) = opened();
    node.tell(event(event::Type::Subscribed)).unwrap();
    node.tell(event(event::Type::Shutdown)).unwrap();
    node.tell(EndExecutorStream).unwrap();
    assert_eq!(
        node.tell(event(event::Type::Heartbeat)),
        Err(TellError::Closed)
    );
    let records: Vec<_> = records(events, MediaType::Json, lost()).collect().await;
    let text: Vec<u8> = records.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(
        text,
        b"21\n{\"type\":\"SUBSCRIBED\"}19\n{\"type\":\"SHUTDOWN\"}"
    );
}

#[tokio::test]
async fn a_reader_that_is_too_slow_misses_the_rest_not_the_middle() {
    let (node, events) = opened();
    for expected in [Ok(()), Ok(()), Err(TellError::Full), Err(TellError::Closed)] {
        assert_eq!(node.tell(event(event::Type::Message)), expected);
    }
    let records: Vec<_> = records(events, MediaType::Protobuf, lost()).collect().await;
    assert_eq!(records.len(), 2);
}

#[tokio::test]
async fn what_waits_for_a_reader_is_bounded_in_bytes() {
    let message = |bytes: usize| {
        DeliverExecutorEvent(Arc::new(Event {
            r#type: Some(event::Type::Message as i32),
            message: Some(event::Message {
                data: vec![0; bytes].into(),
            }),
            ..Event::default()
        }))
    };
    let (node, events) = opened();
    // The one that crosses the bound is taken.
    assert_eq!(node.tell(message(MAX_WAITING_BYTES + 1)), Ok(()));
    let mut records = Box::pin(records(events, MediaType::Protobuf, lost()));
    records.next().await.unwrap().unwrap();
    assert_eq!(node.tell(message(MAX_WAITING_BYTES + 1)), Ok(()));
    assert_eq!(node.tell(message(0)), Err(TellError::Full));
    assert_eq!(records.count().await, 1);
}

#[tokio::test(start_paused = true)]
async fn the_heart_beats_every_half_hour_and_not_at_once() {
    for media in [MediaType::Json, MediaType::Protobuf] {
        let (node, events) = opened();
        node.tell(event(event::Type::Subscribed)).unwrap();
        node.tell(event(event::Type::Launch)).unwrap();
        let begin = tokio::time::Instant::now();
        let mut records = Box::pin(records(events, media, lost()));
        for (kind, minutes) in [
            (event::Type::Subscribed, 0),
            (event::Type::Launch, 0),
            (event::Type::Heartbeat, 30),
            (event::Type::Heartbeat, 60),
        ] {
            let record = records.next().await.unwrap().unwrap();
            let DeliverExecutorEvent(expected) = event(kind);
            let bytes = match media {
                MediaType::Json => json::encode(&*expected).unwrap(),
                MediaType::Protobuf => protobuf::encode(&*expected),
            };
            assert_eq!(record, recordio::encode(&bytes), "{kind:?}");
            assert_eq!(begin.elapsed(), Duration::from_mins(minutes), "{kind:?}");
        }
    }
}
