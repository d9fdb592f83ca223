//! Owns copying layers over each other into one directory, for machines where overlayfs cannot be used.
//!
//! Links in a layer can make it deeper than any name in its archive is: what is left to do is kept on the heap, three
//! directories are open at a time, and what no path of the kernel's reaches is refused.

use crate::images::unpack::OPAQUE_ATTRIBUTE;
use crate::removal;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid,
};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const PERMISSIONS: u32 = 0o7777;
/// The device that stands for what a layer removes.
const REMOVED: u64 = 0;

/// Copies one layer, in the form of overlayfs, over what is in `root`.
pub(crate) fn copy_layer(layer: &Path, root: &OwnedFd) -> io::Result<()> {
    let layer = rustix::fs::openat(CWD, layer, directory(), Mode::empty())?;
    let found = rustix::fs::fstat(&layer)?;
    let mut copy = Copy {
        seen: BTreeMap::new(),
        layer: &layer,
        root,
        left: vec![Step::Enter(PathBuf::from("."), found)],
    };
    while let Some(step) = copy.left.pop() {
        match step {
            Step::Enter(path, found) => copy.contents(path, found)?,
            Step::Leave(path, found) => same(&below(root, &path)?, &found)?,
        }
    }
    Ok(())
}

fn directory() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// A directory below another, never through a link. Error: its path is longer than the kernel takes (4096 bytes).
fn below(top: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    Ok(rustix::fs::openat2(
        top,
        path,
        directory(),
        Mode::empty(),
        resolve,
    )?)
}

/// What is left to do with a directory of the layer that is there in the copy.
enum Step {
    Enter(PathBuf, Stat),
    /// Its time and mode, when all in it is there.
    Leave(PathBuf, Stat),
}

struct Copy<'a> {
    /// Files of several names, by inode: where the first was copied to.
    seen: BTreeMap<u64, PathBuf>,
    layer: &'a OwnedFd,
    root: &'a OwnedFd,
    left: Vec<Step>,
}

impl Copy<'_> {
    fn contents(&mut self, path: PathBuf, found: Stat) -> io::Result<()> {
        let (from, to) = (below(self.layer, &path)?, below(self.root, &path)?);
        self.left.push(Step::Leave(path.clone(), found));
        for entry in Dir::read_from(&from)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let path = path.join(OsStr::from_bytes(name.to_bytes()));
            self.entry(&from, &to, name, path)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &CStr,
        path: PathBuf,
    ) -> io::Result<()> {
        let found = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => {
                enter(from, to, name)?;
                self.left.push(Step::Enter(path, found));
                Ok(())
            }
            FileType::CharacterDevice if found.st_rdev == REMOVED => clear(to, name),
            FileType::Symlink => {
                clear(to, name)?;
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(&target, to, name)?;
                let (user, group) = owner(&found);
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                Ok(rustix::fs::chownat(
                    to,
                    name,
                    Some(user),
                    Some(group),
                    flags,
                )?)
            }
            FileType::RegularFile => {
                clear(to, name)?;
                if found.st_nlink > 1
                    && let Some(first) = self.seen.get(&found.st_ino)
                {
                    let linked = rustix::fs::linkat(self.root, first, to, name, AtFlags::empty());
                    return Ok(linked?);
                }
                self.seen.insert(found.st_ino, path);
                copy_file(from, to, name, &found)
            }
            FileType::Fifo => {
                clear(to, name)?;
                let mode = Mode::from_raw_mode(found.st_mode & PERMISSIONS);
                Ok(rustix::fs::mknodat(to, name, FileType::Fifo, mode, 0)?)
            }
            // A layer has none: unpacking makes none.
            _ => Ok(()),
        }
    }
}

/// Makes a directory in the copy, or keeps the one that layers below have.
fn enter(from: &OwnedFd, to: &OwnedFd, name: &CStr) -> io::Result<()> {
    let source = rustix::fs::openat(from, name, directory(), Mode::empty())?;
    let mut value = [0; 1];
    let hides = rustix::fs::fgetxattr(&source, OPAQUE_ATTRIBUTE, &mut value);
    let below = rustix::fs::statat(to, name, AtFlags::SYMLINK_NOFOLLOW);
    let is_directory =
        below.is_ok_and(|it| FileType::from_raw_mode(it.st_mode) == FileType::Directory);
    if hides.is_ok() || !is_directory {
        clear(to, name)?;
    }
    match rustix::fs::mkdirat(to, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn copy_file(from: &OwnedFd, to: &OwnedFd, name: &CStr, found: &Stat) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut source = File::from(rustix::fs::openat(from, name, flags, Mode::empty())?);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut target = File::from(rustix::fs::openat(
        to,
        name,
        flags,
        Mode::RUSR | Mode::WUSR,
    )?);
    io::copy(&mut source, &mut target)?;
    same(&OwnedFd::from(target), found)
}

/// Owner, mode and time; the owner first: it takes set-user-id from the mode.
fn same(made: &OwnedFd, found: &Stat) -> io::Result<()> {
    let (user, group) = owner(found);
    rustix::fs::fchown(made, Some(user), Some(group))?;
    rustix::fs::fchmod(made, Mode::from_raw_mode(found.st_mode & PERMISSIONS))?;
    let modified = Timespec {
        tv_sec: found.st_mtime,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: modified,
        last_modification: modified,
    };
    Ok(rustix::fs::futimens(made, &times)?)
}

fn owner(found: &Stat) -> (Uid, Gid) {
    (Uid::from_raw(found.st_uid), Gid::from_raw(found.st_gid))
}

/// Makes way for what a layer has or removes.
fn clear(directory: &OwnedFd, name: &CStr) -> io::Result<()> {
    removal::remove_at(directory.as_fd(), OsStr::from_bytes(name.to_bytes()))
}
