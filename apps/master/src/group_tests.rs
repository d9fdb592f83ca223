use tepui_consensus::Identity as Owner;
use tepui_engine::{MemoryEngine, SharedEngine, keys::MASTER_FAMILIES};

use super::*;

struct Scene {
    group: Group,
    _engine: SharedEngine,
}

fn scene(name: &str, peers: &[&str], cluster_id: Option<&'static str>) -> Scene {
    let engine: SharedEngine = Arc::new(MemoryEngine::new(&MASTER_FAMILIES));
    let identity = Owner::open(&engine, name, peers, &format!("disk-of-{name}")).unwrap();
    let addresses = peers
        .iter()
        .map(|it| ((*it).to_owned(), format!("{it}:5060")));
    let own = Membership {
        group: identity.group(),
        disk: identity.disk.clone(),
        http: format!("{name}:5050"),
        bridge: format!("{name}:5060"),
    };
    let cluster_id = Arc::new(move || cluster_id.map(str::to_owned));
    let group = Group::new(identity, &engine, cluster_id, own, &addresses.collect());
    Scene {
        group,
        _engine: engine,
    }
}

const THREE: [&str; 3] = ["m1", "m2", "m3"];

fn refusal(ours: &Scene, theirs: &Scene) -> String {
    ours.group
        .check(&theirs.group.hello().identity)
        .unwrap_err()
}

#[test]
fn a_member_is_known_by_its_name_and_says_where_it_answers() {
    let (m1, m2) = (scene("m1", &THREE, None), scene("m2", &THREE, Some("c")));
    assert_eq!(m1.group.check(&m2.group.hello().identity), Ok(2));
    assert_eq!(m2.group.check(&m1.group.hello().identity), Ok(1));
    let leader = m1.group.leader(2, 7).unwrap();
    assert_eq!(
        (leader.http.as_str(), leader.bridge.as_str(), leader.term),
        ("m2:5050", "m2:5060", 7)
    );
    assert_eq!(m1.group.leader(3, 7), None);
}

#[test]
fn a_stranger_is_told_what_is_wrong() {
    let m1 = scene("m1", &THREE, None);
    for (name, peers, expected) in [
        ("m1", &THREE[..], "both masters are named m1"),
        (
            "m4",
            &["m1", "m4"],
            "m4 is no master of this group, which is m1,m2,m3",
        ),
        (
            "m2",
            &["m1", "m2"],
            "this master's group is m1,m2,m3, the one of m2 is m1,m2",
        ),
    ] {
        let text = refusal(&m1, &scene(name, peers, None));
        assert!(text.contains(expected), "{text}");
        assert!(
            text.contains("--peers") || text.contains("--name"),
            "{text}"
        );
    }
    let alone = scene("m1", &["m1"], None);
    assert!(refusal(&alone, &scene("m2", &THREE, None)).contains("leads alone"));
}

#[test]
fn a_member_with_another_disk_is_refused() {
    let m1 = scene("m1", &THREE, Some("c"));
    let mut m2 = scene("m2", &THREE, Some("c"));
    m1.group.check(&m2.group.hello().identity).unwrap();
    m2.group.own.disk = "another".to_owned();
    let text = refusal(&m1, &m2);
    assert!(text.contains("m2 comes with another disk"), "{text}");
}

#[test]
fn a_message_of_any_size_comes_out_as_it_went_in() {
    for size in [0, 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES + 7] {
        let message: Bytes = (0..size).map(|at| at as u8).collect::<Vec<u8>>().into();
        let mut parts = Parts::default();
        let mut put_together = Vec::new();
        for _ in 0..2 {
            put_together.extend(split(&message).filter_map(|part| parts.take(part)));
        }
        assert_eq!(put_together, [message.clone(), message]);
    }
}

#[test]
fn a_message_that_lost_a_part_is_dropped_and_the_next_one_is_whole() {
    let message = Bytes::from(vec![7; 3 * PART_BYTES]);
    let all: Vec<RaftMessage> = split(&message).collect();
    for lost in 0..3 {
        let mut parts = Parts::default();
        let (before, after) = (all[..lost].iter(), all[lost + 1..].iter());
        assert!(
            before
                .chain(after)
                .all(|it| parts.take(it.clone()).is_none())
        );
        let whole: Vec<Bytes> = all.iter().filter_map(|it| parts.take(it.clone())).collect();
        assert_eq!(whole, std::slice::from_ref(&message));
    }
    let twisted = RaftMessage {
        part: 5,
        parts: 2,
        ..all[0].clone()
    };
    assert_eq!(Parts::default().take(twisted), None);
}
