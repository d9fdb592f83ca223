//! Owns counting how often the kernel was short of memory for a container (Mesos: `cgroups::memory::pressure`). Only v1
//! tells; the counting begins when somebody first asks, so that a container nobody asks about costs nothing.

use rustix::event::EventfdFlags;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often each level was reached since the counting began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    pub low: u64,
    pub medium: u64,
    pub critical: u64,
}

#[derive(Debug)]
struct Counter {
    events: OwnedFd,
    counted: AtomicU64,
}

/// The three counters of one container. The kernel forgets them with their descriptors.
#[derive(Debug)]
pub(crate) struct Counters([Counter; 3]);

impl Counters {
    /// `dir`: the container's directory of the memory controller.
    pub(crate) fn new(dir: &Path) -> io::Result<Self> {
        Ok(Self([
            Counter::new(dir, "low")?,
            Counter::new(dir, "medium")?,
            Counter::new(dir, "critical")?,
        ]))
    }

    pub(crate) fn read(&self) -> Pressure {
        let [low, medium, critical] = &self.0;
        Pressure {
            low: low.read(),
            medium: medium.read(),
            critical: critical.read(),
        }
    }
}

impl Counter {
    fn new(dir: &Path, level: &str) -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let events = rustix::event::eventfd(0, flags)?;
        let levels = File::open(dir.join("memory.pressure_level"))?;
        let order = format!("{} {} {level}", events.as_raw_fd(), levels.as_raw_fd());
        std::fs::write(dir.join("cgroup.event_control"), order)?;
        Ok(Self {
            events,
            counted: AtomicU64::new(0),
        })
    }

    fn read(&self) -> u64 {
        let mut new = [0; 8];
        // Nothing to read means that nothing has happened.
        let new = match rustix::io::read(&self.events, &mut new[..]) {
            Ok(8) => u64::from_ne_bytes(new),
            _ => 0,
        };
        self.counted.fetch_add(new, Ordering::Relaxed) + new
    }
}
