//! To the registrar: what must last before it is believed.

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
    /// The state machine refused it, and why; nothing changed.
    Refused(String),
    /// This master does not lead any more: the command may or may not take effect under the next leader.
    Unknown,
}

/// What does the registrar count? Mesos' names, `registrar/…`, and values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RegistrarNumbers;

impl Message for RegistrarNumbers {
    type Reply = Vec<(String, f64)>;
}
