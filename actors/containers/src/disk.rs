//! Owns measuring what a directory takes of its disk, as `du` does: blocks that are allocated, each file once however
//! many names it has. The directory belongs to tasks that write to it meanwhile, so no link is followed, and the walk has
//! bounds.

use crate::error::Error;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::HashSet;
use std::path::Path;

/// `st_blocks` counts in these, whatever the file system.
const BLOCK_BYTES: u64 = 512;
/// Directories within each other. Each holds a descriptor during the walk; what lies deeper is not counted.
const MAX_DEPTH: usize = 128;
/// What comes after so many files is not counted.
const MAX_FILES: u64 = 10_000_000;
/// Files with several names that are told apart; more are counted once a name.
const MAX_LINKED: usize = 1_000_000;

/// The bytes taken by a directory and all in it, other file systems mounted there left out. Errors: it cannot be opened.
pub fn used(directory: &Path) -> Result<u64, Error> {
    walk(directory).map_err(|errno| Error::File {
        action: "look at",
        path: directory.to_owned(),
        source: errno.into(),
    })
}

fn walk(directory: &Path) -> Result<u64, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, directory, flags, Mode::empty())?;
    let found = rustix::fs::fstat(&root)?;
    let device = found.st_dev;
    let mut tally = Tally::default();
    tally.add(&found);
    let mut above = vec![Dir::new(root)?];
    loop {
        let depth = above.len();
        let Some(current) = above.last_mut() else {
            return Ok(tally.bytes);
        };
        let Some(Ok(entry)) = current.read() else {
            above.pop();
            continue;
        };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let at = current.fd()?;
        // It may be gone meanwhile.
        let Ok(found) = rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        if found.st_dev != device {
            continue;
        }
        if !tally.add(&found) {
            return Ok(tally.bytes);
        }
        let is_directory = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
        if is_directory && depth < MAX_DEPTH {
            let inner = rustix::fs::openat(at, name, flags | OFlags::NOFOLLOW, Mode::empty());
            above.extend(inner.and_then(Dir::new));
        }
    }
}

#[derive(Default)]
struct Tally {
    bytes: u64,
    files: u64,
    /// By number, those with several names.
    linked: HashSet<u64>,
}

impl Tally {
    /// Says whether more may be counted.
    fn add(&mut self, found: &Stat) -> bool {
        self.files += 1;
        let is_directory = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
        let is_linked = !is_directory && found.st_nlink > 1;
        let is_new =
            !is_linked || self.linked.len() >= MAX_LINKED || self.linked.insert(found.st_ino);
        if is_new {
            let blocks = u64::try_from(found.st_blocks).unwrap_or(0);
            self.bytes = self
                .bytes
                .saturating_add(blocks.saturating_mul(BLOCK_BYTES));
        }
        self.files < MAX_FILES
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
