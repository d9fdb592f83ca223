//! Owns seeing another container's mounts. Never makes or changes one.

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::{AsFd, OwnedFd};
use tepui_containers::ProcessId;

/// Takes the mounts of a process as its own. Without mounts of its own there is nothing to take, and no right needed.
pub(crate) fn mounts_of(process: ProcessId) -> Result<(), Errno> {
    let theirs = namespace(&process.pid.to_string())?;
    // Opened first: the id cannot have changed hands before.
    if !process.exists() {
        return Err(Errno::SRCH);
    }
    let own = namespace("self")?;
    let (theirs_is, own_is) = (rustix::fs::fstat(&theirs)?, rustix::fs::fstat(&own)?);
    if (theirs_is.st_dev, theirs_is.st_ino) == (own_is.st_dev, own_is.st_ino) {
        return Ok(());
    }
    move_into_link_name_space(theirs.as_fd(), Some(LinkNameSpaceType::Mount))
}

fn namespace(process: &str) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/{process}/ns/mnt");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty())
}
