//! What the endpoint is told from outside: who leads, and which masters there are.

use bytes::Bytes;

/// Most followers that are shown.
pub const MAX_FOLLOWERS: usize = 64;

/// One master: its `MasterInfo` as the JSON that Mesos' contender writes. The same bytes mean the same master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Master(Bytes);

impl Master {
    pub fn new(info_json: impl Into<Bytes>) -> Master {
        Master(info_json.into())
    }

    pub fn info(&self) -> &Bytes {
        &self.0
    }
}

/// The masters at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// Of the leadership; each later leader has a higher one.
    pub term: u64,
    /// Without a leader no node is shown at all: of those that remained, detectors would take the lowest for the leader.
    pub leader: Option<Master>,
    /// The others, of whom the first [`MAX_FOLLOWERS`] are shown. Detectors look past them; some tools list them.
    pub followers: Vec<Master>,
}
