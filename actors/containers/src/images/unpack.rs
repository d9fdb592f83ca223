//! Owns unpacking one layer of an image into an empty directory, in the form overlayfs takes: what a layer removes is
//! a character device 0:0, a directory that hides the one below carries `trusted.overlay.opaque`.
//!
//! Layers come from strangers. Every name is resolved by the kernel as if the directory were the root of all, nothing
//! that is there already is written to: a name that comes again is another file, as in Docker. No device is made. Entries, bytes and what is read ahead are bounded.

use crate::images::taking::Taking;
use crate::removal;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tar::EntryType;
use tepui_archives::{Gauge, names};

/// What the layers of an image may hold together.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub entries: u64,
    /// Of all files together, holes included.
    pub bytes: u64,
    /// What stays free on the disk of the layers, for all others who write there.
    pub free_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            entries: 1_000_000,
            bytes: 64 << 30,
            free_bytes: 256 << 20,
        }
    }
}

/// After so much of a file the room on the disk is looked at again.
const PIECE_BYTES: u64 = 8 << 20;
/// Directories above a file.
const MAX_DEPTH: usize = 256;
/// Of all that a layer removes together, which is kept in memory to its end.
const MAX_REMOVED_BYTES: usize = 16 << 20;
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Devices beneath it are left out: a container has those of the agent's making.
const DEVICES: &str = "dev";
pub(crate) const OPAQUE_ATTRIBUTE: &str = "trusted.overlay.opaque";
const PARENT_MODE: Mode = Mode::from_raw_mode(0o755);
const PERMISSIONS: u32 = 0o7777;

/// Why a layer is not taken.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("the layer cannot be read ({0})")]
    Read(io::Error),
    #[error("the layer's entry '{path}' {why}")]
    Entry { path: String, why: &'static str },
    #[error("the layer's entry '{path}' cannot be made ({source})")]
    Make { path: String, source: io::Error },
    #[error("the image has more than {0} entries")]
    Entries(u64),
    #[error("the image has more than {0} bytes of files")]
    Bytes(u64),
    #[error(
        "the disk of --docker_store_dir has {free} bytes free where {floor} must stay so; remove images or make room"
    )]
    Full { free: u64, floor: u64 },
}

/// Unpacks the tar archive `layer` to its end into `directory`, which is empty and nobody else's.
pub fn unpack(
    layer: impl Read,
    directory: &OwnedFd,
    taking: &mut Taking,
) -> Result<(), UnpackError> {
    let gauge = Gauge::new(layer);
    let allowance = gauge.allowance();
    let mut archive = tar::Archive::new(gauge);
    let mut target = Target {
        root: directory,
        taking,
        removed: Vec::new(),
        removed_bytes: 0,
    };
    let mut entries = archive.entries().map_err(UnpackError::Read)?;
    loop {
        allowance.header();
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(UnpackError::Read)?;
        target.taking.enter()?;
        target.taking.room(directory)?;
        allowance.file();
        target.take(&mut entry)?;
        // What was left out is read here, not while the next header is looked for.
        target.skip(&mut entry)?;
    }
    target.remove()?;
    // To the end: the digest is that of all bytes.
    let rest = archive.into_inner().into_inner();
    let rest = rest.take(taking.bytes_left().saturating_add(1));
    taking.spend(drain(rest)?)
}

/// Reads to the end; says how much that was.
fn drain(mut rest: impl Read) -> Result<u64, UnpackError> {
    io::copy(&mut rest, &mut io::sink()).map_err(UnpackError::Read)
}

struct Target<'a> {
    root: &'a OwnedFd,
    taking: &'a mut Taking,
    /// What the layer takes from those below it: decided when all that it has itself is there.
    removed: Vec<PathBuf>,
    /// What the names of `removed` are long together.
    removed_bytes: usize,
}

impl Target<'_> {
    fn take<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<(), UnpackError> {
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader | EntryType::XHeader) {
            return Ok(());
        }
        let path = inner_path(&entry.path_bytes())?;
        let Some(name) = path.file_name().map(OsStr::to_owned) else {
            // The root itself: its owner and mode are the image's.
            return self.finish(self.root, entry, &path);
        };
        let parent = self.parent(&path)?;
        if name.as_bytes() == OPAQUE {
            return opaque(&parent).map_err(|errno| made(&path, errno));
        }
        if let Some(hidden) = name.as_bytes().strip_prefix(WHITEOUT) {
            let plain = !matches!(hidden, b"" | b"." | b"..");
            let hidden = path.with_file_name(OsStr::from_bytes(hidden));
            if !plain {
                return Err(refused(&path, "removes nothing"));
            }
            self.removed_bytes += hidden.as_os_str().len();
            if self.removed_bytes > MAX_REMOVED_BYTES {
                return Err(refused(&path, "removes more than one layer may"));
            }
            self.removed.push(hidden);
            return Ok(());
        }
        let name = Path::new(&name);
        if kind != EntryType::Directory {
            clear(&parent, name, &path)?;
        }
        match kind {
            EntryType::Directory => self.directory(&parent, name, entry, &path),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(&parent, name, entry, &path)
            }
            EntryType::Symlink => symlink(&parent, name, entry, &path),
            EntryType::Link => self.link(&parent, name, entry, &path),
            EntryType::Fifo => {
                let mode = Mode::from_raw_mode(0o600);
                let fifo = rustix::fs::mknodat(&parent, name, FileType::Fifo, mode, 0);
                fifo.map_err(|errno| made(&path, errno))?;
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let fifo = rustix::fs::openat(&parent, name, flags, Mode::empty());
                self.finish(&fifo.map_err(|errno| made(&path, errno))?, entry, &path)
            }
            EntryType::Char | EntryType::Block if path.starts_with(DEVICES) => Ok(()),
            EntryType::Char | EntryType::Block => {
                Err(refused(&path, "is a device, which no image may bring"))
            }
            _ => Err(refused(&path, "is of a kind that no file system has")),
        }
    }

    /// The directory above, made where the layer does not tell of it.
    fn parent(&self, path: &Path) -> Result<OwnedFd, UnpackError> {
        let above = path.parent().unwrap_or_else(|| Path::new(""));
        if let Ok(found) = enter(self.root, above) {
            return Ok(found);
        }
        let mut step = PathBuf::new();
        let mut parent = enter(self.root, &step).map_err(|errno| made(path, errno))?;
        for name in above.components() {
            match rustix::fs::mkdirat(&parent, name.as_os_str(), PARENT_MODE) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(made(path, errno)),
            }
            step.push(name);
            parent = enter(self.root, &step).map_err(|errno| made(path, errno))?;
        }
        Ok(parent)
    }

    fn directory<R: Read>(
        &self,
        parent: &OwnedFd,
        name: &Path,
        entry: &tar::Entry<'_, R>,
        path: &Path,
    ) -> Result<(), UnpackError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(parent, name, flags, Mode::empty());
        // One that is there was needed before it was told of, or comes again: then it keeps what is in it.
        let directory = open().or_else(|errno| match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => {
                clear(parent, name, path)?;
                rustix::fs::mkdirat(parent, name, PARENT_MODE)
                    .and_then(|()| open())
                    .map_err(|errno| made(path, errno))
            }
            errno => Err(made(path, errno)),
        })?;
        self.finish(&directory, entry, path)
    }

    fn file<R: Read>(
        &mut self,
        parent: &OwnedFd,
        name: &Path,
        entry: &mut tar::Entry<'_, R>,
        path: &Path,
    ) -> Result<(), UnpackError> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600));
        let mut file = File::from(file.map_err(|errno| made(path, errno))?);
        loop {
            let allowed = self.taking.bytes_left().saturating_add(1).min(PIECE_BYTES);
            let copied = io::copy(&mut entry.by_ref().take(allowed), &mut file);
            let copied = copied.map_err(|source| UnpackError::Make {
                path: shown(path),
                source,
            })?;
            self.taking.spend(copied)?;
            if copied < allowed {
                break;
            }
            self.taking.room(&file)?;
        }
        self.finish(&OwnedFd::from(file), entry, path)
    }

    /// A second name, of a file that this layer brought.
    fn link<R: Read>(
        &self,
        parent: &OwnedFd,
        name: &Path,
        entry: &tar::Entry<'_, R>,
        path: &Path,
    ) -> Result<(), UnpackError> {
        let of = entry.link_name_bytes().unwrap_or_default();
        let of = inner_path(&of)?;
        let Some(file_name) = of.file_name() else {
            return Err(refused(path, "is a second name of nothing"));
        };
        let directory = enter(self.root, of.parent().unwrap_or_else(|| Path::new("")));
        let directory = directory.map_err(|errno| made(path, errno))?;
        let linked = rustix::fs::linkat(&directory, file_name, parent, name, AtFlags::empty());
        linked.map_err(|errno| made(path, errno))
    }

    /// The owner first: it takes set-user-id from the mode.
    fn finish<R: Read>(
        &self,
        made_file: &OwnedFd,
        entry: &tar::Entry<'_, R>,
        path: &Path,
    ) -> Result<(), UnpackError> {
        let header = entry.header();
        let mode = header.mode().map_err(UnpackError::Read)?;
        let (user, group) = owner(header)?;
        let set = || -> Result<(), Errno> {
            rustix::fs::fchown(made_file, Some(user), Some(group))?;
            rustix::fs::fchmod(made_file, Mode::from_raw_mode(mode & PERMISSIONS))?;
            let modified = Timespec {
                tv_sec: header.mtime().unwrap_or(0).try_into().unwrap_or(0),
                tv_nsec: 0,
            };
            let times = Timestamps {
                last_access: modified,
                last_modification: modified,
            };
            rustix::fs::futimens(made_file, &times)
        };
        set().map_err(|errno| made(path, errno))
    }

    fn skip<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<(), UnpackError> {
        let allowed = self.taking.bytes_left().saturating_add(1);
        self.taking.spend(drain(entry.take(allowed))?)
    }

    /// What a layer has itself is not removed by it; a directory only hides the one below.
    fn remove(&mut self) -> Result<(), UnpackError> {
        for path in std::mem::take(&mut self.removed) {
            let parent = self.parent(&path)?;
            let name = path.file_name().unwrap_or_default();
            let kind = FileType::CharacterDevice;
            match rustix::fs::mknodat(&parent, name, kind, Mode::empty(), 0) {
                Ok(()) => {}
                Err(Errno::EXIST) => {
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
                    let found =
                        rustix::fs::openat(&parent, name, flags | OFlags::CLOEXEC, Mode::empty());
                    if let Ok(directory) = found {
                        opaque(&directory).map_err(|errno| made(&path, errno))?;
                    }
                }
                Err(errno) => return Err(made(&path, errno)),
            }
        }
        Ok(())
    }
}

fn symlink<R: Read>(
    parent: &OwnedFd,
    name: &Path,
    entry: &tar::Entry<'_, R>,
    path: &Path,
) -> Result<(), UnpackError> {
    let Some(to) = entry.link_name_bytes().filter(|to| !to.is_empty()) else {
        return Err(refused(path, "is a link to nothing"));
    };
    let (user, group) = owner(entry.header())?;
    // Wherever it leads: nobody here follows it, and in the container it stays in the container.
    rustix::fs::symlinkat(OsStr::from_bytes(&to), parent, name)
        .and_then(|()| {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(parent, name, Some(user), Some(group), flags)
        })
        .map_err(|errno| made(path, errno))
}

fn owner(header: &tar::Header) -> Result<(Uid, Gid), UnpackError> {
    let number = |number: io::Result<u64>| {
        let number = number.map_err(UnpackError::Read)?;
        // The highest number means "as it is".
        let number = u32::try_from(number).ok().filter(|it| *it != u32::MAX);
        number
            .ok_or_else(|| UnpackError::Read(io::Error::other("an owner has no number of a user")))
    };
    Ok((
        Uid::from_raw(number(header.uid())?),
        Gid::from_raw(number(header.gid())?),
    ))
}

/// A path of the archive as one below the root.
fn inner_path(bytes: &[u8]) -> Result<PathBuf, UnpackError> {
    let given = Path::new(OsStr::from_bytes(bytes));
    names::below(bytes, MAX_DEPTH).map_err(|why| refused(given, why))
}

/// The directory `path`, as one who has `root` for his whole file system finds it.
pub(crate) fn enter(root: impl AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    let path = match path.as_os_str().is_empty() {
        true => Path::new("."),
        false => path,
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)
}

/// Makes way for what a layer has under a name that it has had before.
fn clear(parent: &OwnedFd, name: &Path, path: &Path) -> Result<(), UnpackError> {
    let cleared = removal::remove_at(parent.as_fd(), name.as_os_str());
    cleared.map_err(|source| UnpackError::Make {
        path: shown(path),
        source,
    })
}

fn opaque(directory: &OwnedFd) -> Result<(), Errno> {
    rustix::fs::fsetxattr(directory, OPAQUE_ATTRIBUTE, b"y", XattrFlags::empty())
}

fn made(path: &Path, errno: Errno) -> UnpackError {
    UnpackError::Make {
        path: shown(path),
        source: errno.into(),
    }
}

fn refused(path: &Path, why: &'static str) -> UnpackError {
    UnpackError::Entry {
        path: shown(path),
        why,
    }
}

fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.chars()
        .take(200)
        .flat_map(char::escape_debug)
        .collect()
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
