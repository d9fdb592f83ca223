//! A member without a thread: a simulation gives it its turns and tells it the time.

use std::time::Instant;

use tokio::sync::Notify;

use crate::StateMachine;
use crate::service::Service;

/// The working half of a member made by [`Consensus::driven`](crate::Consensus::driven). Dropped, it dies as a
/// process does: nobody is answered, nothing more is written.
pub struct Driven {
    service: Box<dyn Turns>,
}

trait Turns {
    fn turn(&mut self, now: Instant) -> bool;
    fn next_tick(&self) -> Instant;
    fn wake(&self) -> &Notify;
}

impl<S: StateMachine> Turns for Service<S> {
    fn turn(&mut self, now: Instant) -> bool {
        Service::turn(self, now)
    }

    fn next_tick(&self) -> Instant {
        self.next_tick
    }

    fn wake(&self) -> &Notify {
        &self.wake
    }
}

impl Driven {
    pub(crate) fn new<S: StateMachine>(service: Service<S>) -> Self {
        Self {
            service: Box::new(service),
        }
    }

    /// Takes what waits, ticks if it is time to, carries out what was decided and shows it in the status. False
    /// once the member has ended, for the reason in its status: it must not be given another turn.
    #[must_use]
    pub fn turn(&mut self, now: Instant) -> bool {
        self.service.turn(now)
    }

    /// When it needs its next turn if nothing arrives before.
    pub fn next_tick(&self) -> Instant {
        self.service.next_tick()
    }

    /// Resolves when something has arrived since it last did.
    pub async fn arrival(&self) {
        self.service.wake().notified().await;
    }
}

#[cfg(test)]
#[path = "driven_tests.rs"]
mod tests;
