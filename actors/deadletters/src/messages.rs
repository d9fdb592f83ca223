//! What this module and its app say to each other.

use serde::Serialize;
use tepui_kit::Message;
use tepui_messages::UnixNanos;

/// Asks for the losses on record, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct GetLosses;

impl Message for GetLosses {
    type Reply = Vec<Loss>;
}

/// Messages of one mailbox that reached nobody between two looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// Nanoseconds since 1970 of the look that found it.
    pub at: UnixNanos,
    /// The mailbox, as the directory names it.
    pub mailbox: String,
    /// Refused at the bound since the look before.
    pub refused: u64,
    /// Queued and never handled since the look before.
    pub lost: u64,
}
