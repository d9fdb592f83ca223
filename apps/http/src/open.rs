//! Opens files beneath a directory, so that no name and no link leads out of it.
//!
//! Owns the one way to a descriptor: `openat2` with `RESOLVE_BENEATH`; where the kernel lacks it, a walk that
//! follows no link at all. No string is ever compared with a path.

use std::{
    fs::File,
    io,
    path::{Component, Path},
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2},
    io::Errno,
};

/// Opens `inside` beneath `root` for reading; an empty `inside` is the root itself. Never blocks on a FIFO.
pub(crate) fn open_beneath(root: &Path, inside: &Path) -> io::Result<File> {
    // NOCTTY and NONBLOCK: a device or FIFO in a sandbox must have no effect on us.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    find_beneath(root, inside, flags)
}

/// What lies there, without opening it: links are followed where they lead to something beneath `root`.
pub(crate) fn stat_beneath(root: &Path, inside: &Path) -> io::Result<Stat> {
    let found = find_beneath(root, inside, OFlags::PATH | OFlags::CLOEXEC)?;
    Ok(fstat(found)?)
}

fn find_beneath(root: &Path, inside: &Path, flags: OFlags) -> io::Result<File> {
    if inside.as_os_str().is_empty() {
        return Ok(openat(CWD, root, flags, Mode::empty())?.into());
    }
    let directory = openat(
        CWD,
        root,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match openat2(&directory, inside, flags, Mode::empty(), resolve) {
        Ok(file) => Ok(file.into()),
        Err(Errno::NOSYS) => walk(directory, inside, flags),
        Err(error) => Err(error.into()),
    }
}

fn walk(mut at: rustix::fd::OwnedFd, inside: &Path, flags: OFlags) -> io::Result<File> {
    let mut components = inside.components().peekable();
    while let Some(component) = components.next() {
        let Component::Normal(name) = component else {
            return Err(Errno::XDEV.into());
        };
        let flags = if components.peek().is_some() {
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC
        } else {
            flags
        };
        at = openat(&at, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(at.into())
}
