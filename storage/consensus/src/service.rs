//! The thread: takes inputs, ticks from a deadline, and lets the member settle once for all of them, so that
//! whatever arrived during one sync shares the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use tokio::sync::watch;

use crate::ending::caught;
use crate::member::{Input, Member};
use crate::{ConsensusError, ProposeError, ReadError, Role, StateMachine, Status};

pub(crate) struct Service<S> {
    pub(crate) member: Member<S>,
    pub(crate) inbox: Receiver<Input>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) status: watch::Sender<Status>,
}

impl<S: StateMachine> Service<S> {
    /// Runs until told to stop, until all handles are gone, or until the disk or the state fails.
    pub(crate) fn run(mut self) {
        let reason = match caught(|| self.serve()) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        if !reason.is_empty() {
            tracing::error!(%reason, "consensus has stopped");
        }
        self.status.send_modify(|status| {
            status.role = Role::Follower;
            status.leader = None;
            status.lease_until = None;
            status.caught_up = false;
            status.stopped = Some(reason.clone());
        });
        // What is committed may still be unknown to those who wait: a stop decides nothing.
        self.member
            .abandon(&ProposeError::OutcomeUnknown, &ReadError::Stopped(reason));
    }

    fn serve(&mut self) -> Result<(), ConsensusError> {
        let tick = self.member.options.tick;
        let mut next_tick = Instant::now() + tick;
        loop {
            let wait = next_tick.saturating_duration_since(Instant::now());
            match self.inbox.recv_timeout(wait) {
                Ok(input) => self.take(input),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if self.stop.load(Ordering::Acquire) {
                return Ok(());
            }
            let now = Instant::now();
            if now >= next_tick {
                self.member.tick(now);
                next_tick += tick;
                if next_tick <= now {
                    // Held up for long: missed ticks are not made up for, they would only start elections.
                    next_tick = now + tick;
                }
            }
            self.member.settle(now)?;
            self.publish();
        }
    }

    fn take(&mut self, first: Input) {
        let now = Instant::now();
        self.member.handle(now, first);
        for input in self
            .inbox
            .try_iter()
            .take(self.member.options.max_batch - 1)
        {
            self.member.handle(now, input);
        }
    }

    fn publish(&self) {
        let latest = self.member.status();
        self.status.send_if_modified(|status| {
            let changed = *status != latest;
            *status = latest;
            changed
        });
    }
}
