//! The memory of all requests' bodies together. Each has a bound of its own, but there may be ten thousand connections.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;

use crate::Reply;

/// Bytes of large bodies at a time, from their arrival until nobody needs them any more.
const MAX_BYTES: usize = 512 << 20;
/// Up to so much a body counts for nothing.
const SMALL_BYTES: usize = 64 << 10;

static ALL: Bodies = Bodies::new(MAX_BYTES);

#[derive(Debug)]
struct Bodies {
    bytes: AtomicUsize,
    most: usize,
}

impl Bodies {
    const fn new(most: usize) -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            most,
        }
    }
}

/// What one body takes of it; given back when dropped.
#[derive(Debug)]
pub(crate) struct Room {
    of: &'static Bodies,
    bytes: usize,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self { of: &ALL, bytes: 0 }
    }

    /// Takes so much for a body that has so many bytes by now.
    ///
    /// # Errors
    /// The 503 to answer if there is no room.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Reply> {
        let more = bytes.saturating_sub(self.bytes);
        if bytes <= SMALL_BYTES || more == 0 {
            return Ok(());
        }
        self.bytes += more;
        if self.of.bytes.fetch_add(more, Relaxed) + more <= self.of.most {
            return Ok(());
        }
        Err(Reply::text(
            503,
            format!(
                "Service Unavailable: the bodies of requests take more than {} bytes already; try again later",
                self.of.most
            ),
        ))
    }

    /// The body, with its room for as long as anybody has a part of it.
    pub(crate) fn hold(self, body: Bytes) -> Bytes {
        match self.bytes {
            0 => body,
            _ => Bytes::from_owner(Held { body, _room: self }),
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.bytes, Relaxed);
    }
}

struct Held {
    body: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_have_a_bound_together_and_give_their_room_back() {
        static SOME: Bodies = Bodies::new(10 * SMALL_BYTES);
        let room = || Room {
            of: &SOME,
            bytes: 0,
        };
        let (mut one, mut other, mut small) = (room(), room(), room());
        for bytes in [SMALL_BYTES, 2 * SMALL_BYTES, 6 * SMALL_BYTES] {
            assert!(one.grow(bytes).is_ok());
        }
        assert!(other.grow(4 * SMALL_BYTES).is_ok());
        assert!(other.grow(4 * SMALL_BYTES + 1).is_err());
        assert!(small.grow(SMALL_BYTES).is_ok());
        drop(other);
        let body = one.hold(Bytes::from_static(b"body"));
        assert_eq!(body, "body");
        let mut other = room();
        assert!(other.grow(4 * SMALL_BYTES + 1).is_err());
        drop(other);
        let part = body.slice(1..2);
        drop(body);
        assert_eq!(SOME.bytes.load(Relaxed), 6 * SMALL_BYTES);
        drop(part);
        assert_eq!(SOME.bytes.load(Relaxed), 0);
    }
}
