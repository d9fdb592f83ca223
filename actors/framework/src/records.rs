//! The bounded buffer of events between a proxy and the body of its response, which takes them as records.
//!
//! Owns the bounds, and the news that the other end is gone. An event becomes bytes when it is read, on the reader's
//! thread: what is large costs its own reader time, and nobody else. Never waits: what does not fit is the writer's
//! problem at once.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    vec,
};

use bytes::Bytes;
use futures_util::Stream;
use tepui_messages::view::Encoding;
use tepui_protocol::{
    codec::{json, protobuf},
    recordio,
    v1::scheduler::Event,
};
use tokio::sync::{mpsc, oneshot};

/// Bytes that may wait for one reader, large batches aside. An event counts as large as it is in protobuf and for what it
/// takes in memory, so their number is bounded too.
pub const MAX_BYTES: usize = 32 << 20;
/// Events that come together and are larger than this are a large batch, such as the state of all tasks: it does not count for
/// the bound of others, which come while it is read.
pub const LARGE_BYTES: usize = 4 << 20;
/// Large batches that may wait for one reader.
pub const MAX_LARGE: usize = 4;
/// Bytes of these that one more may find waiting.
pub const MAX_LARGE_BYTES: usize = 256 << 20;

/// The stream was ended because its reader is too slow; what waited is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the reader of this event stream is too slow")
    }
}

impl std::error::Error for Cut {}

/// Why a batch was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Gone,
}

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicUsize,
    large: AtomicUsize,
    large_bytes: AtomicUsize,
    cut: AtomicBool,
}

/// Events that came together, until all are read.
#[derive(Debug)]
struct Batch {
    events: vec::IntoIter<Arc<Event>>,
    _load: Load,
}

/// What a batch takes of the bounds; given back when dropped.
#[derive(Debug)]
struct Load {
    bytes: usize,
    shared: Arc<Shared>,
}

impl Load {
    fn take(shared: &Arc<Shared>, bytes: usize) -> Result<Load, Refused> {
        // There is one writer, so what is found is at least what waits.
        let fits = match bytes > LARGE_BYTES {
            true => {
                let count = shared.large.fetch_add(1, Relaxed);
                let waiting = shared.large_bytes.fetch_add(bytes, Relaxed);
                count < MAX_LARGE && waiting <= MAX_LARGE_BYTES
            }
            false => shared.bytes.fetch_add(bytes, Relaxed) + bytes <= MAX_BYTES,
        };
        let load = Load {
            bytes,
            shared: Arc::clone(shared),
        };
        fits.then_some(load).ok_or(Refused::Full)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        match self.bytes > LARGE_BYTES {
            true => {
                self.shared.large.fetch_sub(1, Relaxed);
                self.shared.large_bytes.fetch_sub(self.bytes, Relaxed);
            }
            false => {
                self.shared.bytes.fetch_sub(self.bytes, Relaxed);
            }
        }
    }
}

/// The writing end. Dropped, the stream ends in order after what was written.
#[derive(Debug)]
pub(crate) struct Writer {
    batches: mpsc::UnboundedSender<Batch>,
    shared: Arc<Shared>,
}

/// The reading end: the body of the response. Dropped, the proxy hears of it at once.
#[derive(Debug)]
pub struct Records {
    batches: mpsc::UnboundedReceiver<Batch>,
    /// The batch that is being read.
    reading: Option<Batch>,
    encoding: Encoding,
    shared: Arc<Shared>,
    /// Never sent: its fall tells the proxy.
    _gone: oneshot::Sender<()>,
}

/// A buffer, and the future that is ready when its reader is gone.
pub(crate) fn buffer(encoding: Encoding) -> (Writer, Records, oneshot::Receiver<()>) {
    // Bounded by the load.
    let (sender, receiver) = mpsc::unbounded_channel();
    let (gone, reader_gone) = oneshot::channel();
    let shared = Arc::new(Shared::default());
    let writer = Writer {
        batches: sender,
        shared: Arc::clone(&shared),
    };
    let records = Records {
        batches: receiver,
        reading: None,
        encoding,
        shared,
        _gone: gone,
    };
    (writer, records, reader_gone)
}

impl Writer {
    pub(crate) fn push(&self, events: Vec<Arc<Event>>) -> Result<(), Refused> {
        let bytes = events.iter().map(|event| weight(event)).sum();
        let batch = Batch {
            events: events.into_iter(),
            _load: Load::take(&self.shared, bytes)?,
        };
        self.batches.send(batch).map_err(|_| Refused::Gone)
    }

    /// Makes the reader end with an error instead of reading what waits.
    pub(crate) fn cut(&self) {
        self.shared.cut.store(true, Relaxed);
    }
}

impl Records {
    fn encode(&self, event: &Event) -> Result<Bytes, Cut> {
        encode(event, self.encoding).map_err(|error| {
            tracing::error!(%error, "an event could not be encoded; its stream ends");
            self.shared.cut.store(true, Relaxed);
            Cut
        })
    }
}

impl Stream for Records {
    type Item = Result<Bytes, Cut>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.shared.cut.load(Relaxed) {
                return Poll::Ready(Some(Err(Cut)));
            }
            let next = self.reading.as_mut().and_then(|batch| batch.events.next());
            if let Some(event) = next {
                return Poll::Ready(Some(self.encode(&event)));
            }
            self.reading = None;
            match ready!(self.batches.poll_recv(task)) {
                Some(batch) => self.reading = Some(batch),
                // The cut may have come with the end of the channel.
                None if self.shared.cut.load(Relaxed) => {}
                None => return Poll::Ready(None),
            }
        }
    }
}

/// What an event takes while it waits, about.
pub(crate) fn weight(event: &Event) -> usize {
    size_of::<Event>() + protobuf::size(event)
}

fn encode(event: &Event, encoding: Encoding) -> Result<Bytes, String> {
    Ok(match encoding {
        Encoding::Json => {
            recordio::encode(&json::encode(event).map_err(|error| error.to_string())?)
        }
        Encoding::Protobuf => recordio::encode(&protobuf::encode(event)),
    })
}
