//! A look at the write-ahead logs and manifests before RocksDB reads them. Its reader goes round for ever at a record
//! of a kind that only recycled logs have (facebook/rocksdb#13333), and one flipped bit makes such a record out of an
//! ordinary one: the process would neither start nor say why. Logs are not recycled here, so such a record is damage.
//!
//! Nothing else is judged: checksums are RocksDB's, and where it sees an early end, the mark tells what is missing.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

const BLOCK_BYTES: usize = 32 << 10;
/// Checksum, length (little-endian), kind.
const HEADER_BYTES: usize = 4 + 2 + 1;
/// The kinds of recycled logs: the four parts of a record, and what RocksDB tells of itself.
const RECYCLED: [u8; 6] = [5, 6, 7, 8, 11, 131];

/// A record that stops RocksDB's reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Obstacle {
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
    pub(crate) kind: u8,
}

impl Obstacle {
    /// Whether it lies in the write-ahead log, which can be cut before it.
    pub(crate) fn in_log(&self) -> bool {
        is_log(&self.path)
    }

    /// Cuts the log before it.
    pub(crate) fn cut(&self) -> io::Result<()> {
        let file = File::options().write(true).open(&self.path)?;
        file.set_len(self.offset)?;
        file.sync_all()
    }
}

/// Walks the files in `directory`; gives the first obstacle.
pub(crate) fn obstacle(directory: &Path) -> io::Result<Option<Obstacle>> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if (is_log(&path) || is_manifest(&path))
            && let Some((offset, kind)) = walk(File::open(&path)?)?
        {
            return Ok(Some(Obstacle { path, offset, kind }));
        }
    }
    Ok(None)
}

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

fn is_manifest(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with("MANIFEST-"))
}

fn walk(mut file: impl Read) -> io::Result<Option<(u64, u8)>> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut start = 0;
    loop {
        let length = fill(&mut file, &mut block)?;
        let mut at = 0;
        while let Some(header) = block[at..length].first_chunk::<HEADER_BYTES>() {
            let kind = header[6];
            if RECYCLED.contains(&kind) {
                return Ok(Some((start + at as u64, kind)));
            }
            let payload = usize::from(u16::from_le_bytes([header[4], header[5]]));
            at = (at + HEADER_BYTES + payload).min(length);
        }
        if length < BLOCK_BYTES {
            return Ok(None);
        }
        start += BLOCK_BYTES as u64;
    }
}

/// Reads until `block` is full or the file ends.
fn fill(file: &mut impl Read, block: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < block.len() {
        match file.read(&mut block[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
#[path = "log_files_tests.rs"]
mod tests;
