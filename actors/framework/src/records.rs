//! The bounded buffer of records between a proxy and the body of its response.
//!
//! Owns the two bounds, in batches and in bytes, and the news that the other end is gone. Never waits:
//! what does not fit is the writer's problem at once.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::Stream;
use smallvec::SmallVec;
use tokio::sync::{mpsc, oneshot};

/// Batches of records that may wait for one reader.
pub const MAX_BATCHES: usize = 1024;
/// Bytes that may wait for one reader. One batch is taken whatever its size if nothing else waits.
pub const MAX_BYTES: usize = 16 << 20;

/// The stream was ended because its reader is too slow; what waited is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the reader of this event stream is too slow")
    }
}

impl std::error::Error for Cut {}

/// Records that came together.
pub(crate) type Batch = SmallVec<[Bytes; 1]>;

/// Why a batch was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Gone,
}

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicUsize,
    cut: AtomicBool,
}

/// The writing end. Dropped, the stream ends in order after what was written.
#[derive(Debug)]
pub(crate) struct Writer {
    batches: mpsc::Sender<Batch>,
    shared: Arc<Shared>,
}

/// The reading end: the body of the response. Dropped, the proxy hears of it at once.
#[derive(Debug)]
pub struct Records {
    batches: mpsc::Receiver<Batch>,
    /// What is left of the batch that is being read.
    rest: smallvec::IntoIter<[Bytes; 1]>,
    shared: Arc<Shared>,
    /// Never sent: its fall tells the proxy.
    _gone: oneshot::Sender<()>,
}

/// A buffer, and the future that is ready when its reader is gone.
pub(crate) fn buffer() -> (Writer, Records, oneshot::Receiver<()>) {
    let (sender, receiver) = mpsc::channel(MAX_BATCHES);
    let (gone, reader_gone) = oneshot::channel();
    let shared = Arc::new(Shared::default());
    let writer = Writer {
        batches: sender,
        shared: Arc::clone(&shared),
    };
    let records = Records {
        batches: receiver,
        rest: Batch::new().into_iter(),
        shared,
        _gone: gone,
    };
    (writer, records, reader_gone)
}

impl Writer {
    pub(crate) fn push(&self, batch: Batch) -> Result<(), Refused> {
        let size = batch.iter().map(Bytes::len).sum();
        let waiting = self.shared.bytes.load(Relaxed);
        if waiting > 0 && waiting + size > MAX_BYTES {
            return Err(Refused::Full);
        }
        self.shared.bytes.fetch_add(size, Relaxed);
        self.batches.try_send(batch).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refused::Full,
            mpsc::error::TrySendError::Closed(_) => Refused::Gone,
        })
    }

    /// Makes the reader end with an error instead of reading what waits.
    pub(crate) fn cut(&self) {
        self.shared.cut.store(true, Relaxed);
    }
}

impl Stream for Records {
    type Item = Result<Bytes, Cut>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.shared.cut.load(Relaxed) {
            return Poll::Ready(Some(Err(Cut)));
        }
        loop {
            if let Some(record) = self.rest.next() {
                self.shared.bytes.fetch_sub(record.len(), Relaxed);
                return Poll::Ready(Some(Ok(record)));
            }
            match ready!(self.batches.poll_recv(task)) {
                Some(batch) => self.rest = batch.into_iter(),
                // The cut may have come with the end of the channel.
                None if self.shared.cut.load(Relaxed) => return Poll::Ready(Some(Err(Cut))),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// RecordIO: decimal length, line feed, the bytes.
pub(crate) fn frame(payload: &[u8]) -> Bytes {
    let mut record = Vec::with_capacity(payload.len() + 8);
    record.extend_from_slice(payload.len().to_string().as_bytes());
    record.push(b'\n');
    record.extend_from_slice(payload);
    Bytes::from(record)
}
