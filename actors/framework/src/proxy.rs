//! The proxy itself. Owns the rhythm of one stream: what comes first, when the heart beats, how it ends.

use std::sync::Arc;

use tepui_kit::{Actor, Context, Handler, Teller};
use tepui_messages::{
    framework::{Deliver, EndStream, HEARTBEAT_INTERVAL},
    master::StreamLost,
    traffic::{Requests, Traffic},
};
use tepui_protocol::v1::scheduler::{Event, event::Type};
use tokio::sync::{oneshot, watch};

use crate::records::{Refused, Writer};

/// Where a proxy stands.
pub(crate) struct Place {
    pub stream_id: String,
    /// The master.
    pub lost: Teller<StreamLost>,
    /// True once the master leads no more.
    pub over: watch::Receiver<bool>,
    pub traffic: Arc<Traffic>,
}

/// Hands the events of one subscription to its reader.
///
/// Ends when the stream was ended, its reader is gone or too slow; in the two latter cases, and
/// if it falls over, the master hears [`StreamLost`].
pub struct Proxy {
    place: Place,
    writer: Writer,
    reader_gone: Option<oneshot::Receiver<()>>,
    /// Where the events of its framework are counted, once it is subscribed.
    told: Option<Arc<Requests>>,
    /// Whether an event was delivered.
    opened: bool,
    /// Whether the master ended the stream, and needs to hear nothing.
    ended: bool,
}

impl Proxy {
    pub(crate) fn new(place: Place, writer: Writer, reader_gone: oneshot::Receiver<()>) -> Self {
        Self {
            place,
            writer,
            reader_gone: Some(reader_gone),
            told: None,
            opened: false,
            ended: false,
        }
    }

    fn write(&self, events: Vec<Arc<Event>>, ctx: &mut Context<Self>) {
        if let Some(told) = &self.told {
            events.iter().for_each(|event| told.event(event.r#type()));
        }
        match self.writer.push(events) {
            Ok(()) => {}
            Err(Refused::Gone) => ctx.stop(),
            Err(Refused::Full) => {
                tracing::warn!(
                    proxy = ctx.name(),
                    "the scheduler reads too slowly; its stream is cut"
                );
                self.writer.cut();
                ctx.stop();
            }
        }
    }

    /// A refusal is the only other thing than SUBSCRIBED that a stream may begin with; it beats for nobody.
    fn open(&mut self, first: Arc<Event>, ctx: &mut Context<Self>) {
        self.opened = true;
        let kind = first.r#type();
        let subscribed = first.subscribed.as_ref();
        self.told = subscribed.and_then(|it| self.place.traffic.known(&it.framework_id.value));
        self.write(vec![first], ctx);
        if kind == Type::Subscribed {
            self.beat(ctx);
            ctx.run_interval(HEARTBEAT_INTERVAL, |proxy, ctx| proxy.beat(ctx));
        }
    }

    fn beat(&self, ctx: &mut Context<Self>) {
        let heartbeat = Event {
            r#type: Some(Type::Heartbeat as i32),
            ..Event::default()
        };
        self.write(vec![Arc::new(heartbeat)], ctx);
    }
}

impl Actor for Proxy {
    const NAME: &'static str = "framework";

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(gone) = self.reader_gone.take() {
            ctx.then(gone, |_, _, ctx| ctx.stop());
        }
        let mut over = self.place.over.clone();
        let over = async move { over.wait_for(|over| *over).await.is_ok() };
        ctx.then(over, |_, over, ctx| {
            if over {
                ctx.stop();
            }
        });
    }

    /// Stopped from outside, as after a full mailbox or when the master leads no more: events were lost, so the stream must break.
    fn stopping(&mut self, _: &mut Context<Self>) {
        if !self.ended {
            self.writer.cut();
        }
    }
}

impl Handler<Deliver> for Proxy {
    fn handle(&mut self, Deliver(mut events): Deliver, ctx: &mut Context<Self>) {
        if self.ended {
            return;
        }
        if !self.opened && !events.is_empty() {
            let first = events.remove(0);
            self.open(first, ctx);
        }
        if !events.is_empty() {
            self.write(events, ctx);
        }
    }
}

impl Handler<EndStream> for Proxy {
    fn handle(&mut self, EndStream: EndStream, ctx: &mut Context<Self>) {
        self.ended = true;
        ctx.stop();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if !self.ended {
            let stream_id = std::mem::take(&mut self.place.stream_id);
            // Taken whatever waits there; a master that is gone needs it no more.
            let _ = self.place.lost.tell(StreamLost { stream_id });
        }
    }
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
