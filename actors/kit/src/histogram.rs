//! A histogram of durations that one thread writes with plain stores and any thread reads.
//!
//! Owns two windows: the current and the one before, so that a reading speaks of the recent past and
//! not of the whole life. Resolution is a quarter of an octave (about 12 % either way).

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Durations below 2^7 ns share the first bucket.
const FIRST_OCTAVE: u32 = 7;
/// Durations from 2^39 ns (nine minutes) share the last.
const LAST_OCTAVE: u32 = 38;
const BUCKETS: usize = 1 + (LAST_OCTAVE - FIRST_OCTAVE + 1) as usize * 4;

/// Two windows of buckets; which of them is current is the writer's knowledge.
#[derive(Debug)]
pub(crate) struct Histogram {
    windows: [[AtomicU32; BUCKETS]; 2],
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self {
            windows: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU32::new(0))),
        }
    }

    /// Counts a duration `weight` times. Only the owning actor calls this.
    pub(crate) fn record(&self, window: usize, nanos: u64, weight: u32) {
        let bucket = &self.windows[window][bucket_of(nanos)];
        bucket.store(bucket.load(Relaxed).saturating_add(weight), Relaxed);
    }

    /// Forgets one window. Only the owning actor calls this.
    pub(crate) fn clear(&self, window: usize) {
        for bucket in &self.windows[window] {
            bucket.store(0, Relaxed);
        }
    }
}

/// The sum of any number of histograms, for quantiles.
#[derive(Debug)]
pub(crate) struct Summary {
    buckets: [u64; BUCKETS],
    total: u64,
}

impl Summary {
    pub(crate) fn new() -> Self {
        Self {
            buckets: [0; BUCKETS],
            total: 0,
        }
    }

    pub(crate) fn add(&mut self, histogram: &Histogram) {
        for window in &histogram.windows {
            for (sum, bucket) in self.buckets.iter_mut().zip(window) {
                let count = u64::from(bucket.load(Relaxed));
                *sum += count;
                self.total += count;
            }
        }
    }

    /// How many durations were counted.
    #[cfg(test)]
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The duration in microseconds that `permille` of 1000 do not exceed; 0 without data.
    pub(crate) fn quantile_us(&self, permille: u64) -> f64 {
        let wanted = (self.total * permille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return middle_us(bucket);
            }
        }
        0.0
    }
}

fn bucket_of(nanos: u64) -> usize {
    if nanos < 1 << FIRST_OCTAVE {
        return 0;
    }
    let octave = nanos.ilog2();
    if octave > LAST_OCTAVE {
        return BUCKETS - 1;
    }
    let quarter = (nanos >> (octave - 2)) & 3;
    1 + (octave - FIRST_OCTAVE) as usize * 4 + quarter as usize
}

#[expect(
    clippy::cast_precision_loss,
    reason = "below 2^40, and shown to people"
)]
fn middle_us(bucket: usize) -> f64 {
    let Some(index) = bucket.checked_sub(1) else {
        return 0.064;
    };
    let octave = FIRST_OCTAVE as usize + index / 4;
    let quarter = (1_u64 << octave) / 4;
    let middle = (1_u64 << octave) + quarter * (index as u64 % 4) + quarter / 2;
    middle as f64 / 1000.0
}

#[cfg(test)]
#[path = "histogram_tests.rs"]
mod tests;
