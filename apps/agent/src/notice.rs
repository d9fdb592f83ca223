//! Says once what goes wrong again and again: each text when it is new, then at most once in a while.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The same trouble is told again after this long.
const REPEAT_AFTER: Duration = Duration::from_mins(5);

#[derive(Debug, Default)]
pub(crate) struct Notices(Mutex<Option<(String, Instant)>>);

impl Notices {
    /// Logs `text` as a warning, unless it was the last one told and not long ago.
    pub(crate) fn warn(&self, text: String) {
        if self.is_due(&text) {
            tracing::warn!("{text}");
            self.remember(Some((text, Instant::now())));
        }
    }

    /// The trouble is over: the next one is told at once.
    pub(crate) fn all_is_well(&self) {
        self.remember(None);
    }

    fn is_due(&self, text: &str) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |(told, at): &(String, Instant)| told == text && at.elapsed() < REPEAT_AFTER;
        !last.as_ref().is_some_and(fresh)
    }

    fn remember(&self, told: Option<(String, Instant)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_text_is_due_only_once_in_a_while() {
        let notices = Notices::default();
        assert!(notices.is_due("no"));
        notices.warn("no".to_owned());
        assert!(!notices.is_due("no"));
        assert!(notices.is_due("another"));
        tokio::time::advance(REPEAT_AFTER).await;
        assert!(notices.is_due("no"));
        notices.warn("no".to_owned());
        notices.all_is_well();
        assert!(notices.is_due("no"));
    }
}
