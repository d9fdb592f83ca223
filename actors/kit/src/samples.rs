//! How long something took, as often as it was measured of late.
//!
//! Owns a window of an hour and the quantiles over it (Mesos `process/statistics.hpp`). Never reads a clock.

use std::{collections::VecDeque, time::Duration};

/// Mesos keeps an hour of its timers.
const WINDOW: Duration = Duration::from_secs(60 * 60);
/// The latest ones of an hour in which there were more.
const MAX_SAMPLES: usize = 1000;
/// Quantiles as metrics name them.
const QUANTILES: [(&str, f64); 6] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p999", 0.999),
    ("p9999", 0.9999),
];

/// See the module.
#[derive(Debug, Default)]
pub struct Samples {
    /// When each was measured, and how long it took; oldest first.
    samples: VecDeque<(Duration, Duration)>,
}

impl Samples {
    /// Adds one that was measured at `now`.
    pub fn add(&mut self, now: Duration, took: Duration) {
        let begin = now.saturating_sub(WINDOW);
        while self
            .samples
            .front()
            .is_some_and(|(at, _)| self.samples.len() == MAX_SAMPLES || *at < begin)
        {
            self.samples.pop_front();
        }
        self.samples.push_back((now, took));
    }

    /// The last one under `name`, and what is told of all below it, in milliseconds: nothing where nothing was
    /// measured, and nothing of all where it was only once.
    pub fn tell(&self, name: &str, mut put: impl FnMut(String, f64)) {
        let Some((_, last)) = self.samples.back() else {
            return;
        };
        put(name.to_owned(), millis(*last));
        if self.samples.len() < 2 {
            return;
        }
        let mut sorted: Vec<f64> = self.samples.iter().map(|(_, took)| millis(*took)).collect();
        sorted.sort_by(f64::total_cmp);
        put(format!("{name}/count"), sorted.len() as f64);
        put(format!("{name}/min"), sorted[0]);
        put(format!("{name}/max"), sorted[sorted.len() - 1]);
        for (quantile, part) in QUANTILES {
            put(format!("{name}/{quantile}"), at_part(&sorted, part));
        }
    }
}

/// The value at this part of the way, between two of the values where it falls between them.
fn at_part(sorted: &[f64], part: f64) -> f64 {
    let position = part * (sorted.len() - 1) as f64;
    let below = position as usize;
    let Some(above) = sorted.get(below + 1) else {
        return sorted[sorted.len() - 1];
    };
    sorted[below] + (position - below as f64) * (above - sorted[below])
}

/// As metrics tell times.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
#[path = "samples_tests.rs"]
mod tests;
