//! The short way out: a message that is told while nothing is on its way is written by its teller, past the writer task and
//! the thread that runs it. For connections whose messages are few and awaited, as those of Raft are.
//!
//! It is used under the lock of the outbox, and only while the writer holds nothing, so the order of the frames stays. The
//! socket never blocks: what it does not take is left to the writer, and so is whatever goes wrong.

use std::{any::Any, io::Write, net::TcpStream, os::fd::AsFd};

use bytes::BytesMut;

use crate::{
    frame::{self, HEADER_BYTES},
    outbox::{Body, Outgoing},
    stats::{Stats, add},
};

/// A second handle of a connection's socket.
pub(crate) struct Direct(TcpStream);

impl Direct {
    /// Of a stream that is plain TCP; others write by their own rules.
    pub(crate) fn of<S: 'static>(stream: &S) -> Option<Direct> {
        let stream: &tokio::net::TcpStream = (stream as &dyn Any).downcast_ref()?;
        // Without a second handle the writer does all.
        let socket = stream.as_fd().try_clone_to_owned().ok()?;
        Some(Direct(socket.into()))
    }

    /// Gives the socket what it takes, and back what is left; none once all is gone.
    pub(crate) fn send(&self, item: Outgoing, limit: usize, stats: &Stats) -> Option<Outgoing> {
        let Body::Message(message) = &item.body else {
            return Some(item);
        };
        let body = match message.encode() {
            Ok(body) if body.len() <= limit => body,
            // The writer finds the same, and tells it.
            _ => return Some(item),
        };
        let mut frame = BytesMut::with_capacity(HEADER_BYTES + body.len());
        frame::put(
            &mut frame,
            item.frame_type,
            item.kind,
            item.correlation,
            &body,
        );
        let taken = match (&self.0).write(&frame) {
            Ok(taken) if taken > 0 => taken,
            // A socket that is full or broken.
            _ => return Some(item),
        };
        add(&stats.frames_out, 1);
        add(&stats.bytes_out, taken);
        let rest = frame.split_off(taken);
        (!rest.is_empty()).then(|| Outgoing {
            body: Body::Rest(rest.freeze()),
            ..item
        })
    }
}

#[cfg(test)]
#[path = "direct_tests.rs"]
mod tests;
