//! What an actor can do while it handles a message: reach itself, set timers, await futures, stop.
//!
//! Owns the actor's timers and futures, and implements actix's context traits, so that actix drives the
//! actor through code that counts. Never queues a message past the bound of the mailbox.

use std::{
    any::TypeId,
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context as Task, Poll},
    time::Duration,
};

use actix::{
    ActorContext, ActorFuture, ActorState, Addr, AsyncContext, SpawnHandle,
    dev::{AsyncContextParts, ContextParts},
};
use futures_util::{
    future::LocalBoxFuture,
    stream::{FuturesUnordered, StreamExt},
};
use tepui_protocol::message::Message;
use tokio::time::Instant;

use crate::{
    actor::{Actor, Answer, Receive},
    clock::Clock,
    link::Link,
    meter::Meter,
    probe::{Probe, bump},
    shell::{Driver, Shell},
    timers::{Action, Once, TimerHandle, Timers},
};

/// The shortest interval; tokio's timers know no less.
const MIN_PERIOD: Duration = Duration::from_millis(1);

/// Handed to every handler of actor `A`.
pub struct Context<A: Actor> {
    parts: ContextParts<Shell<A>>,
    link: Link<A>,
    probe: Arc<Probe>,
    meter: Meter,
    timers: Timers<A>,
    /// The moments of [`Context::wake_at`] still to come.
    wakes: BTreeSet<(TypeId, u64)>,
    futures: FuturesUnordered<LocalBoxFuture<'static, Option<Once<A>>>>,
    /// Messages handled in this turn, and how many may be.
    turn: u32,
    turn_budget: u32,
    /// Whether a message out of a queue is being handled; still set after a panic in it.
    in_message: bool,
    /// Timers or futures were added after the driver looked at them.
    driver_is_stale: bool,
}

/// Names the runs of intervals in the counts by message type.
struct Interval;
/// Names the ends of awaited futures in the counts by message type.
struct Completion;

impl<A: Actor> Context<A> {
    pub(crate) fn new(
        parts: ContextParts<Shell<A>>,
        link: Link<A>,
        probe: Arc<Probe>,
        turn_budget: u32,
    ) -> Self {
        Self {
            parts,
            link,
            meter: Meter::new(Arc::clone(&probe)),
            probe,
            timers: Timers::new(),
            wakes: BTreeSet::new(),
            futures: FuturesUnordered::new(),
            turn: 0,
            turn_budget,
            in_message: false,
            driver_is_stale: false,
        }
    }

    /// The handle to this actor. What it sends to itself waits in its mailbox like anything else, and is
    /// refused at the bound.
    pub fn link(&self) -> Link<A> {
        self.link.clone()
    }

    /// Monotonic now.
    pub fn now(&self) -> Instant {
        self.probe.clock.now()
    }

    /// The node's clock.
    pub fn clock(&self) -> &Clock {
        &self.probe.clock
    }

    /// The name of this instance, as the directory shows it.
    pub fn name(&self) -> &str {
        &self.probe.name
    }

    /// Ends the actor after this message: `stopping` is called, what still waits is lost and counted,
    /// askers get [`AskError::Closed`](tepui_protocol::message::AskError::Closed).
    pub fn stop(&mut self) {
        self.parts.stop();
    }

    /// Handles `message` after `delay`. Timers do not pass through the mailbox, so none is refused; their
    /// number has no bound but the actor's own rules, and stands in the directory.
    pub fn notify_later<M: Message>(&mut self, message: M, delay: Duration) -> TimerHandle
    where
        A: Receive<M>,
    {
        let deadline = Instant::now() + delay;
        self.notify_at(message, deadline)
    }

    /// Handles `message` at `deadline`, at once if that has passed.
    pub fn notify_at<M: Message>(&mut self, message: M, deadline: Instant) -> TimerHandle
    where
        A: Receive<M>,
    {
        let due_at = self.probe.clock.nanos_at(deadline);
        let action = move |actor: &mut A, ctx: &mut Context<A>| {
            ctx.observed::<M>(due_at, |ctx| {
                actor.receive(message, Answer::unwanted(), ctx)
            });
        };
        self.set_timer(deadline, Action::Once(Box::new(action)))
    }

    /// Handles an `M` when the node's clock reaches `at_nanos`: the way to carry out a core's `WakeAt`.
    ///
    /// Asking twice for the same moment wakes once, so a core may repeat its next deadline with every
    /// input. `M` is `Default` because it carries nothing: the core looks at `now`, not at the message.
    pub fn wake_at<M: Message + Default>(&mut self, at_nanos: u64)
    where
        A: Receive<M>,
    {
        let wake = (TypeId::of::<M>(), at_nanos);
        if !self.wakes.insert(wake) {
            return;
        }
        let action = move |actor: &mut A, ctx: &mut Context<A>| {
            ctx.wakes.remove(&wake);
            ctx.observed::<M>(at_nanos, |ctx| {
                actor.receive(M::default(), Answer::unwanted(), ctx);
            });
        };
        let deadline = self.probe.clock.instant_at(at_nanos);
        self.set_timer(deadline, Action::Once(Box::new(action)));
    }

    /// Calls `run` every `period` (at least 1 ms), the first time after one period. Beats missed by a
    /// busy actor are skipped.
    pub fn run_interval(
        &mut self,
        period: Duration,
        mut run: impl FnMut(&mut A, &mut Context<A>) + 'static,
    ) -> TimerHandle {
        let period = period.max(MIN_PERIOD);
        let action = move |actor: &mut A, ctx: &mut Context<A>| {
            let now = ctx.probe.clock.coarse_nanos();
            ctx.observed::<Interval>(now, |ctx| run(actor, ctx));
        };
        self.set_timer(
            Instant::now() + period,
            Action::Every(period, Box::new(action)),
        )
    }

    /// Cancels a timer; false if it has fired already.
    pub fn cancel(&mut self, timer: TimerHandle) -> bool {
        let cancelled = self.timers.cancel(timer);
        self.count_pending();
        cancelled
    }

    /// Runs a future on the actor's thread, inside its turns, until it ends or the actor does.
    ///
    /// A panic in it is a panic of the actor.
    pub fn spawn(&mut self, future: impl Future<Output = ()> + 'static) {
        self.push_future(Box::pin(async move {
            future.await;
            None
        }));
    }

    /// Awaits `future` and then calls `and_then` with its output, the actor and this context. Messages
    /// are handled meanwhile.
    pub fn then<T: 'static>(
        &mut self,
        future: impl Future<Output = T> + 'static,
        and_then: impl FnOnce(&mut A, T, &mut Context<A>) + 'static,
    ) {
        let clock = self.probe.clock.clone();
        self.push_future(Box::pin(async move {
            let output = future.await;
            let ended_at = clock.coarse_nanos();
            let completion: Once<A> = Box::new(move |actor, ctx| {
                ctx.observed::<Completion>(ended_at, |ctx| and_then(actor, output, ctx));
            });
            Some(completion)
        }));
    }

    fn push_future(&mut self, future: LocalBoxFuture<'static, Option<Once<A>>>) {
        self.futures.push(future);
        self.driver_is_stale = true;
        self.count_pending();
    }

    fn set_timer(&mut self, deadline: Instant, action: Action<A>) -> TimerHandle {
        let handle = self.timers.set(deadline, action);
        self.driver_is_stale = true;
        self.count_pending();
        handle
    }

    fn count_pending(&self) {
        self.probe.done.timers.store(self.timers.len(), Relaxed);
        self.probe.done.futures.store(self.futures.len(), Relaxed);
    }

    /// Runs what is due: timers first, then futures that have ended. Called in every turn.
    pub(crate) fn drive(&mut self, actor: &mut A, task: &mut Task<'_>) {
        self.driver_is_stale = false;
        let mut left = self.turn_budget;
        while left > 0 && !self.parts.waiting() {
            let Poll::Ready(Some(due)) = self.timers.poll_due(task) else {
                break;
            };
            left -= 1;
            match due.action {
                Action::Once(run) => run(actor, self),
                Action::Every(period, mut run) => {
                    run(actor, self);
                    self.timers.repeat(due.handle, due.deadline, period, run);
                }
            }
        }
        while left > 0 && !self.parts.waiting() {
            let Poll::Ready(Some(completion)) = self.futures.poll_next_unpin(task) else {
                break;
            };
            left -= 1;
            if let Some(run) = completion {
                run(actor, self);
            }
        }
        self.driver_is_stale |= left == 0;
        self.count_pending();
    }

    /// Handles one message out of the data queue.
    #[inline]
    pub(crate) fn handle_data<T: 'static>(&mut self, told_at: u64, handle: impl FnOnce(&mut Self)) {
        bump(&self.probe.done.taken, 1);
        self.handle_told::<T>(told_at, handle);
    }

    /// Handles one message out of either queue, counted.
    #[inline]
    pub(crate) fn handle_told<T: 'static>(&mut self, told_at: u64, handle: impl FnOnce(&mut Self)) {
        self.turn += 1;
        self.in_message = true;
        self.observed::<T>(told_at, handle);
        self.in_message = false;
        bump(&self.probe.done.finished, 1);
    }

    #[inline]
    fn observed<T: 'static>(&mut self, told_at: u64, run: impl FnOnce(&mut Self)) {
        let begun = self.meter.begin::<T>(told_at, self.turn);
        run(self);
        self.meter.end(begun);
    }

    /// Handles what waits in the control lane, but not what that adds to it.
    pub(crate) fn drain_control(&mut self, shell: &mut Shell<A>) {
        for _ in 0..self.probe.control_waiting.load(Relaxed) {
            if self.parts.waiting() {
                return;
            }
            let Some(mut parcel) = self.link.pop_control() else {
                return;
            };
            parcel.handle(shell, self);
        }
        if self.probe.control_waiting.load(Relaxed) != 0 {
            self.link.ring_control_bell();
        }
    }

    pub(crate) fn probe(&self) -> &Probe {
        &self.probe
    }

    pub(crate) fn own_link(&self) -> &Link<A> {
        &self.link
    }

    pub(crate) fn install_driver(&mut self) {
        self.parts.spawn(Driver);
    }

    /// Forgets the timers and futures of an actor that panicked.
    pub(crate) fn forget_pending(&mut self) {
        self.timers.clear();
        self.wakes.clear();
        self.futures = FuturesUnordered::new();
        self.count_pending();
    }

    pub(crate) fn turn_begins(&mut self) {
        self.turn = 0;
        self.meter.turn_begins();
    }

    /// Closes the turn; true if there is more to do at once.
    pub(crate) fn turn_ends(&mut self) -> bool {
        self.meter.turn_ends();
        self.probe.announce_room();
        self.turn >= self.turn_budget || self.driver_is_stale
    }

    /// Closes a turn that a panic cut short.
    pub(crate) fn turn_breaks(&mut self) {
        self.meter.turn_ends();
        if std::mem::take(&mut self.in_message) {
            bump(&self.probe.done.finished, 1);
        }
    }
}

impl<A: Actor> ActorContext for Context<A> {
    fn stop(&mut self) {
        self.parts.stop();
    }

    fn terminate(&mut self) {
        self.parts.terminate();
    }

    fn state(&self) -> ActorState {
        self.parts.state()
    }
}

impl<A: Actor> AsyncContext<Shell<A>> for Context<A> {
    fn address(&self) -> Addr<Shell<A>> {
        self.parts.address()
    }

    fn spawn<F>(&mut self, future: F) -> SpawnHandle
    where
        F: ActorFuture<Shell<A>, Output = ()> + 'static,
    {
        self.parts.spawn(future)
    }

    fn wait<F>(&mut self, future: F)
    where
        F: ActorFuture<Shell<A>, Output = ()> + 'static,
    {
        self.parts.wait(future);
    }

    /// Actix asks this before it takes the next message: the gate of the turn budget.
    #[inline]
    fn waiting(&self) -> bool {
        self.turn >= self.turn_budget || self.parts.waiting()
    }

    fn cancel_future(&mut self, handle: SpawnHandle) -> bool {
        self.parts.cancel_future(handle)
    }
}

impl<A: Actor> AsyncContextParts<Shell<A>> for Context<A> {
    fn parts(&mut self) -> &mut ContextParts<Shell<A>> {
        &mut self.parts
    }
}

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;
