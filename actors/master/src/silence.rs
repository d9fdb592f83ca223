//! When a master may act. Owns what waits while no majority confirms that it leads.
//!
//! A leader that was cut off or stopped must not act on what it believes: another may lead already. So it looks at
//! its lease before each input and holds back all that comes until the lease is renewed, as after a stalled disk,
//! or the wiring ends it. Nothing is decided meanwhile, so nothing has to be taken back.

use std::collections::VecDeque;

use tepui_messages::master::Lease;

use crate::core::Input;

/// Inputs held back, beyond which those that others repeat are refused.
const MAX_HELD: usize = 10_000;

/// What the lease says at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    Act,
    /// Not elected yet, or not confirmed at the moment.
    Wait,
    /// The term is over; this master will never act again.
    Never,
}

pub(crate) struct Silence {
    lease: Lease,
    term: Option<u64>,
    held: VecDeque<Input>,
    /// A look at the lease is under way.
    pub(crate) listening: bool,
}

impl Silence {
    pub(crate) fn new(lease: Lease) -> Self {
        Self {
            lease,
            term: None,
            held: VecDeque::new(),
            listening: false,
        }
    }

    /// The master is elected in this term.
    pub(crate) fn begin(&mut self, term: u64) {
        self.term = Some(term);
    }

    pub(crate) fn right(&self) -> Right {
        let Some(term) = self.term else {
            return Right::Wait;
        };
        match (self.lease)() {
            Some(current) if current == term => Right::Act,
            Some(_) => Right::Never,
            None => Right::Wait,
        }
    }

    /// Whether a new input has to wait behind others.
    pub(crate) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Keeps an input for later; gives it back where there is no room and its sender can repeat it.
    pub(crate) fn hold(&mut self, input: Input) -> Option<Input> {
        if self.held.len() >= MAX_HELD && is_repeatable(&input) {
            return Some(input);
        }
        self.held.push_back(input);
        None
    }

    pub(crate) fn next(&mut self) -> Option<Input> {
        self.held.pop_front()
    }
}

/// What is not is as many as there are connections, executors, timers and writes under way.
fn is_repeatable(input: &Input) -> bool {
    match input {
        Input::AgentSays { what, .. } => !what.is_said_once(),
        Input::Subscribe(_)
        | Input::Call { .. }
        | Input::Operator { .. }
        | Input::AgentRegisters { .. } => true,
        // The allocator has booked them, and proposes nothing more before it hears of them.
        Input::Proposals(_) => false,
        Input::Elected { .. }
        | Input::StreamLost { .. }
        | Input::AgentLost { .. }
        | Input::Written { .. }
        | Input::Woke { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tepui_messages::{
        allocator::Proposals,
        master::{AgentMessage, PeerId},
    };
    use tepui_protocol::node;

    use super::*;

    /// Nobody says them again: what they book would stay booked.
    #[test]
    fn what_is_said_once_is_held_however_much_waits() {
        let mut silence = Silence::new(Arc::new(|| None));
        let says = |what| Input::AgentSays {
            peer: PeerId(1),
            what,
        };
        let update = || says(AgentMessage::StatusUpdate(Box::default()));
        for _ in 0..MAX_HELD {
            assert!(silence.hold(update()).is_none());
        }
        assert!(silence.hold(update()).is_some());
        let exited = node::ExecutorExited::default();
        assert!(
            silence
                .hold(says(AgentMessage::ExecutorExited(exited)))
                .is_none()
        );
        let (proposals, seen) = (Vec::new(), 0);
        let booked = Input::Proposals(Proposals { proposals, seen });
        assert!(silence.hold(booked).is_none());
    }
}
