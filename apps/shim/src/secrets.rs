//! Owns files of a command that are nowhere but in memory, and nobody's but the command's user's.

use crate::namespaces::{self, QUIET};
use crate::{sys, volumes};
use rustix::fs::{CWD, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use tepui_containers::spec::{SecretFile, ShimSpec};

/// What a file takes beyond what is in it: its inode, and the rest of its last page.
const PER_FILE_BYTES: usize = 8192;

/// Each as a mount that is nowhere yet. Comes when the command has mounts of its own, and before anything covers the
/// agent's directory.
pub(crate) fn trees(spec: &ShimSpec) -> Result<Vec<OwnedFd>, Errno> {
    if spec.secrets.is_empty() {
        return Ok(Vec::new());
    }
    let sizes = spec.secrets.iter().map(|it| it.data.len() + PER_FILE_BYTES);
    let size = sizes.sum::<usize>().to_string();
    let disk = namespaces::kernel("tmpfs", QUIET, &[("mode", "0700"), ("size", &size)])?;
    // A mount that is nowhere has no copies: it lies here for a moment, for this process alone.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let place = rustix::fs::openat(CWD, &spec.runtime_dir, flags, Mode::empty())?;
    volumes::put(&disk, &place)?;
    let secrets = spec.secrets.iter().enumerate();
    let made = secrets.map(|(number, secret)| tree(spec, &disk, number, secret));
    let made = made.collect::<Result<Vec<_>, _>>();
    rustix::mount::unmount(&spec.runtime_dir, UnmountFlags::DETACH)?;
    made
}

/// The command's user and group as the machine has them. Owners are not shifted by the mount, as elsewhere: a file system
/// in memory can do that only since Linux 6.3. `None`: who makes it.
fn owner(spec: &ShimSpec) -> Option<(u32, u32)> {
    let user = spec.credentials.as_ref().map(|it| (it.uid, it.gid));
    let Some(range) = spec.users.filter(|_| spec.root.is_some()) else {
        return user;
    };
    // The agent launches nobody beyond the range.
    let (uid, gid) = user.unwrap_or((0, 0));
    let within = |id: u32| range.first.saturating_add(id);
    Some((within(uid), within(gid)))
}

fn tree(
    spec: &ShimSpec,
    disk: &OwnedFd,
    number: usize,
    secret: &SecretFile,
) -> Result<OwnedFd, Errno> {
    let name = number.to_string();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::openat(disk, name.as_str(), flags, Mode::RUSR | Mode::WUSR)?;
    let mut file = File::from(file);
    let written = file.write_all(&secret.data);
    written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    if let Some((uid, gid)) = owner(spec) {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::fs::fchown(&file, Some(uid), Some(gid))?;
    }
    let mode = match secret.read_only {
        true => Mode::RUSR,
        false => Mode::RUSR | Mode::WUSR,
    };
    rustix::fs::fchmod(&file, mode)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(disk, name.as_str(), flags, Mode::empty())?;
    let tree = volumes::copy_of(&file)?;
    if secret.read_only {
        sys::make_read_only(tree.as_fd())?;
    }
    Ok(tree)
}
