//! The life of one actor as a future: turns, panics, restarts, the end.
//!
//! Owns the restart budget and the burial. Never looks into a message.

use std::{
    any::Any,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context as Task, Poll, ready},
};

use actix::{
    ActorContext as _,
    dev::{ContextFut, ContextParts, Mailbox, channel::AddressReceiver},
};
use tokio::time::{Instant, Sleep, sleep};

use crate::{
    actor::Actor,
    context::Context,
    directory::Directory,
    link::Link,
    probe::{Probe, State},
    shell::Shell,
    spawn::{OnPanic, RestartPolicy},
};

/// Closes the mailbox and tells the directory, once, whichever way the actor ends.
pub(crate) struct Burial<A: Actor> {
    link: Link<A>,
    probe: Arc<Probe>,
    directory: Directory,
    state: State,
}

impl<A: Actor> Burial<A> {
    pub(crate) fn new(link: Link<A>, probe: Arc<Probe>, directory: Directory) -> Self {
        Self {
            link,
            probe,
            directory,
            state: State::Stopped,
        }
    }

    pub(crate) fn link(&self) -> &Link<A> {
        &self.link
    }
}

impl<A: Actor> Drop for Burial<A> {
    fn drop(&mut self) {
        self.link.close(self.state);
        self.directory.retire(&self.probe);
    }
}

/// Runs the actor, turn by turn. The order of the fields matters: the mailbox closes before the burial.
pub(crate) struct Supervised<A: Actor> {
    /// `None` once the actor has ended.
    life: Option<Life<A>>,
    burial: Burial<A>,
    on_panic: OnPanic,
    /// Times of the panics within the window of the policy.
    panics: VecDeque<Instant>,
    /// Runs between a panic and the restart.
    pause: Option<Pin<Box<Sleep>>>,
}

/// Actix's future, kept from being polled in its own drop: it would start or touch an actor there.
struct Life<A: Actor>(ContextFut<Shell<A>, Context<A>>);

impl<A: Actor> Drop for Life<A> {
    fn drop(&mut self) {
        self.0.ctx().terminate();
    }
}

enum Verdict {
    Restart(Pin<Box<Sleep>>),
    Fail,
}

impl<A: Actor> Supervised<A> {
    pub(crate) fn new(
        shell: Shell<A>,
        receiver: AddressReceiver<Shell<A>>,
        burial: Burial<A>,
        on_panic: OnPanic,
        turn_budget: u32,
    ) -> Self {
        let mailbox = Mailbox::new(receiver);
        let parts = ContextParts::new(mailbox.sender_producer());
        let link = burial.link().clone();
        let probe = Arc::clone(&burial.probe);
        let context = Context::new(parts, link, probe, turn_budget);
        Self {
            life: Some(Life(ContextFut::new(context, shell, mailbox))),
            burial,
            on_panic,
            panics: VecDeque::new(),
            pause: None,
        }
    }

    /// Notes a panic and decides what follows.
    fn judge(&mut self, payload: Box<dyn Any + Send>) -> Verdict {
        let probe = &self.burial.probe;
        let text = text_of(payload.as_ref());
        tracing::error!(actor = %probe.name, panic = %text, policy = ?self.on_panic, "actor panicked");
        probe.note_panic(text);
        // The payload may have a drop of its own that panics.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        match self.on_panic {
            OnPanic::Stop => Verdict::Fail,
            // No destructors: those of a torn state could make it last.
            OnPanic::ExitProcess => std::process::abort(),
            OnPanic::Restart(policy) => self.judge_by(policy),
        }
    }

    fn judge_by(&mut self, policy: RestartPolicy) -> Verdict {
        let now = Instant::now();
        self.panics
            .retain(|panic| now.saturating_duration_since(*panic) < policy.window);
        let recent = u32::try_from(self.panics.len()).unwrap_or(u32::MAX);
        if recent >= policy.max_restarts {
            tracing::error!(
                actor = %self.burial.probe.name,
                restarts = recent,
                window_ms = policy.window.as_millis(),
                "actor failed for good: its restarts are used up"
            );
            return Verdict::Fail;
        }
        self.panics.push_back(now);
        self.burial.probe.restarts.fetch_add(1, Relaxed);
        self.burial.probe.set_state(State::Restarting);
        Verdict::Restart(Box::pin(sleep(policy.pause(recent))))
    }

    fn fail(&mut self) {
        self.burial.state = State::Failed;
        // What is left of the actor may panic once more when it is dropped.
        let life = self.life.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(life)));
    }
}

impl<A: Actor> Future for Supervised<A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            let Some(Life(life)) = &mut this.life else {
                return Poll::Ready(());
            };
            if let Some(pause) = &mut this.pause {
                ready!(pause.as_mut().poll(task));
                this.pause = None;
                // Drops the broken actor, whose drop may panic as well.
                match catch_unwind(AssertUnwindSafe(|| life.restart())) {
                    Ok(_) => {}
                    Err(payload) => {
                        match this.judge(payload) {
                            Verdict::Restart(pause) => this.pause = Some(pause),
                            Verdict::Fail => this.fail(),
                        }
                        continue;
                    }
                }
            }
            life.ctx().turn_begins();
            match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *life).poll(task))) {
                Ok(Poll::Pending) => {
                    if life.ctx().turn_ends() {
                        take_turns(task);
                    }
                    return Poll::Pending;
                }
                Ok(Poll::Ready(())) => {
                    life.ctx().turn_ends();
                    this.life = None;
                }
                Err(payload) => {
                    life.ctx().turn_breaks();
                    match this.judge(payload) {
                        Verdict::Restart(pause) => this.pause = Some(pause),
                        Verdict::Fail => this.fail(),
                    }
                }
            }
        }
    }
}

/// Asks for another turn, after every other ready task and after the runtime has looked at its sockets
/// and timers. Waking the task at once would let a lone busy actor keep both waiting for 61 turns.
fn take_turns(task: &mut Task<'_>) {
    let deferred = pin!(tokio::task::yield_now());
    // Pending once, by design: polling it is what schedules the wake.
    let _ = deferred.poll(task);
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a text".to_owned()
    }
}

#[cfg(test)]
#[path = "supervise_tests.rs"]
mod tests;
