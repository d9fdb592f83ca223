//! Owns a file of the sandbox that the shim writes in a command's place: opening it with the rights of the command's
//! user, and keeping it within its bound. The command may do what it likes in the sandbox meanwhile.

use crate::child::{open_output, open_sandbox};
use crate::sys;
use rustix::fs::AtFlags;
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::OwnedFd;
use tepui_containers::rotation::{Bound, earlier};
use tepui_containers::spec::{Credentials, ShimSpec};

/// A file that gets output.
pub(crate) struct LogFile {
    file: File,
    bounded: Option<Bounded>,
}

struct Bounded {
    bound: Bound,
    size: u64,
    sandbox: OwnedFd,
    name: OsString,
    user: Option<Credentials>,
}

impl LogFile {
    /// Opens it for appending.
    pub(crate) fn open(spec: &ShimSpec, name: &OsStr, bound: Option<Bound>) -> Result<Self, Errno> {
        let user = spec.credentials.clone();
        // The way there may lead through what only the agent may enter.
        let sandbox = open_sandbox(&spec.sandbox)?;
        let file = with_rights_of(user.as_ref(), || {
            open_output(&sandbox, name).map(File::from)
        })?;
        let size = size_of(&file)?;
        let bounded = bound.map(|bound| Bounded {
            bound,
            size,
            sandbox,
            name: name.to_owned(),
            user,
        });
        Ok(Self { file, bounded })
    }

    /// Appends. What a full disk does not take is lost: the command is not to be held up for it.
    pub(crate) fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let part = &bytes[..self.room(bytes.len())];
            match self.file.write(part) {
                Ok(0) => return,
                Ok(taken) => {
                    bytes = &bytes[taken..];
                    if let Some(bounded) = &mut self.bounded {
                        bounded.size += taken as u64;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// How much of `wanted` fits into the file; a full one makes way for a new one. At least 1.
    fn room(&mut self, wanted: usize) -> usize {
        let Some(bounded) = &mut self.bounded else {
            return wanted;
        };
        if bounded.size >= bounded.bound.max_bytes {
            // The command has put something in the way, or may not write there any more.
            if let Ok(file) = bounded.make_way() {
                self.file = file;
            } else if rustix::fs::ftruncate(&self.file, 0).is_ok() {
                bounded.size = 0;
            }
        }
        let room = bounded.bound.max_bytes.saturating_sub(bounded.size).max(1);
        usize::try_from(room).map_or(wanted, |room| room.min(wanted))
    }
}

impl Bounded {
    /// Renames the files, and opens a new one with room in it.
    fn make_way(&mut self) -> Result<File, Errno> {
        let (sandbox, name) = (&self.sandbox, self.name.as_os_str());
        let file = with_rights_of(self.user.as_ref(), || {
            let kept = self.bound.kept;
            for number in (1..kept).rev() {
                let (from, to) = (earlier(name, number), earlier(name, number + 1));
                match rustix::fs::renameat(sandbox, from, sandbox, to) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(errno) => return Err(errno),
                }
            }
            let moved = match kept {
                0 => rustix::fs::unlinkat(sandbox, name, AtFlags::empty()),
                _ => rustix::fs::renameat(sandbox, name, sandbox, earlier(name, 1)),
            };
            match moved {
                // The command has moved it away itself.
                Ok(()) | Err(Errno::NOENT) => open_output(sandbox, name).map(File::from),
                Err(errno) => Err(errno),
            }
        })?;
        self.size = size_of(&file)?;
        if self.size >= self.bound.max_bytes {
            return Err(Errno::EXIST);
        }
        Ok(file)
    }
}

fn size_of(file: &File) -> Result<u64, Errno> {
    let found = rustix::fs::fstat(file)?;
    Ok(u64::try_from(found.st_size).unwrap_or(0))
}

/// Opens and renames files as the command itself could.
fn with_rights_of<T>(
    user: Option<&Credentials>,
    work: impl FnOnce() -> Result<T, Errno>,
) -> Result<T, Errno> {
    let Some(user) = user else {
        return work();
    };
    let own = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let groups = rustix::process::getgroups()?;
    let theirs: Vec<_> = user
        .groups
        .iter()
        .map(|&group| rustix::process::Gid::from_raw(group))
        .collect();
    rustix::thread::set_thread_groups(&theirs)?;
    let done = sys::set_file_user(user.uid, user.gid).and_then(|()| work());
    sys::set_file_user(own.0, own.1)?;
    rustix::thread::set_thread_groups(&groups)?;
    done
}
