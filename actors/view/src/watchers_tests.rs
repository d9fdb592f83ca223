use serde_json::Value;
use tepui_protocol::{
    codec::{self, Limits},
    recordio::Decoder,
    v1::master::{Event, event},
};
use tokio::sync::mpsc::{Receiver, channel};

use super::*;
use crate::{golden, scene};

const NOW: u64 = 1_000;

fn watch(encoding: Encoding, capacity: usize) -> (Watch, Receiver<Bytes>) {
    let (records, receiver) = channel(capacity);
    let watch = Watch {
        encoding,
        viewer: None,
        records,
        waiting: Arc::default(),
        seat: None,
    };
    (watch, receiver)
}

/// All that has arrived, unframed.
fn arrived(receiver: &mut Receiver<Bytes>) -> Vec<Bytes> {
    let mut decoder = Decoder::new(1 << 20);
    let mut records = Vec::new();
    while let Ok(chunk) = receiver.try_recv() {
        let decoded = decoder.feed(&chunk).unwrap();
        assert_eq!(decoded.len(), 1, "one record a chunk");
        records.extend(decoded);
    }
    records
}

#[test]
fn the_stream_of_a_run_is_as_recorded() {
    let recorded = golden::records("495");
    let mut world = scene::world([scene::elected("491")]);
    let mut watchers = Watchers::default();
    let (json, mut json_records) = watch(Encoding::Json, 100);
    let (protobuf, mut protobuf_records) = watch(Encoding::Protobuf, 100);
    let mut opened = [Some(json), Some(protobuf)];
    for record in &recorded {
        let kind = golden::event(record).r#type();
        for change in scene::changes_behind(kind, record, &world) {
            if world.apply(&change) {
                watchers.tell(&world, &change).unwrap();
            }
        }
        for watch in opened.iter_mut().filter_map(Option::take) {
            watchers.open(watch, &world, NOW).unwrap();
        }
    }
    let json = arrived(&mut json_records);
    let is_heartbeat = |record: &[u8]| golden::event(record).r#type() == event::Type::Heartbeat;
    assert!(is_heartbeat(&json[1]), "the first heartbeat comes at once");
    let is_event = |record: &&[u8]| !is_heartbeat(record);
    let theirs: Vec<&[u8]> = recorded
        .iter()
        .map(Vec::as_slice)
        .filter(is_event)
        .collect();
    let ours: Vec<&[u8]> = json
        .iter()
        .map(|record| &**record)
        .filter(is_event)
        .collect();
    assert_eq!(theirs.len(), ours.len());
    for (number, (theirs, ours)) in theirs.into_iter().zip(ours).enumerate() {
        let theirs: Value = serde_json::from_slice(theirs).unwrap();
        golden::assert_equal(&format!("event {number}"), theirs, ours);
    }
    let protobuf = arrived(&mut protobuf_records);
    assert_eq!(protobuf.len(), json.len());
    for (protobuf, json) in protobuf.iter().zip(&json) {
        let event: Event = codec::protobuf::decode(protobuf, &Limits::HTTP).unwrap();
        assert_eq!(codec::json::encode(&event).unwrap(), *json);
    }
}

#[test]
fn one_more_watcher_cuts_off_the_oldest() {
    let (mut watchers, world) = (Watchers::default(), World::default());
    let mut receivers = Vec::new();
    for _ in 0..=MAX_WATCHERS {
        let (watch, receiver) = watch(Encoding::Json, 2);
        watchers.open(watch, &world, NOW).unwrap();
        receivers.push(receiver);
    }
    assert_eq!(watchers.len(), MAX_WATCHERS);
    assert!(receivers[0].is_closed());
    assert!(!receivers[1].is_closed());
}

#[test]
fn a_slow_watcher_is_cut_off_and_the_others_go_on() {
    let (mut watchers, world) = (Watchers::default(), World::default());
    let (slow, slow_records) = watch(Encoding::Json, 2);
    let (quick, mut quick_records) = watch(Encoding::Json, 3);
    watchers.open(slow, &world, NOW).unwrap();
    watchers.open(quick, &world, NOW).unwrap();
    assert_eq!(
        watchers.beat(NOW + interval() - 1).unwrap(),
        Some(NOW + interval())
    );
    assert_eq!(watchers.len(), 2, "nothing was due");
    let next = watchers.beat(NOW + interval()).unwrap();
    assert_eq!(next, Some(NOW + 2 * interval()));
    assert!(slow_records.is_closed());
    assert_eq!(arrived(&mut quick_records).len(), 3);
    drop(quick_records);
    assert_eq!(watchers.beat(NOW + interval() + 1).unwrap(), None);
    assert!(watchers.is_empty(), "a closed stream is forgotten");
}

#[test]
fn what_waits_for_a_watcher_is_bounded_in_bytes() {
    let (mut watchers, world) = (Watchers::default(), World::default());
    let (slow, _slow_records) = watch(Encoding::Json, 100);
    let (quick, _quick_records) = watch(Encoding::Json, 100);
    let waiting = Arc::clone(&slow.waiting);
    watchers.open(slow, &world, NOW).unwrap();
    watchers.open(quick, &world, NOW).unwrap();
    waiting.fetch_add(MAX_WAITING_BYTES, Relaxed);
    watchers.beat(NOW + interval()).unwrap();
    assert_eq!(watchers.len(), 1);
}

#[test]
fn all_who_come_before_the_next_change_begin_with_the_same_bytes() {
    let (mut watchers, world) = (Watchers::default(), World::default());
    let first = |watchers: &mut Watchers| {
        let (one, mut records) = watch(Encoding::Json, 100);
        watchers.open(one, &world, NOW).unwrap();
        records.try_recv().unwrap()
    };
    let (one, other) = (first(&mut watchers), first(&mut watchers));
    assert_eq!(one.as_ptr(), other.as_ptr());
    watchers.forget_snapshots();
    let later = first(&mut watchers);
    assert_eq!(later, one);
    assert_ne!(later.as_ptr(), one.as_ptr());
}

#[test]
fn a_watcher_hears_only_of_what_it_may_view_and_its_stream_goes_on() {
    let acls = r#"{"view_frameworks": [{"principals": {"type": "ANY"}, "users": {"values": ["web"]}},
        {"principals": {"type": "ANY"}, "users": {"type": "NONE"}}]}"#;
    let viewer = Subject {
        acls: std::sync::Arc::new(tepui_protocol::acls::Acls::from_json(acls).unwrap()),
        principal: None,
    };
    let of = |name: &str, user: &str| {
        let mut record = (*scene::framework(name, &["dev"])).clone();
        record.info.user = user.to_owned();
        Change::FrameworkAdded(std::sync::Arc::new(record))
    };
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        let mut world = scene::world([of("before-root", "root"), of("before-web", "web")]);
        let mut watchers = Watchers::default();
        let (everything, mut all) = watch(encoding, 10);
        let (mut limited, mut some) = watch(encoding, 10);
        limited.viewer = Some(viewer.clone());
        watchers.open(everything, &world, NOW).unwrap();
        watchers.open(limited, &world, NOW).unwrap();
        for change in [of("later-root", "root"), of("later-web", "web")] {
            assert!(world.apply(&change));
            watchers.tell(&world, &change).unwrap();
        }
        let text = |records: Vec<Bytes>| {
            let texts = records
                .iter()
                .map(|it| String::from_utf8_lossy(it).into_owned());
            texts.collect::<Vec<_>>()
        };
        let (all, some) = (text(arrived(&mut all)), text(arrived(&mut some)));
        assert_eq!((all.len(), some.len()), (4, 3));
        assert!(all.concat().contains("later-root") && all[0].contains("before-root"));
        assert!(some[0].contains("before-web") && some[2].contains("later-web"));
        assert!(!some.concat().contains("-root"), "{some:?}");
        assert_eq!(watchers.len(), 2);
    }
}

#[test]
fn a_scheduler_that_goes_or_suppresses_is_no_event() {
    let mut world = scene::world([Change::FrameworkAdded(scene::framework("f", &["dev"]))]);
    let mut watchers = Watchers::default();
    let (watch, mut records) = watch(Encoding::Json, 10);
    watchers.open(watch, &world, NOW).unwrap();
    assert_eq!(arrived(&mut records).len(), 2);
    let mut record = (*scene::framework("f", &["dev"])).clone();
    record.connected = false;
    record.suppressed_roles = vec!["dev".to_owned()];
    let record = std::sync::Arc::new(record);
    for (change, events) in [
        (Change::FrameworkMarked(record.clone()), 0),
        (Change::FrameworkUpdated(record.clone()), 1),
    ] {
        assert!(world.apply(&change));
        watchers.tell(&world, &change).unwrap();
        assert_eq!(world.frameworks["f"].record, record);
        assert_eq!(arrived(&mut records).len(), events);
    }
}
