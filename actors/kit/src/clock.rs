//! The time of one node: monotonic time from tokio, so that a paused runtime pauses it, and wall time.
//!
//! Owns the coarse reading that makes stamping a message cost one atomic load. Never sleeps: waiting
//! is the business of [`Context`](crate::Context).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

/// The coarse reading is only rewritten when it is older than this, so that threads share its cache line.
const COARSE_GRAIN_NANOS: u64 = 1_000;

/// A cheap, cloneable clock. All clones share one origin and one coarse reading.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    origin: Instant,
    wall: Wall,
    coarse_nanos: CacheLine,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct CacheLine(AtomicU64);

#[derive(Debug)]
enum Wall {
    System,
    Simulated { origin_unix_nanos: u64 },
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::new(Wall::System)
    }

    /// A clock whose wall time starts at `start_unix_nanos` and follows the monotonic time of the
    /// runtime it is made in: virtual wall time on a paused runtime.
    pub fn simulated(start_unix_nanos: u64) -> Self {
        Self::new(Wall::Simulated {
            origin_unix_nanos: start_unix_nanos,
        })
    }

    fn new(wall: Wall) -> Self {
        Self(Arc::new(Shared {
            origin: Instant::now(),
            wall,
            coarse_nanos: CacheLine::default(),
        }))
    }

    /// Monotonic now, as tokio's timers understand it.
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// Monotonic nanoseconds since this clock was made.
    pub fn nanos(&self) -> u64 {
        self.nanos_at(Instant::now())
    }

    /// Nanoseconds between the making of this clock and `instant`; 0 for earlier instants.
    pub fn nanos_at(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.0.origin);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The instant `nanos` after this clock was made; what [`Clock::nanos_at`] turns back.
    pub fn instant_at(&self, nanos: u64) -> Instant {
        self.0.origin + Duration::from_nanos(nanos)
    }

    /// Wall time in nanoseconds since 1970. May jump; for people and for other machines only.
    pub fn unix_nanos(&self) -> u64 {
        match self.0.wall {
            Wall::Simulated { origin_unix_nanos } => origin_unix_nanos + self.nanos(),
            Wall::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| {
                    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
                }),
        }
    }

    /// The last reading any actor of this node took: at most one turn old while actors are busy.
    #[inline]
    pub(crate) fn coarse_nanos(&self) -> u64 {
        self.0.coarse_nanos.0.load(Relaxed)
    }

    /// Reads the clock and lets everybody know.
    #[inline]
    pub(crate) fn refresh(&self) -> u64 {
        let nanos = self.nanos();
        if nanos >= self.coarse_nanos() + COARSE_GRAIN_NANOS {
            self.0.coarse_nanos.0.store(nanos, Relaxed);
        }
        nanos
    }
}
