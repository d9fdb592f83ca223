//! Owns how a shim sees whether its agent lives, and how long its container outlives an agent that does not. An agent
//! holds a lock on one file beside its containers' records; the kernel lets go of it when that process ends, however it
//! does. A later agent takes the same lock, so a shim needs to know nothing of it beforehand.

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, Pid, fcntl_getlk};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::spec;

/// The name of that file in the agent's runtime directory. No container can be called that.
const FILE: &str = "@agent";

/// How long a container outlives its agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The file of [`Presence`].
    pub presence: PathBuf,
    /// So long it is waited for an agent.
    pub timeout: Duration,
    /// Between SIGTERM and SIGKILL then. The process that stands for a container without a command, and for those within
    /// it, gets its SIGTERM only after that.
    pub grace: Duration,
}

impl Patience {
    /// As it crosses to the shim.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let times = [self.timeout, self.grace].map(|time| millis(time).to_le_bytes());
        [times.as_flattened(), spec::path_bytes(&self.presence)].concat()
    }

    /// `None`: these are not what [`Self::to_bytes`] made.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (timeout, rest) = bytes.split_first_chunk()?;
        let (grace, path) = rest.split_first_chunk()?;
        let millis = |bytes: &[u8; 8]| Duration::from_millis(u64::from_le_bytes(*bytes));
        let presence = spec::path(path);
        presence.is_absolute().then(|| Self {
            presence,
            timeout: millis(timeout),
            grace: millis(grace),
        })
    }
}

/// What an agent that lives holds.
#[derive(Debug)]
pub struct Presence {
    /// The lock goes with the first descriptor of the file that this process closes, so nobody else opens it here.
    _file: File,
    path: PathBuf,
}

impl Presence {
    /// Takes the lock. Errors: another process has it ([`io::ErrorKind::WouldBlock`]), or the file cannot be made or
    /// locked.
    pub fn announce(runtime_dir: &Path) -> io::Result<Self> {
        let path = runtime_dir.join(FILE);
        let mut options = File::options();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path)?;
        fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).map_err(
            |errno| match errno {
                Errno::ACCESS | Errno::AGAIN => io::ErrorKind::WouldBlock.into(),
                errno => io::Error::from(errno),
            },
        )?;
        // Whoever looked away sees by its time that an agent was here.
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { _file: file, path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The agent's runtime directory.
    pub fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }
}

/// What is seen of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It lives; with its process, unless that has no number here.
    Here(Option<Pid>),
    /// The time changes whenever one starts.
    Away(SystemTime),
}

/// Whether an agent is there. Errors: it cannot be seen.
pub fn look(presence: &Path) -> io::Result<Seen> {
    let file = File::open(presence)?;
    // One for reading, which a file that is open for reading can ask for: an agent's excludes it.
    let held = fcntl_getlk(&file, &Flock::from(FlockType::ReadLock))?;
    Ok(match held {
        Some(lock) => Seen::Here(lock.pid),
        None => Seen::Away(file.metadata()?.modified()?),
    })
}

#[cfg(test)]
#[path = "patience_tests.rs"]
mod tests;
