use std::sync::Arc;

use raft::Storage as _;
use tepui_engine::{Damage, Engine as _, MemoryEngine};

use super::*;

fn engine() -> MemoryEngine {
    MemoryEngine::new(&[RAFT_LOG, RAFT_META])
}

fn open(engine: &MemoryEngine) -> Result<LogStore, ConsensusError> {
    LogStore::open(Arc::new(engine.clone()), 1, &[2, 1, 3])
}

fn entries(from: u64, to: u64, term: u64) -> Vec<Entry> {
    let entry = |index| {
        let mut entry = Entry::default();
        entry.set_index(index);
        entry.set_term(term);
        entry.set_data(vec![7; 100].into());
        entry
    };
    (from..=to).map(entry).collect()
}

fn append(engine: &MemoryEngine, store: &mut LogStore, entries: Vec<Entry>) {
    let mut batch = Batch::new();
    store.append(entries, &mut batch);
    engine.write(&batch, Durability::Synced).unwrap();
}

#[test]
fn founders_agree_and_joiners_start_empty() {
    let store = open(&engine()).unwrap();
    assert_eq!(store.conf_state().voters, [1, 2, 3]);
    assert_eq!((store.first(), store.last(), store.applied()), (2, 1, 1));
    assert_eq!(store.term(1).unwrap(), 1);
    let joiner = LogStore::open(Arc::new(engine()), 9, &[]).unwrap();
    assert_eq!((joiner.first(), joiner.last(), joiner.applied()), (1, 0, 0));
    assert!(!joiner.initial_state().unwrap().initialized());
}

#[test]
fn a_directory_is_not_taken_over_by_another_member() {
    let engine = engine();
    open(&engine).unwrap();
    let refused = LogStore::open(Arc::new(engine), 2, &[1, 2, 3]).err();
    let expected = ConsensusError::WrongMember {
        found: 1,
        expected: 2,
    };
    assert_eq!(refused, Some(expected));
}

#[test]
fn a_conflicting_tail_is_replaced_and_survives_a_restart() {
    let engine = engine();
    let mut store = open(&engine).unwrap();
    append(&engine, &mut store, entries(2, 9, 2));
    append(&engine, &mut store, entries(5, 6, 3));
    for store in [&store, &open(&engine).unwrap()] {
        assert_eq!(store.last(), 6);
        let terms: Vec<u64> = (1..=6).map(|index| store.term(index).unwrap()).collect();
        assert_eq!(terms, [1, 2, 2, 2, 3, 3]);
        assert!(store.term(7).is_err());
    }
}

#[test]
fn reads_are_cut_by_size_but_never_empty_and_agree_with_the_disk() {
    let engine = engine();
    let mut store = open(&engine).unwrap();
    append(&engine, &mut store, entries(2, 9, 2));
    for limit in [0, 150, 250, 10_000] {
        let context = || GetEntriesContext::empty(false);
        let cached = store.entries(3, 8, limit, context()).unwrap();
        assert_eq!(cached, store.read_entries(3, 8, limit).unwrap());
        assert!(!cached.is_empty() && cached.len() <= 5);
    }
}

#[test]
fn compaction_keeps_the_term_before_the_first_entry() {
    let engine = engine();
    let mut store = open(&engine).unwrap();
    append(&engine, &mut store, entries(2, 9, 2));
    let mut batch = Batch::new();
    store.set_applied(8, &mut batch);
    store.compact(6, &mut batch).unwrap();
    engine.write(&batch, Durability::Synced).unwrap();
    for store in [&store, &open(&engine).unwrap()] {
        assert_eq!((store.first(), store.last(), store.applied()), (7, 9, 8));
        assert_eq!(store.term(6).unwrap(), 2);
        let compacted = store.entries(6, 8, None, GetEntriesContext::empty(false));
        assert_eq!(compacted, Err(raft::Error::Store(StorageError::Compacted)));
        // The commit index on disk lags behind what was applied: raft would panic on it.
        assert_eq!(open(&engine).unwrap().hard_state.commit, 8);
        assert_eq!(
            store
                .entries(7, 10, None, GetEntriesContext::empty(false))
                .unwrap()
                .len(),
            3
        );
    }
}

#[test]
fn missing_and_flipped_entries_are_named() {
    type Harm = fn(&MemoryEngine);
    let damages: [(&str, Harm); 3] = [
        ("hole", |engine| {
            let mut batch = Batch::new();
            batch.delete(RAFT_LOG, entry_key(4));
            engine.write(&batch, Durability::Synced).unwrap();
        }),
        ("checksum", |engine| {
            engine.damage(RAFT_LOG, entry_key(4).as_bytes(), Damage::Flip(20));
        }),
        ("synced entries are missing", |engine| {
            let mut batch = Batch::new();
            batch.delete_range(RAFT_LOG, entry_key(4).range());
            batch.delete_range(RAFT_LOG, entry_key(5).range());
            engine.write(&batch, Durability::Synced).unwrap();
        }),
    ];
    for (text, damage) in damages {
        let engine = engine();
        let mut store = open(&engine).unwrap();
        append(&engine, &mut store, entries(2, 5, 2));
        let mut batch = Batch::new();
        store.set_commit(5, &mut batch);
        engine.write(&batch, Durability::Synced).unwrap();
        damage(&engine);
        let error = open(&engine).err().unwrap().to_string();
        assert!(error.contains(text), "{error}");
    }
}
