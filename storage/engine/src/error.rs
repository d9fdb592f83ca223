//! What can go wrong below the storage crates.

use std::path::PathBuf;

/// An error of the engine. Nothing here is worth retrying on the same handle except a read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Another process, or another handle of this one, holds the directory.
    #[error(
        "the directory {} is in use by another process; stop that process, or give this one a directory of its own",
        path.display()
    )]
    InUse { path: PathBuf },
    /// The directory could not be opened as a database.
    #[error(
        "cannot open the database in {}: {reason}; mend that and start again, nothing was changed",
        path.display()
    )]
    Open { path: PathBuf, reason: String },
    /// A family was named that was not given when the engine was opened.
    #[error("column family {family:?} was not opened; expected one of those given to `open`")]
    UnknownFamily { family: &'static str },
    /// The file system has no room. Nothing of the batch was applied.
    #[error(
        "no space left for the database ({reason}); free space there and restart, what was acknowledged is kept"
    )]
    DiskFull { reason: String },
    /// Stored bytes do not match their checksum.
    #[error(
        "stored data is damaged: {reason}; restore the directory from a backup, or start with an empty one"
    )]
    Damaged { reason: String },
    /// Reading or writing failed below RocksDB.
    #[error(
        "the database failed to read or write: {reason}; check the disk and restart, what was acknowledged is kept"
    )]
    Io { reason: String },
    /// An earlier write failed, so what is on disk is unknown until the database is opened again.
    #[error(
        "writes are refused because an earlier one failed ({reason}); restart to recover what is on disk"
    )]
    Poisoned { reason: String },
}

impl EngineError {
    /// Whether the disk did not do what it must, or has no room: somebody has to look at the machine.
    pub fn is_of_the_disk(&self) -> bool {
        matches!(
            self,
            Self::DiskFull { .. } | Self::Io { .. } | Self::Poisoned { .. }
        )
    }
}

/// Why a daemon ends whose disk does not do what it must; the text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DiskFailed(pub String);

impl DiskFailed {
    /// The exit status of such a daemon: `EX_IOERR` of `sysexits.h`.
    pub const EXIT_STATUS: u8 = 74;
}
