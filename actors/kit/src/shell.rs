//! What actix sees: a shell around the actor, and envelopes that count.
//!
//! Owns the actor between its birth in the factory and its end, and the ways a message gets from an
//! envelope into the actor. Decides nothing about restarts: `supervise` does.

use std::{
    pin::Pin,
    sync::atomic::Ordering::Relaxed,
    task::{Context as Task, Poll},
};

use actix::{
    ActorContext as _, ActorFuture, Running, Supervised,
    dev::{Envelope, EnvelopeProxy, OneshotSender, ToEnvelope},
};
use tepui_protocol::message::Message;

use crate::{
    actor::{Actor, Answer},
    context::Context,
    lane::BoxedParcel,
    probe::State,
};

pub(crate) type Factory<A> = Box<dyn FnMut() -> A + Send>;

/// The actix actor around ours.
pub struct Shell<A: Actor> {
    actor: Option<A>,
    factory: Factory<A>,
    restarted: bool,
}

impl<A: Actor> Shell<A> {
    pub(crate) fn new(factory: Factory<A>) -> Self {
        Self {
            actor: None,
            factory,
            restarted: false,
        }
    }

    #[inline]
    fn actor(&mut self) -> &mut A {
        self.actor
            .as_mut()
            .expect("actix calls started, which makes the actor, before anything else")
    }
}

impl<A: Actor> actix::Actor for Shell<A> {
    type Context = Context<A>;

    fn started(&mut self, ctx: &mut Context<A>) {
        ctx.install_driver();
        let thread = std::thread::current();
        ctx.probe()
            .thread
            .get_or_init(|| thread.name().unwrap_or("unnamed").to_owned());
        let actor = self.actor.insert((self.factory)());
        if self.restarted {
            actor.restarting(ctx);
        }
        actor.started(ctx);
        ctx.probe().set_state(State::Running);
    }

    fn stopping(&mut self, ctx: &mut Context<A>) -> Running {
        self.actor().stopping(ctx);
        Running::Stop
    }
}

impl<A: Actor> Supervised for Shell<A> {
    fn restarting(&mut self, ctx: &mut Context<A>) {
        self.actor = None;
        self.restarted = true;
        ctx.forget_pending();
    }
}

/// The one message type actix knows; the type of ours is inside.
pub(crate) struct Packed<A: Actor>(pub(crate) BoxedParcel<A>);

impl<A: Actor> actix::Message for Packed<A> {
    type Result = ();
}

impl<A: Actor> actix::Handler<Packed<A>> for Shell<A> {
    type Result = ();

    fn handle(&mut self, mut packed: Packed<A>, ctx: &mut Context<A>) {
        packed.0.handle(self, ctx);
    }
}

impl<A: Actor> ToEnvelope<Shell<A>, Packed<A>> for Context<A> {
    #[inline]
    fn pack(packed: Packed<A>, _answer: Option<OneshotSender<()>>) -> Envelope<Shell<A>> {
        Envelope::with_proxy(packed.0)
    }
}

/// A message, the way back to its asker, the time of telling, and the handler it is for.
///
/// Handlers are given as a type of their own (`F` is a function item, of no size), so that the call can
/// be inlined.
pub(crate) struct Parcel<M: Message, F> {
    contents: Option<(M, Answer<M::Reply>)>,
    told_at: u64,
    lane: LaneKind,
    run: F,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LaneKind {
    Data,
    Control,
}

impl<M: Message, F> Parcel<M, F> {
    #[inline]
    pub(crate) fn new(
        message: M,
        answer: Answer<M::Reply>,
        told_at: u64,
        lane: LaneKind,
        run: F,
    ) -> Self {
        Self {
            contents: Some((message, answer)),
            told_at,
            lane,
            run,
        }
    }
}

impl<A, M, F> EnvelopeProxy<Shell<A>> for Parcel<M, F>
where
    A: Actor,
    M: Message,
    F: Fn(&mut A, M, Answer<M::Reply>, &mut Context<A>) + Send,
{
    fn handle(&mut self, shell: &mut Shell<A>, ctx: &mut Context<A>) {
        if self.lane == LaneKind::Control {
            if let Some((message, answer)) = self.contents.take() {
                ctx.handle_told::<M>(self.told_at, |ctx| {
                    (self.run)(shell.actor(), message, answer, ctx);
                });
            }
            return;
        }
        if ctx.probe().control_waiting.load(Relaxed) != 0 {
            ctx.drain_control(shell);
            if ctx.state().stopping() {
                // A control message stopped the actor: this one is lost, and counted when it ends.
                return;
            }
        }
        if let Some((message, answer)) = self.contents.take() {
            ctx.handle_data::<M>(self.told_at, |ctx| {
                (self.run)(shell.actor(), message, answer, ctx);
            });
        }
    }
}

/// Says in actix's queue that something waits in the control lane.
pub(crate) struct ControlBell;

impl<A: Actor> EnvelopeProxy<Shell<A>> for ControlBell {
    fn handle(&mut self, shell: &mut Shell<A>, ctx: &mut Context<A>) {
        ctx.own_link().control_bell_heard();
        ctx.drain_control(shell);
    }
}

/// Stands in actix's queue for one message of the drop-oldest lane.
pub(crate) struct NewestBell;

impl<A: Actor> EnvelopeProxy<Shell<A>> for NewestBell {
    fn handle(&mut self, shell: &mut Shell<A>, ctx: &mut Context<A>) {
        if let Some(mut parcel) = ctx.own_link().pop_newest() {
            parcel.handle(shell, ctx);
        }
    }
}

/// The one future actix polls for this actor; it drives all timers and futures of the context.
pub(crate) struct Driver;

impl<A: Actor> ActorFuture<Shell<A>> for Driver {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        shell: &mut Shell<A>,
        ctx: &mut Context<A>,
        task: &mut Task<'_>,
    ) -> Poll<()> {
        ctx.drive(shell.actor(), task);
        Poll::Pending
    }
}
