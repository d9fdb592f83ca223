//! Owns copying layers over each other into one directory, for machines where overlayfs cannot be used.

use crate::images::unpack::OPAQUE_ATTRIBUTE;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

const PERMISSIONS: u32 = 0o7777;
/// The device that stands for what a layer removes.
const REMOVED: u64 = 0;

/// Copies one layer, in the form of overlayfs, over what is in `root`.
pub(crate) fn copy_layer(layer: &Path, root: &OwnedFd) -> io::Result<()> {
    let from = rustix::fs::openat(CWD, layer, directory(), Mode::empty())?;
    let mut copy = Copy {
        seen: BTreeMap::new(),
        root: root.try_clone()?,
    };
    copy.contents(&from, root, Path::new(""))?;
    same(root, &rustix::fs::fstat(&from)?)?;
    Ok(())
}

fn directory() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

struct Copy {
    /// Files of several names, by inode: where the first was copied to.
    seen: BTreeMap<u64, PathBuf>,
    root: OwnedFd,
}

impl Copy {
    /// Depth is bounded by that of unpacking.
    fn contents(&mut self, from: &OwnedFd, to: &OwnedFd, path: &Path) -> io::Result<()> {
        for entry in Dir::read_from(from)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            self.entry(
                from,
                to,
                name,
                &path.join(std::ffi::OsStr::new(&*name.to_string_lossy())),
            )?;
        }
        Ok(())
    }

    fn entry(&mut self, from: &OwnedFd, to: &OwnedFd, name: &CStr, path: &Path) -> io::Result<()> {
        let found = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => self.directory(from, to, name, path, &found),
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
                    let linked = rustix::fs::linkat(&self.root, first, to, name, AtFlags::empty());
                    return Ok(linked?);
                }
                self.seen.insert(found.st_ino, path.to_owned());
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

    fn directory(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &CStr,
        path: &Path,
        found: &Stat,
    ) -> io::Result<()> {
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
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let target = rustix::fs::openat(to, name, directory(), Mode::empty())?;
        self.contents(&source, &target, path)?;
        same(&target, found)
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
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {
            // The descriptor stands for the directory, whatever the names above it have become.
            let held = format!("/proc/self/fd/{}", directory.as_raw_fd());
            let name = CString::from(name);
            let name = name.to_string_lossy();
            std::fs::remove_dir_all(Path::new(&held).join(&*name))
        }
        cleared => Ok(cleared?),
    }
}
