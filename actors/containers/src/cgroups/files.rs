//! Owns the handling of cgroup directories and files.

use super::OWN;
use crate::error::Error;
use crate::limits::Controller;
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

pub(super) fn distinct(dirs: &BTreeMap<Controller, PathBuf>) -> BTreeSet<&Path> {
    dirs.values().map(PathBuf::as_path).collect()
}

pub(super) fn make_dir(dir: &Path) -> Result<(), Error> {
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(Error::cgroup("make the cgroup", dir)),
    }
}

/// Makes a directory, and those around it that are missing: a container that was started before its agent used this
/// hierarchy has none in it. `has_cpus`: they are for processes that need CPUs and memory nodes.
pub(super) fn make_dir_within(dir: &Path, has_cpus: bool) -> Result<(), Error> {
    match (std::fs::create_dir(dir), dir.parent()) {
        (Err(error), Some(outer)) if error.kind() == io::ErrorKind::NotFound => {
            make_dir_within(outer, has_cpus)?;
            make_dir(dir)?;
        }
        (Err(error), _) if error.kind() == io::ErrorKind::AlreadyExists => {}
        (made, _) => made.map_err(Error::cgroup("make the cgroup", dir))?,
    }
    match has_cpus {
        true => inherit_cpuset(dir),
        false => Ok(()),
    }
}

/// An earlier agent with more rights may have left a directory that this one cannot use.
pub(super) fn check_writable(dir: &Path) -> Result<(), Error> {
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    let allowed = rustix::fs::accessat(rustix::fs::CWD, dir, access, rustix::fs::AtFlags::EACCESS);
    allowed.map_err(|errno| Error::cgroup("write into the cgroup", dir)(errno.into()))
}

/// Gives the cgroups within a v2 directory these controllers.
pub(super) fn hand_down(dir: &Path, controllers: &BTreeSet<Controller>) -> Result<(), Error> {
    let names = controllers.iter().filter_map(|it| it.unified_name());
    let mut names = names.map(|name| format!("+{name}"));
    names.try_for_each(|name| write(&dir.join("cgroup.subtree_control"), &name))
}

/// Rounds of moving processes, which meanwhile make new ones.
const MAX_ROUNDS: usize = 16;

/// Hands down from a container whose processes may be in its own directory, as agents before made them: those make way.
pub(super) fn making_way(
    dir: &Path,
    hand_down: impl Fn() -> Result<(), Error>,
) -> Result<(), Error> {
    for _ in 0..MAX_ROUNDS {
        match hand_down() {
            Err(Error::Cgroup { source, .. }) if is(&source, Errno::BUSY) => {}
            done => return done,
        }
        let leaf = dir.join(OWN);
        make_dir(&leaf)?;
        let own = dir.join("cgroup.procs");
        let processes = std::fs::read_to_string(&own).map_err(Error::cgroup("read", &own))?;
        for process in processes.lines() {
            match write(&leaf.join("cgroup.procs"), process) {
                // It has ended.
                Err(Error::Cgroup { source, .. }) if is(&source, Errno::SRCH) => {}
                moved => moved?,
            }
        }
    }
    hand_down()
}

pub(super) fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

/// A new v1 directory has no CPUs and no memory nodes, and takes no process then: it gets those of the one around it.
pub(super) fn inherit_cpuset(dir: &Path) -> Result<(), Error> {
    let Some(outer) = dir.parent() else {
        return Ok(());
    };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let path = dir.join(file);
        let own = std::fs::read_to_string(&path).unwrap_or_default();
        if own.trim().is_empty() {
            let of_outer = outer.join(file);
            let value = std::fs::read_to_string(&of_outer);
            let value = value.map_err(Error::cgroup("read", &of_outer))?;
            write(&path, value.trim())?;
        }
    }
    Ok(())
}

pub(super) fn write(path: &Path, value: &str) -> Result<(), Error> {
    std::fs::write(path, value).map_err(Error::cgroup("write the cgroup file", path))
}

/// Removes a cgroup, the innermost first. One that is gone already is no error.
pub(super) fn remove_dir(dir: &Path) -> Result<(), Error> {
    match std::fs::remove_dir(dir) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        // Usually busy: cgroups within, made by the container.
        Err(_) => {}
    }
    for entry in std::fs::read_dir(dir)
        .map_err(Error::cgroup("list the cgroup", dir))?
        .flatten()
    {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_dir(&entry.path())?;
        }
    }
    std::fs::remove_dir(dir).map_err(Error::cgroup("remove the cgroup", dir))
}
