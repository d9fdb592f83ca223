//! To the registrar: what must last before it is believed.

use std::fmt;

use tepui_protocol::message::Message;
use tepui_registry::Command;

/// Answered once the command is on disk at a majority and applied.
#[derive(Debug, Clone)]
pub struct Commit(pub Command);

impl Message for Commit {
    type Reply = Committed;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    Applied,
    /// Nothing changed.
    Refused(WriteRefusal),
    /// This master does not lead any more: the command may or may not take effect under the next leader.
    Unknown,
}

/// Why a command has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteRefusal {
    /// The registry's rules forbid it, as it was when the command's turn came.
    Rule(String),
    /// It was not even proposed, for want of room or because too much waits: later it may be taken.
    NotNow(String),
}

impl WriteRefusal {
    /// What HTTP tells who asked for it.
    pub fn status(&self) -> u16 {
        match self {
            WriteRefusal::Rule(_) => 409,
            WriteRefusal::NotNow(_) => 503,
        }
    }
}

impl fmt::Display for WriteRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (WriteRefusal::Rule(reason) | WriteRefusal::NotNow(reason)) = self;
        f.write_str(reason)
    }
}

/// What does the registrar count? Mesos' names, `registrar/…`, and values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RegistrarNumbers;

impl Message for RegistrarNumbers {
    type Reply = Vec<(String, f64)>;
}
