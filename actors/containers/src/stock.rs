//! Owns a few things that are made ahead of the need for them, because making one is most of what a launch costs: they
//! are made before the launch is asked for, and after it for the next one.

use crate::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Between a launch and the making of what the next one takes, so that it does not take the CPU from those who are told
/// of the launch.
pub(crate) const REFILL_PAUSE: Duration = Duration::from_millis(5);

/// Cheap to clone.
pub(crate) struct Stock<T>(Arc<Inner<T>>);

struct Inner<T> {
    /// How many are to wait.
    wanted: usize,
    waiting: Mutex<Vec<T>>,
    filling: AtomicBool,
    make: Box<dyn Fn() -> Result<T, Error> + Send + Sync>,
}

impl<T: Send + 'static> Stock<T> {
    /// An empty stock; `make` may block.
    pub(crate) fn new(
        wanted: usize,
        make: impl Fn() -> Result<T, Error> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            wanted,
            waiting: Mutex::default(),
            filling: AtomicBool::new(false),
            make: Box::new(make),
        }))
    }

    pub(crate) fn take(&self) -> Option<T> {
        self.0.waiting().pop()
    }

    /// Makes what is missing, in the background and after a pause.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn refill(&self, pause: Duration) {
        if self.0.waiting().len() >= self.0.wanted || self.0.filling.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            // What fails here fails in the next launch too, which tells it.
            let _ = tokio::task::spawn_blocking(move || inner.fill()).await;
        });
    }
}

impl<T> Inner<T> {
    fn fill(&self) -> Result<(), Error> {
        let filled = self.fill_up();
        self.filling.store(false, Ordering::Release);
        filled
    }

    fn fill_up(&self) -> Result<(), Error> {
        while self.waiting().len() < self.wanted {
            let made = (self.make)()?;
            self.waiting().push(made);
        }
        Ok(())
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<T>> {
        // Whole after every statement.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Stock<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Stock<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { wanted, .. } = &*self.0;
        write!(formatter, "Stock({} of {wanted})", self.0.waiting().len())
    }
}
