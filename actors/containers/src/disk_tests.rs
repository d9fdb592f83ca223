use super::*;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

const KILOBYTE: usize = 1024;

/// With a file of so many kilobytes.
fn fill(path: PathBuf, kilobytes: usize) -> u64 {
    fs::write(&path, vec![1; kilobytes * KILOBYTE]).unwrap();
    fs::metadata(path).unwrap().blocks() * BLOCK_BYTES
}

fn of(directory: &Path) -> u64 {
    fs::metadata(directory).unwrap().blocks() * BLOCK_BYTES
}

#[test]
fn files_and_directories_count_with_their_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("a/b");
    fs::create_dir_all(&inner).unwrap();
    let files = fill(dir.path().join("one"), 300) + fill(inner.join("two"), 500);
    let directories = of(dir.path()) + of(&dir.path().join("a")) + of(&inner);
    assert_eq!(used(dir.path()).unwrap(), files + directories);
    // What was never written takes nothing.
    let sparse = fs::File::create(dir.path().join("sparse")).unwrap();
    sparse.set_len(1 << 30).unwrap();
    assert!(used(dir.path()).unwrap() < 1 << 24);
}

#[test]
fn no_link_is_followed_and_a_file_counts_once() {
    let (dir, volume) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(volume.path().join("data"), 900);
    symlink(volume.path(), dir.path().join("volume")).unwrap();
    let file = fill(dir.path().join("one"), 200);
    fs::hard_link(dir.path().join("one"), dir.path().join("two")).unwrap();
    let found = used(dir.path()).unwrap();
    assert!(found >= file && found < 2 * file, "{found}");
    // The directory itself may be reached by one.
    let shown = dir.path().join("volume");
    assert!(used(&shown).unwrap() >= 900 * KILOBYTE as u64);
}

#[test]
fn a_tree_without_end_is_counted_to_its_bound() {
    let dir = tempfile::tempdir().unwrap();
    let mut deep = dir.path().to_owned();
    for _ in 0..MAX_DEPTH + 10 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    let before = used(dir.path()).unwrap();
    fill(deep.join("hidden"), 100);
    assert_eq!(used(dir.path()).unwrap(), before);
    assert!(used(&dir.path().join("missing")).is_err());
}
