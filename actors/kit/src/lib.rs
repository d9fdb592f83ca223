//! How an actor lives here: observed, bounded, supervised, and testable on virtual time.
//!
//! Owns the actor's [`Context`], the [`Link`] that is its only handle, the probe behind every
//! mailbox, supervision, the [`Directory`] of mailboxes, the [`Clock`], the [`Random`] source and a
//! test stage. Never knows what any actor is for, never reads a wall clock behind its caller's back and
//! never needs an actix `System`: any tokio `LocalSet` will do.
//!
//! Actix carries the messages; its `Addr`, `Recipient` and `do_send` stay inside this crate, because
//! they are unbounded, uncounted and silent about loss.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod actor;
pub mod bench;
mod blocking;
mod clock;
mod context;
mod crash;
pub mod descriptors;
mod directory;
mod histogram;
mod lane;
mod link;
mod meter;
mod probe;
mod random;
pub mod samples;
mod shell;
mod spawn;
#[cfg(feature = "stage")]
pub mod stage;
mod stats;
mod supervise;
mod timers;

pub use actix::{Arbiter, ArbiterHandle, System};
pub use tepui_protocol::message::{Ask, AskError, Asker, Message, Tell, TellError, Teller, Wire};

pub use actor::{Actor, Answer, Handler, Receive};
pub use blocking::blocking;
pub use clock::Clock;
pub use context::Context;
pub use crash::crash_point;
pub use directory::{Directory, Observation, Seen};
pub use link::{Link, within};
pub use random::Random;
pub use spawn::{OnPanic, Overflow, Prepared, RestartPolicy, Spawn};
pub use stats::{HandlingNow, MailboxStats, MessageStats, State};
pub use timers::TimerHandle;
