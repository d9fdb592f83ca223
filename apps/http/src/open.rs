//! Opens files beneath a directory, so that no name and no link leads out of it.
//!
//! Owns the one way to a descriptor: `openat2` with `RESOLVE_BENEATH`; where the kernel lacks it, a walk that
//! follows no link at all. The kernel refuses links to absolute paths there. Those that name something within the root are
//! read, and what they name is opened beneath the root in its turn: a string only chooses what to ask the kernel for.

use std::{
    fs::File,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStringExt},
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2, readlinkat},
    io::Errno,
};

/// Links that are read on one way; as many as the kernel follows.
const MAX_LINKS: usize = 40;

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
    let directory_flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open_root = |flags| openat(CWD, root, flags, Mode::empty());
    if inside.as_os_str().is_empty() {
        return Ok(open_root(flags)?.into());
    }
    let directory = open_root(directory_flags)?;
    let mut inside = inside.to_owned();
    for _ in 0..=MAX_LINKS {
        match beneath(&directory, &inside, flags) {
            Ok(file) => return Ok(file.into()),
            Err(Errno::NOSYS) => return walk(directory, &inside, flags),
            Err(Errno::XDEV) => {}
            Err(error) => return Err(error.into()),
        }
        inside = past_first_link(root, &directory, &inside).ok_or(Errno::XDEV)?;
    }
    Err(Errno::LOOP.into())
}

fn beneath(directory: &OwnedFd, inside: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    openat2(directory, inside, flags, Mode::empty(), resolve)
}

/// The same way with what the first link on it names in its place; `None`: there is none, or it leads out.
fn past_first_link(root: &Path, directory: &OwnedFd, inside: &Path) -> Option<PathBuf> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut above = PathBuf::new();
    let mut components = inside.components();
    while let Some(component) = components.next() {
        let at = above.join(component);
        let found = beneath(directory, &at, flags).ok()?;
        if FileType::from_raw_mode(fstat(&found).ok()?.st_mode) != FileType::Symlink {
            above = at;
            continue;
        }
        let target = readlinkat(&found, "", Vec::new()).ok()?;
        let target = PathBuf::from(std::ffi::OsString::from_vec(target.into_bytes()));
        let within = match target.strip_prefix(root) {
            Ok(within) => within.to_owned(),
            Err(_) if target.is_absolute() => return None,
            Err(_) => above.join(target),
        };
        // No name ends with a slash, which would ask for a directory; an empty one is the root itself.
        let mut way = Path::new(".").join(within);
        way.extend(components);
        return Some(way);
    }
    None
}

fn walk(mut at: OwnedFd, inside: &Path, flags: OFlags) -> io::Result<File> {
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
