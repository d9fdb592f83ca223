//! The handle to an actor. The only one there is.
//!
//! Owns the way into the mailbox: the bound, the lanes, what overflow means. Knows nothing of who runs
//! the actor, and reads nothing back but answers.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::{
    Addr,
    dev::{OneshotSender, channel::AddressSender},
};
use futures_util::future::{BoxFuture, FutureExt, ready};
use tepui_protocol::message::{Ask, AskError, Asker, Message, Tell, TellError, Teller};
use tokio::sync::oneshot;

use crate::{
    actor::{Actor, Answer, Receive},
    context::Context,
    lane::{BoxedParcel, Lane, Pushed},
    probe::{Probe, State},
    shell::{ControlBell, LaneKind, NewestBell, Packed, Parcel, Shell},
};

/// Messages that may wait in the control lane of one actor.
const CONTROL_CAPACITY: usize = 256;

/// A cheap, cloneable handle to an actor of this process: `Tell<M>` and `Ask<M>` for every `M` it takes.
///
/// Clones share one bound. A question whose asker gave up is handled all the same. An actor lives until it is stopped, whether links to it remain or not.
pub struct Link<A: Actor> {
    shared: Arc<Shared<A>>,
    lane: LaneKind,
    past_bound: bool,
}

struct Shared<A: Actor> {
    address: Addr<Shell<A>>,
    probe: Arc<Probe>,
    control: Lane<A>,
    /// Whether a [`ControlBell`] is under way.
    control_bell: AtomicBool,
    /// The data queue of actors that drop their oldest; actix's own queue serves all others.
    newest: Option<Lane<A>>,
}

/// Asks the actor to end, past all data messages.
struct Stop;
impl Message for Stop {
    type Reply = ();
}

/// Asks for [`Actor::observe`].
struct Observe;
impl Message for Observe {
    type Reply = serde_json::Value;
}

impl<A: Actor> Link<A> {
    pub(crate) fn new(
        sender: AddressSender<Shell<A>>,
        probe: Arc<Probe>,
        drop_oldest: Option<usize>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                address: Addr::new(sender),
                probe,
                control: Lane::new(CONTROL_CAPACITY),
                control_bell: AtomicBool::new(false),
                newest: drop_oldest.map(Lane::new),
            }),
            lane: LaneKind::Data,
            past_bound: false,
        }
    }

    /// A link to the same actor whose messages pass all data messages. For what keeps the house in
    /// order (a lost lease, a stop, a question of the admin), never for load.
    pub fn control(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            lane: LaneKind::Control,
            past_bound: false,
        }
    }

    /// A link to the same actor that is never [`TellError::Full`]: what it sends waits in its order, past the bound if need be.
    /// For the one last word of each of many who are bounded themselves, such as the end of a connection, which nobody
    /// repeats; never for load. Without effect on the control lane, and where the oldest is dropped.
    pub fn past_bound(&self) -> Self {
        Self {
            past_bound: true,
            ..self.clone()
        }
    }

    /// This link as a shared handle that only takes `M`.
    pub fn teller<M: Message>(&self) -> Teller<M>
    where
        A: Receive<M>,
    {
        Arc::new(self.clone())
    }

    /// This link as a shared handle that only answers `M`.
    pub fn asker<M: Message>(&self) -> Asker<M>
    where
        A: Receive<M>,
    {
        Arc::new(self.clone())
    }

    /// As `tell`, but waits for room instead of being refused. The order among those who wait is not
    /// kept; one sender that awaits each delivery keeps its own.
    ///
    /// # Errors
    /// [`TellError::Closed`] when the actor has ended; [`TellError::Full`] only on the control lane.
    pub async fn deliver<M: Message>(&self, message: M) -> Result<(), TellError>
    where
        A: Receive<M>,
    {
        if self.lane == LaneKind::Control || self.shared.newest.is_some() {
            return self.tell(message);
        }
        let told_at = self.wait_for_room().await?;
        self.post_reserved(message, Answer::unwanted(), told_at, A::receive)
    }

    /// Stops the actor, past all data messages. Without effect if it has ended.
    pub fn stop(&self) {
        let stop = |_: &mut A, Stop, answer: Answer<()>, ctx: &mut Context<A>| {
            ctx.stop();
            answer.send(());
        };
        // A full control lane belongs to an actor that handles nothing; there is nobody to stop.
        let _ = self.control().post(Stop, Answer::unwanted(), stop);
    }

    /// Whether the actor has ended.
    pub fn is_closed(&self) -> bool {
        self.shared.probe.state().is_over()
    }

    /// Data messages that wait now, exactly.
    pub fn depth(&self) -> usize {
        usize::try_from(self.shared.probe.depth()).unwrap_or(usize::MAX)
    }

    /// The actor's name in the directory.
    pub fn name(&self) -> &str {
        &self.shared.probe.name
    }

    pub(crate) fn observe(&self) -> BoxFuture<'static, Result<serde_json::Value, AskError>> {
        let observe = |actor: &mut A, Observe, answer: Answer<_>, _: &mut Context<A>| {
            answer.send(actor.observe());
        };
        self.control()
            .post_question(|answer, link| link.post(Observe, answer, observe))
    }

    fn post_question<R: Send + 'static>(
        &self,
        post: impl FnOnce(Answer<R>, &Self) -> Result<(), TellError>,
    ) -> BoxFuture<'static, Result<R, AskError>> {
        let (sender, receiver): (OneshotSender<R>, _) = oneshot::channel();
        match post(Answer::to(sender), self) {
            Ok(()) => async move { receiver.await.map_err(|_| AskError::Closed) }.boxed(),
            Err(error) => ready(Err(error.into())).boxed(),
        }
    }

    #[inline]
    fn post<M, F>(&self, message: M, answer: Answer<M::Reply>, run: F) -> Result<(), TellError>
    where
        M: Message,
        F: Fn(&mut A, M, Answer<M::Reply>, &mut Context<A>) + Send + 'static,
    {
        if self.lane == LaneKind::Control {
            return self.post_control(message, answer, run);
        }
        if let Some(lane) = &self.shared.newest {
            return self.post_newest(lane, message, answer, run);
        }
        if self.past_bound {
            let told_at = self.shared.probe.admit(false);
            return self.post_reserved(message, answer, told_at, run);
        }
        let Ok(told_at) = self.shared.probe.reserve() else {
            return Err(if self.is_closed() {
                TellError::Closed
            } else {
                TellError::Full
            });
        };
        self.post_reserved(message, answer, told_at, run)
    }

    #[inline]
    fn post_reserved<M, F>(
        &self,
        message: M,
        answer: Answer<M::Reply>,
        told_at: u64,
        run: F,
    ) -> Result<(), TellError>
    where
        M: Message,
        F: Fn(&mut A, M, Answer<M::Reply>, &mut Context<A>) + Send + 'static,
    {
        let parcel = Parcel::new(message, answer, told_at, LaneKind::Data, run);
        let sent = self.send(Box::new(parcel));
        if sent.is_err() {
            self.shared.probe.give_back();
        }
        sent
    }

    fn post_newest<M, F>(
        &self,
        lane: &Lane<A>,
        message: M,
        answer: Answer<M::Reply>,
        run: F,
    ) -> Result<(), TellError>
    where
        M: Message,
        F: Fn(&mut A, M, Answer<M::Reply>, &mut Context<A>) + Send + 'static,
    {
        let probe = &self.shared.probe;
        let pushed = lane.push_newest(|pushes_out| {
            let told_at = probe.admit(pushes_out);
            Box::new(Parcel::new(message, answer, told_at, LaneKind::Data, run))
        });
        match pushed {
            Pushed::Queued => self.send(Box::new(NewestBell)),
            // The bell of the one pushed out rings for its successor.
            Pushed::QueuedInsteadOf(oldest) => {
                drop(oldest);
                Ok(())
            }
            Pushed::Full => Err(TellError::Full),
            Pushed::Closed => Err(TellError::Closed),
        }
    }

    fn post_control<M, F>(
        &self,
        message: M,
        answer: Answer<M::Reply>,
        run: F,
    ) -> Result<(), TellError>
    where
        M: Message,
        F: Fn(&mut A, M, Answer<M::Reply>, &mut Context<A>) + Send + 'static,
    {
        let probe = &self.shared.probe;
        let pushed = self.shared.control.push(|| {
            probe.control_accepted.fetch_add(1, Ordering::Relaxed);
            probe.control_waiting.fetch_add(1, Ordering::Relaxed);
            let told_at = probe.clock.refresh();
            Box::new(Parcel::new(
                message,
                answer,
                told_at,
                LaneKind::Control,
                run,
            ))
        });
        match pushed {
            Pushed::Queued | Pushed::QueuedInsteadOf(_) => {
                self.ring_control_bell();
                Ok(())
            }
            Pushed::Full => {
                probe.sent.refused.fetch_add(1, Ordering::Relaxed);
                Err(TellError::Full)
            }
            Pushed::Closed => Err(TellError::Closed),
        }
    }

    #[inline]
    fn send(&self, parcel: BoxedParcel<A>) -> Result<(), TellError> {
        // Actix's capacity is 0, which means none: the place was reserved at our own bound.
        self.shared
            .address
            .try_send(Packed(parcel))
            .map_err(|_| TellError::Closed)
    }

    async fn wait_for_room(&self) -> Result<u64, TellError> {
        let probe = &self.shared.probe;
        if let Ok(told_at) = probe.try_reserve() {
            return Ok(told_at);
        }
        let _waiter = Waiter::enlist(probe);
        loop {
            let mut room = std::pin::pin!(probe.room.notified());
            room.as_mut().enable();
            if probe.state().is_over() {
                return Err(TellError::Closed);
            }
            if let Ok(told_at) = probe.try_reserve() {
                return Ok(told_at);
            }
            room.await;
        }
    }

    pub(crate) fn pop_control(&self) -> Option<BoxedParcel<A>> {
        let parcel = self.shared.control.pop();
        if parcel.is_some() {
            self.shared
                .probe
                .control_waiting
                .fetch_sub(1, Ordering::Relaxed);
        }
        parcel
    }

    /// Sees to it that the control lane is looked at, with at most one bell under way.
    pub(crate) fn ring_control_bell(&self) {
        if !self.shared.control_bell.swap(true, Ordering::AcqRel) {
            // A closed mailbox closes the lane as well, and the askers in it hear of that.
            let _ = self.send(Box::new(ControlBell));
        }
    }

    pub(crate) fn control_bell_heard(&self) {
        self.shared.control_bell.store(false, Ordering::Release);
    }

    pub(crate) fn pop_newest(&self) -> Option<BoxedParcel<A>> {
        self.shared.newest.as_ref().and_then(Lane::pop)
    }

    /// Closes the lanes of an actor that has ended and tells everybody who waits.
    pub(crate) fn close(&self, state: State) {
        self.shared.probe.set_state(state);
        self.shared.control.close();
        if let Some(lane) = &self.shared.newest {
            lane.close();
        }
        self.shared.probe.room.notify_waiters();
    }
}

impl<A: Receive<M>, M: Message> Tell<M> for Link<A> {
    #[inline]
    fn tell(&self, message: M) -> Result<(), TellError> {
        self.post(message, Answer::unwanted(), A::receive)
    }
}

impl<A: Receive<M>, M: Message> Ask<M> for Link<A> {
    fn ask(&self, message: M) -> BoxFuture<'static, Result<M::Reply, AskError>> {
        self.post_question(|answer, link| link.post(message, answer, A::receive))
    }
}

impl<A: Actor> Clone for Link<A> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            lane: self.lane,
            past_bound: self.past_bound,
        }
    }
}

impl<A: Actor> fmt::Debug for Link<A> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Link")
            .field("actor", &self.name())
            .field("lane", &self.lane)
            .finish_non_exhaustive()
    }
}

/// Gives an answer only so much time.
///
/// # Errors
/// [`AskError::Timeout`] after `limit`; the question may still have its effect. Else what the asking gave.
pub async fn within<R>(
    limit: Duration,
    asked: impl Future<Output = Result<R, AskError>>,
) -> Result<R, AskError> {
    tokio::time::timeout(limit, asked)
        .await
        .unwrap_or(Err(AskError::Timeout))
}

/// Counts a sender that waits for room, for as long as it does.
struct Waiter<'a>(&'a Probe);

impl<'a> Waiter<'a> {
    fn enlist(probe: &'a Probe) -> Self {
        probe.waiters.fetch_add(1, Ordering::SeqCst);
        // Pairs with the fence in `Probe::announce_room`.
        std::sync::atomic::fence(Ordering::SeqCst);
        Self(probe)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
