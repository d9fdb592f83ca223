//! Owns walking into a directory that tasks can write to, name by name and never through a link.

use crate::sandbox::{gid, uid};
use crate::spec::Credentials;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);

/// The names of a relative path that leads nowhere else.
pub(crate) fn names(path: &str) -> Result<Vec<&str>, Errno> {
    let mut names = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => names.push(name.to_str().ok_or(Errno::INVAL)?),
            Component::CurDir => {}
            _ => return Err(Errno::INVAL),
        }
    }
    Ok(names)
}

/// Opens a directory that is no link.
pub(crate) fn open(at: impl AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, path, flags, Mode::empty())
}

/// A directory below another, made where it is missing; only one that was made is given to `owner`.
pub(crate) fn enter(
    directory: &OwnedFd,
    name: &str,
    owner: Option<&Credentials>,
) -> Result<OwnedFd, Errno> {
    let made = match rustix::fs::mkdirat(directory, name, DIRECTORY_MODE) {
        Err(Errno::EXIST) => false,
        made => made.map(|()| true)?,
    };
    let entered = open(directory, Path::new(name))?;
    give(&entered, owner.filter(|_| made))?;
    Ok(entered)
}

/// Gives what was just made to `owner`. Somebody may have put another's in its place meanwhile: only what is the
/// agent's own is given away.
pub(crate) fn give(made: &OwnedFd, owner: Option<&Credentials>) -> Result<(), Errno> {
    let Some(owner) = owner else {
        return Ok(());
    };
    let user = rustix::fs::fstat(made)?.st_uid;
    if user == rustix::process::geteuid().as_raw() {
        rustix::fs::fchown(made, uid(owner), gid(owner))?;
    }
    Ok(())
}

/// A link that is there already is replaced, nothing else.
pub(crate) fn link(directory: &OwnedFd, target: &Path, name: &str) -> Result<(), Errno> {
    match rustix::fs::symlinkat(target, directory, name) {
        Err(Errno::EXIST) => {
            let found = rustix::fs::readlinkat(directory, name, Vec::new());
            let found = found.map_err(|_| Errno::EXIST)?;
            if found.to_bytes() == target.as_os_str().as_encoded_bytes() {
                return Ok(());
            }
            rustix::fs::unlinkat(directory, name, AtFlags::empty())?;
            rustix::fs::symlinkat(target, directory, name)
        }
        linked => linked,
    }
}
