//! To a framework's proxy: the actor that turns events into the bytes of one subscription.

use std::{sync::Arc, time::Duration};

use tepui_protocol::{
    message::{Message, Tell},
    v1::scheduler::Event,
};

/// Between heartbeats on a scheduler's stream (Mesos: a constant, echoed in SUBSCRIBED).
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// Events for the scheduler, in order: all that one turn of the master has for it, since a turn may have more of them
/// (a status for each task, an offer rescinded on each agent) than there is room for messages.
#[derive(Debug, Clone)]
pub struct Deliver(pub Vec<Arc<Event>>);

impl Message for Deliver {
    type Reply = ();
}

/// Ends the stream after all that was delivered before (last chunk, the connection stays open).
#[derive(Debug, Clone, Copy)]
pub struct EndStream;

impl Message for EndStream {
    type Reply = ();
}

/// What the master holds of a subscription.
pub trait SchedulerStream: Tell<Deliver> + Tell<EndStream> {}
impl<T: Tell<Deliver> + Tell<EndStream>> SchedulerStream for T {}
