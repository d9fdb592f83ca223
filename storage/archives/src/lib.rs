//! Archives from strangers: unpacked into a directory that exists, and never beyond it.
//!
//! Owns the decoders and the bounds: on entries, bytes, depth, on what is kept in memory, and on the room that stays on
//! the disk. Every name is resolved by the kernel beneath the directory; no device is made, no set-user-id bit is kept, owners
//! are whoever unpacks. Knows nothing of who asked for it.

mod ends;
mod gauge;
pub mod names;
mod streams;
mod tarball;
mod tree;
mod zipped;

use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read},
    os::fd::AsFd,
    path::Path,
};

pub use gauge::{Allowance, Gauge};

/// Bytes that are read from what is packed at a time.
const BUFFER_BYTES: usize = 128 << 10;

/// What is packed as it was before, whichever way it is: with gzip, bzip2, xz, zstd or not at all. Errors: reading, or it is not
/// what it begins as.
pub fn plain<'a>(mut packed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    // Told apart by their first bytes, of which the longest is that of xz, however few of them come at a time.
    let mut first = Vec::with_capacity(streams::XZ.len());
    let longest = streams::XZ.len() as u64;
    packed.by_ref().take(longest).read_to_end(&mut first)?;
    let whole = Cursor::new(first).chain(packed);
    streams::plain(BufReader::with_capacity(BUFFER_BYTES, whole))
}

/// What an archive may unpack to.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub entries: u64,
    /// Of all files together, holes included.
    pub bytes: u64,
    /// What stays free on the disk, for all others who write there.
    pub free_bytes: u64,
    /// So many files can be made there afterwards.
    pub free_inodes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            entries: 500_000,
            bytes: 64 << 30,
            free_bytes: 256 << 20,
            free_inodes: 10_000,
        }
    }
}

/// Why an archive is not unpacked to its end. What was made until then stays.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("the archive cannot be read ({0})")]
    Read(io::Error),
    #[error("the archive's entry '{path}' {why}")]
    Entry { path: String, why: &'static str },
    #[error("the archive's entry '{path}' cannot be made ({source})")]
    Make { path: String, source: io::Error },
    #[error("the archive has more than {0} entries")]
    Entries(u64),
    #[error("the archive has more than {0} bytes of files")]
    Bytes(u64),
    #[error("it is not wanted any more")]
    CalledOff,
    #[error("the disk has {free} bytes free where {floor} must stay so; make room")]
    Full { free: u64, floor: u64 },
    #[error("the disk has inodes for {free} more files where {floor} must stay free; make room")]
    Crowded { free: u64, floor: u64 },
}

/// What a file is by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// However compressed: that is seen by its first bytes.
    Tar,
    Zip,
    /// One file, compressed with gzip.
    Gzip,
}

/// Endings of tar archives that Mesos knows, and those of zstd, which it does not.
const TAR: [&str; 7] = [
    ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz",
];
const TAR_ZSTD: [&str; 2] = [".tar.zst", ".tzst"];

impl Kind {
    /// `None`: it is no archive.
    pub fn of(name: &str) -> Option<Self> {
        if TAR.iter().any(|it| name.ends_with(it)) || is_zstd(name) {
            return Some(Self::Tar);
        }
        if name.ends_with(".zip") {
            return Some(Self::Zip);
        }
        name.strip_suffix(".gz")
            .is_some_and(|rest| !rest.is_empty())
            .then_some(Self::Gzip)
    }
}

/// Whether a file of this name is an archive that Mesos would not unpack.
pub fn is_zstd(name: &str) -> bool {
    TAR_ZSTD.iter().any(|it| name.ends_with(it))
}

/// Unpacks `archive`, whose name is `name`, into `directory`. What is there already and comes again is replaced, unless it
/// is a directory. Ends early once `is_wanted` says no: asked before each entry and each buffer of a file.
///
/// # Errors
/// See [`ArchiveError`].
pub fn unpack(
    kind: Kind,
    archive: File,
    name: &str,
    directory: impl AsFd,
    bounds: Bounds,
    is_wanted: &dyn Fn() -> bool,
) -> Result<(), ArchiveError> {
    let mut tree = tree::Tree::new(directory.as_fd(), bounds, is_wanted);
    match kind {
        Kind::Tar => {
            let plain = streams::plain(BufReader::new(archive)).map_err(ArchiveError::Read)?;
            tarball::unpack(plain, &mut tree)
        }
        Kind::Zip => zipped::unpack(BufReader::new(archive), &mut tree),
        Kind::Gzip => {
            let mut plain = streams::gzip(BufReader::new(archive));
            let name = name.strip_suffix(".gz").unwrap_or(name);
            tree.enter()?;
            tree.file(Path::new(name), FILE_MODE, None, &mut plain)
        }
    }
}

const FILE_MODE: u32 = 0o644;

#[cfg(test)]
mod tests;
