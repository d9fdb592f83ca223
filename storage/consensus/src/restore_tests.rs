use std::sync::Arc;

use bytes::Bytes;
use tepui_engine::MemoryEngine;
use tepui_engine::keys::MASTER_FAMILIES;

use super::*;
use crate::{Consensus, NoPeers, Options, member::tests::Journal};

fn identity() -> Identity {
    Identity {
        node_id: 6,
        name: "m1".to_owned(),
        disk: "new".to_owned(),
        founders: [(6, "m1".to_owned())].into(),
        cluster_id: None,
    }
}

#[tokio::test]
async fn a_restored_state_is_led_by_its_only_member_in_a_higher_term() {
    let engine: SharedEngine = Arc::new(MemoryEngine::new(&MASTER_FAMILIES));
    restore(
        &engine,
        &identity(),
        &mut Journal::default(),
        b"a\nb",
        70,
        9,
    )
    .unwrap();
    let own = Identity::open(&engine, "m1", &["m1"], "other").unwrap();
    assert_eq!(own, identity());
    let options = Options::new(own.node_id, &own.first_voters());
    let consensus = Consensus::start(
        options,
        engine.clone(),
        Journal::default(),
        Arc::new(NoPeers),
    )
    .unwrap();
    let status = consensus.status().borrow().clone();
    assert_eq!((status.term, status.voters.as_slice()), (10, &[6][..]));
    let applied = consensus.propose(Bytes::from_static(b"c")).await.unwrap();
    assert_eq!(applied.outcome, "3");
    assert!(applied.index > 70);
    consensus.shutdown();
}

#[test]
fn a_directory_with_an_owner_is_left_alone() {
    let engine: SharedEngine = Arc::new(MemoryEngine::new(&MASTER_FAMILIES));
    Identity::open(&engine, "m1", &["m1"], "d").unwrap();
    let refused = restore(&engine, &identity(), &mut Journal::default(), b"a", 7, 1);
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("an empty one"), "{refused}");
    assert_eq!(
        Identity::open(&engine, "m1", &["m1"], "d").unwrap().node_id,
        1
    );
}
