//! Owns safe access to directories a task can write to. A task may replace any name in its sandbox by a link at any
//! moment, so nothing in one is ever reached by following a path: the sandbox is opened once, and names are resolved
//! beneath it by the kernel.

use crate::error::Error;
use crate::spec::Credentials;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

const SANDBOX_MODE: u32 = 0o750;
const PARENT_MODE: u32 = 0o755;

/// Makes a sandbox, mode 0750 and owned by the task's user (`None`: the agent's), and what is missing above it. One
/// that exists is taken over, unless its last component is a link. Errors: no right, no space, not a directory.
pub fn prepare_sandbox(path: &Path, owner: Option<&Credentials>) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        make_parents(parent)?;
    }
    match DirBuilder::new().mode(SANDBOX_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(Error::file("make the sandbox", path))?,
    }
    let sandbox = open_directory(path)?;
    if let Some(owner) = owner {
        rustix::fs::fchown(&sandbox, uid(owner), gid(owner))
            .map_err(|errno| failed("give away the sandbox", path, errno))?;
    }
    // Once more, because the umask may have taken bits from the creation.
    let mode = Mode::from_raw_mode(SANDBOX_MODE);
    rustix::fs::fchmod(&sandbox, mode)
        .map_err(|errno| failed("set the mode of the sandbox", path, errno))
}

/// Makes a directory that others may look through, and those above it.
pub(crate) fn make_parents(path: &Path) -> Result<(), Error> {
    let mut parents = DirBuilder::new();
    parents.recursive(true).mode(PARENT_MODE);
    parents
        .create(path)
        .map_err(Error::file("make the directory", path))
}

pub(crate) fn uid(owner: &Credentials) -> Option<rustix::fs::Uid> {
    Some(rustix::fs::Uid::from_raw(owner.uid))
}

pub(crate) fn gid(owner: &Credentials) -> Option<rustix::fs::Gid> {
    Some(rustix::fs::Gid::from_raw(owner.gid))
}

/// Opens a regular file beneath a sandbox for reading. Links are followed only while they stay beneath it; devices,
/// pipes and sockets are refused, and never waited for. Errors: `NotFound`, a path that leaves (`EXDEV`), not regular.
pub fn open_beneath(sandbox: &Path, relative: &Path) -> Result<File, Error> {
    let shown: PathBuf = sandbox.join(relative);
    let root = open_directory(sandbox)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let file = rustix::fs::openat2(&root, relative, flags, Mode::empty(), resolve)
        .map_err(|errno| failed("open", &shown, errno))?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(Error::file("look at", &shown))?;
    // A second name could be a file of somebody else, linked into the sandbox.
    if !metadata.is_file() || metadata.nlink() > 1 {
        let source = io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it is not a plain file with one name",
        );
        return Err(Error::File {
            action: "open",
            path: shown,
            source,
        });
    }
    Ok(file)
}

fn open_directory(path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty())
        .map_err(|errno| failed("open the directory", path, errno))
}

pub(crate) fn failed(action: &'static str, path: &Path, errno: rustix::io::Errno) -> Error {
    Error::file(action, path)(errno.into())
}

#[cfg(test)]
#[path = "sandbox_tests.rs"]
mod tests;
