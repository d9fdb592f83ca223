//! Owns sandboxes made ahead. What a sandbox costs is its inodes, and a file system that has just removed many is slow
//! to find new ones: ext4 looks at each inode freed within the last minutes before it passes over it. So a launch
//! renames a directory that waits, with empty output files in it.
//!
//! They lie below one directory on the file system of the sandboxes, and are made anew by each agent.

use crate::error::Error;
use crate::removal;
use crate::sandbox::{failed, gid, make_parents, prepare_sandbox, uid};
use crate::spec::Credentials;
use crate::stock::{REFILL_PAUSE, Stock};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What lies between an executor's directory and its sandbox in Mesos' layout: `executors/ID/runs/CONTAINER`.
const RUNS: &str = "runs";
/// The sandbox in a directory that waits, before it has the name of a container.
const UNNAMED: &str = "unnamed";
/// `LaunchSpec::new` names them; a shim appends to one that is there.
const OUTPUTS: [&str; 2] = ["stdout", "stderr"];
const OUTPUT_MODE: Mode = Mode::from_raw_mode(0o644);

/// Makes sandboxes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sandboxes {
    waiting: Stock<PathBuf>,
}

impl Sandboxes {
    /// Keeps `wanted` of them below `base`, from the first [`Sandboxes::warm_up`] or [`Sandboxes::refill`] on. What an agent before left there is
    /// removed. Errors: it cannot be, or the directory cannot be made.
    pub fn new(base: PathBuf, wanted: usize) -> Result<Self, Error> {
        removal::remove(&base).map_err(Error::file("empty the directory", &base))?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&base)
            .map_err(Error::file("make the directory", &base))?;
        let number = AtomicU64::new(0);
        let make = move || {
            let executor = base.join(number.fetch_add(1, Ordering::Relaxed).to_string());
            make(&executor).map(|()| executor)
        };
        Ok(Self {
            waiting: Stock::new(wanted, make),
        })
    }

    /// Makes all that are to wait, in the background.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn warm_up(&self) {
        self.waiting.refill(Duration::ZERO);
    }

    /// Makes what a launch has taken, in the background and a little later.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn refill(&self) {
        self.waiting.refill(REFILL_PAUSE);
    }

    /// As [`prepare_sandbox`], which it falls back to: when none waits, or the executor has had a sandbox before.
    pub fn prepare(&self, path: &Path, owner: Option<&Credentials>) -> Result<(), Error> {
        if let Some(executor) = executor_of(path)
            && let Some(spare) = self.waiting.take()
        {
            if place(&spare, executor, path)? {
                return give(path, owner);
            }
            // Nobody knows of it any more; the next agent would remove it too.
            let _ = removal::remove(&spare);
        }
        prepare_sandbox(path, owner)
    }
}

/// The directory two above, in the layout of Mesos.
fn executor_of(sandbox: &Path) -> Option<&Path> {
    let runs = sandbox.parent()?;
    (runs.file_name()? == RUNS).then(|| runs.parent())?
}

/// An executor's directory with one sandbox and its outputs.
fn make(executor: &Path) -> Result<(), Error> {
    let sandbox = executor.join(RUNS).join(UNNAMED);
    prepare_sandbox(&sandbox, None)?;
    for name in OUTPUTS {
        let path = sandbox.join(name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let output = rustix::fs::openat(CWD, &path, flags, OUTPUT_MODE);
        output
            // Once more, because the umask may have taken bits from the creation.
            .and_then(|output| rustix::fs::fchmod(output, OUTPUT_MODE))
            .map_err(|errno| failed("make", &path, errno))?;
    }
    Ok(())
}

/// Moves what waits to where the executor's directory is to be; `false` if it has one.
fn place(spare: &Path, executor: &Path, sandbox: &Path) -> Result<bool, Error> {
    match rename(spare, executor) {
        Err(Errno::NOENT) => {
            make_parents(executor.parent().unwrap_or(executor))?;
            match rename(spare, executor) {
                Err(Errno::EXIST) => return Ok(false),
                moved => moved.map_err(|errno| failed("make", executor, errno))?,
            }
        }
        Err(Errno::EXIST) => return Ok(false),
        // Another file system, or one that cannot rename so.
        Err(Errno::XDEV | Errno::INVAL) => return Ok(false),
        moved => moved.map_err(|errno| failed("make", executor, errno))?,
    }
    let unnamed = executor.join(RUNS).join(UNNAMED);
    rename(&unnamed, sandbox).map_err(|errno| failed("make the sandbox", sandbox, errno))?;
    Ok(true)
}

fn rename(from: &Path, to: &Path) -> Result<(), Errno> {
    rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)
}

/// Outputs first: the task's user can do nothing in a sandbox that is not theirs yet.
fn give(sandbox: &Path, owner: Option<&Credentials>) -> Result<(), Error> {
    let Some(owner) = owner else { return Ok(()) };
    let (uid, gid) = (uid(owner), gid(owner));
    let outputs = OUTPUTS.map(|name| sandbox.join(name));
    for path in outputs.iter().map(PathBuf::as_path).chain([sandbox]) {
        rustix::fs::chownat(CWD, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| failed("give away", path, errno))?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "sandboxes_tests.rs"]
mod tests;
