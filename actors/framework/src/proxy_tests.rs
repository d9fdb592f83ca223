use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt};
use tepui_kit::{
    TellError,
    stage::{Recorder, TestStage},
};
use tepui_messages::{
    framework::{Deliver, EndStream, HEARTBEAT_INTERVAL, SchedulerStream},
    master::StreamLost,
    traffic::Traffic,
    view::Encoding,
};
use tepui_protocol::v1::{
    FrameworkId,
    scheduler::{Event, event},
};

use crate::{
    Cut, LARGE_BYTES, MAX_BYTES, MAX_LARGE, MAX_LARGE_BYTES, Proxies, Records, records::weight,
};

const BEAT: &str = "20\n{\"type\":\"HEARTBEAT\"}";

/// More than a mailbox takes.
const MANY: usize = 5_000;

struct Scene {
    stream: Arc<dyn SchedulerStream>,
    records: Records,
    lost: Recorder<StreamLost>,
}

fn open(stage: &TestStage) -> Scene {
    open_in(stage, Encoding::Json)
}

fn open_in(stage: &TestStage, encoding: Encoding) -> Scene {
    let lost = Recorder::new();
    let proxies = Proxies::new(
        stage.directory().clone(),
        None,
        lost.teller(),
        Arc::default(),
    );
    let (stream, records) = proxies.open("s".to_string(), encoding);
    Scene {
        stream,
        records,
        lost,
    }
}

fn event(kind: event::Type) -> Deliver {
    Deliver(vec![Arc::new(Event {
        r#type: Some(kind as i32),
        ..Event::default()
    })])
}

/// A message of an executor, of so many bytes.
fn data(bytes: usize) -> Deliver {
    let message = event::Message {
        data: vec![0; bytes].into(),
        ..event::Message::default()
    };
    Deliver(vec![Arc::new(Event {
        r#type: Some(event::Type::Message as i32),
        message: Some(message),
        ..Event::default()
    })])
}

/// What can be read now; `Err` where the stream broke, and whether it has ended.
fn read(records: &mut Records) -> (Vec<Result<String, Cut>>, bool) {
    let mut read = Vec::new();
    loop {
        match tokio::task::unconstrained(records.next()).now_or_never() {
            None => return (read, false),
            Some(None) => return (read, true),
            Some(Some(Err(Cut))) => {
                read.push(Err(Cut));
                return (read, true);
            }
            Some(Some(Ok(record))) => {
                read.push(Ok(String::from_utf8_lossy(&record).into_owned()));
            }
        }
    }
}

#[test]
fn the_heart_beats_right_after_subscribed_and_then_every_fifteen_seconds() {
    TestStage::run(1, async |stage| {
        let mut scene = open(stage);
        scene.stream.tell(event(event::Type::Subscribed)).unwrap();
        stage.settle().await;
        let (first, _) = read(&mut scene.records);
        assert_eq!(first.len(), 2);
        assert_eq!(first[0], Ok("21\n{\"type\":\"SUBSCRIBED\"}".to_string()));
        assert_eq!(first[1], Ok(BEAT.to_string()));
        stage
            .advance(HEARTBEAT_INTERVAL - Duration::from_millis(10))
            .await;
        assert_eq!(read(&mut scene.records), (vec![], false));
        stage.advance(Duration::from_millis(20)).await;
        assert_eq!(
            read(&mut scene.records),
            (vec![Ok(BEAT.to_string())], false)
        );
    });
}

#[test]
fn all_that_a_turn_has_to_say_arrives_however_much_it_is() {
    TestStage::run(2, async |stage| {
        let mut scene = open(stage);
        scene.stream.tell(event(event::Type::Subscribed)).unwrap();
        let Deliver(one) = event(event::Type::Rescind);
        let many = vec![Arc::clone(&one[0]); MANY];
        scene.stream.tell(Deliver(many)).unwrap();
        scene.stream.tell(event(event::Type::Offers)).unwrap();
        stage.settle().await;
        let (records, ended) = read(&mut scene.records);
        let of = |kind: &str| {
            let records = records.iter().flatten();
            records.filter(|record| record.contains(kind)).count()
        };
        assert_eq!(of("RESCIND"), MANY, "each a record of its own");
        assert!(records.last().unwrap().as_ref().unwrap().contains("OFFERS"));
        assert!(!ended);
        assert!(scene.lost.take().is_empty());
    });
}

#[test]
fn the_events_of_a_framework_are_counted_with_its_heartbeats() {
    TestStage::run(1, async |stage| {
        let traffic = Arc::<Traffic>::default();
        let told = traffic.of_framework("f-1", "f");
        let (directory, lost) = (stage.directory().clone(), Recorder::new());
        let proxies = Proxies::new(directory, None, lost.teller(), Arc::clone(&traffic));
        let (stream, _records) = proxies.open("s".to_owned(), Encoding::Json);
        let subscribed = Event {
            r#type: Some(event::Type::Subscribed as i32),
            subscribed: Some(event::Subscribed {
                framework_id: FrameworkId {
                    value: "f-1".to_owned(),
                },
                ..event::Subscribed::default()
            }),
            ..Event::default()
        };
        stream.tell(Deliver(vec![Arc::new(subscribed)])).unwrap();
        stream.tell(event(event::Type::Offers)).unwrap();
        stage.advance(HEARTBEAT_INTERVAL).await;
        let counted = told.all().into_iter().filter(|(_, count)| *count > 0.0);
        let counted: Vec<_> = counted
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        let expected = [
            "events/subscribed 1",
            "events/offers 1",
            "events/heartbeat 2",
            "events 4",
        ];
        assert_eq!(counted, expected);
    });
}

#[test]
fn a_refusal_ends_in_order_without_a_heartbeat_and_without_a_loss() {
    TestStage::run(2, async |stage| {
        let mut scene = open(stage);
        scene.stream.tell(event(event::Type::Error)).unwrap();
        scene.stream.tell(EndStream).unwrap();
        stage.settle().await;
        let (records, ended) = read(&mut scene.records);
        assert_eq!(records, [Ok("16\n{\"type\":\"ERROR\"}".to_string())]);
        assert!(ended);
        assert!(scene.lost.take().is_empty());
        assert_eq!(
            scene.stream.tell(event(event::Type::Offers)),
            Err(TellError::Closed)
        );
    });
}

#[test]
fn a_reader_that_leaves_is_reported_at_once() {
    TestStage::run(3, async |stage| {
        let scene = open(stage);
        scene.stream.tell(event(event::Type::Subscribed)).unwrap();
        stage.settle().await;
        drop(scene.records);
        stage.settle().await;
        let lost = scene.lost.take();
        assert_eq!(lost.len(), 1);
        assert_eq!(lost[0].stream_id, "s");
    });
}

#[test]
fn a_reader_that_is_too_slow_is_cut_and_reported_once() {
    TestStage::run(4, async |stage| {
        let mut scene = open(stage);
        scene.stream.tell(event(event::Type::Subscribed)).unwrap();
        stage.settle().await;
        // Closed once the proxy has given up.
        while scene.stream.tell(data(MAX_BYTES / 10)).is_ok() {
            stage.settle().await;
        }
        assert_eq!(scene.lost.take().len(), 1);
        assert_eq!(read(&mut scene.records), (vec![Err(Cut)], true));
    });
}

/// A slow reader is not one that has much to read.
#[test]
fn what_comes_while_a_large_batch_is_read_has_room_of_its_own() {
    TestStage::run(4, async |stage| {
        let mut scene = open_in(stage, Encoding::Protobuf);
        scene.stream.tell(event(event::Type::Subscribed)).unwrap();
        scene.stream.tell(event(event::Type::Offers)).unwrap();
        stage.settle().await;
        let Deliver(one) = data(100_000);
        let count = 2 * MAX_BYTES / 100_000;
        let all = Deliver(vec![Arc::clone(&one[0]); count]);
        scene.stream.tell(all.clone()).unwrap();
        scene.stream.tell(event(event::Type::Rescind)).unwrap();
        scene.stream.tell(all).unwrap();
        for _ in 0..1_000 {
            scene.stream.tell(event(event::Type::Rescind)).unwrap();
            stage.settle().await;
        }
        stage.advance(100 * HEARTBEAT_INTERVAL).await;
        let unread = Arc::strong_count(&one[0]);
        assert_eq!(
            unread,
            2 * count + 1,
            "nothing is encoded ahead of its reader"
        );
        let (records, ended) = read(&mut scene.records);
        assert!(!ended && scene.lost.take().is_empty());
        assert_eq!(records.len(), 3 + 2 * count + 1_001 + 100);
    });
}

#[test]
fn large_batches_are_bounded_too() {
    TestStage::run(4, async |stage| {
        let mut scene = open_in(stage, Encoding::Protobuf);
        scene.stream.tell(event(event::Type::Subscribed)).unwrap();
        stage.settle().await;
        for _ in 0..2 {
            for _ in 0..MAX_LARGE {
                scene.stream.tell(data(LARGE_BYTES)).unwrap();
            }
            stage.settle().await;
            let (records, ended) = read(&mut scene.records);
            assert!(records.len() >= MAX_LARGE && !ended);
        }
        for _ in 0..=MAX_LARGE {
            scene.stream.tell(data(LARGE_BYTES)).unwrap();
        }
        stage.settle().await;
        assert_eq!(read(&mut scene.records), (vec![Err(Cut)], true));
        assert_eq!(scene.lost.take().len(), 1);
    });
}

#[test]
fn few_that_are_very_large_fill_the_room_of_many() {
    TestStage::run(4, async |stage| {
        let mut scene = open_in(stage, Encoding::Protobuf);
        // The one that crosses the bound is taken: a master has made it already.
        scene.stream.tell(data(MAX_LARGE_BYTES + 1)).unwrap();
        stage.settle().await;
        assert!(scene.lost.take().is_empty());
        scene.stream.tell(data(LARGE_BYTES)).unwrap();
        stage.settle().await;
        assert_eq!(read(&mut scene.records), (vec![Err(Cut)], true));
        assert_eq!(scene.lost.take().len(), 1);
    });
}

#[test]
fn a_batch_counts_until_it_is_read() {
    TestStage::run(4, async |stage| {
        let mut scene = open_in(stage, Encoding::Protobuf);
        scene.stream.tell(event(event::Type::Subscribed)).unwrap();
        let Deliver(one) = data(LARGE_BYTES / 2);
        assert!((LARGE_BYTES / 2..LARGE_BYTES).contains(&weight(&one[0])));
        for _ in 0..10 * MAX_BYTES / LARGE_BYTES {
            scene.stream.tell(Deliver(one.clone())).unwrap();
            stage.settle().await;
            let (_, ended) = read(&mut scene.records);
            assert!(!ended);
        }
    });
}

#[test]
fn all_streams_break_when_their_master_leads_no_more_and_later_ones_at_once() {
    TestStage::run(5, async |stage| {
        let lost: Recorder<StreamLost> = Recorder::new();
        let proxies = Proxies::new(
            stage.directory().clone(),
            None,
            lost.teller(),
            Arc::default(),
        );
        let (first, mut of_first) = proxies.open("1".to_string(), Encoding::Json);
        let (_unheard, mut of_second) = proxies.open("2".to_string(), Encoding::Json);
        first.tell(event(event::Type::Subscribed)).unwrap();
        stage.settle().await;
        proxies.clone().end();
        stage.settle().await;
        assert_eq!(read(&mut of_first).0.last(), Some(&Err(Cut)));
        assert_eq!(read(&mut of_second), (vec![Err(Cut)], true));
        assert_eq!(
            first.tell(event(event::Type::Offers)),
            Err(TellError::Closed)
        );
        let (_, mut of_third) = proxies.open("3".to_string(), Encoding::Json);
        stage.settle().await;
        assert_eq!(read(&mut of_third), (vec![Err(Cut)], true));
    });
}
