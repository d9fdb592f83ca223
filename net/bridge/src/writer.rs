//! The writer task of one connection: encodes what is queued, writes many frames at once, keeps the peer
//! assured with heartbeats, ends with a farewell.

use std::{collections::VecDeque, pin::pin};

use bytes::BytesMut;
use tepui_protocol::message::AskError;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    time::{Instant, sleep, sleep_until, timeout_at},
};

use crate::{
    error::Reason,
    frame::{self, FrameType, HEADER_BYTES},
    outbox::{Body, Closing, Held, KEEP_PLACES, Outgoing},
    peer::Peer,
    stats::add,
};

/// Encoded bytes gathered before the socket is tried (again).
const GATHER_BYTES: usize = 128 << 10;
/// Messages taken from the queue under one lock.
const TAKE_MESSAGES: usize = 256;
/// A buffer larger than this is given back once it is empty.
const KEEP_BYTES: usize = 256;
/// Most bytes of a text that is sent.
const MAX_TEXT_BYTES: usize = 4 << 10;

/// A frame in the buffer: where it lies in the stream, and when it was told.
struct Span {
    begin: u64,
    end: u64,
    best_effort: bool,
    queued_ms: u64,
}

impl Span {
    /// How much of it lies between two places of the stream.
    fn within(&self, from: u64, to: u64) -> usize {
        self.end.min(to).saturating_sub(self.begin.max(from)) as usize
    }
}

struct Writer<W> {
    io: W,
    peer: Peer,
    /// Taken from the queue, not yet encoded.
    batch: VecDeque<Outgoing>,
    /// Encoded, not yet taken by the socket.
    buffer: BytesMut,
    spans: VecDeque<Span>,
    /// Bytes in the buffer that are of best effort.
    best_effort: usize,
    /// Bytes of the stream ever encoded and written.
    encoded: u64,
    written: u64,
    /// Messages that left since the accounts were last settled.
    left: usize,
    /// When the socket last took something, or was first offered what it has not taken.
    progress: Instant,
    closing: Option<Closing>,
}

/// Runs until the connection ends, and says why.
pub(crate) async fn run<W: AsyncWrite + Unpin>(io: W, peer: Peer) -> Reason {
    let mut writer = Writer {
        io,
        peer,
        batch: VecDeque::new(),
        buffer: BytesMut::new(),
        spans: VecDeque::new(),
        best_effort: 0,
        encoded: 0,
        written: 0,
        left: 0,
        progress: Instant::now(),
        closing: None,
    };
    writer.run().await
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    async fn run(&mut self) -> Reason {
        let interval = self.peer.shared.settings.heartbeat;
        let mut heartbeat = pin!(sleep(interval));
        loop {
            self.closing = self.peer.shared.outbox.closing();
            if let Some(Closing::Cut(reason)) = &self.closing {
                return reason.clone();
            }
            self.encode_waiting();
            if !self.buffer.is_empty() {
                if let Err(reason) = self.write_some().await {
                    return reason;
                }
                continue;
            }
            if let Some(Closing::Farewell { text, deadline }) = self.closing.clone() {
                return Box::pin(self.say_farewell(text, deadline)).await;
            }
            tokio::select! {
                biased;
                () = self.peer.shared.outbox.ready(false, false) => {}
                () = heartbeat.as_mut() => {
                    let due = self.progress + interval;
                    if Instant::now() >= due {
                        if self.peer.shared.outbox.reserve(HEADER_BYTES) {
                            self.put(FrameType::Heartbeat, 0, 0, &[]);
                        }
                        heartbeat.as_mut().reset(Instant::now() + interval);
                    } else {
                        heartbeat.as_mut().reset(due);
                    }
                }
            }
        }
    }

    /// Encodes until enough is gathered for one write, or the bound in bytes is reached.
    fn encode_waiting(&mut self) {
        let bound = self.peer.shared.settings.queue_bytes;
        let enough = self.buffer.len() + GATHER_BYTES;
        while self.buffer.len() < enough && self.held().owed < bound {
            if self.batch.is_empty() {
                self.peer.shared.outbox.take(&mut self.batch, TAKE_MESSAGES);
            }
            let Some(item) = self.batch.pop_front() else {
                break;
            };
            self.encode(item);
        }
        self.settle();
    }

    fn encode(&mut self, item: Outgoing) {
        let settings = &self.peer.shared.settings;
        let limit = settings.frame_bytes;
        if item.best_effort && self.best_effort >= self.peer.shared.outbox.best_effort_bytes() {
            // Told before what waited was known to be so large.
            add(&self.peer.shared.stats.refused, 1);
            self.left += 1;
            return;
        }
        let kind = item.kind;
        let encoded = match &item.body {
            Body::Rest(bytes) => return self.go_on(bytes, &item),
            Body::Text(text) => Ok(clip(text).as_bytes().to_vec()),
            Body::Message(message) => message
                .encode()
                .map_err(|error| format!("message {kind} cannot be encoded: {error}")),
        };
        let encoded = encoded.and_then(|bytes| match bytes.len() {
            size if size > limit => Err(format!(
                "message {kind} of {size} bytes exceeds the bridge's limit of {limit}"
            )),
            _ => Ok(bytes),
        });
        match encoded {
            Ok(bytes) => {
                let begin = self.encoded;
                self.put(item.frame_type, kind, item.correlation, &bytes);
                self.note_span(begin, &item);
            }
            Err(text) => self.give_up(&item, text),
        }
    }

    /// The rest of a frame that its teller began.
    fn go_on(&mut self, bytes: &[u8], item: &Outgoing) {
        if self.buffer.is_empty() {
            self.progress = Instant::now();
        }
        let begin = self.encoded;
        self.buffer.extend_from_slice(bytes);
        self.encoded += bytes.len() as u64;
        self.note_span(begin, item);
    }

    fn note_span(&mut self, begin: u64, item: &Outgoing) {
        if item.best_effort {
            self.best_effort += (self.encoded - begin) as usize;
        }
        self.spans.push_back(Span {
            begin,
            end: self.encoded,
            best_effort: item.best_effort,
            queued_ms: item.queued_ms,
        });
    }

    /// A message that cannot be sent is nobody's but its sender's fault: the connection lives on, unless somebody relies on it.
    fn give_up(&mut self, item: &Outgoing, text: String) {
        let Outgoing {
            kind, correlation, ..
        } = *item;
        add(&self.peer.shared.stats.unsendable, 1);
        self.left += 1;
        tracing::error!(peer = ?self.peer, kind, "not sent: {text}");
        match item.frame_type {
            _ if item.is_owed() => self.peer.shared.outbox.lose(text),
            FrameType::Ask => {
                let refused = Err(AskError::Refused(text));
                self.peer.shared.pending.resolve(correlation, refused);
            }
            FrameType::Answer => {
                self.put(
                    FrameType::Failure,
                    kind,
                    correlation,
                    clip(&text).as_bytes(),
                );
            }
            _ => {}
        }
    }

    fn put(&mut self, frame_type: FrameType, kind: u16, correlation: u64, body: &[u8]) {
        if self.buffer.is_empty() {
            self.progress = Instant::now();
        }
        frame::put(&mut self.buffer, frame_type, kind, correlation, body);
        self.encoded += (HEADER_BYTES + body.len()) as u64;
        add(&self.peer.shared.stats.frames_out, 1);
    }

    /// Gives the socket what it takes, or returns early when there is more to encode.
    async fn write_some(&mut self) -> Result<(), Reason> {
        let settings = &self.peer.shared.settings;
        let full = self.held().owed >= settings.queue_bytes;
        let more = !full && !self.batch.is_empty();
        let silent_after = settings.silent_after;
        let outbox = &self.peer.shared.outbox;
        let stalled_at = self.progress + silent_after;
        let give_up_at = match &self.closing {
            Some(Closing::Farewell { deadline, .. }) => stalled_at.min(*deadline),
            _ => stalled_at,
        };
        tokio::select! {
            biased;
            taken = self.io.write_buf(&mut self.buffer) => {
                return self.note_taken(taken).await;
            }
            () = async {
                if !more {
                    outbox.ready(full, self.closing.is_some()).await;
                }
            } => {}
            () = sleep_until(give_up_at) => {
                return Err(match &self.closing {
                    Some(Closing::Farewell { text, .. }) => Reason::ClosedHere(text.clone()),
                    _ => Reason::Stalled(silent_after),
                });
            }
        }
        Ok(())
    }

    async fn note_taken(&mut self, taken: std::io::Result<usize>) -> Result<(), Reason> {
        let taken = match taken {
            Ok(0) => return Err(Reason::Lost("the stream takes no more bytes".to_owned())),
            Ok(taken) => taken,
            Err(error) => return Err(Reason::Lost(error.to_string())),
        };
        self.progress = Instant::now();
        let before = self.written;
        self.written += taken as u64;
        add(&self.peer.shared.stats.bytes_out, taken);
        while let Some(span) = self.spans.front() {
            if span.best_effort {
                self.best_effort -= span.within(before, self.written);
            }
            if span.end > self.written {
                break;
            }
            self.spans.pop_front();
            self.left += 1;
        }
        self.settle();
        if self.buffer.is_empty() {
            self.give_back();
            // A stream that buffers, such as TLS, gives its last bytes only when it is flushed.
            let silent_after = self.peer.shared.settings.silent_after;
            match timeout_at(self.progress + silent_after, self.io.flush()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(Reason::Lost(error.to_string())),
                Err(_) => return Err(Reason::Stalled(silent_after)),
            }
        }
        Ok(())
    }

    fn give_back(&mut self) {
        if self.buffer.capacity() > KEEP_BYTES {
            self.buffer = BytesMut::new();
        }
        self.batch.shrink_to(KEEP_PLACES);
        self.spans.shrink_to(KEEP_PLACES);
    }

    fn held(&self) -> Held {
        Held {
            best_effort: self.best_effort,
            owed: self.buffer.len() - self.best_effort,
        }
    }

    fn settle(&mut self) {
        let oldest_ms = self
            .spans
            .front()
            .map(|span| span.queued_ms)
            .or_else(|| self.batch.front().map(|item| item.queued_ms));
        let left = std::mem::take(&mut self.left);
        let shared = &self.peer.shared;
        shared
            .outbox
            .settle(left, self.held(), oldest_ms, &shared.stats);
    }

    async fn say_farewell(&mut self, text: String, deadline: Instant) -> Reason {
        self.put(FrameType::Farewell, 0, 0, clip(&text).as_bytes());
        // The connection is over whether or not the farewell gets through.
        let _ = timeout_at(deadline, async {
            self.io.write_all_buf(&mut self.buffer).await?;
            self.io.shutdown().await
        })
        .await;
        Reason::ClosedHere(text)
    }
}

fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}
