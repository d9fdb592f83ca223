//! Uuids and random waits out of a seed, so that the core stays a function of its inputs.

use std::time::Duration;

/// Two SplitMix64 generators side by side (Steele, Lea, Flood 2014): 128 bits a draw.
#[derive(Debug, Clone)]
pub(crate) struct Ids([u64; 2]);

impl Ids {
    pub(crate) fn new(seed: [u64; 2]) -> Self {
        Self(seed)
    }

    /// A version 4 uuid.
    pub(crate) fn uuid(&mut self) -> [u8; 16] {
        let [high, low] = [self.next(0), self.next(1)];
        let bits = (u128::from(high) << 64) | u128::from(low);
        let mut bytes = bits.to_be_bytes();
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        bytes
    }

    /// A uuid in its usual text form.
    pub(crate) fn uuid_text(&mut self) -> String {
        let bits = u128::from_be_bytes(self.uuid());
        let hex = format!("{bits:032x}");
        let parts = [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ];
        parts.join("-")
    }

    /// A wait between nothing and `bound`.
    pub(crate) fn wait(&mut self, bound: Duration) -> Duration {
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX).max(1);
        Duration::from_nanos(self.next(0) % nanos)
    }

    fn next(&mut self, lane: usize) -> u64 {
        let state = self.0[lane].wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0[lane] = state;
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
