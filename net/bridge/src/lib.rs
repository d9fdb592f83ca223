//! The MessagePack bridge: what carries the messages of the vocabulary from one machine to another.
//!
//! Owns frames and handshake (both without I/O), their limits, and the connections over TCP, memory or any
//! other byte stream. Never knows an actor: a [`Router`] maps a KIND to a closure, a [`Peer`] is a handle
//! that is [`Tell`](tepui_protocol::message::Tell) and [`Ask`](tepui_protocol::message::Ask) for every
//! [`Wire`](tepui_protocol::message::Wire) message. Delivery is at most once, in order per connection.
//!
//! ```text
//!  caller ──tell(M)──► Outbox (typed, bounded) ──► writer task: encode, batch ──► socket
//!  closure ◄── Router: decode by KIND ◄── reader task: frames, silence ◄───────── socket
//! ```

mod backoff;
mod connection;
mod connector;
mod direct;
mod error;
pub mod frame;
pub mod handshake;
mod intake;
mod listener;
mod outbox;
mod peer;
mod pending;
mod reader;
mod router;
mod settings;
mod stats;
mod writer;

#[cfg(test)]
mod testing;

pub use backoff::Backoff;
pub use connection::{Bridge, Service, memory_pair};
pub use connector::Connector;
pub use error::{Disconnect, Error, Reason};
pub use handshake::{Credentials, Hello, Identity, Membership, Role, Versions};
pub use listener::Listener;
pub use peer::{Peer, PeerId};
pub use router::{Router, RouterBuilder};
pub use settings::{Overflow, Settings};
pub use stats::PeerStats;
