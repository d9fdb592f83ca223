//! One member of the group as a plain struct: inputs and ticks go in, `settle` carries out what raft decided. It
//! reads no clock and owns no thread, so several can be driven step by step in one test.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use protobuf::Message as _;
use raft::prelude::{ConfChangeSingle, ConfChangeType, ConfChangeV2, Message, MessageType};
use raft::{RawNode, SnapshotStatus, StateRole};
use tepui_engine::SharedEngine;
use tokio::sync::oneshot;

use crate::ending::caught;
use crate::reads::{ReadReply, Reads};
use crate::ready::Marks;
use crate::store::LogStore;
use crate::{
    ConsensusError, Counters, Options, ProposeError, ReadError, Role, StateMachine, Status,
    Transport,
};

/// A command took its place in the log and was applied here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub index: u64,
    /// What the state machine answered; empty for a change of membership.
    pub outcome: Bytes,
}

/// One step of growing or shrinking the group. One at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MembershipChange {
    /// Adds a member that receives everything and has no vote.
    AddLearner(u64),
    /// Gives a learner a vote.
    Promote(u64),
    /// Removes a voter or learner other than the leader.
    Remove(u64),
}

pub(crate) type ProposeReply = oneshot::Sender<Result<Applied, ProposeError>>;

/// What a member can be told.
pub(crate) enum Input {
    Propose {
        command: Bytes,
        reply: ProposeReply,
    },
    Read {
        reply: ReadReply,
    },
    /// A message of another member: of `from`, where the way it came says so.
    Step {
        from: Option<u64>,
        message: Bytes,
    },
    Unreachable(u64),
    ChangeMembership {
        change: MembershipChange,
        reply: ProposeReply,
    },
    TransferLeader(u64),
    /// Nothing; makes the thread look at its stop flag.
    Wake,
}

/// A proposal of this member that is in the log and not yet applied.
pub(crate) struct Pending {
    pub(crate) index: u64,
    pub(crate) term: u64,
    pub(crate) reply: ProposeReply,
}

pub(crate) struct Member<S> {
    pub(crate) raw: RawNode<LogStore>,
    pub(crate) machine: S,
    pub(crate) engine: SharedEngine,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) options: Options,
    /// In the order of the log.
    pub(crate) pending: VecDeque<Pending>,
    pub(crate) reads: Reads,
    /// Snapshots on their way: raft waits for a report of each.
    pub(crate) snapshots_sent: BTreeMap<u64, Instant>,
    /// The term this member led when it last settled.
    pub(crate) led_term: Option<u64>,
    /// The leader, where the connection to it broke and nothing was heard of it since.
    pub(crate) lost_leader: Option<u64>,
    /// The term in which another was asked to lead instead.
    gave_way_in: Option<u64>,
    /// Of the entries applied.
    pub(crate) marks: Marks,
    pub(crate) counters: Counters,
    started_at: Instant,
    /// Who leads in a term by its own word alone, of more than this log has, and since when.
    stranger: Option<(u64, u64, Instant)>,
    /// Found by an input; the next turn ends with it.
    pub(crate) fault: Option<ConsensusError>,
}

/// What only who leads says.
fn is_of_a_leader(message: &Message) -> bool {
    matches!(
        message.get_msg_type(),
        MessageType::MsgHeartbeat | MessageType::MsgAppend | MessageType::MsgSnapshot
    )
}

impl<S: StateMachine> Member<S> {
    /// Reads what lasted. The only voter of a group leads when this returns.
    pub(crate) fn open(
        options: Options,
        engine: SharedEngine,
        machine: S,
        transport: Arc<dyn Transport>,
        now: Instant,
    ) -> Result<Self, ConsensusError> {
        caught(|| Self::recover(options, engine, machine, transport, now))
    }

    fn recover(
        options: Options,
        engine: SharedEngine,
        mut machine: S,
        transport: Arc<dyn Transport>,
        now: Instant,
    ) -> Result<Self, ConsensusError> {
        options.raft_config(0)?;
        let store = LogStore::open(engine.clone(), options.node_id, &options.founders)?;
        machine.load(engine.as_ref())?;
        let config = options.raft_config(store.applied())?;
        let alone = store.conf_state().voters == [options.node_id];
        let logger = slog::Logger::root(tracing_slog::TracingSlogDrain, slog::o!());
        let mut member = Self {
            raw: RawNode::new(&config, store, &logger)?,
            machine,
            engine,
            transport,
            options,
            pending: VecDeque::new(),
            reads: Reads::default(),
            snapshots_sent: BTreeMap::new(),
            led_term: None,
            lost_leader: None,
            gave_way_in: None,
            marks: Marks::default(),
            counters: Counters::default(),
            started_at: now,
            stranger: None,
            fault: None,
        };
        if alone {
            member.raw.campaign()?;
        }
        member.settle(now)?;
        Ok(member)
    }

    pub(crate) fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Propose { command, reply } => {
                if let Err(error) = self.propose(command) {
                    // A caller that went away needs no answer, here and below.
                    let _ = reply.send(Err(error));
                } else {
                    self.counters.proposals += 1;
                    self.await_last(reply);
                }
            }
            Input::ChangeMembership { change, reply } => match self.change_membership(change) {
                Ok(()) => self.await_last(reply),
                Err(error) => {
                    let _ = reply.send(Err(error));
                }
            },
            Input::Read { reply } => self.read(now, reply),
            Input::Step { from, message } => self.step(now, from, &message),
            Input::Unreachable(id) => {
                self.note_lost(id);
                self.raw.report_unreachable(id);
                if self.snapshots_sent.remove(&id).is_some() {
                    // It went down with the connection: it is sent anew at once, not after its timeout.
                    self.raw.report_snapshot(id, SnapshotStatus::Failure);
                }
            }
            Input::TransferLeader(to) => {
                if self.is_leader() && to != self.options.node_id {
                    self.raw.transfer_leader(to);
                    // Raft asks no stranger and no learner.
                    if self.raw.raft.lead_transferee.is_some() {
                        self.reads.surrender_lease();
                        self.gave_way_in = Some(self.raw.raft.term);
                    }
                }
            }
            Input::Wake => {}
        }
    }

    /// A tick of the clock has passed.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.raw.tick();
        self.end_vain_transfer();
        self.succeed();
        self.reads.expire(now, self.options.read_timeout);
        let timeout = self.options.snapshot_timeout;
        let lost: Vec<u64> = self
            .snapshots_sent
            .iter()
            .filter(|(_, sent)| now >= **sent + timeout)
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            self.snapshots_sent.remove(&id);
            // Raft ignores this if the follower has caught up meanwhile.
            self.raw.report_snapshot(id, SnapshotStatus::Failure);
        }
    }

    /// Raft has given up a transfer, but the order to campaign may still arrive, and with it others vote whatever lease
    /// there is. So nobody may lead in this term any more: an election decides.
    fn end_vain_transfer(&mut self) {
        let term = self.raw.raft.term;
        let vain = self.gave_way_in == Some(term) && self.raw.raft.lead_transferee.is_none();
        if vain && self.is_leader() {
            tracing::info!(term, "the lead was not taken over; it is given up");
            self.raw.raft.become_follower(term, raft::INVALID_ID);
        }
    }

    pub(crate) fn is_leader(&self) -> bool {
        self.raw.raft.state == StateRole::Leader
    }

    pub(crate) fn leader(&self) -> Option<u64> {
        Some(self.raw.raft.leader_id).filter(|id| *id != raft::INVALID_ID)
    }

    /// Fails everything that waits, because nothing will be decided here any more.
    pub(crate) fn abandon(&mut self, propose_error: &ProposeError, read_error: &ReadError) {
        for pending in self.pending.drain(..) {
            let _ = pending.reply.send(Err(propose_error.clone()));
        }
        self.reads.fail(read_error);
    }

    fn propose(&mut self, command: Bytes) -> Result<(), ProposeError> {
        self.check_leader()?;
        let (size, limit) = (command.len(), self.options.max_command_bytes);
        if size > limit {
            return Err(ProposeError::TooLarge { size, limit });
        }
        if command.is_empty() {
            // Raft's own entries are empty: they are never shown to the state machine.
            return Err(ProposeError::Invalid("the command is empty".to_owned()));
        }
        self.machine
            .check(&command)
            .map_err(ProposeError::Invalid)?;
        self.raw
            .propose(Vec::new(), command.into())
            .map_err(refused)
    }

    fn check_leader(&self) -> Result<(), ProposeError> {
        // Raft would pass a follower's proposal on to the leader, and the answer would be lost.
        if !self.is_leader() || self.raw.raft.lead_transferee.is_some() {
            let leader = self.leader().filter(|id| *id != self.options.node_id);
            return Err(ProposeError::NotLeader { leader });
        }
        if self.pending.len() >= self.options.max_pending {
            return Err(ProposeError::Full);
        }
        Ok(())
    }

    /// Lets `reply` wait for the entry that was just appended.
    fn await_last(&mut self, reply: ProposeReply) {
        self.pending.push_back(Pending {
            index: self.raw.raft.raft_log.last_index(),
            term: self.raw.raft.term,
            reply,
        });
    }

    fn change_membership(&mut self, change: MembershipChange) -> Result<(), ProposeError> {
        self.check_leader()?;
        let invalid = |reason: String| Err(ProposeError::Invalid(reason));
        if self.raw.raft.has_pending_conf() {
            return invalid("another change of membership is under way".to_owned());
        }
        let members = self.raw.store().conf_state();
        let is_voter = |id| members.voters.contains(&id);
        let is_learner = |id| members.learners.contains(&id);
        let (id, kind) = match change {
            MembershipChange::AddLearner(id) if id == 0 || is_voter(id) || is_learner(id) => {
                return invalid(format!("{id} is 0 or a member already"));
            }
            MembershipChange::AddLearner(id) => (id, ConfChangeType::AddLearnerNode),
            MembershipChange::Promote(id) if !is_learner(id) => {
                return invalid(format!("{id} is no learner"));
            }
            MembershipChange::Promote(id) => (id, ConfChangeType::AddNode),
            MembershipChange::Remove(id) if id == self.options.node_id => {
                return invalid(
                    "the leader cannot remove itself: transfer the lead first".to_owned(),
                );
            }
            MembershipChange::Remove(id) if !is_voter(id) && !is_learner(id) => {
                return invalid(format!("{id} is no member"));
            }
            MembershipChange::Remove(id) => (id, ConfChangeType::RemoveNode),
        };
        let mut single = ConfChangeSingle::default();
        single.set_node_id(id);
        single.set_change_type(kind);
        let mut change = ConfChangeV2::default();
        change.set_changes(vec![single].into());
        self.raw
            .propose_conf_change(Vec::new(), change)
            .map_err(refused)
    }

    fn read(&mut self, now: Instant, reply: ReadReply) {
        let refused = if !self.is_leader() {
            let leader = self.leader();
            Some(ReadError::NotLeader { leader })
        } else if self.reads.len() >= self.options.max_pending {
            Some(ReadError::Full)
        } else {
            None
        };
        match refused {
            Some(error) => {
                let _ = reply.send(Err(error));
            }
            None => self.reads.queue(reply, now + self.options.read_timeout),
        }
    }

    fn step(&mut self, now: Instant, from: Option<u64>, bytes: &[u8]) {
        let mut message = match Message::parse_from_bytes(bytes) {
            Ok(message) => message,
            Err(error) => {
                tracing::warn!(%error, "a message of another member cannot be read and is dropped");
                return;
            }
        };
        let is_its_own = from.is_none_or(|from| from == message.from);
        if !is_its_own || !self.accepts(now, &message) {
            tracing::debug!(from = message.from, to = message.to, kind = ?message.get_msg_type(), "message dropped");
            return;
        }
        self.note_heard(message.from);
        if is_of_a_leader(&message) && self.stranger.is_some_and(|it| it.0 != message.from) {
            self.stranger = None;
        }
        if self.is_beyond_the_log(&message) {
            if self.is_believed(now, &message) {
                self.fault = Some(self.lost_tail(&message));
                return;
            }
            // Whoever says so may be mistaken, and nobody ends this member by a single message. If it does lead, raft
            // knows that from now on, and its next heartbeat tells.
            message.commit = self.raw.raft.raft_log.committed;
        }
        if let Err(error) = self.raw.step(message) {
            tracing::debug!(%error, "raft refused a message");
        }
    }

    fn accepts(&self, now: Instant, message: &Message) -> bool {
        if message.to != self.options.node_id || message.from == self.options.node_id {
            return false;
        }
        match message.get_msg_type() {
            // Members propose and read at the leader themselves; nothing is to be passed on.
            MessageType::MsgPropose | MessageType::MsgReadIndex => false,
            // Before a restart this member may have confirmed a leader's lease. It must not help another to lead
            // until that has run out.
            MessageType::MsgRequestVote | MessageType::MsgRequestPreVote => {
                now >= self.started_at + self.options.election_timeout()
            }
            _ => true,
        }
    }

    /// A heartbeat never speaks of more than this member has acknowledged: if its log ends before that, what it had
    /// synced is gone. Raft would panic on it.
    fn is_beyond_the_log(&self, message: &Message) -> bool {
        message.get_msg_type() == MessageType::MsgHeartbeat
            && message.commit > self.raw.raft.raft_log.last_index()
    }

    /// Of the leader that raft knows, in its term. One that is no voter here may be one all the same: what made it one may
    /// be what is lost. It is believed once nobody else led for so long that somebody would have.
    fn is_believed(&mut self, now: Instant, message: &Message) -> bool {
        let (from, term) = (message.from, message.term);
        if term != self.raw.raft.term || self.leader() != Some(from) {
            return false;
        }
        if self.raw.store().conf_state().voters.contains(&from) {
            return true;
        }
        let known = self.stranger.filter(|it| (it.0, it.1) == (from, term));
        let (_, _, since) = *self.stranger.insert(known.unwrap_or((from, term, now)));
        now >= since + self.options.election_timeout() * 2
    }

    fn lost_tail(&self, message: &Message) -> ConsensusError {
        ConsensusError::Damaged(format!(
            "the log ends at entry {}, but this member had acknowledged entry {} to member {}",
            self.raw.raft.raft_log.last_index(),
            message.commit,
            message.from
        ))
    }

    fn acknowledged(&self) -> Vec<(u64, u64)> {
        let others = self.raw.raft.prs().iter();
        let others = others.filter(|(id, _)| **id != self.options.node_id);
        let mut acknowledged: Vec<(u64, u64)> = others
            .map(|(id, progress)| (*id, progress.matched))
            .collect();
        acknowledged.sort_unstable();
        acknowledged
    }

    /// What to show; called when settled.
    pub(crate) fn status(&self) -> Status {
        let raft = &self.raw.raft;
        let store = self.raw.store();
        let leads = self.is_leader();
        Status {
            node_id: self.options.node_id,
            role: match raft.state {
                StateRole::Leader => Role::Leader,
                StateRole::Follower => Role::Follower,
                StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
            },
            term: raft.term,
            leader: self.leader(),
            committed_index: raft.raft_log.committed,
            applied_index: store.applied(),
            first_index: store.first(),
            last_index: store.last(),
            voters: store.conf_state().voters.clone(),
            learners: store.conf_state().learners.clone(),
            acknowledged: if leads {
                self.acknowledged()
            } else {
                Vec::new()
            },
            lease_until: self.reads.lease_until().filter(|_| leads),
            caught_up: leads && raft.apply_to_current_term(),
            counters: self.counters,
            stopped: None,
            disk_failed: false,
        }
    }
}

fn refused(error: raft::Error) -> ProposeError {
    match error {
        // The role was checked: what is left is the bound on uncommitted bytes.
        raft::Error::ProposalDropped => ProposeError::Full,
        other => ProposeError::Invalid(other.to_string()),
    }
}

#[cfg(test)]
#[path = "member_tests.rs"]
pub(crate) mod tests;
