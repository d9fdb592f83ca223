//! What a member shows of itself.

use std::time::Instant;

/// The part a member plays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    #[default]
    Follower,
    Candidate,
    Leader,
}

/// What was done since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Commands accepted into the log by this member as leader.
    pub proposals: u64,
    /// Writes that waited for the disk. Far below `proposals` under load, since commands share a sync.
    pub syncs: u64,
    /// Commands applied, of whatever leader.
    pub applied: u64,
    /// Reads granted.
    pub reads: u64,
    pub snapshots_sent: u64,
    pub snapshots_installed: u64,
    pub compactions: u64,
}

/// The state of a member after its latest turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    pub node_id: u64,
    pub role: Role,
    pub term: u64,
    /// The member that leads, as far as this one knows.
    pub leader: Option<u64>,
    pub committed_index: u64,
    pub applied_index: u64,
    /// The first entry still in the log.
    pub first_index: u64,
    pub last_index: u64,
    pub voters: Vec<u64>,
    pub learners: Vec<u64>,
    /// What each other member has of this leader's log, by id: it acknowledged everything up to there. Empty
    /// unless this one leads.
    pub acknowledged: Vec<(u64, u64)>,
    /// Until when no other member can lead, if this one leads and a majority confirmed it.
    pub lease_until: Option<Instant>,
    /// A leader serves when it has applied everything of earlier terms.
    pub caught_up: bool,
    pub counters: Counters,
    /// Why the thread ended; empty text after an ordinary shutdown.
    pub stopped: Option<String>,
    /// It ended because its disk failed or is full.
    pub disk_failed: bool,
}

impl Status {
    /// Whether Raft has this member, with a vote or as a learner.
    pub fn has_member(&self, id: u64) -> bool {
        self.voters.contains(&id) || self.learners.contains(&id)
    }

    /// Whether those who follow the status are woken: not for mere progress, which every turn under load brings.
    pub(crate) fn is_news_after(&self, last: &Status) -> bool {
        let plain = |status: &Status| {
            let counters = status.counters;
            (
                (status.node_id, status.role, status.term, status.leader),
                (status.lease_until, status.caught_up),
                (counters.snapshots_sent, counters.snapshots_installed),
                counters.compactions,
            )
        };
        plain(self) != plain(last)
            || self.voters != last.voters
            || self.learners != last.learners
            || self.stopped != last.stopped
    }

    /// Whether this member may act as the leader at `now`: it leads, knows all that was decided before, and no
    /// other member can lead yet.
    pub fn may_lead(&self, now: Instant) -> bool {
        // The only voter needs nobody's confirmation, so a slow disk does not silence it.
        let alone = self.voters == [self.node_id];
        self.stopped.is_none()
            && self.role == Role::Leader
            && self.caught_up
            && (alone || self.lease_until.is_some_and(|until| now < until))
    }
}
