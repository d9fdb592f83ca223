//! Owns the files of a container's output in its sandbox, and how far they go: what was written is never written again,
//! also by an agent that comes after a `kill -9`.
//!
//! The task may write to its sandbox too, so no name in it is followed: a file that is not a plain one is replaced.

use super::error::EngineError;
use super::frames::Frame;
use super::position::Position;
use crate::rotation::{Bound, Rotation, earlier};
use crate::spec::Credentials;
use rustix::fs::{AtFlags, Mode, OFlags};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

const NAMES: [&str; 2] = ["stdout", "stderr"];
const FILE_MODE: u32 = 0o644;
/// A record of the position, blanks at its end: it is replaced by one write.
const RECORD_BYTES: usize = 192;

/// The open files.
#[derive(Debug)]
pub struct Sink {
    sandbox: OwnedFd,
    shown: PathBuf,
    files: [File; 2],
    owner: Option<Credentials>,
    bounds: [Option<Bound>; 2],
    record: File,
    position: Position,
}

impl Sink {
    /// Opens the files, and cuts off what was written after the position in the file `record`. Blocks.
    ///
    /// # Errors
    /// The disk fails, or the sandbox is gone.
    pub fn open(
        sandbox: &Path,
        owner: Option<Credentials>,
        rotation: Option<Rotation>,
        record: &Path,
    ) -> Result<Self, EngineError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| EngineError::File {
                action,
                path,
                source,
            }
        };
        let known = match std::fs::read_to_string(record) {
            Ok(text) => Position::read(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed("read", record)(error)),
        };
        let directory = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let opened = rustix::fs::open(sandbox, directory, Mode::empty());
        let directory =
            opened.map_err(|errno| failed("open the sandbox", sandbox)(errno.into()))?;
        let mut position = known.unwrap_or_default();
        let open = |number: usize| {
            let file = open_file(&directory, NAMES[number], owner.as_ref())?;
            // What an agent wrote and did not note it will write again.
            if known.is_some() && file.metadata()?.len() > position.lengths[number] {
                file.set_len(position.lengths[number])?;
            }
            Ok(file)
        };
        let files = [open(0), open(1)]
            .into_iter()
            .collect::<io::Result<Vec<_>>>();
        let files = files.map_err(failed("open the output in", sandbox))?;
        for (length, file) in position.lengths.iter_mut().zip(&files) {
            let metadata = file.metadata();
            *length = metadata
                .map_err(failed("look at the output in", sandbox))?
                .len();
        }
        let mut options = File::options();
        let record_file = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(record);
        let record = record_file.map_err(failed("open", record))?;
        let [out, errors] = <[File; 2]>::try_from(files)
            .map_err(|_| EngineError::Broken("there are two files of output".to_owned()))?;
        let sink = Self {
            sandbox: directory,
            shown: sandbox.to_owned(),
            files: [out, errors],
            owner,
            bounds: [rotation.map(|it| it.stdout), rotation.map(|it| it.stderr)],
            record,
            position,
        };
        // What is written from here on and not noted is cut off by the next.
        let noted = sink.note();
        noted.map_err(failed("note the output in", &sink.shown))?;
        Ok(sink)
    }

    fn note(&self) -> io::Result<()> {
        let record = self.position.record();
        let record = format!("{record:<width$}\n", width = RECORD_BYTES - 1);
        self.record.write_all_at(record.as_bytes(), 0)
    }

    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Appends frames, and notes it. Blocks.
    pub(super) fn write(&mut self, frames: &[Frame]) -> Result<(), EngineError> {
        let written = frames.iter().try_for_each(|frame| self.append(frame));
        let noted = written.and_then(|()| self.note());
        noted.map_err(|source| EngineError::File {
            action: "write the output in",
            path: self.shown.clone(),
            source,
        })
    }

    fn append(&mut self, frame: &Frame) -> io::Result<()> {
        let number = usize::from(frame.is_error);
        let length = frame.text.len() as u64;
        let is_full = |bound: Bound| self.position.lengths[number] + length > bound.max_bytes;
        if let Some(bound) = self.bounds[number].filter(|it| is_full(*it))
            && self.position.lengths[number] > 0
        {
            self.rotate(number, bound)?;
        }
        if let Err(error) = self.files[number].write_all(&frame.text) {
            // A part of it may be there, and will come again.
            let _ = self.files[number].set_len(self.position.lengths[number]);
            return Err(error);
        }
        self.position.lengths[number] += length;
        self.position.count(frame.at_ns);
        Ok(())
    }

    fn rotate(&mut self, number: usize, bound: Bound) -> io::Result<()> {
        let name = OsStr::new(NAMES[number]);
        let directory = &self.sandbox;
        for older in (1..=bound.kept).rev() {
            let from = match older {
                1 => name.to_owned(),
                _ => earlier(name, older - 1),
            };
            // The first times there are fewer.
            let _ = rustix::fs::renameat(directory, &from, directory, earlier(name, older));
        }
        if bound.kept == 0 {
            rustix::fs::unlinkat(directory, name, AtFlags::empty())?;
        }
        self.files[number] = open_file(directory, NAMES[number], self.owner.as_ref())?;
        self.position.lengths[number] = 0;
        Ok(())
    }
}

/// A plain file with one name, made where it is missing.
fn open_file(directory: &OwnedFd, name: &str, owner: Option<&Credentials>) -> io::Result<File> {
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::CLOEXEC;
    let open = || {
        let file = rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(FILE_MODE))?;
        let file = File::from(file);
        let metadata = file.metadata()?;
        let is_plain = metadata.is_file() && metadata.nlink() == 1;
        io::Result::Ok(Some(file).filter(|_| is_plain))
    };
    let file = match open() {
        Ok(Some(file)) => file,
        // A link, a directory, a pipe: whoever put it there has no output for it.
        _ => {
            let aside = format!("{name}.aside");
            rustix::fs::renameat(directory, name, directory, aside)?;
            let odd = || io::Error::other("is replaced again and again by what is no plain file");
            open()?.ok_or_else(odd)?
        }
    };
    if let Some(owner) = owner {
        let (uid, gid) = (crate::sandbox::uid(owner), crate::sandbox::gid(owner));
        rustix::fs::fchown(file.as_fd(), uid, gid)?;
    }
    Ok(file)
}
