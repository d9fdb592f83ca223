//! To a framework's proxy: the actor that turns events into the bytes of one subscription.

use std::sync::Arc;

use tepui_protocol::{
    message::{Message, Tell},
    v1::scheduler::Event,
};

/// An event for the scheduler, in order.
#[derive(Debug, Clone)]
pub struct Deliver(pub Arc<Event>);

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
