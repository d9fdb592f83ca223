//! Owns mounts that a task left in its sandbox, in the namespace of the agent: a task that runs as root can make them, and
//! what is mounted there must not be removed with the sandbox (MESOS-8830).

use crate::mounts;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

/// Of the thread: others may have a namespace of their own.
const MOUNTS: &str = "/proc/thread-self/mountinfo";

/// Takes away what is mounted below `path`, the innermost first, and says how much it was. What is mounted on `path`
/// itself stays.
pub fn detach(path: &Path) -> io::Result<usize> {
    let mounted = std::fs::read_to_string(MOUNTS)?;
    let mut below = mounts::points(&mounted);
    below.retain(|point| point.starts_with(path) && point != path);
    below.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
    for point in &below {
        detach_one(point)?;
    }
    Ok(below.len())
}

/// Whoever has the rights of the task may put a link in the way meanwhile: no step of it is followed.
fn detach_one(point: &Path) -> io::Result<()> {
    let (Some(above), Some(name)) = (point.parent(), point.file_name()) else {
        return Ok(());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let above = rustix::fs::openat2(CWD, above, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS);
    let above = match above {
        Err(Errno::NOENT) => return Ok(()),
        above => above?,
    };
    let held = Path::new("/proc/self/fd").join(above.as_raw_fd().to_string());
    let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
    match unmount(held.join(name), flags) {
        // Gone meanwhile.
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
#[path = "dangling_tests.rs"]
mod tests;
