//! Owns how far a container's output was written, so that a frame which comes again is known. Pure.
//!
//! An engine takes the time of a line before it puts it in order with those of the other stream, so lines come up to a
//! moment late. What lasts is their order and how many there are since a time: that is what is counted here.

use super::frames;

/// How late a line may come, in nanoseconds.
const DISORDER_NS: u64 = 1_000_000_000;
/// What comes later than this comes from a clock that was set back.
const SET_BACK_NS: u64 = 10 * DISORDER_NS;

/// How many frames of a time and later were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// In nanoseconds since the epoch.
    pub at_ns: u64,
    pub frames: u64,
}

/// How far output was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Where the next pass begins: no frame before it is still to come.
    pub from: Mark,
    /// Takes the place of `from` in time.
    next: Mark,
    newest_ns: u64,
    /// Bytes in the files: of output, of errors.
    pub lengths: [u64; 2],
}

impl Position {
    /// `None`: it is no record.
    pub(super) fn read(text: &str) -> Option<Self> {
        Self::read_earlier(text).or_else(|| Self::read_own(text))
    }

    /// Of versions that knew the newest time alone, and how many frames had it.
    fn read_earlier(text: &str) -> Option<Self> {
        let words: Vec<_> = text.split_whitespace().collect();
        let [at, frames, out, errors] = *words.as_slice() else {
            return None;
        };
        let at_ns = if at == "-" { 0 } else { frames::unix_ns(at)? };
        let from = Mark {
            at_ns,
            frames: frames.parse().ok()?,
        };
        Some(Self {
            from,
            next: from,
            newest_ns: at_ns,
            lengths: [out.parse().ok()?, errors.parse().ok()?],
        })
    }

    fn read_own(text: &str) -> Option<Self> {
        let words = text.split_whitespace().map(|it| it.parse().ok());
        let words: Vec<u64> = words.collect::<Option<_>>()?;
        let [at_ns, frames, out, errors, next_ns, next, newest_ns] = *words.as_slice() else {
            return None;
        };
        Some(Self {
            from: Mark { at_ns, frames },
            next: Mark {
                at_ns: next_ns,
                frames: next,
            },
            newest_ns,
            lengths: [out, errors],
        })
    }

    pub(super) fn record(&self) -> String {
        let Self { from, next, .. } = self;
        let [out, errors] = self.lengths;
        format!(
            "{} {} {out} {errors} {} {} {}",
            from.at_ns, from.frames, next.at_ns, next.frames, self.newest_ns
        )
    }

    /// Counts a frame that was written.
    pub(super) fn count(&mut self, at_ns: u64) {
        if self.newest_ns > at_ns.saturating_add(SET_BACK_NS) {
            // An engine that is asked for what came since a time would leave out all until the clock is there again: rather
            // some lines come twice, if it is asked.
            self.from = Mark { at_ns, frames: 1 };
            self.next = self.from;
            self.newest_ns = at_ns;
            return;
        }
        self.newest_ns = self.newest_ns.max(at_ns);
        for mark in [&mut self.from, &mut self.next] {
            mark.frames += u64::from(at_ns >= mark.at_ns);
        }
        if at_ns >= self.next.at_ns.saturating_add(DISORDER_NS) {
            self.from = self.next;
            self.next = Mark { at_ns, frames: 1 };
        }
    }

    /// Whether a frame that an engine sends is one of those written; `seen` counts them since the pass began.
    pub(super) fn has(&self, at_ns: u64, seen: &mut u64) -> bool {
        // An engine may begin earlier than it was asked; once all were seen those that follow are new.
        if at_ns < self.from.at_ns {
            return *seen < self.from.frames;
        }
        let has = *seen < self.from.frames && at_ns <= self.newest_ns;
        *seen += u64::from(has);
        has
    }
}
