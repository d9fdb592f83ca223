//! Owns the directories of persistent volumes: made when a volume is created, removed when it is destroyed, shown in
//! sandboxes by links. A sandbox belongs to its task, so names in it are walked one by one and never through a link.

use crate::error::Error;
use crate::sandbox::{failed, gid, make_parents, uid};
use crate::spec::Credentials;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

/// Makes the directory of a volume, if it is not there.
pub fn make(path: &Path) -> Result<(), Error> {
    make_parents(path)
}

/// Removes the directory of a volume with all in it; one that is gone is no error.
pub fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(Error::file("remove the volume", path)),
    }
}

/// Removes all in a directory that stays: a whole disk is mounted there.
pub fn empty(path: &Path) -> Result<(), Error> {
    let entries = match std::fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::file("read the volume", path))?,
    };
    for entry in entries {
        let entry = entry.map_err(Error::file("read the volume", path))?;
        let kind = entry.file_type();
        let kind = kind.map_err(Error::file("look at", entry.path()))?;
        let removed = if kind.is_dir() {
            std::fs::remove_dir_all(entry.path())
        } else {
            std::fs::remove_file(entry.path())
        };
        removed.map_err(Error::file("remove", entry.path()))?;
    }
    Ok(())
}

/// Shows the volume `source` as `container_path` in a sandbox, and gives it to the task's user. A link that is there
/// already is replaced; anything else of that name is an error.
pub fn link(
    sandbox: &Path,
    owner: Option<&Credentials>,
    source: &Path,
    container_path: &str,
) -> Result<(), Error> {
    let shown = sandbox.join(container_path);
    let Some((names, last)) = names_of(container_path) else {
        let source = io::Error::new(
            io::ErrorKind::InvalidInput,
            "the container path of a volume is relative, without '..'",
        );
        return Err(Error::File {
            action: "show a volume as",
            path: container_path.into(),
            source,
        });
    };
    // One that is missing was removed by hand: its data would silently be others.
    let volume = open(CWD, source).map_err(|errno| failed("open the volume", source, errno))?;
    if let Some(owner) = owner {
        rustix::fs::fchown(&volume, uid(owner), gid(owner))
            .map_err(|errno| failed("give away the volume", source, errno))?;
    }
    let mut directory =
        open(CWD, sandbox).map_err(|errno| failed("open the directory", sandbox, errno))?;
    for name in names {
        directory = enter(&directory, name, owner)
            .map_err(|errno| failed("make a directory on the way to", &shown, errno))?;
    }
    let linked = match rustix::fs::symlinkat(source, &directory, last) {
        Err(Errno::EXIST) => relink(&directory, last, source),
        linked => linked,
    };
    linked.map_err(|errno| failed("make the link", &shown, errno))
}

/// The directories of a relative path, and its last name.
fn names_of(path: &str) -> Option<(Vec<&str>, &str)> {
    let mut names = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => names.push(name.to_str()?),
            Component::CurDir => {}
            _ => return None,
        }
    }
    let last = names.pop()?;
    Some((names, last))
}

fn open(at: impl std::os::fd::AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, path, flags, Mode::empty())
}

fn enter(directory: &OwnedFd, name: &str, owner: Option<&Credentials>) -> Result<OwnedFd, Errno> {
    let made = match rustix::fs::mkdirat(directory, name, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => false,
        made => made.map(|()| true)?,
    };
    let entered = open(directory, Path::new(name))?;
    if let Some(owner) = owner.filter(|_| made) {
        rustix::fs::fchown(&entered, uid(owner), gid(owner))?;
    }
    Ok(entered)
}

/// Only a link is replaced.
fn relink(directory: &OwnedFd, name: &str, source: &Path) -> Result<(), Errno> {
    let target = rustix::fs::readlinkat(directory, name, Vec::new());
    let target = target.map_err(|_| Errno::EXIST)?;
    if target.to_bytes() == source.as_os_str().as_encoded_bytes() {
        return Ok(());
    }
    rustix::fs::unlinkat(directory, name, AtFlags::empty())?;
    rustix::fs::symlinkat(source, directory, name)
}

#[cfg(test)]
#[path = "volumes_tests.rs"]
mod tests;
