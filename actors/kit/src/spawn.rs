//! How an actor comes into the world: its name, bound, thread, turn budget and what a panic means.
//!
//! Owns the options. The life that follows belongs to `supervise`.

use std::{sync::Arc, time::Duration};

use actix::{
    ArbiterHandle,
    dev::channel::{AddressReceiver, channel},
};

use crate::{
    actor::Actor,
    directory::Directory,
    link::Link,
    probe::{Probe, State},
    shell::{Factory, Shell},
    supervise::{Burial, Supervised},
};

/// The data messages a mailbox holds unless the wiring says otherwise.
const DEFAULT_CAPACITY: usize = 1024;
/// The messages an actor handles before its arbiter gives others a turn.
const DEFAULT_TURN_BUDGET: u32 = 128;

/// What a full mailbox does with one more message.
///
/// The other two answers to overflow belong to the sender: to wait is [`Link::deliver`], and to cut the
/// peer is what the bridge does with [`TellError::Full`](tepui_protocol::message::TellError::Full).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The sender is refused, and counted.
    #[default]
    Refuse,
    /// The message that waited longest is lost, and counted. For readings where only the new ones matter.
    DropOldest,
}

/// What a panic of the actor leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnPanic {
    /// A fresh instance from the factory takes over the mailbox, within a budget.
    Restart(RestartPolicy),
    /// The actor ends as failed; its mailbox closes.
    Stop,
    /// The process aborts and recovers from what lasts: for actors whose state could be torn.
    ExitProcess,
}

/// How often an actor may be restarted, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Restarts allowed within `window`; one panic more and the actor has failed.
    pub max_restarts: u32,
    pub window: Duration,
    /// Pause before the first restart of a window; doubles with each further one.
    pub backoff: Duration,
    pub max_backoff: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            max_restarts: 3,
            window: Duration::from_secs(60),
            backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
        }
    }
}

impl RestartPolicy {
    /// The pause before a restart when `recent` others lie within the window.
    pub(crate) fn pause(&self, recent: u32) -> Duration {
        let doubled = self.backoff.saturating_mul(1 << recent.min(20));
        doubled.min(self.max_backoff)
    }
}

/// The options of one actor. `Spawn::new(&directory).capacity(4096).start(Master::new)`.
#[derive(Debug, Clone)]
#[must_use = "nothing runs before `start`"]
pub struct Spawn {
    directory: Directory,
    name: Option<String>,
    capacity: usize,
    overflow: Overflow,
    on_panic: OnPanic,
    turn_budget: u32,
    arbiter: Option<ArbiterHandle>,
}

impl Spawn {
    /// The defaults: 1024 messages, refuse, three restarts a minute, 128 messages a turn, this thread.
    pub fn new(directory: &Directory) -> Self {
        Self {
            directory: directory.clone(),
            name: None,
            capacity: DEFAULT_CAPACITY,
            overflow: Overflow::default(),
            on_panic: OnPanic::Restart(RestartPolicy::default()),
            turn_budget: DEFAULT_TURN_BUDGET,
            arbiter: None,
        }
    }

    /// The instance's name in the directory, where there is more than one of a kind.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Data messages that may wait, at least 1. Eight bytes each are set aside at once.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = messages.max(1);
        self
    }

    /// What a full mailbox does with one more message.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// What a panic leads to.
    pub fn on_panic(mut self, on_panic: OnPanic) -> Self {
        self.on_panic = on_panic;
        self
    }

    /// Messages handled in one turn, at least 1, before the other tasks of the arbiter have theirs.
    pub fn turn_budget(mut self, messages: u32) -> Self {
        self.turn_budget = messages.max(1);
        self
    }

    /// The thread to live on. Without one the actor lives on the current tokio `LocalSet`.
    pub fn arbiter(mut self, arbiter: &ArbiterHandle) -> Self {
        self.arbiter = Some(arbiter.clone());
        self
    }

    /// Starts the actor; `factory` runs on its thread, once now and once for each restart.
    ///
    /// # Panics
    /// Outside a tokio `LocalSet`, if no arbiter is given.
    pub fn start<A: Actor>(self, factory: impl FnMut() -> A + Send + 'static) -> Link<A> {
        self.prepare().start(factory)
    }

    /// Starts an actor that cannot be made twice. A policy of restarts becomes [`OnPanic::Stop`].
    ///
    /// # Panics
    /// Outside a tokio `LocalSet`, if no arbiter is given.
    pub fn start_once<A: Actor>(self, factory: impl FnOnce() -> A + Send + 'static) -> Link<A> {
        self.prepare().start_once(factory)
    }

    /// Makes the mailbox alone, so that actors which need links to each other can be wired. What is told
    /// before the start waits.
    pub fn prepare<A: Actor>(self) -> Prepared<A> {
        let (sender, receiver) = channel(0);
        let probe = Arc::new(Probe::new(
            self.directory.next_id(),
            A::NAME,
            self.name.unwrap_or_else(|| A::NAME.to_owned()),
            self.capacity,
            self.directory.clock().clone(),
        ));
        let drop_oldest = (self.overflow == Overflow::DropOldest).then_some(self.capacity);
        let link = Link::new(sender, Arc::clone(&probe), drop_oldest);
        self.directory.enlist(&probe, &link);
        Prepared {
            receiver,
            burial: Burial::new(link, probe, self.directory),
            on_panic: self.on_panic,
            turn_budget: self.turn_budget,
            arbiter: self.arbiter,
        }
    }
}

/// A mailbox whose actor has not started yet. Dropped, it closes.
#[must_use = "nothing runs before `start`"]
pub struct Prepared<A: Actor> {
    receiver: AddressReceiver<Shell<A>>,
    burial: Burial<A>,
    on_panic: OnPanic,
    turn_budget: u32,
    arbiter: Option<ArbiterHandle>,
}

impl<A: Actor> Prepared<A> {
    /// The link to the actor that will be.
    pub fn link(&self) -> Link<A> {
        self.burial.link().clone()
    }

    /// As [`Spawn::start`].
    ///
    /// # Panics
    /// Outside a tokio `LocalSet`, if no arbiter is given.
    pub fn start(self, factory: impl FnMut() -> A + Send + 'static) -> Link<A> {
        self.begin(Box::new(factory))
    }

    /// As [`Spawn::start_once`].
    ///
    /// # Panics
    /// Outside a tokio `LocalSet`, if no arbiter is given.
    pub fn start_once(mut self, factory: impl FnOnce() -> A + Send + 'static) -> Link<A> {
        if matches!(self.on_panic, OnPanic::Restart(_)) {
            self.on_panic = OnPanic::Stop;
        }
        let mut factory = Some(factory);
        self.begin(Box::new(move || {
            let factory = factory.take();
            factory.expect("an actor started once is never restarted")()
        }))
    }

    fn begin(self, factory: Factory<A>) -> Link<A> {
        let link = self.link();
        let Self {
            receiver,
            burial,
            on_panic,
            turn_budget,
            arbiter,
        } = self;
        let begin = move || {
            let shell = Shell::new(factory);
            let life = Supervised::new(shell, receiver, burial, on_panic, turn_budget);
            tokio::task::spawn_local(life);
        };
        match arbiter {
            None => begin(),
            Some(arbiter) => {
                if !arbiter.spawn_fn(begin) {
                    tracing::error!(
                        actor = link.name(),
                        "not started: the arbiter it was given has stopped"
                    );
                    link.close(State::Failed);
                }
            }
        }
        link
    }
}

#[cfg(test)]
#[path = "spawn_tests.rs"]
mod tests;
