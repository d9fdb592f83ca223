//! Owns what an archive becomes on disk: names beneath one directory, and what they may take together.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, ResolveFlags, Timespec, Timestamps},
    io::Errno,
};

use crate::{ArchiveError, Bounds, names};

/// Directories above a file.
const MAX_DEPTH: usize = 128;
/// After so much of a file the room on the disk is looked at again.
const PIECE_BYTES: u64 = 8 << 20;
const BUFFER_BYTES: usize = 64 << 10;
/// Who unpacks can go on in every directory.
const DIRECTORY_MODE: u32 = 0o700;
const PARENT_MODE: u32 = 0o755;
/// Nobody else writes to what was unpacked, and no program of it gives rights to anybody.
const KEPT: u32 = 0o755;

pub(crate) struct Tree<'a> {
    root: BorrowedFd<'a>,
    bounds: Bounds,
    is_wanted: &'a dyn Fn() -> bool,
    entries: u64,
    bytes: u64,
}

impl<'a> Tree<'a> {
    pub(crate) fn new(
        root: BorrowedFd<'a>,
        bounds: Bounds,
        is_wanted: &'a dyn Fn() -> bool,
    ) -> Self {
        Self {
            root,
            bounds,
            is_wanted,
            entries: 0,
            bytes: 0,
        }
    }

    pub(crate) fn most_entries(&self) -> u64 {
        self.bounds.entries
    }

    /// Counts one more entry, or a directory that is made for one.
    pub(crate) fn enter(&mut self) -> Result<(), ArchiveError> {
        self.wanted()?;
        self.entries += 1;
        if self.entries > self.bounds.entries {
            return Err(ArchiveError::Entries(self.bounds.entries));
        }
        self.room()
    }

    pub(crate) fn spend(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        self.wanted()?;
        self.bytes = self.bytes.saturating_add(bytes);
        match self.bytes > self.bounds.bytes {
            true => Err(ArchiveError::Bytes(self.bounds.bytes)),
            false => Ok(()),
        }
    }

    fn wanted(&self) -> Result<(), ArchiveError> {
        match (self.is_wanted)() {
            true => Ok(()),
            false => Err(ArchiveError::CalledOff),
        }
    }

    fn room(&self) -> Result<(), ArchiveError> {
        let found = rustix::fs::fstatvfs(self.root);
        let found = found.map_err(|errno| ArchiveError::Read(errno.into()))?;
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        let floor = self.bounds.free_bytes;
        if free < floor {
            return Err(ArchiveError::Full { free, floor });
        }
        let (free, floor) = (found.f_favail, self.bounds.free_inodes);
        // File systems that make inodes as they need them tell of none.
        match found.f_files > 0 && free < floor {
            true => Err(ArchiveError::Crowded { free, floor }),
            false => Ok(()),
        }
    }

    pub(crate) fn directory(&mut self, path: &Path, mode: u32) -> Result<(), ArchiveError> {
        let Some((parent, name)) = self.place(path)? else {
            return Ok(());
        };
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(PARENT_MODE)) {
            Ok(()) => {}
            // One that was there keeps its mode: it may not be the archive's.
            Err(Errno::EXIST) if self.open(path).is_ok() => return Ok(()),
            Err(errno) => return Err(made(path, errno)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode & KEPT | DIRECTORY_MODE);
        rustix::fs::openat(&parent, name, flags, Mode::empty())
            .and_then(|directory| rustix::fs::fchmod(directory, mode))
            .map_err(|errno| made(path, errno))
    }

    pub(crate) fn file(
        &mut self,
        path: &Path,
        mode: u32,
        modified: Option<u64>,
        from: &mut dyn Read,
    ) -> Result<(), ArchiveError> {
        let (parent, name) = self.way(path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o600));
        let mut file = File::from(file.map_err(|errno| made(path, errno))?);
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut unseen = 0;
        loop {
            let count = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ArchiveError::Read(error)),
            };
            self.spend(count as u64)?;
            file.write_all(&buffer[..count])
                .map_err(|source| ArchiveError::Make {
                    path: shown(path),
                    source,
                })?;
            unseen += count as u64;
            if unseen >= PIECE_BYTES {
                unseen = 0;
                self.room()?;
            }
        }
        let finish = || {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & KEPT | 0o400))?;
            let Some(modified) = modified.and_then(|it| it.try_into().ok()) else {
                return Ok(());
            };
            let time = Timespec {
                tv_sec: modified,
                tv_nsec: 0,
            };
            let times = Timestamps {
                last_access: time,
                last_modification: time,
            };
            rustix::fs::futimens(&file, &times)
        };
        finish().map_err(|errno| made(path, errno))
    }

    /// Wherever it leads: nobody here follows it out of the directory.
    pub(crate) fn symlink(&mut self, path: &Path, to: &[u8]) -> Result<(), ArchiveError> {
        if to.is_empty() || to.len() > names::MAX_PATH_BYTES || to.contains(&0) {
            return Err(refused(path, "is a link to nothing"));
        }
        let (parent, name) = self.way(path)?;
        let linked = rustix::fs::symlinkat(OsStr::from_bytes(to), parent, name);
        linked.map_err(|errno| made(path, errno))
    }

    /// A second name of a file beneath the directory.
    pub(crate) fn link(&mut self, path: &Path, of: &[u8]) -> Result<(), ArchiveError> {
        let of = inner_path(of)?;
        let Some((directory, file)) = self.place(&of)? else {
            return Err(refused(path, "is a second name of nothing"));
        };
        // The way to the new name is made first: it may replace what it names.
        let (parent, name) = self.way_unless(path, |found| {
            rustix::fs::statat(&directory, file, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|of| (of.st_dev, of.st_ino) == found)
        })?;
        let Some(name) = name else {
            return Ok(());
        };
        let linked = rustix::fs::linkat(&directory, file, parent, name, AtFlags::empty());
        linked.map_err(|errno| made(path, errno))
    }

    /// Where a name that is not a directory goes; what had it makes way.
    fn way<'p>(&mut self, path: &'p Path) -> Result<(OwnedFd, &'p OsStr), ArchiveError> {
        match self.way_unless(path, |_| false)? {
            (parent, Some(name)) => Ok((parent, name)),
            (_, None) => Err(refused(path, "has no name")),
        }
    }

    /// No name: it is what is wanted already.
    fn way_unless<'p>(
        &mut self,
        path: &'p Path,
        is_it: impl Fn((u64, u64)) -> bool,
    ) -> Result<(OwnedFd, Option<&'p OsStr>), ArchiveError> {
        let Some((parent, name)) = self.place(path)? else {
            return Err(refused(path, "has no name"));
        };
        let found = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW);
        if found.is_ok_and(|found| is_it((found.st_dev, found.st_ino))) {
            return Ok((parent, None));
        }
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok((parent, Some(name))),
            Err(Errno::ISDIR) => Err(refused(path, "has the name of a directory that is there")),
            Err(errno) => Err(made(path, errno)),
        }
    }

    /// The directory above, made where it is missing, and the last name; `None` for the directory itself.
    fn place<'p>(&mut self, path: &'p Path) -> Result<Option<(OwnedFd, &'p OsStr)>, ArchiveError> {
        let Some(name) = path.file_name() else {
            return Ok(None);
        };
        let above = path.parent().unwrap_or_else(|| Path::new(""));
        if let Ok(found) = self.open(above) {
            return Ok(Some((found, name)));
        }
        let mut step = PathBuf::new();
        let mut parent = self.open(&step).map_err(|errno| made(path, errno))?;
        for name in above.components() {
            let mode = Mode::from_raw_mode(PARENT_MODE);
            match rustix::fs::mkdirat(&parent, name.as_os_str(), mode) {
                // The archive does not name it, and it takes as much as one that it names.
                Ok(()) => self.enter()?,
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(made(path, errno)),
            }
            step.push(name);
            parent = self.open(&step).map_err(|errno| made(path, errno))?;
        }
        Ok(Some((parent, name)))
    }

    /// A directory beneath, also by links that stay there.
    fn open(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let path = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(self.root.as_fd(), path, flags, Mode::empty(), resolve)
    }
}

/// A path of the archive as one below the directory.
pub(crate) fn inner_path(bytes: &[u8]) -> Result<PathBuf, ArchiveError> {
    let given = Path::new(OsStr::from_bytes(bytes));
    names::below(bytes, MAX_DEPTH).map_err(|why| refused(given, why))
}

fn made(path: &Path, errno: Errno) -> ArchiveError {
    ArchiveError::Make {
        path: shown(path),
        source: errno.into(),
    }
}

pub(crate) fn refused(path: &Path, why: &'static str) -> ArchiveError {
    ArchiveError::Entry {
        path: shown(path),
        why,
    }
}

fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    let start = text.chars().take(200);
    start.flat_map(char::escape_debug).collect()
}
