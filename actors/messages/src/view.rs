//! To the view: the change stream, and questions about what it has seen.

use tepui_protocol::message::Message;

use crate::change::Numbered;

/// Changes in order, without a gap.
#[derive(Debug, Clone)]
pub struct Follow(pub Vec<Numbered>);

impl Message for Follow {
    type Reply = ();
}
