//! What a disk does to the files of a database: bits flipped, tails cut, no room. Nothing that was synced may be
//! missing without an error.

use std::fs;
use std::process::Command;

use super::*;
use crate::keys::REGISTRY;
use crate::{Key, collect};

const RECORDS: usize = 12;

fn open(path: &Path) -> Result<RocksEngine, EngineError> {
    RocksEngine::open(path, &[REGISTRY], &Options::default())
}

fn put(engine: &RocksEngine, number: usize, durability: Durability) -> Result<(), EngineError> {
    let mut batch = Batch::new();
    batch.put(REGISTRY, format!("key {number:02}"), [number as u8; 50]);
    engine.write(&batch, durability)
}

/// How many records are there, each with its own value and none before it missing; or what opening or reading said.
fn found(path: &Path) -> Result<usize, EngineError> {
    let engine = open(path)?;
    let pairs = collect(&engine, REGISTRY, &KeyRange::all())?;
    for (number, (key, value)) in pairs.iter().enumerate() {
        assert_eq!(*key, format!("key {number:02}").into_bytes());
        assert_eq!(*value, [number as u8; 50]);
    }
    Ok(pairs.len())
}

/// In memory where there is such a place: these tests open hundreds of databases, and none cuts the power.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// A closed database of synced records, either in a table file or in the log.
fn written(flushed: bool) -> tempfile::TempDir {
    let directory = directory();
    let engine = open(directory.path()).unwrap();
    for number in 0..RECORDS {
        put(&engine, number, Durability::Synced).unwrap();
    }
    if flushed {
        let family = engine.family(REGISTRY).unwrap();
        engine.db.flush_cf(family).unwrap();
    }
    drop(engine);
    directory
}

/// The files with this ending or beginning that hold anything.
fn files(directory: &Path, part: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        (name.ends_with(part) || name.starts_with(part)) && fs::metadata(path).unwrap().len() > 0
    });
    found.sort();
    assert!(!found.is_empty(), "no {part} in {}", directory.display());
    found
}

/// A copy with one file replaced: opening a database changes it.
fn harmed(directory: &Path, file: &Path, bytes: &[u8]) -> tempfile::TempDir {
    let copy = self::directory();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    fs::write(copy.path().join(file.file_name().unwrap()), bytes).unwrap();
    copy
}

/// Flips these bits of a file, one at a time: each is noticed, or does no harm. Gives how many were noticed.
fn flip(directory: &Path, file: &Path, bits: impl Iterator<Item = usize>) -> usize {
    let whole = fs::read(file).unwrap();
    let mut noticed = 0;
    for bit in bits.take_while(|bit| *bit < whole.len() * 8) {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let copy = harmed(directory, file, &flipped);
        let place = copy.path().to_str().unwrap().to_owned();
        match found(copy.path()) {
            Ok(records) => assert_eq!(records, RECORDS, "bit {bit} of {}", file.display()),
            Err(error) => {
                noticed += 1;
                let text = error.to_string();
                assert!(text.contains(&place), "{text}");
                // It goes on being noticed: nothing was mended by dropping it.
                assert!(found(copy.path()).is_err(), "bit {bit}: {text}");
            }
        }
    }
    noticed
}

#[test]
fn a_bit_flipped_in_the_log_is_noticed() {
    let directory = written(false);
    let file = files(directory.path(), ".log").pop().unwrap();
    let bytes = fs::metadata(&file).unwrap().len() as usize;
    // The last record begins with 4 bytes of checksum and 2 of length: with another length it looks torn.
    let header = (bytes - bytes / RECORDS) * 8;
    let noticed = flip(directory.path(), &file, header..header + 7 * 8);
    assert_eq!(noticed, 7 * 8);
    let noticed = flip(directory.path(), &file, (0..).step_by(101));
    assert_eq!(noticed, (bytes * 8).div_ceil(101));
}

/// An agent's database: a damaged log costs what stands behind the damage, and the database opens.
#[test]
fn where_it_is_wanted_what_stands_before_a_flipped_bit_is_kept() {
    let directory = written(false);
    let file = files(directory.path(), ".log").pop().unwrap();
    let whole = fs::read(&file).unwrap();
    let record = whole.len() / RECORDS;
    let options = Options {
        damaged_log: DamagedLog::KeepBefore,
        ..Options::default()
    };
    // The kind of the seventh record, and what it holds.
    for bit in (0..8).chain(80..88) {
        let mut flipped = whole.clone();
        flipped[6 * record + 6 + bit / 8] ^= 1 << (bit % 8);
        let copy = harmed(directory.path(), &file, &flipped);
        for lost in [true, false] {
            let engine = RocksEngine::open(copy.path(), &[REGISTRY], &options).unwrap();
            assert_eq!(engine.lost().is_some(), lost, "bit {bit}: it is told once");
            let pairs = collect(&engine, REGISTRY, &KeyRange::all()).unwrap();
            assert_eq!(pairs.len(), 6, "bit {bit}");
        }
    }
}

/// What an agent launches is written and not synced: it dies with the kernel.
#[test]
fn where_it_is_wanted_what_was_only_written_is_missed_too() {
    let directory = directory();
    let options = Options {
        damaged_log: DamagedLog::KeepBefore,
        ..Options::default()
    };
    let again = || RocksEngine::open(directory.path(), &[REGISTRY], &options).unwrap();
    let engine = again();
    for number in 0..RECORDS {
        put(&engine, number, Durability::Buffered).unwrap();
    }
    drop(engine);
    let file = files(directory.path(), ".log").pop().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let Lost { written, found } = again().lost().unwrap();
    assert!(
        found < written && written == RECORDS as u64,
        "{found} {written}"
    );
    assert_eq!(again().lost(), None, "it is told once");
}

#[test]
fn a_bit_flipped_in_a_table_is_noticed() {
    let directory = written(true);
    let mut noticed = 0;
    for file in files(directory.path(), ".sst") {
        noticed += flip(directory.path(), &file, (0..).step_by(97));
    }
    assert!(noticed > 10, "{noticed}");
}

#[test]
fn a_bit_flipped_in_what_leads_to_the_tables_is_noticed() {
    let directory = written(true);
    for part in ["MANIFEST", "CURRENT"] {
        for file in files(directory.path(), part) {
            assert!(
                flip(directory.path(), &file, (0..).step_by(61)) > 0,
                "{part}"
            );
        }
    }
}

#[test]
fn a_log_cut_anywhere_in_what_was_synced_is_refused() {
    let directory = written(false);
    let file = files(directory.path(), ".log").pop().unwrap();
    let whole = fs::read(&file).unwrap();
    for bytes in (0..whole.len()).step_by(7) {
        let copy = harmed(directory.path(), &file, &whole[..bytes]);
        let error = found(copy.path()).unwrap_err();
        assert!(matches!(error, EngineError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("were synced"), "{error}");
    }
}

#[test]
fn a_log_cut_anywhere_in_its_unsynced_record_is_whole_before_it() {
    let directory = directory();
    let engine = open(directory.path()).unwrap();
    for number in 0..RECORDS {
        put(&engine, number, Durability::Synced).unwrap();
    }
    let file = files(directory.path(), ".log").pop().unwrap();
    let before = fs::metadata(&file).unwrap().len() as usize;
    put(&engine, RECORDS, Durability::Buffered).unwrap();
    drop(engine);
    let whole = fs::read(&file).unwrap();
    assert!(before < whole.len());
    for bytes in before..=whole.len() {
        let copy = harmed(directory.path(), &file, &whole[..bytes]);
        let expected = RECORDS + usize::from(bytes == whole.len());
        assert_eq!(found(copy.path()), Ok(expected), "{bytes} bytes");
    }
}

#[test]
fn a_database_whose_files_are_gone_is_not_taken_for_a_new_one() {
    let directory = written(true);
    for file in files(directory.path(), "CURRENT") {
        fs::remove_file(file).unwrap();
    }
    for _ in 0..2 {
        let error = found(directory.path()).unwrap_err();
        assert!(matches!(error, EngineError::Damaged { .. }), "{error}");
    }
}

/// A file system of its own, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`, with a word, where this user may not mount.
    fn mount(bytes: usize) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(directory.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(directory));
        }
        eprintln!("skipped: a full disk needs a tmpfs, and mounting one needs root");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_keeps_what_was_synced_and_works_again_once_there_is_room() {
    let Some(disk) = SmallDisk::mount(4 << 20) else {
        return;
    };
    let path = disk.0.path().join("registry");
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![0; 2 << 20]).unwrap();
    let engine = open(&path).unwrap();
    let mut synced = 0;
    let error = loop {
        let mut batch = Batch::new();
        batch.put(REGISTRY, Key::new(b'k').number(synced), vec![7; 16 << 10]);
        match engine.write(&batch, Durability::Synced) {
            Ok(()) => synced += 1,
            Err(error) => break error,
        }
    };
    assert!(synced > 20, "{synced}");
    let text = error.to_string();
    assert!(matches!(error, EngineError::DiskFull { .. }), "{text}");
    assert!(text.contains(path.to_str().unwrap()) && text.contains("free space"));
    let after = engine.write(&Batch::new(), Durability::Synced).unwrap_err();
    assert!(matches!(after, EngineError::Poisoned { .. }), "{after}");
    assert_eq!(engine.health(), Err(after));
    drop(engine);

    let full = open(&path).map(|_| ()).unwrap_err();
    assert!(full.to_string().contains("free space"), "{full}");
    fs::remove_file(ballast).unwrap();
    let engine = open(&path).unwrap();
    let pairs = collect(&engine, REGISTRY, &KeyRange::all()).unwrap();
    assert!(pairs.len() as u64 >= synced, "{} of {synced}", pairs.len());
    engine.write(&Batch::new(), Durability::Synced).unwrap();
}
