//! Owns the directories of persistent volumes: made when a volume is created, removed when it is destroyed, shown in
//! sandboxes by links. A sandbox belongs to its task, so names in it are walked one by one and never through a link.

use crate::beneath;
use crate::dangling;
use crate::error::Error;
use crate::removal;
use crate::sandbox::{failed, gid, make_parents, uid};
use crate::spec::Credentials;
use rustix::fs::{CWD, Mode, RenameFlags};
use rustix::io::Errno;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Makes the directory of a volume, if it is not there.
pub fn make(path: &Path) -> Result<(), Error> {
    make_parents(path)
}

/// Where what was volumes waits for its deletion, below the directory `volumes` of a disk.
const REMOVED: &str = "removed";

/// Takes a volume, `<root>/volumes/roles/<role>/<id>`, out of everybody's way with all in it; one that is gone is no
/// error. It takes no time, and what cannot be deleted does not hinder it: that is left to [`clear_removed`].
pub fn take_away(path: &Path) -> Result<(), Error> {
    let taken = || -> io::Result<()> {
        let Some(removed) = removed_beside(path) else {
            return removal::remove(path);
        };
        let made = DirBuilder::new().mode(0o700).create(&removed);
        made.or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            // Then there is no volume either.
            _ if !path.exists() => Ok(()),
            _ => Err(error),
        })?;
        for number in 0_u64.. {
            match move_to(path, &removed.join(number.to_string())) {
                Ok(()) | Err(Errno::NOENT) => break,
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    };
    taken().map_err(Error::file("remove the volume", path))
}

/// Errors: `EXIST`: there is something.
fn move_to(path: &Path, free: &Path) -> Result<(), Errno> {
    match rustix::fs::renameat_with(CWD, path, CWD, free, RenameFlags::NOREPLACE) {
        // Not every file system can do that, nor every kernel.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => move_over(path, free),
        moved => moved,
    }
}

/// As [`move_to`], of a directory: over an empty one that this has made, so that no other mover takes the same name.
fn move_over(path: &Path, free: &Path) -> Result<(), Errno> {
    rustix::fs::mkdir(free, Mode::RWXU)?;
    rustix::fs::rename(path, free).inspect_err(|_| {
        // An empty one that stays does no harm: it is deleted with the rest.
        let _ = rustix::fs::rmdir(free);
    })
}

/// Where [`take_away`] takes it.
pub fn removed_beside(path: &Path) -> Option<PathBuf> {
    let volumes = path.ancestors().nth(3)?;
    let is_below = volumes.join("roles") == path.ancestors().nth(2)?;
    is_below.then(|| volumes.join(REMOVED))
}

/// The same of a work directory or a disk.
pub fn removed_of(root: &Path) -> PathBuf {
    root.join("volumes").join(REMOVED)
}

/// Deletes what was taken away. What tasks left mounted in it is detached first. Errors: what could not be deleted, which
/// stays until the next time; the rest is deleted.
pub fn clear_removed(removed: &Path) -> Vec<Error> {
    let entries = std::fs::read_dir(removed).into_iter().flatten().flatten();
    let cleared = entries.filter_map(|entry| {
        let path = entry.path();
        let cleared = dangling::detach(&path).and_then(|_| removal::remove(&path));
        cleared
            .map_err(Error::file("delete the removed volume", &path))
            .err()
    });
    cleared.collect()
}

/// Removes all in a directory that stays: a whole disk is mounted there. What tasks left mounted in it is detached.
pub fn empty(path: &Path) -> Result<(), Error> {
    dangling::detach(path).map_err(Error::file("empty the volume", path))?;
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

/// Gives a volume to the task's user. Root can use it whoever's it is.
pub fn give(source: &Path, owner: Option<&Credentials>) -> Result<(), Error> {
    // One that is missing was removed by hand: its data would silently be others.
    let volume =
        beneath::open(CWD, source).map_err(|errno| failed("open the volume", source, errno))?;
    if let Some(owner) = owner.filter(|it| it.uid != 0) {
        rustix::fs::fchown(&volume, uid(owner), gid(owner))
            .map_err(|errno| failed("give away the volume", source, errno))?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "volumes_tests.rs"]
mod tests;
