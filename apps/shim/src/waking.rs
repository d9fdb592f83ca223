//! What ends a wait of the shim besides what it is for.

use rustix::event::Timespec;
use std::os::fd::BorrowedFd;
use std::time::Instant;

/// Descriptors that become readable, and a moment.
#[derive(Clone, Copy, Default)]
pub(crate) struct Also<'a> {
    readable: [Option<BorrowedFd<'a>>; 2],
    pub(crate) at: Option<Instant>,
}

impl<'a> Also<'a> {
    pub(crate) fn readable(descriptor: BorrowedFd<'a>) -> Self {
        Self {
            readable: [Some(descriptor), None],
            at: None,
        }
    }

    pub(crate) fn at(at: Instant) -> Self {
        Self {
            at: Some(at),
            ..Self::default()
        }
    }

    /// No later than then.
    pub(crate) fn by(self, at: Option<Instant>) -> Self {
        let at = self.at.into_iter().chain(at).min();
        Self { at, ..self }
    }

    /// The first descriptor of each.
    pub(crate) fn and(self, other: Self) -> Self {
        let readable = [self.readable[0], other.readable[0]];
        Self { readable, ..self }.by(other.at)
    }

    pub(crate) fn descriptors(self) -> impl Iterator<Item = BorrowedFd<'a>> {
        self.readable.into_iter().flatten()
    }
}

/// Nothing, if it is past.
pub(crate) fn time_until(at: Instant) -> Timespec {
    let left = at.saturating_duration_since(Instant::now());
    Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: left.subsec_nanos().into(),
    }
}
