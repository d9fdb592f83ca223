//! The level of detail of the log, changed for a while: `/logging/toggle` and SET_LOGGING_LEVEL.
//!
//! Owns the level and its way back. What a level means to the log is the daemon's to say.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tepui_protocol::durations;
use tokio::task::AbortHandle;

use crate::{incoming::Incoming, reply::Reply};

/// The level a daemon starts with: what is said always.
const ORIGINAL: u32 = 0;

/// Makes a level take effect: 0 is the daemon's own, higher says more.
#[derive(Clone)]
pub struct Verbosity(pub Arc<dyn Fn(u32) + Send + Sync>);

impl std::fmt::Debug for Verbosity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Verbosity")
    }
}

/// For a program that has no log to change, such as a test.
impl Default for Verbosity {
    fn default() -> Self {
        Verbosity(Arc::new(|level| {
            tracing::info!(level, "the level of the log cannot be changed here")
        }))
    }
}

/// A shared handle to the level.
#[derive(Clone)]
pub struct Logging(Arc<Inner>);

struct Inner {
    apply: Verbosity,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    level: u32,
    /// The way back; a later change takes its place.
    revert: Option<AbortHandle>,
}

impl Logging {
    /// `apply` is called with each new level.
    pub fn new(apply: Verbosity) -> Self {
        Self(Arc::new(Inner {
            apply,
            now: Mutex::default(),
        }))
    }

    /// The level of now.
    pub fn level(&self) -> u32 {
        self.0
            .now
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .level
    }

    /// Sets the level, and back after `duration`.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn set(&self, level: u32, duration: Duration) {
        let mut now = self.0.now.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(revert) = now.revert.take() {
            revert.abort();
        }
        self.apply(&mut now, level);
        let logging = self.clone();
        let revert = tokio::spawn(async move {
            tokio::time::sleep(duration).await;
            let mut now = logging.0.now.lock().unwrap_or_else(PoisonError::into_inner);
            now.revert = None;
            logging.apply(&mut now, ORIGINAL);
        });
        now.revert = Some(revert.abort_handle());
    }

    fn apply(&self, now: &mut Now, level: u32) {
        if now.level != level {
            now.level = level;
            (self.0.apply.0)(level);
        }
    }

    /// `/logging/toggle`.
    pub fn toggle(&self, request: &Incoming) -> Reply {
        let line = |text: String| Reply::bad_request(format!("{text}\n"));
        let (level, duration) = (request.parameter("level"), request.parameter("duration"));
        if level.is_none() && duration.is_none() {
            return Reply::text(200, format!("{}\n", self.level()));
        }
        let Some(level) = level else {
            return line("Expecting 'level=value' in query.".to_string());
        };
        let Some(duration) = duration else {
            return line("Expecting 'duration=value' in query.".to_string());
        };
        let Ok(number) = level.parse::<i64>() else {
            return line(format!("Failed to convert '{level}' to number."));
        };
        let Ok(number) = u32::try_from(number) else {
            return line(format!("Invalid level '{number}'."));
        };
        match durations::parse(duration) {
            Ok(duration) => {
                self.set(number, duration);
                Reply::empty(200)
            }
            Err(reason) => line(format!("{reason}.")),
        }
    }
}
