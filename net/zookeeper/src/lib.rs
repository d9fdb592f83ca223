//! A read-only ZooKeeper endpoint, for Mesos clients that find the leader by `zk://`.
//!
//! Owns the part of ZooKeeper's protocol that reads and watches (jute records, frames and their limits, all without I/O), the
//! rules behind it as a pure core, the small tree that is served, and the TCP server with its bounds. Never elects, stores or
//! replicates anything: who leads is given from outside as [`Members`], and every request that would write is refused. Knows
//! no actor and no message of the vocabulary.
//!
//! ```text
//!  client ──► connection: frames ──► Request ──► ┌ hub ─────────────────────┐ ◄── watch::Receiver<Members>
//!  client ◄── connection: bytes ◄── Outgoing ◄── │ core: sessions, watches, │
//!                                                │ tree                     │
//!                                                └──────────────────────────┘
//! ```
//!
//! ```text
//! /
//! └── mesos                       what the client's URL names
//!     ├── json.info_0000000700    the leader's MasterInfo as JSON; the lowest number leads
//!     └── json.info_0000000701    another master
//! ```
//!
//! What differs from ZooKeeper, and why:
//! * it says that it is not in read-only mode, so that clients which do not know of that mode are served and others do not go
//!   on looking for a server that writes; writes get NOTREADONLY all the same, as in that mode;
//! * a client is never turned away for having seen a later state. That state may be of a ZooKeeper that stood here before;
//!   a follower that lags behind shows the old leader until it hears of the new one, or that there is none;
//! * a session outlives its endpoint and its timeout; see [`core`];
//! * persistent watches, SASL and what only administrators use are UNIMPLEMENTED, and the connection lives on.

#[cfg(test)]
mod dice;

mod connection;
pub mod core;
mod error;
pub mod frame;
pub mod jute;
mod members;
pub mod reply;
pub mod request;
mod server;
mod settings;
mod tree;
mod watches;
mod words;

pub use error::Error;
pub use members::{MAX_FOLLOWERS, Master, Members};
pub use server::ZooKeeperEndpoint;
pub use settings::Settings;
