use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tepui_consensus::{NoPeers, Options};
use tepui_engine::{MemoryEngine, SharedEngine, keys::MASTER_FAMILIES};
use tepui_kit::{
    Ask, Link,
    stage::{Recorder, TestStage},
};
use tepui_registry::RegistryMachine;

use super::*;

fn member(engine: &SharedEngine, founders: &[u64]) -> (Consensus, RegistryReader) {
    let machine = RegistryMachine::new();
    let reader = machine.reader();
    let options = Options::new(1, founders);
    let consensus = Consensus::start(options, engine.clone(), machine, Arc::new(NoPeers));
    (consensus.unwrap(), reader)
}

fn engine() -> SharedEngine {
    Arc::new(MemoryEngine::new(&MASTER_FAMILIES))
}

fn registrar(
    stage: &TestStage,
    consensus: &Consensus,
    reader: &RegistryReader,
    settle: bool,
) -> (Link<Registrar>, Recorder<Leads>) {
    let room: Room = Arc::new(|| None);
    registrar_within(stage, consensus, reader, settle, &room)
}

fn registrar_within(
    stage: &TestStage,
    consensus: &Consensus,
    reader: &RegistryReader,
    settle: bool,
    room: &Room,
) -> (Link<Registrar>, Recorder<Leads>) {
    let told = Recorder::new();
    let (consensus, reader, master) = (consensus.clone(), reader.clone(), told.teller());
    let beginning = Beginning {
        cluster_id: "c1".to_owned(),
        settle,
    };
    let room = Arc::clone(room);
    let start = move || {
        let registrar = Registrar::new(consensus, reader, master, beginning);
        registrar.within(room).at_most(MOST_BYTES)
    };
    (stage.spawn().start_once(start), told)
}

const MOST_BYTES: usize = 100 << 10;

/// Consensus runs on a thread of its own, in real time: it says when to look again.
async fn until_told(stage: &TestStage, consensus: &Consensus, told: &Recorder<Leads>) -> Leads {
    let mut status = consensus.status();
    loop {
        stage.settle().await;
        if let Some(leads) = told.take().pop() {
            return leads;
        }
        status.changed().await.unwrap();
    }
}

#[test]
fn a_new_cluster_is_named_before_its_first_master_leads_and_keeps_its_name() {
    let engine = engine();
    for _ in 0..2 {
        let (consensus, reader) = member(&engine, &[1]);
        TestStage::run(1, async |stage| {
            let (_, told) = registrar(stage, &consensus, &reader, false);
            let leads = until_told(stage, &consensus, &told).await;
            assert_eq!(leads.registry.cluster_id.as_deref(), Some("c1"));
        });
        consensus.shutdown();
    }
}

#[test]
fn the_next_master_of_a_process_starts_behind_all_that_the_last_one_proposed() {
    let engine = engine();
    let (consensus, reader) = member(&engine, &[1]);
    TestStage::run(1, async |stage| {
        let (_, told) = registrar(stage, &consensus, &reader, false);
        until_told(stage, &consensus, &told).await;
        let mut weights = Vec::new();
        for number in 0..500_u32 {
            let role = (format!("r{number}"), 2.0);
            let command = Command::UpdateWeights {
                weights: vec![role],
            };
            weights.push(consensus.propose(command.encode()));
        }
        drop(weights);
        let (_, told) = registrar(stage, &consensus, &reader, true);
        assert_eq!(
            until_told(stage, &consensus, &told)
                .await
                .registry
                .weights
                .len(),
            500
        );
    });
    consensus.shutdown();
}

#[test]
fn what_a_member_that_does_not_lead_is_asked_to_write_has_an_unknown_outcome() {
    let (consensus, reader) = member(&engine(), &[1, 2, 3]);
    TestStage::run(1, async |stage| {
        let (registrar, told) = registrar(stage, &consensus, &reader, false);
        let written = registrar.ask(Commit(Command::RemoveAgent { id: "a".into() }));
        assert_eq!(written.await, Ok(Committed::Unknown));
        assert!(told.take().is_empty());
    });
    consensus.shutdown();
}

#[test]
fn on_a_disk_that_is_nearly_full_only_what_is_new_is_refused_until_there_is_room() {
    let (consensus, reader) = member(&engine(), &[1]);
    TestStage::run(1, async |stage| {
        let full = Arc::new(AtomicBool::new(false));
        let shown = Arc::clone(&full);
        let room: Room = Arc::new(move || {
            let full = shown.load(Ordering::Relaxed);
            full.then(|| "free space there".to_owned())
        });
        let (registrar, told) = registrar_within(stage, &consensus, &reader, false, &room);
        until_told(stage, &consensus, &told).await;
        let admit = |id: &str| {
            registrar.ask(Commit(Command::AdmitAgent {
                id: id.to_owned(),
                info: Default::default(),
            }))
        };
        assert_eq!(admit("a").await, Ok(Committed::Applied));
        full.store(true, Ordering::Relaxed);
        let refused = Committed::Refused(WriteRefusal::NotNow("free space there".to_owned()));
        assert_eq!(admit("b").await, Ok(refused));
        let lost = Command::MarkUnreachable {
            id: "a".to_owned(),
            at_nanos: 1,
        };
        let lost = registrar.ask(Commit(lost));
        assert_eq!(lost.await, Ok(Committed::Applied));
        full.store(false, Ordering::Relaxed);
        assert_eq!(admit("b").await, Ok(Committed::Applied));
    });
    consensus.shutdown();
}

#[test]
fn beyond_its_bytes_a_registry_takes_nothing_new_also_of_what_comes_at_once() {
    let (consensus, reader) = member(&engine(), &[1]);
    TestStage::run(1, async |stage| {
        let (registrar, told) = registrar(stage, &consensus, &reader, false);
        until_told(stage, &consensus, &told).await;
        let admit = |number: usize| {
            registrar.ask(Commit(Command::AdmitAgent {
                id: format!("a{number}"),
                info: vec![7; 10 << 10].into(),
            }))
        };
        let framework = Command::AdmitFramework {
            id: "f".into(),
            info: vec![7; 1 << 10].into(),
            suppressed: Vec::new(),
        };
        let admitted = registrar.ask(Commit(framework));
        assert_eq!(admitted.await, Ok(Committed::Applied));
        // What is applied while its answer is under way counts twice for that moment, so fewer may be taken, never more.
        let answers = (0..20).map(admit).collect::<Vec<_>>();
        for answer in answers {
            match answer.await.unwrap() {
                Committed::Applied => {}
                Committed::Refused(WriteRefusal::NotNow(reason)) => {
                    assert!(reason.contains("may have 100"), "{reason}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(reader.bytes() <= MOST_BYTES);
        let mut more = 20;
        while admit(more).await == Ok(Committed::Applied) {
            more += 1;
        }
        assert!((90 << 10..=MOST_BYTES).contains(&reader.bytes()));

        let update = |bytes: usize| {
            registrar.ask(Commit(Command::UpdateFramework {
                id: "f".into(),
                info: vec![8; bytes].into(),
                suppressed: Vec::new(),
            }))
        };
        assert_eq!(
            update(1 << 10).await,
            Ok(Committed::Applied),
            "no larger than it was"
        );
        let larger = update(30 << 10).await;
        assert!(
            matches!(larger, Ok(Committed::Refused(WriteRefusal::NotNow(_)))),
            "{larger:?}"
        );

        let remove = Command::RemoveAgent { id: "a0".into() };
        let removed = registrar.ask(Commit(remove));
        assert_eq!(removed.await, Ok(Committed::Applied));
        assert_eq!(admit(more).await, Ok(Committed::Applied));
    });
    consensus.shutdown();
}

#[test]
fn reads_and_writes_of_the_registry_are_timed_under_the_names_of_mesos() {
    let (consensus, reader) = member(&engine(), &[1]);
    TestStage::run(1, async |stage| {
        let (registrar, told) = registrar(stage, &consensus, &reader, false);
        until_told(stage, &consensus, &told).await;
        let numbers = async || -> BTreeMap<String, f64> {
            let told = registrar.ask(RegistrarNumbers).await.unwrap();
            told.into_iter().collect()
        };
        let told = numbers().await;
        assert!(told.contains_key("registrar/state_fetch_ms"));
        assert!(!told.contains_key("registrar/state_store_ms"));
        assert_eq!(told["registrar/log/ensemble_size"], 1.0);
        assert_eq!(told["registrar/log/recovered"], 1.0);
        let remove = || Commit(Command::RemoveAgent { id: "a".into() });
        let writes = [registrar.ask(remove()), registrar.ask(remove())];
        stage.settle().await;
        for write in writes {
            write.await.unwrap();
        }
        let told = numbers().await;
        assert_eq!(told["registrar/queued_operations"], 0.0);
        assert_eq!(told["registrar/state_store_ms/count"], 2.0);
    });
    consensus.shutdown();
}

#[test]
fn what_is_being_written_is_queued_and_what_was_not_written_has_no_time() {
    let mut numbers = Numbers::default();
    numbers.begin();
    numbers.begin();
    numbers.end(Duration::from_secs(1), Duration::from_millis(5), false);
    let told: BTreeMap<String, f64> = numbers.all(&Status::default()).into_iter().collect();
    let expected = [
        ("registrar/log/ensemble_size", 0.0),
        ("registrar/log/recovered", 0.0),
        ("registrar/queued_operations", 1.0),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(told, BTreeMap::from(expected));
}
