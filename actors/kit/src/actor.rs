//! What an author writes: the traits [`Actor`], [`Handler`] and [`Receive`], and the [`Answer`] a
//! question carries. Owns no machinery: queues, counters and supervision are elsewhere in the kit.

use serde_json::Value;
use tepui_protocol::message::{AskError, Message};
use tokio::sync::oneshot;

use crate::context::Context;

/// State that handles one message at a time, on one thread.
pub trait Actor: Sized + Unpin + 'static {
    /// The kind of actor, as people say it: `"master"`, `"allocator"`. An instance may be given a
    /// longer name by [`Spawn::name`](crate::Spawn::name).
    const NAME: &'static str;

    /// Called before the first message, and again after each restart.
    fn started(&mut self, ctx: &mut Context<Self>) {
        let _ = ctx;
    }

    /// Called on the fresh instance that replaces one that panicked, before [`started`](Self::started).
    fn restarting(&mut self, ctx: &mut Context<Self>) {
        let _ = ctx;
    }

    /// Called once when the actor was told to stop; messages still waiting are lost. Not called
    /// after a panic, nor when the runtime itself goes away.
    fn stopping(&mut self, ctx: &mut Context<Self>) {
        let _ = ctx;
    }

    /// What a person who looks at this actor should see. Asked for on the control lane, so keep it
    /// small: counts and summaries, not the world.
    fn observe(&self) -> Value {
        Value::Null
    }
}

/// Handles `M` and answers at once.
///
/// Where the answer has to wait for something, implement [`Receive`] instead.
pub trait Handler<M: Message>: Actor {
    /// Handles one message; the returned value answers whoever asked.
    fn handle(&mut self, message: M, ctx: &mut Context<Self>) -> M::Reply;
}

/// Handles `M` and answers when it can: the [`Answer`] may be sent now, stored, or dropped.
///
/// This is what a [`Link`](crate::Link) needs of an actor; every [`Handler`] is one already.
pub trait Receive<M: Message>: Actor {
    /// Handles one message. An `answer` that is dropped unsent gives the asker
    /// [`AskError::Closed`](tepui_protocol::message::AskError::Closed).
    fn receive(&mut self, message: M, answer: Answer<M::Reply>, ctx: &mut Context<Self>);
}

impl<A: Handler<M>, M: Message> Receive<M> for A {
    #[inline]
    fn receive(&mut self, message: M, answer: Answer<M::Reply>, ctx: &mut Context<Self>) {
        answer.send(self.handle(message, ctx));
    }
}

/// The right to answer one question, once. Can be stored and sent to other threads.
///
/// A message that was told, not asked, carries an `Answer` too, which leads nowhere.
#[derive(Debug)]
#[must_use = "a dropped answer tells the asker that the receiver is gone"]
pub struct Answer<R>(Option<oneshot::Sender<R>>);

impl<R> Answer<R> {
    /// An answer nobody waits for.
    pub const fn unwanted() -> Self {
        Self(None)
    }

    /// An answer and the place where it arrives, for tests and adapters.
    pub fn pair() -> (Self, impl Future<Output = Result<R, AskError>>) {
        let (sender, receiver) = oneshot::channel();
        let arrival = async move { receiver.await.map_err(|_| AskError::Closed) };
        (Self(Some(sender)), arrival)
    }

    pub(crate) const fn to(sender: oneshot::Sender<R>) -> Self {
        Self(Some(sender))
    }

    /// Whether somebody still waits. False for told messages and for askers that gave up.
    pub fn is_wanted(&self) -> bool {
        self.0.as_ref().is_some_and(|sender| !sender.is_closed())
    }

    /// Answers; without effect if nobody waits any more.
    pub fn send(self, reply: R) {
        if let Some(sender) = self.0 {
            // An asker that gave up is no error of the one who answers.
            let _ = sender.send(reply);
        }
    }
}
