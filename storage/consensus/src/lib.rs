//! A replicated log driven by raft-rs over the storage engine, on a thread of its own. Owns log, votes,
//! membership, snapshots and reads; never knows what a command means: a [`StateMachine`] does.
//!
//! A proposal is answered after its entry is synced on a majority and applied here. Log, applied index,
//! membership and state share one database, so a crash can never leave them apart. When the disk fails, the
//! thread stops with the reason in its [`Status`]; the process is expected to exit and recover what lasts.

mod driven;
mod error;
mod handle;
mod identity;
mod member;
mod options;
mod reads;
mod ready;
mod service;
mod state_machine;
mod status;
mod store;
mod transport;

pub use driven::Driven;
pub use error::{ConsensusError, InboxError, ProposeError, ReadError};
pub use handle::Consensus;
pub use identity::Identity;
pub use member::{Applied, MembershipChange};
pub use options::Options;
pub use state_machine::{StateError, StateMachine};
pub use status::{Counters, Role, Status};
pub use transport::{NoPeers, Transport};
