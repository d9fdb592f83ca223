//! Clients of the agent's API who wait for a container: until its command runs, or until it has ended. Owns their
//! answers; what is known of a container, the core says.

use tepui_kit::{Answer, Context, Handler, Receive};
use tepui_messages::agent::{
    Answer as HttpAnswer, ContainerEnd, LaunchGuest, RemoveGuest, SignalContainer, WaitGuest,
};

use crate::{actor::NodeActor, effect::Input, ends::Removal, guests::GuestState};

/// Clients that may wait at one time; each holds a connection.
const MAX_WAITERS: usize = 1_000;

/// One who waits.
pub(crate) enum Waiter {
    Launch(Answer<HttpAnswer>),
    End(Answer<Option<ContainerEnd>>),
}

impl Waiter {
    fn is_wanted(&self) -> bool {
        match self {
            Self::Launch(answer) => answer.is_wanted(),
            Self::End(answer) => answer.is_wanted(),
        }
    }
}

impl NodeActor {
    /// Answers those whose container has come so far.
    pub(crate) fn answer_waiters(&mut self) {
        if self.waiters.is_empty() {
            return;
        }
        for (container_id, waiter) in std::mem::take(&mut self.waiters) {
            if !waiter.is_wanted() {
                continue;
            }
            let core = &self.core;
            match waiter {
                Waiter::Launch(answer) => match core.guest_state(&container_id) {
                    GuestState::Starting => {
                        self.waiters.push((container_id, Waiter::Launch(answer)));
                    }
                    GuestState::Unknown => {
                        let text = "the container around it has ended";
                        answer.send(HttpAnswer::refused(400, text));
                    }
                    GuestState::Running | GuestState::Ended(_) => answer.send(HttpAnswer::OK),
                },
                Waiter::End(answer) => match core.container_state(&container_id) {
                    GuestState::Starting | GuestState::Running => {
                        self.waiters.push((container_id, Waiter::End(answer)));
                    }
                    GuestState::Ended(end) => answer.send(Some(end)),
                    GuestState::Unknown => answer.send(None),
                },
            }
        }
    }

    /// A container did not start: whoever asked for it is told why.
    pub(crate) fn guest_refused(&mut self, container_id: &str, message: &str) {
        let at = |(id, waiter): &(String, Waiter)| {
            id == container_id && matches!(waiter, Waiter::Launch(_))
        };
        if let Some(at) = self.waiters.iter().position(at)
            && let (_, Waiter::Launch(answer)) = self.waiters.remove(at)
        {
            answer.send(HttpAnswer::refused(400, message));
        }
    }
}

impl Receive<LaunchGuest> for NodeActor {
    fn receive(
        &mut self,
        message: LaunchGuest,
        answer: Answer<HttpAnswer>,
        ctx: &mut Context<Self>,
    ) {
        let container_id = message.container_id.clone();
        let is_known = self.core.guest_state(&container_id) != GuestState::Unknown;
        if is_known || self.core.runs(&container_id) {
            return answer.send(HttpAnswer::ACCEPTED);
        }
        if let Some(refusal) = self.core.guest_refusal(&message) {
            return answer.send(HttpAnswer::refused(400, refusal));
        }
        self.waiters.push((container_id, Waiter::Launch(answer)));
        self.input(Input::LaunchGuest(Box::new(message)), ctx);
    }
}

impl Receive<WaitGuest> for NodeActor {
    fn receive(
        &mut self,
        message: WaitGuest,
        answer: Answer<Option<ContainerEnd>>,
        ctx: &mut Context<Self>,
    ) {
        // Nothing else may have come since one was to be forgotten.
        self.core.ends_are_told(self.now(ctx));
        // Those who have gone away make room.
        self.answer_waiters();
        if self.waiters.len() < MAX_WAITERS {
            let waiter = Waiter::End(answer);
            self.waiters.push((message.container_id, waiter));
            self.answer_waiters();
        }
    }
}

impl Handler<SignalContainer> for NodeActor {
    fn handle(&mut self, message: SignalContainer, ctx: &mut Context<Self>) -> HttpAnswer {
        let SignalContainer {
            container_id,
            signal,
        } = message;
        if !self.core.runs(&container_id) {
            let text = format!("Container '{container_id}' cannot be found (or is already killed)");
            return HttpAnswer::refused(404, text);
        }
        let input = Input::SignalContainer {
            container_id,
            signal,
        };
        self.input(input, ctx);
        HttpAnswer::OK
    }
}

impl Handler<RemoveGuest> for NodeActor {
    fn handle(&mut self, message: RemoveGuest, ctx: &mut Context<Self>) -> HttpAnswer {
        let container_id = message.container_id;
        match self.core.removal(&container_id) {
            Removal::Possible => {
                self.input(Input::RemoveGuest { container_id }, ctx);
                HttpAnswer::OK
            }
            Removal::Running => HttpAnswer::refused(500, "Nested container has not terminated yet"),
            Removal::UnknownRoot => HttpAnswer::refused(500, "Unknown root container"),
            Removal::Unknown => {
                let text = format!("Container {container_id} cannot be found");
                HttpAnswer::refused(404, text)
            }
        }
    }
}
