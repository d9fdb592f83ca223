//! Owns what a command sees of the host in other places. Works by descriptors: names in a sandbox belong to its tasks,
//! who may put links there at any moment.

use crate::{namespaces, secrets, sys};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use tepui_containers::spec::{Mount, ShimSpec};

/// Where layers are mounted, in their directory.
pub(crate) const ROOT: &str = "root";

/// Gives the command mounts of its own, if it is to have any.
pub(crate) fn mount(spec: &ShimSpec) -> Result<(), Errno> {
    let has_none = spec.mounts.is_empty() && spec.secrets.is_empty();
    if has_none && !spec.namespaces.need_mounts() {
        return Ok(());
    }
    let shared = alone(spec)?;
    let secrets = secrets::trees(spec)?;
    let mut mounts = spec.mounts.iter().zip(shared);
    mounts.try_for_each(|(mount, shared)| show(&spec.sandbox, mount, shared))?;
    for (secret, tree) in spec.secrets.iter().zip(secrets) {
        put(&tree, &place(&spec.sandbox, &secret.target)?)?;
    }
    namespaces::show(spec)
}

/// From here on mounts of the machine still come to this process, its own do not leave. But for those that are to: each of
/// them, as a mount that is nowhere yet, is made before.
pub(crate) fn alone(spec: &ShimSpec) -> Result<Vec<Option<OwnedFd>>, Errno> {
    sys::unshare(rustix::thread::UnshareFlags::NEWNS)?;
    let mounts = spec.mounts.iter();
    let shared = mounts.map(|mount| match mount.propagates {
        true => copy_of(&source(&spec.sandbox, mount)?).map(Some),
        false => Ok(None),
    });
    let shared = shared.collect::<Result<_, _>>()?;
    turn_inward()?;
    Ok(shared)
}

/// As [`alone`], for who shares nothing.
pub(crate) fn unshare() -> Result<(), Errno> {
    sys::unshare(rustix::thread::UnshareFlags::NEWNS)?;
    turn_inward()
}

fn turn_inward() -> Result<(), Errno> {
    let inward = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", inward)
}

fn show(sandbox: &Path, mount: &Mount, shared: Option<OwnedFd>) -> Result<(), Errno> {
    let tree = match (&mount.overlay, shared) {
        (_, Some(shared)) => shared,
        (Some(options), None) => overlay(&mount.source, options)?,
        (None, None) => copy_of(&source(sandbox, mount)?)?,
    };
    // The command may have any user of the machine's and do what that user may: with programs of an image or of the
    // agent's closed directories it would be more.
    sys::take_rights(tree.as_fd())?;
    if mount.read_only {
        sys::make_read_only(tree.as_fd())?;
    }
    put(&tree, &place(sandbox, &mount.target)?)
}

/// Layers of an image as one file system that is nowhere yet. `options` are relative to `dir`, where this process is then.
pub(crate) fn overlay(dir: &Path, options: &OsStr) -> Result<OwnedFd, Errno> {
    rustix::process::chdir(dir)?;
    let options = CString::new(options.as_bytes()).map_err(|_| Errno::INVAL)?;
    // A device that an image brings, or that root makes in one, does not open.
    let flags = MountFlags::NODEV;
    rustix::mount::mount("overlay", ROOT, "overlay", flags, options.as_c_str())?;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let mounted = rustix::fs::open(ROOT, flags, Mode::empty())?;
    let tree = copy_of(&mounted)?;
    rustix::mount::unmount(ROOT, UnmountFlags::DETACH)?;
    Ok(tree)
}

/// A file or directory, with all that is mounted beneath it, as a mount that is nowhere yet.
pub(crate) fn copy_of(source: &OwnedFd) -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    rustix::mount::open_tree(source, "", flags)
}

/// Shows a mount that is nowhere yet at a place.
pub(crate) fn put(tree: &OwnedFd, place: &OwnedFd) -> Result<(), Errno> {
    let by_descriptors =
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, "", place, "", by_descriptors)
}

fn source(sandbox: &Path, mount: &Mount) -> Result<OwnedFd, Errno> {
    if mount.source.is_relative() || !mount.no_links {
        return place(sandbox, &mount.source);
    }
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let no_links = ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(CWD, &mount.source, flags, Mode::empty(), no_links)
}

fn place(sandbox: &Path, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    if path.is_absolute() {
        return rustix::fs::open(path, flags, Mode::empty());
    }
    let sandbox = rustix::fs::open(sandbox, flags | OFlags::DIRECTORY, Mode::empty())?;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(&sandbox, path, flags, Mode::empty(), beneath)
}
