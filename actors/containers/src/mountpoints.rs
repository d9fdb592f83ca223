//! Owns the places in a sandbox where directories and files of the host appear: made before the launch, with nothing
//! in them. The shim mounts over them, for its container alone (`volume/host_path` and `volume/sandbox_path` of Mesos).

use crate::beneath;
use crate::error::Error;
use crate::sandbox::failed;
use crate::spec::{Credentials, Mount};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Finds the place for `source`, which is there, or makes it where it lies in the sandbox. A relative source is a
/// directory of the sandbox.
///
/// Errors: an absolute place that is not there (nothing is made in the host's file system), a relative one that leads
/// out of the sandbox or is taken by something of another kind.
pub fn find(
    sandbox: &Path,
    owner: Option<&Credentials>,
    source: &Path,
    container_path: &Path,
    read_only: bool,
) -> Result<Mount, Error> {
    let is_directory = source.is_relative() || {
        let found = std::fs::metadata(source);
        found
            .map_err(Error::file("look at the volume", source))?
            .is_dir()
    };
    if container_path.is_absolute() {
        std::fs::metadata(container_path)
            .map_err(Error::file("look at the mount point", container_path))?;
    } else {
        let shown = sandbox.join(container_path);
        let made = make(sandbox, owner, container_path, is_directory);
        made.map_err(|errno| failed("make the mount point", &shown, errno))?;
    }
    Ok(Mount {
        source: source.to_owned(),
        target: container_path.to_owned(),
        read_only,
        no_links: source.is_relative(),
        propagates: false,
        keeps_owners: false,
        overlay: None,
    })
}

/// Makes a file of the sandbox, where it is missing, for another one to be mounted over it.
pub fn file(sandbox: &Path, owner: Option<&Credentials>, relative: &Path) -> Result<(), Error> {
    let shown = sandbox.join(relative);
    let made = make(sandbox, owner, relative, false);
    made.map_err(|errno| failed("make the mount point", &shown, errno))
}

/// Makes a directory of the sandbox, where it is missing.
pub fn directory(
    sandbox: &Path,
    owner: Option<&Credentials>,
    relative: &Path,
) -> Result<(), Error> {
    let shown = sandbox.join(relative);
    let made = make(sandbox, owner, relative, true);
    made.map_err(|errno| failed("make the directory", &shown, errno))
}

fn make(
    sandbox: &Path,
    owner: Option<&Credentials>,
    path: &Path,
    is_directory: bool,
) -> Result<(), Errno> {
    let names = beneath::names(path.to_str().ok_or(Errno::INVAL)?)?;
    let (last, above) = names.split_last().ok_or(Errno::INVAL)?;
    let mut directory = beneath::open(CWD, sandbox)?;
    for name in above {
        directory = beneath::enter(&directory, name, owner)?;
    }
    if is_directory {
        return beneath::enter(&directory, last, owner).map(drop);
    }
    make_file(&directory, last, owner)
}

fn make_file(directory: &OwnedFd, name: &str, owner: Option<&Credentials>) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(0o644)) {
        Ok(made) => beneath::give(&made, owner),
        // Whatever it is, the kernel mounts a file over no directory, and the shim follows no link.
        Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
#[path = "mountpoints_tests.rs"]
mod tests;
