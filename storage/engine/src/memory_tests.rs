use super::*;
use crate::keys::{CHECKPOINT, REGISTRY};
use crate::{collect, page};

fn put(engine: &dyn Engine, key: &str, durability: Durability) -> Result<(), EngineError> {
    let mut batch = Batch::new();
    batch.put(REGISTRY, key, "value");
    engine.write(&batch, durability)
}

fn keys(engine: &dyn Engine) -> Vec<String> {
    let pairs = collect(engine, REGISTRY, &KeyRange::all()).unwrap();
    pairs
        .into_iter()
        .map(|(key, _)| String::from_utf8(key).unwrap())
        .collect()
}

#[test]
fn a_crash_loses_just_the_unsynced_tail() {
    let engine = MemoryEngine::new(&[REGISTRY]);
    put(&engine, "a", Durability::Buffered).unwrap();
    put(&engine, "b", Durability::Synced).unwrap();
    put(&engine, "c", Durability::Buffered).unwrap();
    put(&engine, "d", Durability::Buffered).unwrap();
    assert_eq!(keys(&engine), ["a", "b", "c", "d"]);
    engine.crash_keeping(1);
    assert_eq!(keys(&engine), ["a", "b", "c"]);
}

#[test]
fn after_a_failed_sync_no_write_is_accepted_until_a_restart() {
    let engine = MemoryEngine::new(&[REGISTRY]);
    engine.fail_sync_after(1);
    put(&engine, "a", Durability::Synced).unwrap();
    assert!(matches!(
        put(&engine, "b", Durability::Synced),
        Err(EngineError::Io { .. })
    ));
    assert!(matches!(
        put(&engine, "c", Durability::Buffered),
        Err(EngineError::Poisoned { .. })
    ));
    engine.crash();
    assert_eq!(keys(&engine), ["a"]);
    put(&engine, "c", Durability::Synced).unwrap();
}

#[test]
fn a_full_disk_takes_nothing_of_a_batch() {
    let engine = MemoryEngine::new(&[REGISTRY]);
    engine.disk_full_after(Some(0));
    assert!(matches!(
        put(&engine, "a", Durability::Buffered),
        Err(EngineError::DiskFull { .. })
    ));
    assert!(keys(&engine).is_empty());
}

#[test]
fn unknown_families_are_refused_whole() {
    let engine = MemoryEngine::new(&[REGISTRY]);
    let mut batch = Batch::new();
    batch.put(REGISTRY, "a", "1");
    batch.put(CHECKPOINT, "b", "2");
    let refused = engine.write(&batch, Durability::Buffered);
    assert_eq!(
        refused,
        Err(EngineError::UnknownFamily {
            family: "checkpoint"
        })
    );
    assert!(keys(&engine).is_empty());
}

#[test]
fn pages_join_to_the_whole() {
    let engine = MemoryEngine::new(&[REGISTRY]);
    for key in ["a", "b", "c", "d", "e"] {
        put(&engine, key, Durability::Buffered).unwrap();
    }
    let mut found = Vec::new();
    let mut next = Some(KeyRange::between(b"b", b"e"));
    while let Some(range) = next {
        let (pairs, rest) = page(&engine, REGISTRY, &range, 2).unwrap();
        found.extend(pairs.into_iter().map(|(key, _)| key));
        next = rest;
    }
    assert_eq!(found, [b"b", b"c", b"d"]);
}

#[test]
fn damage_stays() {
    let engine = MemoryEngine::new(&[REGISTRY]);
    put(&engine, "a", Durability::Synced).unwrap();
    assert!(engine.damage(REGISTRY, b"a", Damage::Truncate(2)));
    engine.crash();
    assert_eq!(engine.get(REGISTRY, b"a").unwrap().unwrap(), b"va");
    assert!(!engine.damage(REGISTRY, b"absent", Damage::Flip(0)));
}
