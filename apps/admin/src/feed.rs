//! One view, made once a second for all who watch it, and not at all while nobody does.
//!
//! Watchers share the bytes of an event. One that reads slowly skips events: nothing queues for it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::Inner;

const EVERY: Duration = Duration::from_secs(1);
/// Watchers of one view.
pub(crate) const MAX_WATCHERS: usize = 256;

/// A view of the cluster, with what it must remember from one look to the next.
pub(crate) trait View: Default + Send + 'static {
    /// Looks again. Never fails: what is missing is said in the frame.
    fn next(&mut self, inner: &Inner) -> impl Future<Output = Frame> + Send;
}

/// What one second shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frame {
    /// For a watcher that has seen nothing yet; sent before its first `event`.
    pub(crate) opening: Bytes,
    pub(crate) event: Bytes,
}

pub(crate) struct Feed<V> {
    frames: watch::Sender<Option<Frame>>,
    state: Mutex<State<V>>,
}

enum State<V> {
    /// Nobody watches.
    Asleep(V),
    /// A task has the view.
    Awake,
}

impl<V: View> Default for Feed<V> {
    fn default() -> Self {
        Feed {
            frames: watch::Sender::new(None),
            state: Mutex::new(State::Asleep(V::default())),
        }
    }
}

impl<V: View> Feed<V> {
    /// A receiver whose first frame is at most a second old; `None` at [`MAX_WATCHERS`].
    pub(crate) fn watch(
        &self,
        inner: &Arc<Inner>,
        of: fn(&Inner) -> &Self,
    ) -> Option<watch::Receiver<Option<Frame>>> {
        let mut state = self.lock();
        if self.frames.receiver_count() >= MAX_WATCHERS {
            return None;
        }
        match std::mem::replace(&mut *state, State::Awake) {
            State::Asleep(view) => {
                self.frames.send_replace(None);
                let receiver = self.frames.subscribe();
                tokio::spawn(run(view, Arc::clone(inner), of));
                Some(receiver)
            }
            State::Awake => {
                let mut receiver = self.frames.subscribe();
                receiver.mark_changed();
                Some(receiver)
            }
        }
    }

    /// Falls asleep when nobody is left; hands the view back where somebody is.
    fn sleep_if_alone(&self, view: V) -> Option<V> {
        let mut state = self.lock();
        if self.frames.receiver_count() > 0 {
            return Some(view);
        }
        *state = State::Asleep(view);
        None
    }

    fn lock(&self) -> MutexGuard<'_, State<V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run<V: View>(mut view: V, inner: Arc<Inner>, of: fn(&Inner) -> &Feed<V>) {
    let feed = of(&inner);
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match feed.sleep_if_alone(view) {
            Some(awake) => view = awake,
            None => return,
        }
        let frame = view.next(&inner).await;
        feed.frames.send_replace(Some(frame));
    }
}
