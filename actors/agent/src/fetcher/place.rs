//! Where in a sandbox a file goes. Tasks beside this one may change names there at any moment: each step is taken by
//! descriptor, and none is a link.

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Component, Path},
};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags},
    io::Errno,
};

/// A name in a directory that is in the sandbox.
pub(super) struct Place {
    directory: OwnedFd,
    name: OsString,
}

impl Place {
    /// Makes the directories above `name`, and makes way for it.
    pub(super) fn find(sandbox: &Path, name: &Path) -> Result<Self, String> {
        let Self { directory, name } = Self::above(sandbox, name)?;
        match rustix::fs::unlinkat(&directory, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => return Err("the output file is a directory".to_owned()),
            Err(errno) => return Err(text(errno)),
        }
        Ok(Self { directory, name })
    }

    /// As [`Self::find`], and leaves what has that name.
    pub(super) fn above(sandbox: &Path, name: &Path) -> Result<Self, String> {
        let plain = name
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        let Some(last) = name.file_name().filter(|_| plain) else {
            return Err("the output file must be a relative path without '..'".to_owned());
        };
        let mut directory = open(CWD, sandbox).map_err(text)?;
        for part in name.parent().into_iter().flat_map(Path::components) {
            let part = Path::new(part.as_os_str());
            match rustix::fs::mkdirat(&directory, part, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(text(errno)),
            }
            directory = open(&directory, part).map_err(|errno| match errno {
                Errno::LOOP | Errno::NOTDIR => {
                    "the way to the output file is not a directory".to_owned()
                }
                errno => text(errno),
            })?;
        }
        Ok(Self {
            directory,
            name: last.to_owned(),
        })
    }

    /// The file, new and empty.
    pub(super) fn create(&self) -> Result<File, String> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let made = rustix::fs::openat(&self.directory, &self.name, flags, mode);
        made.map(File::from).map_err(text)
    }

    /// The file as it was written, to be read.
    pub(super) fn open(&self) -> Result<File, String> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.directory, &self.name, flags, Mode::empty());
        opened.map(File::from).map_err(text)
    }

    pub(super) fn name(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }
}

/// The sandbox's `stderr`, to go on with.
pub(super) fn open_log(sandbox: &Path) -> Result<File, String> {
    let directory = open(CWD, sandbox).map_err(text)?;
    let flags = OFlags::WRONLY
        | OFlags::CREATE
        | OFlags::APPEND
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(&directory, "stderr", flags, Mode::from_raw_mode(0o644));
    opened.map(File::from).map_err(text)
}

/// A directory that is no link.
pub(super) fn open(at: impl AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, path, flags, Mode::empty())
}

pub(super) fn text(errno: Errno) -> String {
    io::Error::from(errno).to_string()
}
