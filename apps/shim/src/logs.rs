//! Owns moving what a command says from pipes into files that are bounded. The command waits while the disk is slow, as
//! it would with files of its own; nothing is held here but one chunk.

use crate::log_file::LogFile;
use crate::sys;
use crate::terminal::CommandEnds;
use crate::waking::{Also, time_until};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};
use tepui_containers::record::{LaunchFailure, Stage};
use tepui_containers::rotation::{Bound, Rotation};
use tepui_containers::spec::ShimSpec;

/// As much as a pipe holds.
const CHUNK_BYTES: usize = 64 << 10;
/// What a command said last is waited for so long after its end.
const FAREWELL: Duration = Duration::from_secs(5);

/// The output of one container.
pub(crate) struct Logs {
    sources: Vec<Source>,
    children: OwnedFd,
    chunk: Vec<u8>,
}

struct Source {
    pipe: OwnedFd,
    file: LogFile,
}

/// Makes pipes and files. Errors: the first that could not be made.
pub(crate) fn open(
    spec: &ShimSpec,
    rotation: &Rotation,
) -> Result<(CommandEnds, Logs), LaunchFailure> {
    let (out, stdout) = source(spec, &spec.stdout, rotation.stdout).map_err(at(Stage::Stdout))?;
    let (err, stderr) = source(spec, &spec.stderr, rotation.stderr).map_err(at(Stage::Stderr))?;
    let children = sys::child_signals().map_err(at(Stage::Stdout))?;
    let logs = Logs {
        sources: vec![out, err],
        children,
        chunk: vec![0; CHUNK_BYTES],
    };
    Ok((CommandEnds::of_output(stdout, stderr), logs))
}

fn source(spec: &ShimSpec, name: &OsStr, bound: Bound) -> Result<(Source, OwnedFd), Errno> {
    let file = LogFile::open(spec, name, Some(bound))?;
    let pipe = std::io::pipe();
    let (pipe, command) =
        pipe.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let pipe = OwnedFd::from(pipe);
    rustix::io::ioctl_fionbio(&pipe, true)?;
    Ok((Source { pipe, file }, command.into()))
}

fn at(stage: Stage) -> impl Fn(Errno) -> LaunchFailure {
    move |errno| LaunchFailure {
        stage,
        errno: errno.raw_os_error(),
    }
}

impl Logs {
    /// Moves what there is, and waits until there is something or a child has ended.
    pub(crate) fn turn(&mut self, also: Also<'_>) {
        self.pass(also);
    }

    /// After the command's end: until all it said is written, or for [`FAREWELL`].
    pub(crate) fn finish(mut self) {
        let deadline = Instant::now() + FAREWELL;
        while !self.sources.is_empty() {
            if Instant::now() >= deadline {
                return;
            }
            self.pass(Also::at(deadline));
        }
    }

    fn pass(&mut self, also: Also<'_>) {
        let left = also.at.map(time_until);
        let watched = std::iter::once(self.children.as_fd());
        let watched = watched.chain(self.sources.iter().map(|source| source.pipe.as_fd()));
        let mut polled: Vec<PollFd<'_>> = watched
            .chain(also.descriptors())
            .map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN))
            .collect();
        if poll(&mut polled, left.as_ref()).is_err() {
            return;
        }
        let ready: Vec<bool> = polled.iter().map(|it| !it.revents().is_empty()).collect();
        if ready[0] {
            sys::take_child_signal(&self.children);
        }
        let mut ready = ready.into_iter().skip(1);
        let chunk = &mut self.chunk;
        self.sources
            .retain_mut(|source| ready.next() != Some(true) || source.take(chunk));
    }
}

/// Waits for the end of a child alone.
pub(crate) fn wait_for_child(children: &OwnedFd, also: Also<'_>) {
    let left = also.at.map(time_until);
    let watched = std::iter::once(children.as_fd()).chain(also.descriptors());
    let mut polled: Vec<PollFd<'_>> = watched
        .map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN))
        .collect();
    if poll(&mut polled, left.as_ref()).is_ok() {
        // Not there, if something else has come.
        sys::take_child_signal(children);
    }
}

impl Source {
    /// Moves one chunk; says whether more may come.
    fn take(&mut self, chunk: &mut [u8]) -> bool {
        match rustix::io::read(&self.pipe, &mut *chunk) {
            Ok(0) => false,
            Ok(length) => {
                self.file.append(&chunk[..length]);
                true
            }
            Err(errno) => matches!(errno, Errno::INTR | Errno::AGAIN),
        }
    }
}
