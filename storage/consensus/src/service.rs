//! A member at work: takes inputs, ticks from a deadline, and lets the member settle once for all of them, so that
//! whatever arrived during one sync shares the next. On a thread of its own, or (`driven`) turn by turn.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

use tokio::sync::{Notify, watch};
use tokio::task::yield_now;
use tokio::time::sleep_until;

use crate::ending::caught;
use crate::member::{Input, Member};
use crate::{ConsensusError, ProposeError, ReadError, Role, StateMachine, Status};

pub(crate) struct Service<S> {
    pub(crate) member: Member<S>,
    pub(crate) inbox: Receiver<Input>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) next_tick: Instant,
    /// Told of each input.
    pub(crate) wake: Arc<Notify>,
    /// The last turn took as much as one may: more can wait that nobody tells of.
    pub(crate) more_waits: bool,
}

impl<S: StateMachine> Service<S> {
    /// Runs until told to stop, until all handles are gone, or until the disk or the state fails.
    pub(crate) async fn run(mut self) {
        let wake = Arc::clone(&self.wake);
        let mut tick = pin!(sleep_until(self.next_tick.into()));
        while self.turn(Instant::now()) {
            if self.more_waits {
                // Whatever else runs on this thread brings messages.
                yield_now().await;
                continue;
            }
            if tick.deadline() != self.next_tick.into() {
                tick.as_mut().reset(self.next_tick.into());
            }
            tokio::select! {
                biased;
                () = wake.notified() => {}
                () = tick.as_mut() => {}
            }
        }
    }

    /// Tells everybody that nothing more is decided here, and why; without an error it is an ordinary shutdown.
    pub(crate) fn end(&mut self, error: Option<&ConsensusError>) {
        let reason = error.map_or_else(String::new, ToString::to_string);
        if error.is_some() {
            tracing::error!(%reason, "consensus has stopped");
        }
        self.status.send_modify(|status| {
            status.role = Role::Follower;
            status.leader = None;
            status.lease_until = None;
            status.caught_up = false;
            status.stopped = Some(reason.clone());
            status.disk_failed = error.is_some_and(ConsensusError::is_of_the_disk);
        });
        // What is committed may still be unknown to those who wait: a stop decides nothing.
        self.member
            .abandon(&ProposeError::OutcomeUnknown, &ReadError::Stopped(reason));
    }

    /// Ticks if it is time to, and settles.
    fn beat(&mut self, now: Instant) -> Result<(), ConsensusError> {
        // Others write to this disk too: where one of them failed, a member with nothing to write would stay for ever,
        // with its votes and its word, and keep nothing.
        self.member.engine.health()?;
        let tick = self.member.options.tick;
        if now >= self.next_tick {
            self.member.tick(now);
            self.next_tick += tick;
            if self.next_tick <= now {
                // Held up for long: missed ticks are not made up for, they would only start elections.
                self.next_tick = now + tick;
            }
        }
        self.member.settle(now)?;
        self.publish();
        Ok(())
    }

    /// Takes what waits, ticks if it is time to, and settles. False once the member has ended.
    pub(crate) fn turn(&mut self, now: Instant) -> bool {
        self.more_waits = false;
        let turned = caught(|| {
            match self.inbox.try_recv() {
                Ok(input) => self.take(now, input),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Ok(false),
            }
            if self.stop.load(Ordering::Acquire) {
                return Ok(false);
            }
            self.beat(now).map(|()| true)
        });
        match turned {
            Ok(true) => return true,
            Ok(false) => self.end(None),
            Err(error) => self.end(Some(&error)),
        }
        false
    }

    fn take(&mut self, now: Instant, first: Input) {
        let most = self.member.options.max_batch;
        self.member.handle(now, first);
        let mut taken = 1;
        for input in self.inbox.try_iter().take(most - 1) {
            self.member.handle(now, input);
            taken += 1;
        }
        self.more_waits = taken == most;
    }

    fn publish(&self) {
        let latest = self.member.status();
        self.status.send_if_modified(|status| {
            let is_news = latest.is_news_after(status);
            *status = latest;
            is_news
        });
    }
}
