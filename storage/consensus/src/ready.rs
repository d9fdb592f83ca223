//! Carrying out what raft decided. The order is raft's law: a leader's messages may leave first; snapshot, then
//! entries and hard state in one synced batch; then what is committed is applied; only then a follower answers.
//! Nothing here changes raft between `ready` and `advance`, except for a committed change of membership and what follows
//! from it.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use protobuf::Message as _;
use raft::eraftpb::{ConfChange, ConfChangeV2, EntryType};
use raft::prelude::{Entry, Message, MessageType, Snapshot};
use tepui_engine::{Batch, Durability};

use crate::member::{Applied, Member, ProposeReply};
use crate::planted::{Bug, planted};
use crate::{ConsensusError, ProposeError, ReadError, StateMachine};

impl<S: StateMachine> Member<S> {
    /// Works until raft has nothing left to do. After an error the member must not be used again.
    pub(crate) fn settle(&mut self, now: Instant) -> Result<(), ConsensusError> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        loop {
            self.issue_reads(now);
            while self.raw.has_ready() {
                self.carry_out(now)?;
            }
            self.notice_lost_leadership();
            // Once more, since only now something of the leader's own term may be committed.
            self.issue_reads(now);
            self.counters.reads += self.reads.grant(self.raw.store().applied());
            self.compact()?;
            if self.raw.store().take_snapshot_wish() {
                let state = self.machine.snapshot();
                self.raw.store().offer_snapshot(state)?;
            }
            if !self.raw.has_ready() {
                return Ok(());
            }
        }
    }

    fn carry_out(&mut self, now: Instant) -> Result<(), ConsensusError> {
        let mut ready = self.raw.ready();
        self.send(now, ready.take_messages());
        for read in ready.take_read_states() {
            let lease = self.options.lease();
            self.reads.confirm(&read.request_ctx, read.index, lease);
        }
        let mut batch = Batch::new();
        if !ready.snapshot().is_empty() {
            self.install(ready.snapshot(), &mut batch)?;
        }
        self.raw
            .mut_store()
            .append(ready.take_entries(), &mut batch);
        if let Some(hard_state) = ready.hs().filter(|_| !planted(Bug::ForgetVote)) {
            self.raw
                .mut_store()
                .set_hard_state(hard_state.clone(), &mut batch);
        }
        if planted(Bug::AnswerBeforeSync) {
            self.send(now, ready.take_persisted_messages());
        }
        if ready.must_sync() {
            self.write(&batch, true)?;
            batch = Batch::new();
        }
        self.apply(ready.take_committed_entries(), batch)?;
        self.send(now, ready.take_persisted_messages());

        let mut light = self.raw.advance(ready);
        self.send(now, light.take_messages());
        let mut batch = Batch::new();
        if let Some(commit) = light.commit_index() {
            self.raw.mut_store().set_commit(commit, &mut batch);
        }
        self.apply(light.take_committed_entries(), batch)?;
        self.raw.advance_apply();
        Ok(())
    }

    fn write(&mut self, batch: &Batch, sync: bool) -> Result<(), ConsensusError> {
        if batch.is_empty() {
            return Ok(());
        }
        let durability = if sync && !planted(Bug::SkipSync) {
            self.counters.syncs += 1;
            Durability::Synced
        } else {
            Durability::Buffered
        };
        match self.engine.write(batch, durability) {
            Err(error) if !planted(Bug::IgnoreFailedWrite) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Applies committed entries. State, applied index and membership land in one batch, behind what it holds already
    /// and unsynced: the entries are synced before it in the same database, so a lost tail is applied again.
    fn apply(&mut self, entries: Vec<Entry>, mut batch: Batch) -> Result<(), ConsensusError> {
        let Some(last) = entries.last().map(|entry| entry.index) else {
            return self.write(&batch, false);
        };
        let mut answers: Vec<(ProposeReply, Result<Applied, ProposeError>)> = Vec::new();
        for entry in entries {
            let outcome = self.apply_entry(&entry, &mut batch)?;
            while let Some(pending) = self
                .pending
                .pop_front_if(|pending| pending.index <= entry.index)
            {
                let ours = pending.index == entry.index && pending.term == entry.term;
                let answer = if ours {
                    Ok(Applied {
                        index: entry.index,
                        outcome: outcome.clone(),
                    })
                } else {
                    Err(ProposeError::OutcomeUnknown)
                };
                answers.push((pending.reply, answer));
            }
        }
        self.raw.mut_store().set_applied(last, &mut batch);
        self.write(&batch, false)?;
        self.step_down_if_removed();
        for (reply, answer) in answers {
            let _ = reply.send(answer);
        }
        Ok(())
    }

    /// An earlier leader may have let this one go, with an entry that this one committed when it led. Raft would go on, and
    /// look for its own place among the members.
    fn step_down_if_removed(&mut self) {
        let raft = &self.raw.raft;
        let (id, term) = (raft.id, raft.term);
        if self.is_leader() && !raft.prs().conf().voters().contains(id) {
            tracing::info!(
                term,
                "this member leads and was removed; it gives up the lead"
            );
            self.raw.raft.become_follower(term, raft::INVALID_ID);
        }
    }

    fn apply_entry(&mut self, entry: &Entry, batch: &mut Batch) -> Result<Bytes, ConsensusError> {
        if entry.data.is_empty() {
            return Ok(Bytes::new());
        }
        let conf_state = match entry.get_entry_type() {
            EntryType::EntryNormal => {
                self.counters.applied += 1;
                self.marks.applied(entry);
                return Ok(self.machine.apply(entry.index, &entry.data, batch)?);
            }
            EntryType::EntryConfChange => {
                self.raw.apply_conf_change(&parse::<ConfChange>(entry)?)?
            }
            EntryType::EntryConfChangeV2 => {
                self.raw.apply_conf_change(&parse::<ConfChangeV2>(entry)?)?
            }
        };
        self.raw.mut_store().set_conf_state(conf_state, batch);
        Ok(Bytes::new())
    }

    fn install(&mut self, snapshot: &Snapshot, batch: &mut Batch) -> Result<(), ConsensusError> {
        let index = snapshot.get_metadata().index;
        tracing::info!(index, "installing a snapshot of the replicated state");
        self.machine.restore(&snapshot.data, batch)?;
        self.raw.mut_store().install_snapshot(snapshot, batch);
        self.counters.snapshots_installed += 1;
        Ok(())
    }

    fn send(&mut self, now: Instant, messages: Vec<Message>) {
        for message in messages {
            if message.get_msg_type() == MessageType::MsgSnapshot {
                self.counters.snapshots_sent += 1;
                self.snapshots_sent.insert(message.to, now);
            }
            let bytes = message
                .write_to_bytes()
                .expect("messages of raft have no required fields and fit into memory");
            self.transport.send(message.to, Bytes::from(bytes));
        }
    }

    fn issue_reads(&mut self, now: Instant) {
        // Raft drops a read without a word while nothing of the leader's own term is committed: let it wait here.
        let can_ask = self.is_leader()
            && self.raw.raft.commit_to_current_term()
            && self.raw.raft.lead_transferee.is_none();
        if !can_ask {
            return;
        }
        let heartbeat_ticks = u32::try_from(self.options.heartbeat_ticks).unwrap_or(1);
        let renew_after = self.options.tick * heartbeat_ticks;
        if let Some(context) = self.reads.issue(now, renew_after) {
            self.raw.read_index(context.to_vec());
        }
    }

    fn notice_lost_leadership(&mut self) {
        let leads = self.is_leader().then_some(self.raw.raft.term);
        if leads == self.led_term {
            return;
        }
        if let Some(term) = self.led_term {
            tracing::info!(term, leader = ?self.leader(), "leadership ended");
            self.abandon(&ProposeError::OutcomeUnknown, &ReadError::LeadershipLost);
        }
        if let Some(term) = leads {
            tracing::info!(term, "leadership gained");
        }
        self.snapshots_sent.clear();
        self.led_term = leads;
    }

    fn compact(&mut self) -> Result<(), ConsensusError> {
        let store = self.raw.store();
        let keep = self.options.keep_entries;
        let kept = store.applied() + 1 - store.first();
        let many = kept >= self.options.compact_after_entries.saturating_add(keep);
        let by_number = many.then(|| store.applied() - keep);
        let by_bytes = self.marks.take().filter(|mark| *mark >= store.first());
        let Some(index) = by_number.max(by_bytes) else {
            return Ok(());
        };
        let mut batch = Batch::new();
        self.raw.mut_store().compact(index, &mut batch)?;
        self.write(&batch, true)?;
        self.counters.compactions += 1;
        tracing::debug!(index, "log compacted");
        Ok(())
    }
}

/// How far the log can be cut when entries are large: an index for each [`Marks::BYTES`] applied.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    indexes: VecDeque<u64>,
    since_last: usize,
}

impl Marks {
    const BYTES: usize = 64 << 20;
    /// Kept for followers that lag.
    const KEPT: usize = 4;

    fn applied(&mut self, entry: &Entry) {
        self.since_last += entry.data.len();
        if self.since_last >= Self::BYTES {
            self.since_last = 0;
            self.indexes.push_back(entry.index);
        }
    }

    /// Where to cut, once there is more than is kept.
    fn take(&mut self) -> Option<u64> {
        let surplus = self.indexes.len().saturating_sub(Self::KEPT);
        self.indexes.drain(..surplus).next_back()
    }
}

fn parse<M: protobuf::Message>(entry: &Entry) -> Result<M, ConsensusError> {
    M::parse_from_bytes(&entry.data).map_err(|error| {
        ConsensusError::Damaged(format!("membership change at {}: {error}", entry.index))
    })
}

#[cfg(test)]
#[path = "ready_tests.rs"]
mod tests;
