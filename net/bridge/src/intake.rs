//! From a socket into a decoder, by way of a room that all connections of a thread share: a connection at rest holds none of
//! its own, and there are tens of thousands of them.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};

use crate::frame::Decoder;

/// Most bytes of one read.
const ROOM_BYTES: usize = 64 << 10;

thread_local! {
    static ROOM: RefCell<Box<[u8]>> = RefCell::new(vec![0; ROOM_BYTES].into());
}

/// Reads once, and gives how many bytes came; 0 at the end. Nothing is lost if it is dropped before.
///
/// # Errors
/// Those of the stream.
pub(crate) async fn fill<R: AsyncRead + Unpin>(
    io: &mut R,
    decoder: &mut Decoder,
) -> io::Result<usize> {
    poll_fn(|context| {
        ROOM.with_borrow_mut(|room| {
            let mut read = ReadBuf::new(room);
            ready!(Pin::new(&mut *io).poll_read(context, &mut read))?;
            decoder.extend(read.filled());
            Poll::Ready(Ok(read.filled().len()))
        })
    })
    .await
}
