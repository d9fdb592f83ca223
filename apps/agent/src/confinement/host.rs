//! Directories of the machine that volumes show: which are made where they are missing, and whose mounts are shared (Mesos:
//! `--host_path_volume_force_creation`, and the isolator `volume/host_path`).

use std::{
    fs::File,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags},
    io::Errno,
};
use tepui_containers::mounts;

use crate::Isolation;

const MODE: Mode = Mode::from_raw_mode(0o755);

/// What volumes may show of the machine's files.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostFiles {
    /// Beneath these a directory that is missing is made.
    made: Vec<PathBuf>,
    /// The agent's own: what lies there is closed to others by the directories above it, which a mount passes by.
    closed: Vec<PathBuf>,
    are_refused: bool,
}

impl HostFiles {
    pub(crate) fn new(isolation: &Isolation, closed: Vec<PathBuf>) -> Self {
        Self {
            made: isolation.made_for_volumes.clone(),
            closed,
            are_refused: isolation.no_host_volumes,
        }
    }

    /// Where a file or directory that a container asks for is, by a way without links; it is made where it may be. One that
    /// is missing is left to whoever mounts it.
    ///
    /// Errors: it may not be shown or made, in words for the framework.
    pub(super) fn admit(&self, path: &Path, sandbox: &Path) -> Result<PathBuf, String> {
        if self.are_refused {
            return Err(
                "This agent gives containers no files of the machine as volumes (--disallow-host-path-volumes)"
                    .to_owned(),
            );
        }
        make(path, &self.made)?;
        let Ok(real) = path.canonicalize() else {
            return Ok(path.to_owned());
        };
        match self.is_open(&real, sandbox) {
            true => Ok(real),
            false => Err(format!(
                "Path '{}' in HOST_PATH volume is one of the agent's own, which no container is shown",
                path.display()
            )),
        }
    }

    /// Directories are compared by what they are: one may have several names, by mounts.
    fn is_open(&self, real: &Path, sandbox: &Path) -> bool {
        let identity = |path: &Path| {
            let found = std::fs::metadata(path).ok()?;
            Some((found.dev(), found.ino()))
        };
        let own = identity(sandbox);
        let closed: Vec<_> = self.closed.iter().filter_map(|it| identity(it)).collect();
        for above in real.ancestors().filter_map(identity) {
            if Some(above) == own {
                return true;
            }
            if closed.contains(&above) {
                return false;
            }
        }
        true
    }
}

/// Makes a directory that is missing, if it lies beneath one of `roots`. Nothing is made through a link.
///
/// Errors: it may not be made, or cannot be, in the words of Mesos.
fn make(path: &Path, roots: &[PathBuf]) -> Result<(), String> {
    if roots.is_empty() || path.exists() {
        // Where it is missing and may not be made, whoever mounts it says so.
        return Ok(());
    }
    let shown = path.display();
    let plain = path
        .components()
        .all(|it| matches!(it, Component::RootDir | Component::Normal(_)));
    let below = |root: &PathBuf| {
        let rest = path.strip_prefix(root).ok()?;
        (!rest.as_os_str().is_empty()).then(|| (root.clone(), rest.to_owned()))
    };
    let Some((root, rest)) = roots.iter().find_map(below).filter(|_| plain) else {
        return Err(format!(
            "Path '{shown}' in HOST_PATH volume does not exist and is not whitelisted for creation: it is not beneath \
             one of the directories of --host_path_volume_force_creation"
        ));
    };
    make_beneath(&root, &rest)
        .map_err(|errno| format!("Failed to create the host path at '{shown}': {errno}"))
}

fn make_beneath(root: &Path, rest: &Path) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, root, flags, Mode::empty())?;
    let mut step = PathBuf::new();
    for name in rest.components() {
        step.push(name);
        let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let above = step.parent().filter(|it| !it.as_os_str().is_empty());
        let above = above.unwrap_or_else(|| Path::new("."));
        let above = rustix::fs::openat2(&root, above, flags, Mode::empty(), within)?;
        match rustix::fs::mkdirat(&above, name.as_os_str(), MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// The same place by a way without links: the operator may have some on the way to a disk. What is there may be none.
pub(super) fn real_place(path: &Path) -> Result<PathBuf, String> {
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(path.to_owned());
    };
    let above = above.canonicalize();
    let above = above.map_err(|error| format!("cannot find '{}': {error}", path.display()))?;
    Ok(above.join(name))
}

/// Whether what is mounted beneath a directory can be seen elsewhere.
///
/// Errors: it cannot, in the words of Mesos.
pub(super) fn check_shared(path: &Path) -> Result<(), String> {
    let shown = path.display();
    let unknown = |reason: &dyn std::fmt::Display| {
        format!("Cannot find the mount containing host path '{shown}': {reason}")
    };
    // The table is as long as the machine makes it.
    let table = File::open("/proc/self/mountinfo").and_then(std::io::read_to_string);
    let table = table.map_err(|error| unknown(&error))?;
    let real = path.canonicalize().map_err(|error| unknown(&error))?;
    match mounts::is_shared(&table, &real) {
        Some(true) => Ok(()),
        Some(false) => Err(format!(
            "Cannot setup bidirectional mount propagation for host path '{shown}' because it is not under a shared mount"
        )),
        None => Err(unknown(&"no mount is above it")),
    }
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
