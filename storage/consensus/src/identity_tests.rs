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
    let grown = Identity::open(&engine, "m2", &["m1", "m2"], "d").unwrap_err();
    assert!(grown.to_string().contains("m1,m2,m3"), "{grown}");
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
    let own = Identity::open(&engine, "m1", &["m1", "m2", "m3"], "d1").unwrap();
    assert_eq!(own.recognise(&engine, 2, "d2"), Ok(()));
    assert_eq!(own.recognise(&engine, 2, "d2"), Ok(()));
    let text = own.recognise(&engine, 2, "wiped").unwrap_err();
    assert!(text.contains("m2") && text.contains("wiped"), "{text}");
    assert_eq!(own.recognise(&engine, 3, "wiped"), Ok(()));
}
