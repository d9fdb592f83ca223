//! The bounded buffer of records between a proxy and the body of its response.
//!
//! Owns the two bounds, in records and in bytes, and the news that the other end is gone. Never waits:
//! a record that does not fit is the writer's problem at once.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::{mpsc, oneshot};

/// Records that may wait for one reader.
pub const MAX_RECORDS: usize = 1024;
/// Bytes that may wait for one reader. One record is taken whatever its size if nothing else waits.
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

/// Why a record was not taken.
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
    records: mpsc::Sender<Bytes>,
    shared: Arc<Shared>,
}

/// The reading end: the body of the response. Dropped, the proxy hears of it at once.
#[derive(Debug)]
pub struct Records {
    records: mpsc::Receiver<Bytes>,
    shared: Arc<Shared>,
    /// Never sent: its fall tells the proxy.
    _gone: oneshot::Sender<()>,
}

/// A buffer, and the future that is ready when its reader is gone.
pub(crate) fn buffer() -> (Writer, Records, oneshot::Receiver<()>) {
    let (sender, receiver) = mpsc::channel(MAX_RECORDS);
    let (gone, reader_gone) = oneshot::channel();
    let shared = Arc::new(Shared::default());
    let writer = Writer {
        records: sender,
        shared: Arc::clone(&shared),
    };
    let records = Records {
        records: receiver,
        shared,
        _gone: gone,
    };
    (writer, records, reader_gone)
}

impl Writer {
    pub(crate) fn push(&self, record: Bytes) -> Result<(), Refused> {
        let size = record.len();
        let waiting = self.shared.bytes.load(Relaxed);
        if waiting > 0 && waiting + size > MAX_BYTES {
            return Err(Refused::Full);
        }
        self.shared.bytes.fetch_add(size, Relaxed);
        self.records.try_send(record).map_err(|error| match error {
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
        let polled = self.records.poll_recv(task);
        // The cut may have come with the end of the channel.
        if matches!(polled, Poll::Ready(None)) && self.shared.cut.load(Relaxed) {
            return Poll::Ready(Some(Err(Cut)));
        }
        if let Poll::Ready(Some(record)) = &polled {
            self.shared.bytes.fetch_sub(record.len(), Relaxed);
        }
        polled.map(|record| record.map(Ok))
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
