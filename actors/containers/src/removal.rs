//! Owns the removal of directories that strangers filled. They may be deeper than any stack or table of descriptors, hold
//! links to anywhere, and change meanwhile: no link is followed, no mount is entered, and two directories are open at
//! most. What is deep comes up: a directory that is not empty is moved to the top and emptied there.

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Times that the top is looked through. Who adds faster than is removed does not keep the remover for ever; what is
/// left is less deep for the next attempt.
const MAX_ROUNDS: u32 = 4_000_000;
/// What is moved to the top is named so, with a number.
const RAISED: &str = ".removed-";

/// Removes a directory with all in it, or a file; what is gone is no error. Only the last name of `path` is a
/// stranger's: those above it are followed.
pub fn remove(path: &Path) -> io::Result<()> {
    let name = path.file_name().ok_or(Errno::INVAL)?;
    let above = match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::openat(CWD, above, flags, Mode::empty()) {
        Ok(above) => remove_at(above.as_fd(), name),
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// As [`remove`], of the name `name` in a directory.
pub(crate) fn remove_at(above: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    if unlink(above, name)? {
        return Ok(());
    }
    let Some(top) = open(above, name)? else {
        return Ok(());
    };
    empty(&top)?;
    match rustix::fs::unlinkat(above, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes all in a directory that stays.
pub(crate) fn empty(top: &OwnedFd) -> io::Result<()> {
    let mut raised = 0;
    for _ in 0..MAX_ROUNDS {
        let mut is_empty = true;
        for entry in Dir::read_from(top)? {
            let entry = entry?;
            let name = entry.file_name();
            if is_entry(name) {
                is_empty = false;
                clear(top, name, &mut raised)?;
            }
        }
        if is_empty {
            return Ok(());
        }
    }
    Err(io::Error::other(
        "it is still filled, or deeper than can be removed at once",
    ))
}

/// Removes what is in the top: files at once, a directory when those in it that are not empty are moved to the top.
fn clear(top: &OwnedFd, name: &CStr, raised: &mut u64) -> io::Result<()> {
    if unlink(top.as_fd(), name)? {
        return Ok(());
    }
    let Some(directory) = open(top.as_fd(), name)? else {
        return Ok(());
    };
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let inner = entry.file_name();
        if is_entry(inner) && !unlink(directory.as_fd(), inner)? {
            raise(&directory, inner, top, raised)?;
        }
    }
    // One that is filled meanwhile comes next in the following round.
    unlink(top.as_fd(), name).map(drop)
}

/// Removes a file or an empty directory; `false` for a directory with something in it.
fn unlink(directory: BorrowedFd<'_>, name: impl rustix::path::Arg + Copy) -> io::Result<bool> {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        // Linux says the first, POSIX the second.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    match rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Moves a directory to the top, under a name that is free there.
fn raise(from: &OwnedFd, name: &CStr, top: &OwnedFd, raised: &mut u64) -> io::Result<()> {
    loop {
        let free = format!("{RAISED}{raised}");
        *raised += 1;
        match rustix::fs::renameat(from, name, top, free) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            // A stranger's name, which is removed as well.
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// A directory of the same file system that is no link; `None` if it is gone.
fn open(above: BorrowedFd<'_>, name: impl rustix::path::Arg) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    match rustix::fs::openat2(above, name, flags, Mode::empty(), resolve) {
        Ok(directory) => Ok(Some(directory)),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::XDEV) => Err(io::Error::other(
            "a file system is mounted in it, which is not removed; unmount it",
        )),
        Err(errno) => Err(errno.into()),
    }
}

fn is_entry(name: &CStr) -> bool {
    !matches!(name.to_bytes(), b"." | b"..")
}

#[cfg(test)]
#[path = "removal_tests.rs"]
mod tests;
