//! Owns sandboxes of containers within another one: `containers/<name>` beneath the outer sandbox, shown by task as
//! `tasks/<task>`, with the directories both share. It is Mesos' layout.
//!
//! The outer sandbox belongs to tasks that may run already and can put any name in it at any moment. So every name is
//! taken from the directory above it, never through a link, and nothing that was there before is given away.

use crate::beneath::{enter, link, names, open};
use crate::error::Error;
use crate::removal;
use crate::sandbox::{failed, gid, uid};
use crate::spec::Credentials;
use rustix::fs::{CWD, Mode};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

const CONTAINERS: &str = "containers";
const TASKS: &str = "tasks";
const SANDBOX_MODE: Mode = Mode::from_raw_mode(0o750);

/// One sandbox to make.
#[derive(Clone, Copy, Debug)]
pub struct NestedSandbox<'a> {
    /// The outer sandbox, which must exist.
    pub root: &'a Path,
    /// Its name below `containers`.
    pub name: &'a str,
    /// The task it is shown for.
    pub task: Option<&'a str>,
    /// `None`: the agent's user.
    pub owner: Option<&'a Credentials>,
    /// Directories of the outer sandbox, and the names under which the inner one has them; both relative, without `..`.
    pub shared: &'a [(&'a str, &'a str)],
}

/// Where the sandbox `name` of a container within that of `root` lies.
pub fn path(root: &Path, name: &str) -> PathBuf {
    root.join(CONTAINERS).join(name)
}

/// Makes it. Errors: no right, no space, a name that is in use, or one that would lead elsewhere.
pub fn prepare(order: &NestedSandbox<'_>) -> Result<(), Error> {
    let shown = path(order.root, order.name);
    let at = |errno| failed("make the sandbox", &shown, errno);
    let root = open(CWD, order.root).map_err(at)?;
    let containers = enter(&root, CONTAINERS, None).map_err(at)?;
    let sandbox = make(&containers, order).map_err(at)?;
    for (source, container_path) in order.shared {
        share(&root, &sandbox, order.owner, source, container_path)
            .map_err(|errno| failed("share the directory", &order.root.join(source), errno))?;
    }
    if let Some(task) = order.task {
        let tasks = enter(&root, TASKS, None).map_err(at)?;
        let target = Path::new("..").join(CONTAINERS).join(order.name);
        link(&tasks, &target, task).map_err(at)?;
    }
    Ok(())
}

/// Removes it with all in it; one that is gone is no error.
pub fn remove(root: &Path, name: &str) -> Result<(), Error> {
    let shown = path(root, name);
    let containers = open(CWD, root).and_then(|root| open(&root, Path::new(CONTAINERS)));
    if matches!(containers, Err(Errno::NOENT)) {
        return Ok(());
    }
    let containers = containers.map_err(|errno| failed("remove the sandbox", &shown, errno))?;
    let removed = removal::remove_at(containers.as_fd(), name.as_ref());
    removed.map_err(Error::file("remove the sandbox", shown))
}

fn make(containers: &OwnedFd, order: &NestedSandbox<'_>) -> Result<OwnedFd, Errno> {
    // A name that is there already is not this container's.
    rustix::fs::mkdirat(containers, order.name, SANDBOX_MODE)?;
    let sandbox = open(containers, Path::new(order.name))?;
    // Somebody may have put another directory in its place meanwhile: only an agent's own is given away.
    if rustix::fs::fstat(&sandbox)?.st_uid != rustix::process::geteuid().as_raw() {
        return Err(Errno::PERM);
    }
    if let Some(owner) = order.owner {
        rustix::fs::fchown(&sandbox, uid(owner), gid(owner))?;
    }
    // Once more, because the umask may have taken bits from the creation.
    rustix::fs::fchmod(&sandbox, SANDBOX_MODE)?;
    Ok(sandbox)
}

/// Shows `source` of the outer sandbox as `container_path` of the inner one.
fn share(
    root: &OwnedFd,
    sandbox: &OwnedFd,
    owner: Option<&Credentials>,
    source: &str,
    container_path: &str,
) -> Result<(), Errno> {
    let mut directory = root.try_clone().map_err(|_| Errno::MFILE)?;
    for name in names(source)? {
        directory = enter(&directory, name, owner)?;
    }
    let names = names(container_path)?;
    let (last, above) = names.split_last().ok_or(Errno::INVAL)?;
    let mut directory = sandbox.try_clone().map_err(|_| Errno::MFILE)?;
    // From the sandbox to the outer one: `containers/<name>` is two deep.
    let mut target = PathBuf::from("../..");
    for name in above {
        directory = enter(&directory, name, owner)?;
        target.push("..");
    }
    link(&directory, &target.join(source), last)
}

#[cfg(test)]
#[path = "nested_tests.rs"]
mod tests;
