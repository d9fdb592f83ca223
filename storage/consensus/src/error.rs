//! What callers can be told, and what stops the thread.

use tepui_engine::EngineError;

use crate::StateError;

/// Why a command was not applied, or why nobody knows whether it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Ask the leader instead, if one is known.
    #[error("this member does not lead (leader: {leader:?}); ask the leader")]
    NotLeader { leader: Option<u64> },
    /// A queue is full or too much is uncommitted. Nothing was proposed: try later.
    #[error("too many commands are waiting; try again later")]
    Full,
    #[error("the command has {size} bytes, at most {limit} are accepted")]
    TooLarge { size: usize, limit: usize },
    /// The state machine cannot read it, or the membership does not allow it. Nothing was proposed.
    #[error("the command is not acceptable: {0}")]
    Invalid(String),
    /// Leadership was lost before the command was applied: it may still be applied by the next leader.
    #[error(
        "leadership was lost, the command may or may not take effect; read the state before repeating it"
    )]
    OutcomeUnknown,
    #[error("consensus has stopped: {0}")]
    Stopped(String),
}

/// Why a linearizable read could not be granted. All of them may be retried, at the leader.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("this member does not lead (leader: {leader:?}); ask the leader")]
    NotLeader { leader: Option<u64> },
    #[error("too many reads are waiting; try again later")]
    Full,
    #[error("no majority confirmed the leader in time; try again")]
    TimedOut,
    #[error("leadership was lost while reading; ask the new leader")]
    LeadershipLost,
    #[error("consensus has stopped: {0}")]
    Stopped(String),
}

/// Why an input was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InboxError {
    #[error("the inbox of consensus is full")]
    Full,
    #[error("consensus has stopped: {0}")]
    Stopped(String),
}

impl From<InboxError> for ProposeError {
    fn from(error: InboxError) -> Self {
        match error {
            InboxError::Full => Self::Full,
            InboxError::Stopped(reason) => Self::Stopped(reason),
        }
    }
}

impl From<InboxError> for ReadError {
    fn from(error: InboxError) -> Self {
        match error {
            InboxError::Full => Self::Full,
            InboxError::Stopped(reason) => Self::Stopped(reason),
        }
    }
}

/// What people have to do where synced state cannot be trusted. A copy of the directory would be older than what
/// the member has acknowledged, so in a group it must come back empty and under another id.
pub(crate) const TO_DO_WHEN_DAMAGED: &str = "nothing was changed. In a group the others go on: replace this member by \
     an empty one (`tepui cluster remove NAME`, `tepui cluster add NAME=ADDR`). A master alone is restored from a \
     backup (`tepui cluster restore FILE`)";

/// What keeps consensus from starting, or ends it. None of it can be mended without a restart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsensusError {
    #[error("the storage of consensus failed: {0}")]
    Engine(EngineError),
    #[error("what this member stored is damaged: {0}; {TO_DO_WHEN_DAMAGED}")]
    Damaged(String),
    #[error(
        "this directory belongs to member {found}, but was opened for member {expected}; check the configured id"
    )]
    WrongMember { found: u64, expected: u64 },
    #[error(
        "this directory belongs to master {found}, but was opened for master {expected}; correct --name, or use \
         another directory"
    )]
    WrongName { found: String, expected: String },
    #[error(
        "this directory belongs to the group of {found}, but the group of {expected} was named; a group is started \
         with the members that founded it, and grows by `tepui cluster add NAME=ADDRESS`"
    )]
    OtherFounders { found: String, expected: String },
    #[error("the options of consensus are not usable: {0}")]
    Options(String),
    #[error("the replicated state failed: {0}")]
    State(#[from] StateError),
    #[error("raft failed: {0}")]
    Raft(String),
    #[error("a broken invariant: {0}; restart this process, and report this text as a bug")]
    Invariant(String),
    #[error("the consensus thread could not be started: {0}")]
    Thread(String),
}

impl ConsensusError {
    /// Whether the disk is to blame: it failed or is full.
    pub fn is_of_the_disk(&self) -> bool {
        matches!(self, Self::Engine(error) if error.is_of_the_disk())
    }
}

impl From<EngineError> for ConsensusError {
    fn from(error: EngineError) -> Self {
        match error {
            // What the engine says about a directory in general is not what a member of a group has to do.
            EngineError::Damaged { reason } => Self::Damaged(reason),
            other => Self::Engine(other),
        }
    }
}

impl From<raft::Error> for ConsensusError {
    fn from(error: raft::Error) -> Self {
        Self::Raft(error.to_string())
    }
}
