//! The proxy of one subscription: events in, bytes of its stream out.
//!
//! Owns encoding, RecordIO framing, heartbeats and the bounded buffer between the master and a reader
//! who may be slow. Never knows what carries the bytes (the HTTP response is made in `apps/`) and
//! never decides anything about the framework.

mod proxy;
mod records;
mod spawner;

pub use proxy::{HEARTBEAT_INTERVAL, Proxy};
pub use records::{Cut, MAX_BATCHES, MAX_BYTES, Records};
pub use spawner::Proxies;
pub use tepui_messages::view::Encoding;
