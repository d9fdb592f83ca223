//! Owns a copy of the shim in memory that nobody can write to, root in a container included.
//!
//! What a container runs can name the program that started it (`/proc/self/exe`, as the interpreter of a script) and,
//! once that has ended, write to its file. For containers that see files of strangers that file must not be the one
//! every later shim is started from (CVE-2019-5736, and Mesos' own in 2019).

use crate::error::Error;
use rustix::fs::{MemfdFlags, SealFlags};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The copy.
#[derive(Debug)]
pub(crate) struct Sealed(OwnedFd);

impl Sealed {
    /// Copies `program`. Errors: it cannot be read, or memory holds no programs on this machine.
    pub(crate) fn copy_of(program: &Path) -> Result<Self, Error> {
        let mut from = File::open(program).map_err(Error::file("read the shim", program))?;
        let mut copy = || -> io::Result<OwnedFd> {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let mut copy = File::from(rustix::fs::memfd_create("tepui-shim", flags)?);
            io::copy(&mut from, &mut copy)?;
            let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
            rustix::fs::fcntl_add_seals(&copy, seals)?;
            Ok(copy.into())
        };
        copy()
            .map(Self)
            .map_err(Error::kernel("keep a copy of the shim in memory"))
    }

    /// What a child of this process can start it by.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

#[cfg(test)]
#[path = "sealed_tests.rs"]
mod tests;
