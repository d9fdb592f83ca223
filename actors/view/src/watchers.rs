//! Operator event streams: who watches, what was sent to whom, when the next heartbeat is due.
//!
//! Owns the senders. Encodes each event once for all watchers of one encoding that see everything, and never waits for any
//! of them: one whose queue is full is cut off. Reads no clock.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use tepui_messages::{
    change::Change,
    view::{Encoding, Watch},
};
use tepui_protocol::{acls::Subject, recordio::encode as record};
use tokio::sync::mpsc::Sender;

use crate::{
    World,
    api::{self, HEARTBEAT_INTERVAL},
};

/// Open streams; one more cuts off the oldest (Mesos `--max_operator_event_stream_subscribers`).
const MAX_WATCHERS: usize = 1000;
/// Bytes of events that one more may find waiting for a watcher, beside the snapshot.
const MAX_WAITING_BYTES: usize = 16 << 20;

/// The open streams, oldest first.
#[derive(Debug, Default)]
pub struct Watchers {
    next: u64,
    streams: BTreeMap<u64, Stream>,
    /// How the streams of those begin who see everything, until something changes: as JSON and as protobuf.
    snapshots: [Option<Bytes>; 2],
}

#[derive(Debug)]
struct Stream {
    encoding: Encoding,
    /// From whom something must be kept.
    viewer: Option<Subject>,
    records: Sender<Bytes>,
    waiting: Arc<AtomicUsize>,
    /// Bytes that one more record may find waiting.
    room: usize,
    /// Nanoseconds on the clock of the node.
    next_heartbeat: u64,
}

impl Stream {
    fn send(&self, record: Bytes) -> bool {
        let waiting = self.waiting.fetch_add(record.len(), Relaxed);
        waiting <= self.room && self.records.try_send(record).is_ok()
    }
}

impl Watchers {
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Opens a stream with SUBSCRIBED and a heartbeat. `now` in nanoseconds.
    ///
    /// # Errors
    /// Only what serde_json cannot write; the stream is then closed.
    pub fn open(&mut self, watch: Watch, world: &World, now: u64) -> Result<(), serde_json::Error> {
        let Watch {
            encoding,
            viewer,
            records,
            waiting,
            seat: _seat,
        } = watch;
        let first = match &viewer {
            Some(viewer) => record(&api::subscribed(&world.seen_by(viewer), encoding)?),
            None => self.snapshot(world, encoding)?,
        };
        let stream = Stream {
            encoding,
            viewer,
            records,
            waiting,
            room: first.len() + MAX_WAITING_BYTES,
            next_heartbeat: now + interval(),
        };
        if !stream.send(first) || !stream.send(record(&api::heartbeat(encoding)?)) {
            return Ok(());
        }
        if self.streams.len() == MAX_WATCHERS {
            self.streams.pop_first();
        }
        self.streams.insert(self.next, stream);
        self.next += 1;
        Ok(())
    }

    fn snapshot(&mut self, world: &World, encoding: Encoding) -> Result<Bytes, serde_json::Error> {
        let kept = &mut self.snapshots[usize::from(encoding == Encoding::Protobuf)];
        if kept.is_none() {
            *kept = Some(record(&api::subscribed(world, encoding)?));
        }
        Ok(kept.clone().unwrap_or_default())
    }

    /// What streams began with is no longer true, or was kept for long enough.
    pub fn forget_snapshots(&mut self) {
        self.snapshots = [None, None];
    }

    /// Sends the event of a change that `world` has just taken in, if it makes one, to all that may hear of it.
    ///
    /// # Errors
    /// Only what serde_json cannot write.
    pub fn tell(&mut self, world: &World, change: &Change) -> Result<(), serde_json::Error> {
        let Some(event) = api::event(world, change) else {
            return Ok(());
        };
        let (mut json, mut protobuf) = (None, None);
        let mut failure = None;
        self.streams.retain(|_, stream| {
            if let Some(viewer) = &stream.viewer {
                let Some(event) = api::event_for(viewer, world, change) else {
                    return true;
                };
                let encoded = api::encode(&event, stream.encoding);
                let sent = encoded.map(|bytes| stream.send(record(&bytes)));
                return sent.unwrap_or_else(|error| {
                    failure = Some(error);
                    false
                });
            }
            let shared = match stream.encoding {
                Encoding::Json => &mut json,
                Encoding::Protobuf => &mut protobuf,
            };
            if shared.is_none() {
                match api::encode(&event, stream.encoding) {
                    Ok(bytes) => *shared = Some(record(&bytes)),
                    Err(error) => failure = Some(error),
                }
            }
            // Without this event the stream would have a gap.
            shared.clone().is_some_and(|record| stream.send(record))
        });
        failure.map_or(Ok(()), Err)
    }

    /// Sends the heartbeats that are due, forgets streams that were closed, and says when the next
    /// heartbeat is due.
    ///
    /// # Errors
    /// Only what serde_json cannot write.
    pub fn beat(&mut self, now: u64) -> Result<Option<u64>, serde_json::Error> {
        let json = record(&api::heartbeat(Encoding::Json)?);
        let protobuf = record(&api::heartbeat(Encoding::Protobuf)?);
        self.streams.retain(|_, stream| {
            if stream.next_heartbeat > now {
                return !stream.records.is_closed();
            }
            stream.next_heartbeat = now + interval();
            stream.send(match stream.encoding {
                Encoding::Json => json.clone(),
                Encoding::Protobuf => protobuf.clone(),
            })
        });
        let due = self.streams.values().map(|stream| stream.next_heartbeat);
        Ok(due.min())
    }

    /// Closes all streams.
    pub fn close(&mut self) {
        self.streams.clear();
    }
}

fn interval() -> u64 {
    u64::try_from(HEARTBEAT_INTERVAL.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "watchers_tests.rs"]
mod tests;
