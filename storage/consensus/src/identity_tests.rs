use std::sync::Arc;

use tepui_engine::MemoryEngine;
use tepui_engine::keys::MASTER_FAMILIES;

use super::*;
use crate::{Consensus, NoPeers, Options, member::tests::Journal};

fn engine() -> SharedEngine {
    Arc::new(MemoryEngine::new(&MASTER_FAMILIES))
}

#[test]
fn each_founder_comes_to_the_same_ids_in_whatever_order_they_are_listed() {
    let orders = [["m1", "m2", "m3"], ["m3", "m1", "m2"]];
    for (name, id) in [("m1", 1), ("m2", 2), ("m3", 3)] {
        for founders in orders {
            let found = Identity::open(&engine(), name, &founders, "d").unwrap();
            assert_eq!((found.node_id, found.group().as_str()), (id, "m1,m2,m3"));
            assert_eq!(found.id_of("m3"), Some(3));
        }
    }
}

#[test]
fn a_directory_keeps_its_owner_its_disk_and_its_group() {
    let engine = engine();
    let first = Identity::open(&engine, "m2", &["m1", "m2", "m3"], "d1").unwrap();
    let again = Identity::open(&engine, "m2", &["m2", "m1", "m3"], "d2").unwrap();
    assert_eq!(first, again);
    let other = Identity::open(&engine, "m3", &["m1", "m2", "m3"], "d").unwrap_err();
    assert!(
        other.to_string().contains("belongs to master m2"),
        "{other}"
    );
    let grown = Identity::open(&engine, "m2", &["m1", "m2", "m3", "m4"], "d2").unwrap();
    assert_eq!(grown, first);
    let other = first.expect_founders(["m1", "m2"].into_iter()).unwrap_err();
    assert!(other.to_string().contains("m1,m2,m3"), "{other}");
    assert!(
        first
            .expect_founders(["m3", "m1", "m2"].into_iter())
            .is_ok()
    );
}

#[test]
fn a_directory_from_before_there_were_names_belongs_to_a_master_alone() {
    let engine = engine();
    let options = Options::new(1, &[1]);
    Consensus::start(
        options,
        engine.clone(),
        Journal::default(),
        Arc::new(NoPeers),
    )
    .unwrap()
    .shutdown();
    let grown = Identity::open(&engine, "m1", &["m1", "m2", "m3"], "d");
    assert!(matches!(grown, Err(ConsensusError::OtherFounders { .. })));
    let alone = Identity::open(&engine, "zoe", &["zoe"], "d").unwrap();
    assert_eq!((alone.node_id, alone.name.as_str()), (1, "zoe"));
}

#[test]
fn another_disk_under_a_known_name_is_refused() {
    let engine = engine();
    let recognise = |id, disk| Identity::recognise(&engine, id, disk, |id| format!("m{id}"));
    assert_eq!(recognise(2, "d2"), Ok(()));
    assert_eq!(recognise(2, "d2"), Ok(()));
    let text = recognise(2, "wiped").unwrap_err();
    for part in ["m2", "wiped", "--replace"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(recognise(3, "wiped"), Ok(()));
}

#[test]
fn who_joins_keeps_its_id_and_founds_nothing() {
    let engine = engine();
    let joined = Identity {
        node_id: 4,
        name: "m4".to_owned(),
        disk: "d4".to_owned(),
        founders: founder_ids(&["m1", "m2", "m3"]),
        cluster_id: Some("c".to_owned()),
    };
    assert!(!Identity::is_owned(&engine).unwrap());
    joined.write(&engine).unwrap();
    assert!(Identity::is_owned(&engine).unwrap());
    let again = Identity::open(&engine, "m4", &["m1", "m2"], "d5").unwrap();
    assert_eq!(again, joined);
    assert!(again.first_voters().is_empty());
    let own = Identity::open(&self::engine(), "m1", &["m1", "m2"], "d").unwrap();
    assert_eq!(own.first_voters(), [1, 2]);
}

#[test]
fn the_group_of_a_restored_backup_has_another_text() {
    let founders = [(6, "m1".to_owned())].into();
    assert_eq!(listed(&founders), "m1#6");
}

#[test]
fn an_older_disk_is_told_by_what_it_acknowledged() {
    let engine = engine();
    let check = |acknowledged, last| Identity::expect_log(&engine, 2, "m2", acknowledged, last);
    assert_eq!(check(None, 10), Ok(()));
    assert_eq!(check(Some(50), 50), Ok(()));
    let text = check(None, 49).unwrap_err();
    for part in ["m2", "50", "49", "older", "--replace"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(check(Some(20), 60), Ok(()));
    assert!(check(Some(20), 49).is_err());
}

/// It would be refused for good, for a fault of this master's disk.
#[test]
fn a_damaged_note_of_another_disk_is_made_anew() {
    let engine = engine();
    let recognise = |disk| Identity::recognise(&engine, 2, disk, |id| format!("m{id}"));
    let check = |acknowledged, last| Identity::expect_log(&engine, 2, "m2", acknowledged, last);
    recognise("d2").unwrap();
    check(Some(50), 50).unwrap();
    for kind in [DISK, ACKNOWLEDGED] {
        let mut batch = Batch::new();
        batch.put(RAFT_META, Key::new(kind).number(2), "no record");
        engine.write(&batch, Durability::Buffered).unwrap();
    }
    assert_eq!(recognise("d2"), Ok(()));
    assert_eq!(check(Some(60), 60), Ok(()));
    assert!(recognise("wiped").is_err() && check(None, 59).is_err());
}
