//! How far a database was synced, noted in a file beside it. RocksDB cannot tell a torn tail of its log from one
//! whose end was lost later: both end early, so it drops either without a word, and a single flipped bit in a length
//! looks the same. The note tells them apart: a database that ends before it has lost what was acknowledged.
//!
//! It is written after each sync and never synced itself. So it may be old after a power cut, and then finds less;
//! it is never ahead of what is on disk. Where a damaged log is kept it is written after each write: then it can be ahead after
//! a power cut, and is only told of.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

pub(crate) const FILE_NAME: &str = "SYNCED";
const BYTES: usize = 12;

/// The note: a sequence number of RocksDB, big-endian, and its CRC-32.
pub(crate) struct Mark {
    file: File,
}

impl Mark {
    /// Opens or makes the note of `directory`; gives what it says. A note that is not whole says nothing.
    pub(crate) fn open(directory: &Path) -> io::Result<(Self, Option<u64>)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(directory.join(FILE_NAME))?;
        let mut bytes = [0; BYTES];
        let noted = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => decode(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        Ok((Self { file }, noted))
    }

    /// Notes that everything up to `sequence` is on disk.
    pub(crate) fn note(&self, sequence: u64) -> io::Result<()> {
        self.file.write_all_at(&encode(sequence), 0)
    }
}

fn encode(sequence: u64) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let (number, checksum) = bytes.split_at_mut(8);
    number.copy_from_slice(&sequence.to_be_bytes());
    checksum.copy_from_slice(&crc32fast::hash(number).to_be_bytes());
    bytes
}

fn decode(bytes: [u8; BYTES]) -> Option<u64> {
    let number = <[u8; 8]>::try_from(&bytes[..8]).ok()?;
    let sequence = u64::from_be_bytes(number);
    (encode(sequence) == bytes).then_some(sequence)
}

#[cfg(test)]
#[path = "mark_tests.rs"]
mod tests;
