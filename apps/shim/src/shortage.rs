//! Owns noticing that the kernel killed a process of the container for want of memory: what is left of it is not what was
//! ordered, and ends (Mesos: `MemorySubsystemProcess::oomListen`). Only with cgroups v1; with v2 the kernel kills all.

use crate::waking::Also;
use rustix::event::EventfdFlags;
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const CONTROL: &str = "memory.oom_control";
/// The kernel tells before it kills, and of a limit of the container around this one also where it kills elsewhere: so
/// long it is asked whom.
const SUSPICION: Duration = Duration::from_secs(5);
/// The pause between two passes of killing.
const KILL_PAUSE: Duration = Duration::from_millis(50);

/// The watch over one cgroup's memory.
pub(crate) struct Shortage {
    events: OwnedFd,
    control: PathBuf,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Quiet,
    /// Somebody is, or was, to be killed.
    Suspected {
        since: Instant,
    },
    Struck,
}

impl Shortage {
    /// `dir`: the container's directory of the memory controller. Errors: the kernel does not tell.
    pub(crate) fn watch(dir: &Path) -> io::Result<Self> {
        let path = dir.join(CONTROL);
        if kills(&path).is_none() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let events = rustix::event::eventfd(0, flags)?;
        let control = File::open(&path)?;
        let order = format!("{} {}", events.as_raw_fd(), control.as_raw_fd());
        std::fs::write(dir.join("cgroup.event_control"), order)?;
        Ok(Self {
            events,
            control: path,
            state: State::Quiet,
        })
    }

    /// Whether the container is to be killed.
    pub(crate) fn has_struck(&mut self) -> bool {
        let told = self.take_event();
        if told && matches!(self.state, State::Quiet) {
            let since = Instant::now();
            self.state = State::Suspected { since };
        }
        if let State::Suspected { since } = self.state {
            if kills(&self.control).is_some_and(|kills| kills > 0) {
                self.state = State::Struck;
            } else if !told && since.elapsed() > SUSPICION {
                self.state = State::Quiet;
            }
        }
        matches!(self.state, State::Struck)
    }

    /// When it is to be asked again.
    pub(crate) fn wakes(&self) -> Also<'_> {
        let pause = match self.state {
            State::Quiet => None,
            State::Suspected { since } => Some(Duration::from_millis(1) + since.elapsed() / 2),
            State::Struck => Some(KILL_PAUSE),
        };
        let at = pause.map(|pause| Instant::now() + pause);
        Also::readable(self.events.as_fd()).by(at)
    }

    fn take_event(&self) -> bool {
        let mut count = [0; 8];
        loop {
            match rustix::io::read(&self.events, &mut count[..]) {
                Err(Errno::INTR) => {}
                read => return read.is_ok(),
            }
        }
    }
}

/// How many processes of this very cgroup were killed for memory; `None`: Linux before 4.13 does not count them.
fn kills(control: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(control).ok()?;
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count?.parse().ok()
}
