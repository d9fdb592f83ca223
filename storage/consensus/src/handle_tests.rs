use std::time::Duration;

use tepui_engine::keys::MASTER_FAMILIES;
use tepui_engine::{MemoryEngine, RocksEngine};

use super::*;
use crate::member::tests::Journal;
use crate::{NoPeers, Role};

fn start(engine: SharedEngine) -> Consensus {
    let options = Options {
        tick: Duration::from_millis(20),
        ..Options::new(1, &[1])
    };
    Consensus::start(options, engine, Journal::default(), Arc::new(NoPeers)).unwrap()
}

#[tokio::test]
async fn on_rocksdb_commands_last_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let options = tepui_engine::Options::default();
        let engine = RocksEngine::open(directory.path(), &MASTER_FAMILIES, &options).unwrap();
        let consensus = start(Arc::new(engine));
        assert!(consensus.status().borrow().may_lead(Instant::now()));
        let commands: Vec<_> = (0..100)
            .map(|line| consensus.propose(Bytes::from(format!("{line}"))))
            .collect();
        for (line, command) in commands.into_iter().enumerate() {
            let outcome = command.await.unwrap().outcome;
            assert_eq!(outcome, (round * 100 + line + 1).to_string());
        }
        let read = consensus.read().await.unwrap();
        assert!(read >= (round as u64 + 1) * 100);
        consensus.shutdown();
        consensus.shutdown();
        let refused = consensus.propose(Bytes::from_static(b"late")).await;
        assert!(matches!(refused, Err(ProposeError::Stopped(_))));
    }
}

#[tokio::test]
async fn a_failed_sync_stops_the_thread_with_its_reason() {
    let engine = MemoryEngine::new(&MASTER_FAMILIES);
    let consensus = start(Arc::new(engine.clone()));
    engine.fail_sync_after(0);
    let answer = consensus.propose(Bytes::from_static(b"line")).await;
    assert_eq!(answer, Err(ProposeError::OutcomeUnknown));
    let mut status = consensus.status();
    let stopped = status.wait_for(|status| status.stopped.is_some()).await;
    let stopped = stopped.unwrap().clone();
    assert!(stopped.stopped.unwrap().contains("fsync failed"));
    assert_eq!(stopped.role, Role::Follower);
    assert!(matches!(consensus.read().await, Err(ReadError::Stopped(_))));
}

#[tokio::test]
async fn a_state_machine_that_cannot_go_on_stops_the_thread() {
    let consensus = start(Arc::new(MemoryEngine::new(&MASTER_FAMILIES)));
    let answer = consensus.propose(Bytes::from_static(b"fatal")).await;
    assert!(answer.is_err());
    let mut status = consensus.status();
    let stopped = status.wait_for(|status| status.stopped.is_some()).await;
    let reason = stopped.unwrap().stopped.clone().unwrap();
    assert!(reason.contains("a newer program"), "{reason}");
}

#[tokio::test]
async fn the_lease_is_renewed_without_traffic() {
    let consensus = start(Arc::new(MemoryEngine::new(&MASTER_FAMILIES)));
    let mut status = consensus.status();
    let first = status.borrow_and_update().lease_until.unwrap();
    let renewed = status.wait_for(|status| status.lease_until > Some(first));
    assert!(renewed.await.is_ok());
}

#[tokio::test]
async fn what_a_turn_leaves_behind_waits_for_no_tick() {
    let options = Options {
        max_batch: 2,
        tick: Duration::from_secs(3_600),
        ..Options::new(1, &[1])
    };
    let engine = Arc::new(MemoryEngine::new(&MASTER_FAMILIES));
    let machine = Journal::default();
    let consensus = Consensus::start(options, engine, machine, Arc::new(NoPeers)).unwrap();
    for round in 0..100 {
        let commands: Vec<_> = (0..7)
            .map(|line| consensus.propose(Bytes::from(format!("{round} {line}"))))
            .collect();
        for command in commands {
            let answered = tokio::time::timeout(Duration::from_secs(60), command).await;
            assert!(answered.unwrap().is_ok());
        }
    }
    consensus.shutdown();
}

#[tokio::test]
async fn what_runs_beside_the_member_ends_with_it() {
    let consensus = start(Arc::new(MemoryEngine::new(&MASTER_FAMILIES)));
    let beside = consensus.runtime().unwrap();
    let member = consensus.clone();
    let written = beside.spawn(async move { member.propose(Bytes::from_static(b"line")).await });
    assert!(written.await.unwrap().is_ok());
    let endless = beside.spawn(std::future::pending::<()>());
    consensus.shutdown();
    assert!(endless.await.unwrap_err().is_cancelled());
}
