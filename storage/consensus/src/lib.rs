//! A replicated log driven by raft-rs over the storage engine, on a thread of its own. Owns log, votes,
//! membership, snapshots and reads; never knows what a command means: a [`StateMachine`] does.
//!
//! A proposal is answered after its entry is synced on a majority and applied here. Log, applied index,
//! membership and state share one database, so a crash can never leave them apart. When the disk fails, the
//! thread stops with the reason in its [`Status`]; the process is expected to exit and recover what lasts.

mod driven;
mod ending;
mod error;
mod handle;
mod identity;
#[cfg(test)]
mod journal;
mod member;
mod options;
mod planted;
mod reads;
mod ready;
mod restore;
mod service;
mod state_machine;
mod status;
mod store;
mod stored;
mod succession;
mod transport;

pub use driven::Driven;
pub use error::{ConsensusError, InboxError, ProposeError, ReadError};
pub use handle::Consensus;
pub use identity::Identity;
pub use member::{Applied, MembershipChange};
pub use options::Options;
pub use restore::restore;
pub use state_machine::{StateError, StateMachine};
pub use status::{Counters, Role, Status};
pub use transport::{NoPeers, Transport};
