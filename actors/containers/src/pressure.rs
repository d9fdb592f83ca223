//! Owns counting how often the kernel was short of memory for a container (Mesos: `cgroups::memory::pressure`). Only v1
//! tells; the counting begins when somebody first asks, so that a container nobody asks about costs nothing.

use rustix::event::EventfdFlags;
use rustix::process::Resource;
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
pub(crate) struct Counters([Counter; 3], Share);

/// Descriptors that counters hold. The agent needs them for more than to be looked at, and who looks at all containers
/// does so again and again: counters never take more than a quarter of them.
static HELD: AtomicU64 = AtomicU64::new(0);

/// What one container's counters hold of these.
#[derive(Debug)]
struct Share;

/// How many descriptors each holds.
const SHARE: u64 = 3;

impl Share {
    fn of(most: Option<u64>) -> Option<Self> {
        let most = most.unwrap_or(u64::MAX) / 4;
        let more = |held: u64| held.checked_add(SHARE).filter(|&held| held <= most);
        let taken = HELD.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        // Not `then_some`: one that is made gives back when it is dropped.
        taken.is_ok().then(|| Self)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        HELD.fetch_sub(SHARE, Ordering::Relaxed);
    }
}

impl Counters {
    /// `dir`: the container's directory of the memory controller. Errors: [`io::ErrorKind::QuotaExceeded`] if counters
    /// hold as many descriptors as they may; the kernel does not tell.
    pub(crate) fn new(dir: &Path) -> io::Result<Self> {
        let limit = rustix::process::getrlimit(Resource::Nofile).current;
        let share = Share::of(limit).ok_or(io::ErrorKind::QuotaExceeded)?;
        let counters = [
            Counter::new(dir, "low")?,
            Counter::new(dir, "medium")?,
            Counter::new(dir, "critical")?,
        ];
        Ok(Self(counters, share))
    }

    pub(crate) fn read(&self) -> Pressure {
        let Self([low, medium, critical], _) = self;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_take_no_more_than_a_quarter_of_the_descriptors() {
        let shares: Vec<_> = std::iter::from_fn(|| Share::of(Some(1024))).collect();
        assert_eq!(shares.len(), 85);
        drop(shares);
        assert!(Share::of(Some(1024)).is_some());
        assert!(Share::of(None).is_some());
    }
}
