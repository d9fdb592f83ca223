//! Gives a directory and all in it to a group, and takes it back. Tasks write there meanwhile: no link is followed, nothing
//! of another file system is touched, and no file that has a name elsewhere too, which could be somebody else's.

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// Directories within each other. Each holds a descriptor during the walk; what lies deeper stays as it is.
const MAX_DEPTH: usize = 128;
/// What comes after so many files stays as it is.
const MAX_FILES: u64 = 10_000_000;

/// What becomes of what is found.
#[derive(Clone, Copy)]
enum Change {
    /// Whoever has the group may make files in each directory, which have the group too.
    Open { gid: u32 },
    /// The reverse, for what has the group `from`.
    Close { from: u32, gid: u32 },
}

/// Lets the group make, change and remove what lies there.
pub(super) fn open_to(directory: &OwnedFd, gid: u32) -> Result<(), Errno> {
    walk(directory, Change::Open { gid })
}

/// Gives all that the group `from` has to the primary group of the directory's owner.
pub(super) fn close(directory: &OwnedFd, from: u32) -> Result<(), Errno> {
    let owner = rustix::fs::fstat(directory)?.st_uid;
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(owner));
    // Nobody but root is in the group of one that is gone.
    let gid = user.ok().flatten().map_or(0, |user| user.gid.as_raw());
    walk(directory, Change::Close { from, gid })
}

fn walk(directory: &OwnedFd, change: Change) -> Result<(), Errno> {
    let root = rustix::fs::fstat(directory)?;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let again = rustix::fs::openat(directory, ".", flags | OFlags::RDONLY, Mode::empty())?;
    let mut above = vec![Dir::new(again)?];
    let mut files = 0;
    while let Some(current) = above.last_mut() {
        let Some(Ok(entry)) = current.read() else {
            above.pop();
            continue;
        };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        files += 1;
        if files > MAX_FILES {
            break;
        }
        let at = current.fd()?;
        // It may be gone meanwhile. Nothing is opened for more than to be looked at: no pipe is waited for.
        let look = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(found) = rustix::fs::openat(at, name, look, Mode::empty()) else {
            continue;
        };
        let status = rustix::fs::fstat(&found)?;
        if status.st_dev != root.st_dev {
            continue;
        }
        if FileType::from_raw_mode(status.st_mode) != FileType::Directory {
            if status.st_nlink == 1 {
                chown(&found, &status, change)?;
            }
            continue;
        }
        let depth = above.len();
        let inner = rustix::fs::openat(&found, ".", flags | OFlags::RDONLY, Mode::empty())?;
        set(&inner, &status, change)?;
        if depth < MAX_DEPTH {
            above.push(Dir::new(inner)?);
        }
    }
    set(directory, &root, change)
}

/// A directory.
fn set(directory: &OwnedFd, status: &Stat, change: Change) -> Result<(), Errno> {
    let shared = Mode::SGID | Mode::WGRP;
    let mode = Mode::from_raw_mode(status.st_mode);
    if !chown(directory, status, change)? {
        return Ok(());
    }
    let mode = match change {
        Change::Open { .. } => mode | shared,
        Change::Close { .. } => mode - shared,
    };
    rustix::fs::fchmod(directory, mode)
}

/// Says whether it was to be changed.
fn chown(found: impl AsFd, status: &Stat, change: Change) -> Result<bool, Errno> {
    let gid = match change {
        Change::Open { gid } => gid,
        Change::Close { from, gid } if status.st_gid == from => gid,
        Change::Close { .. } => return Ok(false),
    };
    let gid = Some(Gid::from_raw(gid));
    let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(found, "", None, gid, flags)?;
    Ok(true)
}
