//! Owns the directory of the cache: the agent's alone, and reached by what was opened at the start, so that no name that
//! somebody else puts in its place is followed.

use std::{
    fs::{self, File},
    io,
    os::fd::OwnedFd,
    path::Path,
};

use rustix::{
    fs::{AtFlags, Dir, Mode, OFlags},
    io::Errno,
};

/// In the directory that the operator named, where there may be files of others.
pub(super) const OWN: &str = "tepui";
/// Nobody else looks into it: what was fetched for one user is not for all.
const DIRECTORY_MODE: u32 = 0o700;
/// That of copies in sandboxes.
const FILE_MODE: u32 = 0o644;

#[derive(Debug)]
pub(super) struct Directory(OwnedFd);

impl Directory {
    /// Makes it where it is missing, in `within`. Errors: it is a link or a file, or somebody else's.
    pub(super) fn open(within: &Path) -> io::Result<Self> {
        fs::create_dir_all(within)?;
        let path = within.join(OWN);
        match rustix::fs::mkdir(&path, Mode::from_raw_mode(DIRECTORY_MODE)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&path, flags, Mode::empty());
        let opened = opened.map_err(|errno| match errno {
            Errno::LOOP | Errno::NOTDIR => {
                io::Error::other(format!("'{OWN}' in it is not a directory; remove it"))
            }
            other => other.into(),
        })?;
        let owner = rustix::fs::fstat(&opened)?.st_uid;
        let own = rustix::process::geteuid().as_raw();
        if owner != own {
            return Err(io::Error::other(format!(
                "'{OWN}' in it belongs to user {owner} and not to {own}, who runs the agent; remove it"
            )));
        }
        rustix::fs::fchmod(&opened, Mode::from_raw_mode(DIRECTORY_MODE))?;
        Ok(Self(opened))
    }

    /// What is in it.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    /// A new file, to be written.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(FILE_MODE);
        Ok(rustix::fs::openat(&self.0, name, flags, mode)?.into())
    }

    /// A file, from its beginning.
    pub(super) fn read(&self, name: &str) -> io::Result<File> {
        // A pipe of this name must not keep anybody waiting.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.0, name, flags, Mode::empty())?.into())
    }

    /// Only complains where that is impossible, such as of a directory.
    pub(super) fn remove(&self, name: &str) {
        match rustix::fs::unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => {
                tracing::warn!(name, %error, "a file of the fetcher's cache is not removed");
            }
        }
    }
}
