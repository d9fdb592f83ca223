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
    assert_eq!(engine.health(), Ok(()));
    assert!(matches!(
        put(&engine, "b", Durability::Synced),
        Err(EngineError::Io { .. })
    ));
    assert!(matches!(engine.health(), Err(EngineError::Poisoned { .. })));
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

#[test]
fn from_the_byte_on_at_which_the_disk_is_full_nothing_is_written() {
    let engine = MemoryEngine::new(&[REGISTRY]);
    let mut batch = Batch::new();
    batch.put(REGISTRY, "a", "value");
    let bytes = size(&batch);
    engine.leave_room(Some(2 * bytes + 1));
    put(&engine, "a", Durability::Synced).unwrap();
    put(&engine, "b", Durability::Buffered).unwrap();
    let full = put(&engine, "c", Durability::Buffered).unwrap_err();
    assert!(full.to_string().contains("free space"), "{full}");
    let poisoned = put(&engine, "d", Durability::Buffered);
    assert!(matches!(poisoned, Err(EngineError::Poisoned { .. })));
    engine.crash_keeping(1);
    let still = put(&engine, "c", Durability::Synced);
    assert!(matches!(still, Err(EngineError::DiskFull { .. })));
    engine.crash();
    engine.leave_room(None);
    put(&engine, "c", Durability::Synced).unwrap();
    assert_eq!(keys(&engine), ["a", "b", "c"]);
}

#[test]
fn what_a_failed_sync_leaves_is_kept_or_lost_as_the_test_chooses() {
    for (kept, expected) in [
        (0, vec!["a"]),
        (1, vec!["a", "b"]),
        (2, vec!["a", "b", "c"]),
    ] {
        let engine = MemoryEngine::new(&[REGISTRY]);
        put(&engine, "a", Durability::Synced).unwrap();
        put(&engine, "b", Durability::Buffered).unwrap();
        engine.fail_sync_after(0);
        put(&engine, "c", Durability::Synced).unwrap_err();
        engine.crash_keeping(kept);
        assert_eq!(keys(&engine), expected);
    }
}

#[test]
fn a_torn_tail_takes_whole_batches_and_is_an_error_where_they_were_synced() {
    let world = || {
        let engine = MemoryEngine::new(&[REGISTRY]);
        put(&engine, "a", Durability::Synced).unwrap();
        put(&engine, "b", Durability::Buffered).unwrap();
        put(&engine, "c", Durability::Buffered).unwrap();
        engine
    };
    let mut batch = Batch::new();
    batch.put(REGISTRY, "c", "value");
    let bytes = size(&batch);
    for torn in 0..=2 * bytes {
        let engine = world();
        engine.crash_tearing(torn);
        let lost = usize::try_from(torn.div_ceil(bytes)).unwrap();
        assert_eq!(keys(&engine), ["a", "b", "c"][..3 - lost], "{torn} bytes");
    }
    let engine = world();
    engine.crash_tearing(2 * bytes + 1);
    let error = engine.get(REGISTRY, b"a").unwrap_err();
    assert!(matches!(error, EngineError::Damaged { .. }), "{error}");
    put(&engine, "d", Durability::Synced).unwrap_err();
}

#[test]
fn a_choice_names_what_it_damaged() {
    let engine = MemoryEngine::new(&[REGISTRY]);
    assert_eq!(engine.damage_any(7), None);
    for key in ["a", "b", "c"] {
        put(&engine, key, Durability::Synced).unwrap();
    }
    let (family, key) = engine.damage_any(7).unwrap();
    assert_eq!(engine.damage_any(7), Some((family, key.clone())));
    let others = ["a", "b", "c"].into_iter();
    for other in others.filter(|other| other.as_bytes() != key) {
        let value = engine.get(REGISTRY, other.as_bytes()).unwrap();
        assert_eq!(value.unwrap(), b"value");
    }
}

#[test]
fn slow_syncs_are_counted_and_buffered_writes_are_not() {
    let engine = MemoryEngine::new(&[REGISTRY]);
    engine.slow_syncs(Duration::from_secs(3));
    put(&engine, "a", Durability::Buffered).unwrap();
    assert_eq!(engine.take_stall(), Duration::ZERO);
    put(&engine, "b", Durability::Synced).unwrap();
    put(&engine, "c", Durability::Synced).unwrap();
    assert_eq!(engine.take_stall(), Duration::from_secs(6));
    assert_eq!(engine.take_stall(), Duration::ZERO);
}

#[test]
fn a_copy_has_what_was_synced_and_goes_its_own_way() {
    let engine = MemoryEngine::new(&[REGISTRY]);
    put(&engine, "synced", Durability::Synced).unwrap();
    put(&engine, "unsynced", Durability::Buffered).unwrap();
    let copy = engine.copy();
    put(&engine, "later", Durability::Synced).unwrap();
    assert_eq!(keys(&copy), ["synced"]);
}
