//! Who stands for election where the connection to the leader broke. Followers draw how long they wait for a leader that is
//! merely silent, so that two rarely stand at once. One whose connection broke has most likely ended: then they stand as early
//! as the rules allow, one after another. No earlier: until a follower's election timeout is over the leader may hold a lease.

use raft::StateRole;

use crate::StateMachine;
use crate::member::Member;

impl<S: StateMachine> Member<S> {
    /// The connection to the member `id` broke.
    pub(crate) fn note_lost(&mut self, id: u64) {
        if self.leader() == Some(id) {
            self.lost_leader = Some(id);
        }
    }

    /// The member `id` was heard: it lives.
    pub(crate) fn note_heard(&mut self, id: u64) {
        if self.lost_leader == Some(id) {
            self.lost_leader = None;
        }
    }

    /// Stands for election if it is this member's turn. Called once a tick; an attempt that came too early for another
    /// member is repeated with the next one.
    pub(crate) fn succeed(&mut self) {
        let Some(lost) = self.lost_leader else {
            return;
        };
        if self.leader().is_some_and(|leader| leader != lost) {
            self.lost_leader = None;
            return;
        }
        let waits = matches!(
            self.raw.raft.state,
            StateRole::Follower | StateRole::PreCandidate
        );
        let Some(rank) = self.rank_after(lost).filter(|_| waits) else {
            return;
        };
        // The next one's turn leaves time for a vote.
        let wait = self.options.election_ticks + rank * self.options.heartbeat_ticks;
        if self.raw.raft.election_elapsed < wait {
            return;
        }
        if let Err(error) = self.raw.campaign() {
            tracing::debug!(%error, "this member cannot stand for election");
        }
    }

    /// How many voters stand before this one, if it is a voter.
    fn rank_after(&self, lost: u64) -> Option<usize> {
        let voters = &self.raw.store().conf_state().voters;
        let own = self.options.node_id;
        let before = voters.iter().filter(|id| **id != lost && **id < own);
        voters.contains(&own).then(|| before.count())
    }
}

#[cfg(test)]
#[path = "succession_tests.rs"]
mod tests;
