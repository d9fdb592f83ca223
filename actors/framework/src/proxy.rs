//! The proxy itself. Owns the rhythm of one stream: what comes first, when the heart beats, how it ends.

use std::time::Duration;

use bytes::Bytes;
use tepui_kit::{Actor, Context, Handler, Teller};
use tepui_messages::{
    framework::{Deliver, EndStream},
    master::StreamLost,
    view::Encoding,
};
use tepui_protocol::{
    codec::{json, protobuf},
    v1::scheduler::{Event, event::Type},
};
use tokio::sync::{oneshot, watch};

use crate::records::{Batch, Refused, Writer, frame};

/// Between two heartbeats (Mesos: a constant of 15 s, echoed in SUBSCRIBED).
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// Turns events into the bytes of one subscription.
///
/// Ends when the stream was ended, its reader is gone or too slow; in the two latter cases, and
/// if it falls over, the master hears [`StreamLost`].
pub struct Proxy {
    stream_id: String,
    encoding: Encoding,
    writer: Writer,
    reader_gone: Option<oneshot::Receiver<()>>,
    lost: Teller<StreamLost>,
    /// True once the master leads no more.
    over: watch::Receiver<bool>,
    /// Whether an event was delivered.
    opened: bool,
    /// Whether the master ended the stream, and needs to hear nothing.
    ended: bool,
}

impl Proxy {
    pub(crate) fn new(
        stream_id: String,
        encoding: Encoding,
        writer: Writer,
        reader_gone: oneshot::Receiver<()>,
        lost: Teller<StreamLost>,
        over: watch::Receiver<bool>,
    ) -> Self {
        Self {
            stream_id,
            encoding,
            writer,
            reader_gone: Some(reader_gone),
            lost,
            over,
            opened: false,
            ended: false,
        }
    }

    fn write<'e>(&self, events: impl IntoIterator<Item = &'e Event>, ctx: &mut Context<Self>) {
        let records = events.into_iter().map(|event| encode(event, self.encoding));
        let batch: Batch = match records.collect() {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(%error, "an event could not be encoded; its stream ends");
                self.writer.cut();
                return ctx.stop();
            }
        };
        match self.writer.push(batch) {
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
    fn open(&mut self, first: &Event, ctx: &mut Context<Self>) {
        self.opened = true;
        self.write([first], ctx);
        if first.r#type() == Type::Subscribed {
            self.beat(ctx);
            ctx.run_interval(HEARTBEAT_INTERVAL, |proxy, ctx| proxy.beat(ctx));
        }
    }

    fn beat(&self, ctx: &mut Context<Self>) {
        let heartbeat = Event {
            r#type: Some(Type::Heartbeat as i32),
            ..Event::default()
        };
        self.write([&heartbeat], ctx);
    }
}

fn encode(event: &Event, encoding: Encoding) -> Result<Bytes, String> {
    Ok(match encoding {
        Encoding::Json => frame(&json::encode(event).map_err(|error| error.to_string())?),
        Encoding::Protobuf => frame(&protobuf::encode(event)),
    })
}

impl Actor for Proxy {
    const NAME: &'static str = "framework";

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(gone) = self.reader_gone.take() {
            ctx.then(gone, |_, _, ctx| ctx.stop());
        }
        let mut over = self.over.clone();
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
    fn handle(&mut self, Deliver(events): Deliver, ctx: &mut Context<Self>) {
        if self.ended {
            return;
        }
        let mut events = events.iter().map(|event| &**event);
        if !self.opened
            && let Some(first) = events.next()
        {
            self.open(first, ctx);
        }
        if events.len() > 0 {
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
            let stream_id = std::mem::take(&mut self.stream_id);
            // A master that is gone or has no room learns it from the next event it tells us.
            let _ = self.lost.tell(StreamLost { stream_id });
        }
    }
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
