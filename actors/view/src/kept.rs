//! Answers that were just given, for many who ask the same at once.
//!
//! Owns their bounds: so many, so many bytes. Whoever holds them drops them with the next change, and soon without
//! one: an answer about a large cluster takes a hundred megabytes.

use bytes::Bytes;

const MAX_ANSWERS: usize = 16;
const MAX_BYTES: usize = 256 << 20;

#[derive(Debug)]
pub(crate) struct Kept<Q> {
    answers: Vec<(Q, Bytes)>,
    bytes: usize,
}

impl<Q> Default for Kept<Q> {
    fn default() -> Self {
        Self {
            answers: Vec::new(),
            bytes: 0,
        }
    }
}

impl<Q: PartialEq> Kept<Q> {
    pub(crate) fn find(&self, asked: &Q) -> Option<&Bytes> {
        let found = self.answers.iter().find(|(known, _)| known == asked);
        found.map(|(_, body)| body)
    }

    /// Whether there was room for it.
    pub(crate) fn keep(&mut self, asked: Q, body: Bytes) -> bool {
        if self.answers.len() == MAX_ANSWERS || body.len() > MAX_BYTES - self.bytes {
            return false;
        }
        self.bytes += body.len();
        self.answers.push((asked, body));
        true
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_and_so_large_are_kept() {
        let mut kept = Kept::default();
        for asked in 0..MAX_ANSWERS {
            assert!(kept.keep(asked, Bytes::from_static(b"small")));
        }
        assert!(!kept.keep(MAX_ANSWERS, Bytes::from_static(b"small")));
        assert_eq!(kept.find(&3), Some(&Bytes::from_static(b"small")));
        kept.clear();
        assert_eq!(kept.find(&3), None);
        // Zeroed memory that nobody touches costs nothing.
        let half = Bytes::from(vec![0; MAX_BYTES / 2]);
        assert!(kept.keep(0, half.clone()));
        assert!(kept.keep(1, half));
        assert!(!kept.keep(2, Bytes::from_static(b"one more")));
        assert!(kept.keep(3, Bytes::new()));
    }
}
