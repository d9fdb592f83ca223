//! A recorder of messages that reached nobody: refused at a bound, or lost with the actor they were for.
//!
//! Owns a bounded list of such losses by mailbox, and a WARN line for each new one. Reads the counters of the
//! directory; sees no message and changes no mailbox. It is also the example of how an actor module is added.

mod actor;
mod core;
mod messages;

pub use actor::DeadLetters;
pub use core::{Counts, DeadLettersCore, Effect, Input, MAX_LOSSES};
pub use messages::{GetLosses, Loss};
