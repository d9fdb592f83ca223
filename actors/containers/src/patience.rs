//! Owns how a shim sees whether its agent lives, and how long its container outlives an agent that does not. An agent
//! holds a lock on one file beside its containers' records; the kernel lets go of it when that process ends, however it
//! does. A later agent takes the same lock, so a shim needs to know nothing of it beforehand.

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::Pid;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::spec;

/// The name of that file in the agent's runtime directory. No container can be called that.
pub const PRESENCE_FILE: &str = "@agent";

/// The file holds two numbers: the agent's process, and a mark.
const PID_AT: u64 = 0;
const MARK_AT: u64 = 8;
const CONTENT_BYTES: u64 = 16;

const LOCK_DEADLINE: Duration = Duration::from_secs(1);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

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

/// What an agent that lives holds. Not a lock of its process: that would go with any descriptor of the file that the agent
/// closes, also one that it opened for a task.
#[derive(Debug)]
pub struct Presence {
    file: File,
    path: PathBuf,
}

impl Presence {
    /// Takes the lock. Errors: another agent has it ([`io::ErrorKind::WouldBlock`]), or the file cannot be made or
    /// locked.
    pub fn begin(runtime_dir: &Path) -> io::Result<Self> {
        let path = runtime_dir.join(PRESENCE_FILE);
        let mut options = File::options();
        let options = options.read(true).write(true).create(true);
        let file = options.truncate(false).mode(0o600).open(&path)?;
        lock(&file)?;
        if file.metadata()?.len() < CONTENT_BYTES {
            file.write_all_at(&0_u64.to_le_bytes(), MARK_AT)?;
        }
        file.write_all_at(&u64::from(std::process::id()).to_le_bytes(), PID_AT)?;
        Ok(Self { file, path })
    }

    /// Says that the agent has recovered: whoever waited for one has it now. Errors: they go on waiting.
    pub fn announce(&self) -> io::Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let nanos = now.unwrap_or_default().as_nanos() as u64;
        self.file.write_all_at(&nanos.to_le_bytes(), MARK_AT)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The agent's runtime directory.
    pub fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }
}

/// A shim that looks holds a lock of its own for a moment.
fn lock(file: &File) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if begun.elapsed() < LOCK_DEADLINE => {
                std::thread::sleep(LOCK_PAUSE);
            }
            locked => return Ok(locked?),
        }
    }
}

/// What is seen of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// It lives.
    pub is_here: bool,
    /// Its process, or that of the last one; `None`: it has no number here.
    pub pid: Option<Pid>,
    /// Changes whenever one has recovered.
    pub mark: u64,
}

/// Whether an agent is there. Errors: it cannot be seen.
pub fn look(presence: &Path) -> io::Result<Seen> {
    let file = File::open(presence)?;
    let is_here = match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => false,
        Err(Errno::WOULDBLOCK) => true,
        Err(errno) => return Err(errno.into()),
    };
    let number = |at| {
        let mut bytes = [0; size_of::<u64>()];
        file.read_exact_at(&mut bytes, at)?;
        io::Result::Ok(u64::from_le_bytes(bytes))
    };
    let pid = i32::try_from(number(PID_AT)?).ok();
    Ok(Seen {
        is_here,
        pid: pid.and_then(Pid::from_raw),
        mark: number(MARK_AT)?,
    })
}

#[cfg(test)]
#[path = "patience_tests.rs"]
mod tests;
