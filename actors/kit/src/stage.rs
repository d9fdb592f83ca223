//! A stage for tests: actors on tokio's paused clock, and stand-ins for the actors they talk to.
//!
//! Owns the runtime and the virtual time. An hour of timers takes milliseconds, and nothing here ever
//! sleeps for real. Only with the feature `stage`, for `[dev-dependencies]`.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt};
use tepui_protocol::message::{Ask, AskError, Asker, Message, Tell, TellError, Teller};
use tokio::{runtime, task::LocalSet};

use crate::{clock::Clock, directory::Directory, random::Random, spawn::Spawn};

/// The wall time at which every stage opens: 2030-01-01 00:00:00 UTC.
pub const OPENING_UNIX_NANOS: u64 = 1_893_456_000_000_000_000;
/// Yields without a turn of any actor after which a stage counts as settled.
const QUIET_YIELDS: u32 = 16;
/// Yields after which a stage counts as one that never settles.
const MAX_YIELDS: u32 = 1_000_000;

/// One node on virtual time.
pub struct TestStage {
    directory: Directory,
    random: RefCell<Random>,
}

impl TestStage {
    /// Runs a scene on a paused runtime of its own, on this thread, and returns what it returns.
    ///
    /// # Panics
    /// If the runtime cannot be built, and with whatever the scene panics.
    pub fn run<T>(seed: u64, scene: impl AsyncFnOnce(&Self) -> T) -> T {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime on this thread needs only an epoll descriptor");
        let local = LocalSet::new();
        local.block_on(&runtime, async {
            let stage = Self::here("stage", seed);
            scene(&stage).await
        })
    }

    /// A stage inside a runtime and `LocalSet` that exist already, such as a simulated host.
    pub fn here(node: &str, seed: u64) -> Self {
        Self {
            directory: Directory::new(node, Clock::simulated(OPENING_UNIX_NANOS)),
            random: RefCell::new(Random::seeded(seed)),
        }
    }

    /// The directory of the actors on this stage.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The virtual clock.
    pub fn clock(&self) -> &Clock {
        self.directory.clock()
    }

    /// The default options for an actor on this stage.
    pub fn spawn(&self) -> Spawn {
        Spawn::new(&self.directory)
    }

    /// A random source of its own, that follows from the seed and the number of earlier calls.
    pub fn random(&self) -> Random {
        self.random.borrow_mut().fork()
    }

    /// Lets everybody run until nobody has anything to do at this moment of virtual time.
    ///
    /// # Panics
    /// If the actors never come to rest, as when one keeps telling itself something.
    pub async fn settle(&self) {
        let mut quiet = 0;
        let mut turns = self.directory.turns();
        for _ in 0..MAX_YIELDS {
            tokio::task::yield_now().await;
            let now = self.directory.turns();
            quiet = if now == turns { quiet + 1 } else { 0 };
            turns = now;
            if quiet == QUIET_YIELDS {
                return;
            }
        }
        panic!(
            "the stage does not settle: some actor keeps itself busy without waiting for time to pass"
        );
    }

    /// Lets `time` pass, with every timer on the way at its moment, and settles.
    pub async fn advance(&self, time: Duration) {
        self.settle().await;
        tokio::time::sleep(time).await;
        self.settle().await;
    }
}

/// Stands for an actor that is told `M`: keeps what it was told.
#[derive(Debug)]
pub struct Recorder<M>(Arc<Mutex<Vec<M>>>);

impl<M: Message> Recorder<M> {
    /// A recorder with nothing in it.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Vec::new())))
    }

    /// The handle to give to the actor under test.
    pub fn teller(&self) -> Teller<M> {
        Arc::new(self.clone())
    }

    /// Takes everything recorded so far, in order.
    pub fn take(&self) -> Vec<M> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<M: Message> Default for Recorder<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M> Clone for Recorder<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M: Message> Tell<M> for Recorder<M> {
    fn tell(&self, message: M) -> Result<(), TellError> {
        let mut messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        messages.push(message);
        Ok(())
    }
}

/// Stands for an actor that is asked `M`: a closure answers.
pub struct Answering<F>(F);

impl<F> Answering<F> {
    /// The handle to give to the actor under test.
    pub fn asker<M>(answer: F) -> Asker<M>
    where
        M: Message,
        F: Fn(M) -> Result<M::Reply, AskError> + Send + Sync + 'static,
    {
        Arc::new(Self(answer))
    }
}

impl<M, F> Ask<M> for Answering<F>
where
    M: Message,
    F: Fn(M) -> Result<M::Reply, AskError> + Send + Sync,
{
    fn ask(&self, message: M) -> BoxFuture<'static, Result<M::Reply, AskError>> {
        futures_util::future::ready((self.0)(message)).boxed()
    }
}
