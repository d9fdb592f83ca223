//! `POST /api/v1/executor`: an executor's event stream and its calls (Mesos: docs/executor-http-api.md). Owns the
//! stream of bytes and its heartbeats; whom it belongs to, and what a call means, the node knows.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tepui_http::{Incoming, MediaType, Reply};
use tepui_kit::{Tell, TellError};
use tepui_messages::agent::{
    Answer, DeliverExecutorEvent, EndExecutorStream, ExecutorCall, ExecutorClaims,
    ExecutorStreamLost, ExecutorSubscribe,
};
use tepui_protocol::{
    codec::{json, protobuf},
    recordio,
    v1::executor::{Call, Event, call, event},
    validate,
};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{Interval, MissedTickBehavior, interval_at},
};

use super::Api;

/// Events that wait for an executor which does not read. One more, and its stream is cut.
const MAX_WAITING_EVENTS: usize = 4096;
/// Bytes of these that one more may find waiting.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// Keeps the connection known to whatever lies between (Mesos: 30 minutes).
const HEARTBEAT_INTERVAL: Duration = Duration::from_mins(30);

static LAST_STREAM: AtomicU64 = AtomicU64::new(0);

/// Answers one call.
pub(super) async fn call(
    api: &Api,
    request: Incoming,
    claims: Option<ExecutorClaims>,
) -> Result<Reply, Reply> {
    request.expect_method(&["POST"])?;
    let media = MediaType::of_request(&request.headers)?;
    let call: Call = media.decode(&request.body)?;
    validate::executor::call(&call).map_err(|reason| {
        Reply::bad_request(format!("Failed to validate Executor::Call: {reason}"))
    })?;
    match call.r#type() {
        call::Type::Subscribe => {
            let media = MediaType::of_answer(&request.headers)?;
            subscribe(api, call, media, claims).await
        }
        call::Type::Unknown => Ok(Reply::bare(501)),
        _ => Ok(reply(api.ask(ExecutorCall { call, claims }).await?)),
    }
}

async fn subscribe(
    api: &Api,
    call: Call,
    media: MediaType,
    claims: Option<ExecutorClaims>,
) -> Result<Reply, Reply> {
    let subscribe = call.subscribe.unwrap_or_default();
    let stream_id = LAST_STREAM.fetch_add(1, Ordering::Relaxed) + 1;
    let (sender, events) = mpsc::channel(MAX_WAITING_EVENTS);
    let waiting = Arc::default();
    // Made first: whatever happens from here on, the node hears of the stream's end.
    let lost = Lost {
        api: api.clone(),
        message: Some(ExecutorStreamLost {
            framework_id: call.framework_id.clone(),
            executor_id: call.executor_id.clone(),
            stream_id,
        }),
    };
    let question = ExecutorSubscribe {
        framework_id: call.framework_id,
        executor_id: call.executor_id,
        unacknowledged_tasks: subscribe.unacknowledged_tasks,
        unacknowledged_updates: statuses(subscribe.unacknowledged_updates),
        stream_id,
        stream: Arc::new(Events {
            sender: Mutex::new(Some(sender)),
            waiting: Arc::clone(&waiting),
        }),
        claims,
    };
    let answer = api.ask(question).await?;
    if answer != Answer::OK {
        return Ok(reply(answer));
    }
    Ok(Reply::stream(
        media.as_str(),
        records((events, waiting), media, lost),
    ))
}

fn statuses(updates: Vec<call::Update>) -> Vec<tepui_protocol::v1::TaskStatus> {
    updates.into_iter().map(|update| update.status).collect()
}

/// What the node says, as HTTP: refusals carry their text, the rest nothing.
pub(super) fn reply(answer: Answer) -> Reply {
    if answer.text.is_empty() {
        return Reply::empty(answer.status);
    }
    Reply::text(answer.status, answer.text)
}

/// The node's end of a stream. Without a sender it is over: what was sent before still goes out.
struct Events {
    sender: Mutex<Option<mpsc::Sender<Arc<Event>>>>,
    /// Bytes of what its reader has not taken.
    waiting: Arc<AtomicUsize>,
}

impl Tell<DeliverExecutorEvent> for Events {
    fn tell(&self, message: DeliverExecutorEvent) -> Result<(), TellError> {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = &*sender else {
            return Err(TellError::Closed);
        };
        let bytes = protobuf::size(&*message.0);
        let sent = match self.waiting.fetch_add(bytes, Ordering::AcqRel) {
            before if before > MAX_WAITING_BYTES => Err(TrySendError::Full(message.0)),
            _ => open.try_send(message.0),
        };
        match sent {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(TellError::Closed),
            Err(TrySendError::Full(_)) => {
                // It must not miss one event and see the next.
                *sender = None;
                Err(TellError::Full)
            }
        }
    }
}

impl Tell<EndExecutorStream> for Events {
    fn tell(&self, _: EndExecutorStream) -> Result<(), TellError> {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }
}

/// Tells the node, when it is dropped with the response, that nobody reads any more.
struct Lost {
    api: Api,
    message: Option<ExecutorStreamLost>,
}

impl Drop for Lost {
    fn drop(&mut self) {
        if let Some(message) = self.message.take()
            && let Err(error) = self.api.node.tell(message)
        {
            tracing::warn!("the node does not know that an executor's stream is lost: {error}");
        }
    }
}

struct Feed {
    events: mpsc::Receiver<Arc<Event>>,
    waiting: Arc<AtomicUsize>,
    media: MediaType,
    heartbeat: Interval,
    _lost: Lost,
}

/// RecordIO, one record an event, with heartbeats in between.
fn records(
    (events, waiting): (mpsc::Receiver<Arc<Event>>, Arc<AtomicUsize>),
    media: MediaType,
    lost: Lost,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + 'static {
    let first = tokio::time::Instant::now() + HEARTBEAT_INTERVAL;
    let mut heartbeat = interval_at(first, HEARTBEAT_INTERVAL);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let feed = Feed {
        events,
        waiting,
        media,
        heartbeat,
        _lost: lost,
    };
    stream::unfold(feed, |mut feed| async move {
        let event = tokio::select! {
            biased;
            event = feed.events.recv() => {
                let event = event?;
                feed.waiting.fetch_sub(protobuf::size(&*event), Ordering::AcqRel);
                event
            }
            _ = feed.heartbeat.tick() => Arc::new(Event {
                r#type: Some(event::Type::Heartbeat as i32),
                ..Event::default()
            }),
        };
        let record = match feed.media {
            MediaType::Json => json::encode(&*event).map_err(std::io::Error::other),
            MediaType::Protobuf => Ok(protobuf::encode(&*event)),
        };
        Some((record.map(|record| recordio::encode(&record)), feed))
    })
}

#[cfg(test)]
#[path = "executor_tests.rs"]
mod tests;
