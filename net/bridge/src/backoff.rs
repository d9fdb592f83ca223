//! How long to wait before the next attempt. Pure: randomness comes from the seed.

use std::time::Duration;

/// Doubles from `start` to `cap`; each delay is drawn from the upper half of its step, so that many who lost
/// the same master do not return in the same instant, and none waits longer than `cap`.
#[derive(Debug, Clone)]
pub struct Backoff {
    start: Duration,
    cap: Duration,
    step: Duration,
    state: u64,
}

impl Backoff {
    /// From 50 ms to 2 s: an agent is back within 2 s of its master.
    pub fn new(seed: u64) -> Self {
        Self::between(Duration::from_millis(50), Duration::from_secs(2), seed)
    }

    pub fn between(start: Duration, cap: Duration, seed: u64) -> Self {
        Backoff {
            start,
            cap,
            step: start,
            state: seed,
        }
    }

    /// The longest delay.
    pub fn cap(&self) -> Duration {
        self.cap
    }

    /// Begin again with `start`.
    pub fn reset(&mut self) {
        self.step = self.start;
    }

    /// The next delay.
    pub fn next_delay(&mut self) -> Duration {
        let step = self.step.min(self.cap);
        self.step = (step * 2).min(self.cap);
        let half_ns = u64::try_from(step.as_nanos() / 2).unwrap_or(u64::MAX);
        step - Duration::from_nanos(self.draw() % half_ns.max(1))
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_the_cap_and_never_exceed_it() {
        let mut backoff = Backoff::new(7);
        for step_ms in [50, 100, 200, 400, 800, 1_600, 2_000, 2_000] {
            let delay_ms = backoff.next_delay().as_millis();
            assert!(
                delay_ms <= step_ms && delay_ms >= step_ms / 2 - 1,
                "{delay_ms} of {step_ms}"
            );
        }
        backoff.reset();
        assert!(backoff.next_delay() <= Duration::from_millis(50));
    }

    #[test]
    fn two_seeds_part() {
        let (mut one, mut other) = (Backoff::new(1), Backoff::new(2));
        assert!((0..4).any(|_| one.next_delay() != other.next_delay()));
    }
}
