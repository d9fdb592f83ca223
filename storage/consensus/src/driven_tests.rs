use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tepui_engine::keys::{RAFT_LOG, RAFT_META, REGISTRY};
use tepui_engine::{Batch, Durability, Engine, MemoryEngine};

use super::*;
use crate::member::tests::Journal;
use crate::{Consensus, NoPeers, Options, Role};

fn driven(engine: &MemoryEngine, now: Instant) -> (Consensus, Driven) {
    let engine = Arc::new(engine.clone());
    let (options, machine) = (Options::new(1, &[1]), Journal::default());
    Consensus::driven(options, engine, machine, Arc::new(NoPeers), now).unwrap()
}

#[test]
fn nothing_happens_between_turns_and_time_is_what_the_caller_says() {
    let now = Instant::now();
    let engine = MemoryEngine::new(&[RAFT_LOG, RAFT_META, REGISTRY]);
    let (consensus, mut driven) = driven(&engine, now);
    assert_eq!(consensus.status().borrow().role, Role::Leader);
    assert!(driven.arrival().now_or_never().is_none());
    let mut written = Box::pin(consensus.propose(Bytes::from_static(b"line")));
    driven.arrival().now_or_never().unwrap();
    assert!((&mut written).now_or_never().is_none());
    assert!(driven.turn(now));
    assert!(written.now_or_never().unwrap().is_ok());
    let tick = Options::new(1, &[1]).tick;
    assert_eq!(driven.next_tick(), now + tick);
    assert!(driven.turn(now + tick));
    assert_eq!(driven.next_tick(), now + 2 * tick);
    // Missed ticks are not made up for.
    let late = now + Duration::from_secs(60);
    assert!(driven.turn(late));
    assert_eq!(driven.next_tick(), late + tick);
}

#[test]
fn a_member_ends_when_asked_to_and_when_its_disk_fails() {
    let now = Instant::now();
    let engine = MemoryEngine::new(&[RAFT_LOG, RAFT_META, REGISTRY]);
    let (consensus, mut member) = driven(&engine, now);
    consensus.shutdown();
    assert!(!member.turn(now));
    assert_eq!(consensus.status().borrow().stopped.as_deref(), Some(""));

    drop(member);
    let (consensus, mut member) = driven(&engine, now);
    engine.fail_sync_after(0);
    let written = consensus.propose(Bytes::from_static(b"line"));
    assert!(!member.turn(now));
    assert!(written.now_or_never().unwrap().is_err());
    let status = consensus.status().borrow().clone();
    assert!(status.stopped.unwrap().contains("fsync failed"));
}

/// Seed 1153: a note of another master's disk had met the full one, every handshake was refused for it, and the member
/// waited for the others for ever.
#[test]
fn a_member_with_nothing_to_write_ends_when_another_write_to_its_disk_fails() {
    let now = Instant::now();
    let engine = MemoryEngine::new(&[RAFT_LOG, RAFT_META, REGISTRY]);
    let (consensus, mut member) = driven(&engine, now);
    engine.disk_full_after(Some(0));
    assert!(member.turn(now));
    let mut note = Batch::new();
    note.put(RAFT_META, "note", "of another");
    assert!(engine.write(&note, Durability::Buffered).is_err());
    assert!(!member.turn(now));
    let status = consensus.status().borrow().clone();
    assert!(status.disk_failed);
    assert!(status.stopped.unwrap().contains("no space left"));
}
