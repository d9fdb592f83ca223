//! Says once what goes wrong again and again: each text when it is new, then at most once in a while.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The same trouble is told again after this long.
const REPEAT_AFTER: Duration = Duration::from_mins(5);

#[derive(Debug, Default)]
pub(crate) struct Notices(Mutex<Option<(String, Instant)>>);

impl Notices {
    /// Logs `text` as a warning, unless it was the last one told and not long ago.
    pub(crate) fn warn(&self, text: String) {
        let now = Instant::now();
        if self.is_due(&text, now) {
            tracing::warn!("{text}");
            self.remember(Some((text, now)));
        }
    }

    /// The trouble is over: the next one is told at once.
    pub(crate) fn all_is_well(&self) {
        self.remember(None);
    }

    fn is_due(&self, text: &str, now: Instant) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |(told, at): &(String, Instant)| told == text && now - *at < REPEAT_AFTER;
        !last.as_ref().is_some_and(fresh)
    }

    fn remember(&self, told: Option<(String, Instant)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_is_due_only_once_in_a_while() {
        let notices = Notices::default();
        let now = Instant::now();
        assert!(notices.is_due("no", now));
        notices.warn("no".to_owned());
        let now = Instant::now();
        assert!(!notices.is_due("no", now));
        assert!(notices.is_due("another", now));
        assert!(notices.is_due("no", now + REPEAT_AFTER));
        notices.all_is_well();
        assert!(notices.is_due("no", now));
    }
}
