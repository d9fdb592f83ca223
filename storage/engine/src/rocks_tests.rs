use super::*;
use crate::keys::{CHECKPOINT, HISTORY, REGISTRY};
use crate::{MemoryEngine, collect};

fn open(path: &Path, families: &[Family]) -> RocksEngine {
    RocksEngine::open(path, families, &Options::default()).unwrap()
}

#[test]
fn what_was_written_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b");
    let mut batch = Batch::new();
    batch.put(REGISTRY, "gone", "1");
    batch.put(REGISTRY, "kept", "2");
    batch.delete(REGISTRY, "gone");
    batch.put(CHECKPOINT, "other", "3");
    {
        let engine = open(&path, &[REGISTRY, CHECKPOINT]);
        engine.write(&batch, Durability::Synced).unwrap();
        engine.write(&Batch::new(), Durability::Buffered).unwrap();
        let expected = Counters {
            writes: 2,
            syncs: 1,
        };
        assert_eq!(engine.counters(), expected);
    }
    // Opened with one family fewer and one more: a neighbouring version of the program may do so.
    let engine = open(&path, &[REGISTRY, HISTORY]);
    let pairs = collect(&engine, REGISTRY, &KeyRange::all()).unwrap();
    assert_eq!(pairs, [(b"kept".to_vec(), b"2".to_vec())]);
    assert_eq!(engine.get(HISTORY, b"other").unwrap(), None);
    let values = engine
        .get_many(REGISTRY, &[b"kept".as_slice(), b"gone"])
        .unwrap();
    assert_eq!(values, [Some(b"2".to_vec()), None]);
}

#[test]
fn a_held_directory_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let _held = open(directory.path(), &[REGISTRY]);
    let refused = RocksEngine::open(directory.path(), &[REGISTRY], &Options::default());
    let error = refused.err().unwrap();
    assert_eq!(
        error,
        EngineError::InUse {
            path: directory.path().to_owned()
        }
    );
    assert!(error.to_string().contains("is in use by another process"));
}

#[test]
fn both_engines_agree_on_ranges() {
    let directory = tempfile::tempdir().unwrap();
    let rocks = open(directory.path(), &[REGISTRY]);
    let memory = MemoryEngine::new(&[REGISTRY]);
    let mut first = Batch::new();
    for byte in 0..=40u8 {
        first.put(REGISTRY, [byte / 10, byte % 10], [byte]);
    }
    let mut second = Batch::new();
    second.delete_range(REGISTRY, KeyRange::prefix(&[2]));
    second.delete_range(REGISTRY, KeyRange::between(&[9], &[1]));
    second.put(REGISTRY, [2, 3], "again");
    for batch in [&first, &second] {
        rocks.write(batch, Durability::Buffered).unwrap();
        memory.write(batch, Durability::Buffered).unwrap();
    }
    for range in [
        KeyRange::all(),
        KeyRange::prefix(&[1]),
        KeyRange::prefix(&[2]),
        KeyRange::between(&[1, 5], &[3, 2]),
        KeyRange::between(&[3], &[1]),
    ] {
        assert_eq!(
            collect(&rocks, REGISTRY, &range).unwrap(),
            collect(&memory, REGISTRY, &range).unwrap(),
            "{range:?}"
        );
    }
}

#[test]
fn a_scan_shows_one_moment() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path(), &[REGISTRY]);
    let mut batch = Batch::new();
    batch.put(REGISTRY, "a", "1");
    batch.put(REGISTRY, "b", "1");
    engine.write(&batch, Durability::Buffered).unwrap();
    let mut seen = 0;
    let mut later = Batch::new();
    later.put(REGISTRY, "c", "1");
    let visited = engine.scan(REGISTRY, &KeyRange::all(), &mut |_, _| {
        seen += 1;
        engine.write(&later, Durability::Buffered).unwrap();
        ControlFlow::Continue(())
    });
    visited.unwrap();
    assert_eq!(seen, 2);
}
