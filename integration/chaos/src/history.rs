//! What clients saw of one register, and whether there is an order of it that one register alone could have shown.
//!
//! The search for that order is stateright's. It keeps no memory of where it has been, so a sitting has to stay
//! short: some twenty operations, of which a few are concurrent.

use std::fmt;

use stateright::semantics::{
    ConsistencyTester, LinearizabilityTester,
    register::{Register, RegisterOp, RegisterRet},
};

/// Threads of the tester that hold one lost write each; it tries those with the lowest numbers first, and these are
/// the least likely.
const LOST: u32 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Write(u64),
    /// With what it found; 0 is a register that was never written.
    Read(u64),
}

/// A request that had, or may have had, an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) client: u32,
    pub(crate) what: What,
    /// On the sitting's clock: what had its answer before another began has a lower number.
    pub(crate) invoked: u64,
    /// Absent for a write without an answer: it may have its effect at any later time, or never.
    pub(crate) returned: Option<u64>,
}

/// Some clients at one register, from a moment when nobody wrote and its value was known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sitting {
    pub(crate) key: String,
    pub(crate) began_with: u64,
    pub(crate) operations: Vec<Operation>,
}

/// No order explains these operations: the shortest beginning of a sitting of which that is so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not linearizable: {0}")]
pub(crate) struct Contradiction(pub(crate) Box<Sitting>);

/// A line of the history, as time had it.
#[derive(Debug, Clone, Copy)]
enum Event {
    Invoked(Operation),
    Returned(Operation),
}

impl Sitting {
    /// # Errors
    /// The shortest beginning that is not linearizable.
    pub(crate) fn check(&self) -> Result<(), Contradiction> {
        let events = self.events();
        if self.holds(&events) {
            return Ok(());
        }
        // What holds for a history holds for each of its beginnings, so the first that does not is found by halving.
        let (mut good, mut bad) = (0, events.len());
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            if self.holds(&events[..middle]) {
                good = middle;
            } else {
                bad = middle;
            }
        }
        Err(Contradiction(Box::new(self.beginning(&events[..bad]))))
    }

    fn events(&self) -> Vec<Event> {
        let mut events = Vec::with_capacity(2 * self.operations.len());
        for operation in &self.operations {
            events.push((operation.invoked, Event::Invoked(*operation)));
            events.extend(
                operation
                    .returned
                    .map(|at| (at, Event::Returned(*operation))),
            );
        }
        events.sort_by_key(|(at, _)| *at);
        events.into_iter().map(|(_, event)| event).collect()
    }

    fn holds(&self, events: &[Event]) -> bool {
        let mut tester = LinearizabilityTester::new(Register(self.began_with));
        let mut lost = LOST;
        for event in events {
            let fed = match event {
                Event::Invoked(operation) => {
                    let thread = if operation.returned.is_some() {
                        operation.client
                    } else {
                        // Its client goes on, so it needs a thread of its own.
                        lost += 1;
                        lost
                    };
                    let op = match operation.what {
                        What::Write(value) => RegisterOp::Write(value),
                        What::Read(_) => RegisterOp::Read,
                    };
                    tester.on_invoke(thread, op).map(drop)
                }
                Event::Returned(operation) => {
                    let answer = match operation.what {
                        What::Write(_) => RegisterRet::WriteOk,
                        What::Read(value) => RegisterRet::ReadOk(value),
                    };
                    tester.on_return(operation.client, answer).map(drop)
                }
            };
            fed.expect("a client does one thing after the other");
        }
        tester.is_consistent()
    }

    fn beginning(&self, events: &[Event]) -> Sitting {
        let mut operations: Vec<Operation> = Vec::new();
        for event in events {
            match event {
                Event::Invoked(operation) => operations.push(Operation {
                    returned: None,
                    ..*operation
                }),
                Event::Returned(operation) => {
                    let begun = operations
                        .iter_mut()
                        .find(|it| it.invoked == operation.invoked);
                    begun.expect("began before it returned").returned = operation.returned;
                }
            }
        }
        // What had no answer yet and is no write says nothing.
        operations.retain(|it| it.returned.is_some() || matches!(it.what, What::Write(_)));
        Sitting {
            key: self.key.clone(),
            began_with: self.began_with,
            operations,
        }
    }

    /// What was read last, or what it began with.
    pub(crate) fn last_read(&self) -> u64 {
        let reads = self.operations.iter().filter_map(|it| match it.what {
            What::Read(value) => Some((it.returned, value)),
            What::Write(_) => None,
        });
        reads.max().map_or(self.began_with, |(_, value)| value)
    }

    /// Adds a read after all that happened.
    pub(crate) fn read_later(&mut self, client: u32, value: u64) {
        let times = self
            .operations
            .iter()
            .map(|it| it.returned.unwrap_or(it.invoked));
        let after = times.max().map_or(0, |last| last + 1);
        self.operations.push(Operation {
            client,
            what: What::Read(value),
            invoked: after,
            returned: Some(after + 1),
        });
    }

    pub(crate) fn lost_writes(&self) -> usize {
        let lost = self.operations.iter().filter(|it| it.returned.is_none());
        lost.count()
    }
}

impl fmt::Display for Sitting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "register {} began with {}", self.key, self.began_with)?;
        for operation in &self.operations {
            let Operation {
                client,
                what,
                invoked,
                returned,
            } = operation;
            write!(f, "\n  {invoked:>4} ")?;
            match returned {
                Some(at) => write!(f, "… {at:<4}")?,
                None => write!(f, "… no answer")?,
            }
            match what {
                What::Write(value) => write!(f, " client {client} writes {value}")?,
                What::Read(value) => write!(f, " client {client} reads {value}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
