//! Owns replacing small files whole: whoever reads one finds what was there before, or all of what is there now.

use serde::Serialize;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// By way of `fresh`, which is of the same file system and nobody else's. `synced`: it is on the disk when this returns,
/// and outlives the machine.
pub fn replace(path: &Path, fresh: &Path, bytes: &[u8], synced: bool) -> io::Result<()> {
    let mut file = File::create(fresh)?;
    file.write_all(bytes)?;
    if synced {
        file.sync_all()?;
    }
    std::fs::rename(fresh, path)?;
    match path.parent() {
        Some(directory) if synced => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}

/// [`replace`] with what a value is in JSON.
pub fn replace_json(
    path: &Path,
    fresh: &Path,
    value: &impl Serialize,
    synced: bool,
) -> io::Result<()> {
    replace(path, fresh, &serde_json::to_vec(value)?, synced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_stays_until_all_of_the_new_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let (path, fresh) = (dir.path().join("file"), dir.path().join("file.new"));
        // Left of a life that ended while it wrote.
        std::fs::write(&fresh, "longer than what comes").unwrap();
        for (synced, value) in [(false, 1), (true, 2)] {
            replace_json(&path, &fresh, &value, synced).unwrap();
            let found = std::fs::read_to_string(&path).unwrap();
            assert_eq!((found, fresh.exists()), (value.to_string(), false));
        }
        std::fs::create_dir(&fresh).unwrap();
        replace_json(&path, &fresh, &3, true).unwrap_err();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2");
    }
}
