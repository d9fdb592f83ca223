//! Owns the directories of persistent volumes: made when a volume is created, removed when it is destroyed, shown in
//! sandboxes by links. A sandbox belongs to its task, so names in it are walked one by one and never through a link.

use crate::beneath;
use crate::error::Error;
use crate::removal;
use crate::sandbox::{failed, gid, make_parents, uid};
use crate::spec::Credentials;
use rustix::fs::CWD;
use rustix::io::Errno;
use std::io;
use std::path::Path;

/// Makes the directory of a volume, if it is not there.
pub fn make(path: &Path) -> Result<(), Error> {
    make_parents(path)
}

/// Removes the directory of a volume with all in it; one that is gone is no error.
pub fn remove(path: &Path) -> Result<(), Error> {
    removal::remove(path).map_err(Error::file("remove the volume", path))
}

/// Removes all in a directory that stays: a whole disk is mounted there.
pub fn empty(path: &Path) -> Result<(), Error> {
    let directory = match beneath::open(CWD, path) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened.map_err(|errno| failed("open the volume", path, errno))?,
    };
    removal::empty(&directory).map_err(Error::file("empty the volume", path))
}

/// Shows the volume `source` as `container_path` in a sandbox, and gives it to the task's user if `is_given`. A link that
/// is there already is replaced; anything else of that name is an error.
pub fn link(
    sandbox: &Path,
    owner: Option<&Credentials>,
    source: &Path,
    container_path: &str,
    is_given: bool,
) -> Result<(), Error> {
    let shown = sandbox.join(container_path);
    let names = beneath::names(container_path).unwrap_or_default();
    let Some((last, above)) = names.split_last() else {
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
    give(source, owner.filter(|_| is_given))?;
    let mut directory = beneath::open(CWD, sandbox)
        .map_err(|errno| failed("open the directory", sandbox, errno))?;
    for name in above {
        directory = beneath::enter(&directory, name, owner)
            .map_err(|errno| failed("make a directory on the way to", &shown, errno))?;
    }
    beneath::link(&directory, source, last).map_err(|errno| failed("make the link", &shown, errno))
}

/// Gives a volume to the task's user.
pub fn give(source: &Path, owner: Option<&Credentials>) -> Result<(), Error> {
    // One that is missing was removed by hand: its data would silently be others.
    let volume =
        beneath::open(CWD, source).map_err(|errno| failed("open the volume", source, errno))?;
    if let Some(owner) = owner {
        rustix::fs::fchown(&volume, uid(owner), gid(owner))
            .map_err(|errno| failed("give away the volume", source, errno))?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "volumes_tests.rs"]
mod tests;
