//! The proxy of one subscription: events in, bytes of its stream out.
//!
//! Owns encoding, RecordIO framing, heartbeats and the bounded buffer between the master and a reader
//! who may be slow; the bytes are made as they are read. Never knows what carries the bytes (the HTTP response is made in `apps/`) and
//! never decides anything about the framework.

mod proxy;
mod records;
mod spawner;

pub use proxy::Proxy;
pub use records::{Cut, LARGE_BYTES, MAX_BYTES, MAX_LARGE, MAX_LARGE_BYTES, Records};
pub use spawner::Proxies;
pub use tepui_messages::view::Encoding;
