//! Everything that can be set, with defaults for a local network.

use std::time::Duration;

use crate::ConsensusError;

/// The settings of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// This member's id: not 0, never reused, not even after its disk was lost.
    pub node_id: u64,
    /// The voters of a new group, the same on each founder. Empty for a member that joins later. Without meaning
    /// once the directory holds state.
    pub founders: Vec<u64>,
    /// The length of a tick, the unit of the two below.
    pub tick: Duration,
    /// Ticks between two heartbeats of a leader.
    pub heartbeat_ticks: usize,
    /// Ticks without a leader after which an election starts: drawn from this number to its double.
    pub election_ticks: usize,
    /// Replaces the draw by exactly this number of ticks, so that a simulation repeats.
    pub fixed_election_ticks: Option<usize>,
    /// Inputs that may wait for the thread.
    pub inbox_capacity: usize,
    /// Inputs taken together, and so synced together.
    pub max_batch: usize,
    /// Proposals, and as many reads, that may wait for a majority.
    pub max_pending: usize,
    /// The largest command.
    pub max_command_bytes: usize,
    /// Commands not yet committed, in bytes.
    pub max_uncommitted_bytes: u64,
    /// Entries sent in one message, in bytes.
    pub max_message_bytes: u64,
    /// Messages with entries on their way to one follower.
    pub max_inflight_messages: usize,
    /// Entries applied since the last compaction before the next one.
    pub compact_after_entries: u64,
    /// Applied entries kept for followers that lag.
    pub keep_entries: u64,
    /// How long a read may wait for its confirmation.
    pub read_timeout: Duration,
    /// How long a snapshot may be on its way before it is sent again.
    pub snapshot_timeout: Duration,
}

impl Options {
    /// Followers wait for a leader at least this long, at most twice as long.
    pub const DEFAULT_ELECTION_TIMEOUT: Duration = Duration::from_millis(350);
    /// The shortest election timeout that leaves room for a sync and a turn of a busy machine.
    pub const MIN_ELECTION_TIMEOUT: Duration = Duration::from_millis(300);
    const TICKS_OF_AN_ELECTION: u32 = 10;

    /// Defaults for `node_id` in a group founded by `founders`.
    pub fn new(node_id: u64, founders: &[u64]) -> Self {
        Self {
            node_id,
            founders: founders.to_vec(),
            tick: Self::DEFAULT_ELECTION_TIMEOUT / Self::TICKS_OF_AN_ELECTION,
            heartbeat_ticks: 2,
            election_ticks: Self::TICKS_OF_AN_ELECTION as usize,
            fixed_election_ticks: None,
            inbox_capacity: 8_192,
            max_batch: 1_024,
            max_pending: 16_384,
            max_command_bytes: 4 << 20,
            max_uncommitted_bytes: 64 << 20,
            max_message_bytes: 1 << 20,
            max_inflight_messages: 256,
            compact_after_entries: 10_000,
            keep_entries: 2_000,
            read_timeout: Duration::from_secs(5),
            snapshot_timeout: Duration::from_secs(30),
        }
    }

    /// The same with another election timeout; heartbeats follow at a fifth of it.
    #[must_use]
    pub fn with_election_timeout(self, timeout: Duration) -> Self {
        Self {
            tick: timeout / Self::TICKS_OF_AN_ELECTION,
            ..self
        }
    }

    /// How long a confirmation by a majority keeps others from leading: the shortest election timeout less two
    /// ticks for their rounding, less a tenth for clocks that run apart.
    pub(crate) fn lease(&self) -> Duration {
        let ticks = u32::try_from(self.election_ticks.saturating_sub(2)).unwrap_or(u32::MAX);
        self.tick.saturating_mul(ticks) / 10 * 9
    }

    /// The shortest time in which an election may start.
    pub(crate) fn election_timeout(&self) -> Duration {
        let ticks = u32::try_from(self.election_ticks).unwrap_or(u32::MAX);
        self.tick.saturating_mul(ticks)
    }

    /// Checks the settings and restates them for raft.
    pub(crate) fn raft_config(&self, applied: u64) -> Result<raft::Config, ConsensusError> {
        self.validate()?;
        let (min_election_tick, max_election_tick) = match self.fixed_election_ticks {
            Some(ticks) => (ticks, ticks + 1),
            None => (self.election_ticks, 2 * self.election_ticks),
        };
        let config = raft::Config {
            id: self.node_id,
            election_tick: self.election_ticks,
            heartbeat_tick: self.heartbeat_ticks,
            applied,
            max_size_per_msg: self.max_message_bytes,
            max_inflight_msgs: self.max_inflight_messages,
            check_quorum: true,
            pre_vote: true,
            // Followers hear of a commit with the next entries or the next heartbeat: nobody waits for them to apply, and
            // telling them at once is two more messages and a turn of each member for every write.
            skip_bcast_commit: true,
            // What is proposed together leaves together, and is answered once.
            batch_append: true,
            min_election_tick,
            max_election_tick,
            max_uncommitted_size: self.max_uncommitted_bytes,
            max_committed_size_per_ready: 16 << 20,
            ..raft::Config::default()
        };
        config
            .validate()
            .map_err(|error| ConsensusError::Options(error.to_string()))?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), ConsensusError> {
        let problem = if self.node_id == 0 || self.founders.contains(&0) {
            "member ids must not be 0"
        } else if self.tick.is_zero() {
            "the tick must not be 0"
        } else if self.election_ticks < 3 || self.election_ticks <= 2 * self.heartbeat_ticks {
            "election_ticks must be at least 3 and more than twice heartbeat_ticks"
        } else if self.inbox_capacity == 0 || self.max_batch == 0 || self.max_pending == 0 {
            "queue bounds must not be 0"
        } else if self.max_command_bytes as u64 > self.max_uncommitted_bytes {
            "max_uncommitted_bytes must hold at least one command of max_command_bytes"
        } else if self.compact_after_entries == 0 {
            "compact_after_entries must not be 0"
        } else {
            return Ok(());
        };
        Err(ConsensusError::Options(problem.to_owned()))
    }
}
