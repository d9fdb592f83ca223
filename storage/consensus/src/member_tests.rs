//! Members driven step by step on simulated links and disks: no thread, no real time, a seed.

use std::sync::Mutex;
use std::time::Duration;

use tepui_engine::MemoryEngine;
use tepui_engine::keys::{RAFT_LOG, RAFT_META, REGISTRY};

use super::*;
pub(crate) use crate::journal::Journal;

#[derive(Default)]
struct Wire(Mutex<VecDeque<(u64, Bytes)>>);

impl Transport for Wire {
    fn send(&self, to: u64, message: Bytes) {
        self.0.lock().unwrap().push_back((to, message));
    }
}

/// A small generator: the tests need repeatable choices, not good ones.
struct Choice(u64);

impl Choice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

pub(crate) struct Group {
    pub(crate) now: Instant,
    wire: Arc<Wire>,
    engines: BTreeMap<u64, MemoryEngine>,
    pub(crate) members: BTreeMap<u64, Member<Journal>>,
    pub(crate) cut_off: Vec<u64>,
    /// Those whose disk failed, where that is expected.
    stopped: BTreeMap<u64, ConsensusError>,
    faults_expected: bool,
    /// Until when a member waits for its disk.
    busy: BTreeMap<u64, Instant>,
    /// What members that wait have sent or are sent, and when it arrives.
    late: VecDeque<(Instant, u64, Bytes)>,
    /// Whom each voter voted for in each term.
    votes: BTreeMap<(u64, u64), u64>,
}

pub(crate) const TICK: Duration = Duration::from_millis(100);

impl Group {
    pub(crate) fn new(founders: &[u64]) -> Self {
        let mut group = Self {
            now: Instant::now(),
            wire: Arc::default(),
            engines: BTreeMap::new(),
            members: BTreeMap::new(),
            cut_off: Vec::new(),
            stopped: BTreeMap::new(),
            faults_expected: false,
            busy: BTreeMap::new(),
            late: VecDeque::new(),
            votes: BTreeMap::new(),
        };
        for id in founders {
            group.start(*id, founders);
        }
        group
    }

    pub(crate) fn start(&mut self, id: u64, founders: &[u64]) {
        self.try_start(id, founders).unwrap();
    }

    fn try_start(&mut self, id: u64, founders: &[u64]) -> Result<(), ConsensusError> {
        let families = [RAFT_LOG, RAFT_META, REGISTRY];
        let engine = self
            .engines
            .entry(id)
            .or_insert_with(|| MemoryEngine::new(&families));
        let options = Options {
            tick: TICK,
            fixed_election_ticks: Some(10 + 3 * id as usize),
            compact_after_entries: 20,
            snapshot_timeout: 12 * TICK,
            keep_entries: 5,
            ..Options::new(id, founders)
        };
        let member = Member::open(
            options,
            Arc::new(engine.clone()),
            Journal::default(),
            self.wire.clone(),
            self.now,
        )?;
        self.members.insert(id, member);
        Ok(())
    }

    pub(crate) fn crash(&mut self, id: u64, kept_writes: usize) {
        self.members.remove(&id);
        self.busy.remove(&id);
        self.engines[&id].crash_keeping(kept_writes);
    }

    /// Lets a member do something and settle; one that fails is gone, as its process would be.
    pub(crate) fn work(&mut self, id: u64, work: impl FnOnce(&mut Member<Journal>, Instant)) {
        let now = self.now;
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        let sent = self.wire.0.lock().unwrap().len();
        let done = caught(|| {
            work(member, now);
            member.settle(now)
        });
        if let Err(error) = done {
            assert!(self.faults_expected, "member {id} stopped: {error}");
            let mut member = self.members.remove(&id).unwrap();
            let stopped = ReadError::Stopped(error.to_string());
            member.abandon(&ProposeError::OutcomeUnknown, &stopped);
            self.stopped.insert(id, error);
        }
        let stall = self.engines[&id].take_stall();
        if !stall.is_zero() {
            let until = now + stall;
            self.busy.insert(id, until);
            let held = self.wire.0.lock().unwrap().split_off(sent);
            let held = held.into_iter().map(|(to, bytes)| (until, to, bytes));
            self.late.extend(held);
        }
    }

    /// Delivers until nothing is under way; `lose` says which messages are lost.
    pub(crate) fn deliver(&mut self, mut lose: impl FnMut() -> bool) {
        self.awake();
        loop {
            for id in self.members.keys().copied().collect::<Vec<_>>() {
                if !self.busy.contains_key(&id) {
                    self.work(id, |_, _| {});
                }
            }
            let messages = std::mem::take(&mut *self.wire.0.lock().unwrap());
            if messages.is_empty() {
                return;
            }
            for (to, bytes) in messages {
                let message = Message::parse_from_bytes(&bytes).unwrap();
                self.watch_votes(&message);
                let cut = self.cut_off.contains(&to) || self.cut_off.contains(&message.from);
                if cut || lose() {
                    continue;
                }
                match self.busy.get(&to) {
                    Some(until) => self.late.push_back((*until, to, bytes)),
                    None => self.hear(to, message.from, bytes),
                }
            }
        }
    }

    fn hear(&mut self, to: u64, from: u64, message: Bytes) {
        let from = Some(from);
        self.work(to, |member, now| {
            member.handle(now, Input::Step { from, message })
        });
    }

    /// Ends the waits that are over, and puts on the wire what waited for them.
    fn awake(&mut self) {
        let now = self.now;
        self.busy.retain(|_, until| *until > now);
        let late = std::mem::take(&mut self.late);
        let mut wire = self.wire.0.lock().unwrap();
        for (at, to, bytes) in late {
            if at > now {
                self.late.push_back((at, to, bytes));
            } else {
                wire.push_back((to, bytes));
            }
        }
    }

    fn watch_votes(&mut self, message: &Message) {
        let candidate = match message.get_msg_type() {
            MessageType::MsgRequestVote => message.from,
            MessageType::MsgRequestVoteResponse if !message.reject => message.to,
            _ => return,
        };
        let voted = self.votes.entry((message.from, message.term));
        let voted = *voted.or_insert(candidate);
        let (from, term) = (message.from, message.term);
        assert_eq!(voted, candidate, "{from} voted twice in term {term}");
    }

    fn tick(&mut self) {
        self.pass_time();
        self.deliver(|| false);
        self.check();
    }

    fn pass_time(&mut self) {
        self.now += TICK;
        for (id, member) in &mut self.members {
            if !self.busy.contains_key(id) {
                member.tick(self.now);
            }
        }
    }

    pub(crate) fn ticks(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.tick();
        }
    }

    fn leader(&self) -> Option<u64> {
        let leads = |member: &&Member<Journal>| {
            member.is_leader() && !self.cut_off.contains(&member.options.node_id)
        };
        let leader = self.members.values().find(leads)?;
        Some(leader.options.node_id)
    }

    pub(crate) fn until_leader(&mut self) -> u64 {
        for _ in 0..100 {
            match self.leader() {
                Some(id) if self.members[&id].status().may_lead(self.now) => return id,
                _ => self.tick(),
            }
        }
        panic!("no leader after 100 ticks");
    }

    pub(crate) fn propose(
        &mut self,
        at: u64,
        line: &str,
    ) -> oneshot::Receiver<Result<Applied, ProposeError>> {
        let (reply, answer) = oneshot::channel();
        let command = Bytes::from(line.to_owned());
        let member = self.members.get_mut(&at).unwrap();
        member.handle(self.now, Input::Propose { command, reply });
        answer
    }

    fn read(&mut self, at: u64) -> oneshot::Receiver<Result<u64, ReadError>> {
        let (reply, answer) = oneshot::channel();
        let member = self.members.get_mut(&at).unwrap();
        member.handle(self.now, Input::Read { reply });
        answer
    }

    /// What must hold at every moment.
    fn check(&self) {
        let may_lead = self
            .members
            .values()
            .filter(|member| member.status().may_lead(self.now));
        assert!(may_lead.count() <= 1, "two members may lead");
        let longest = self.members.values().map(|member| &member.machine.lines);
        let Some(longest) = longest.max_by_key(|lines| lines.len()) else {
            return;
        };
        for member in self.members.values() {
            let lines = &member.machine.lines;
            assert_eq!(lines[..], longest[..lines.len()], "the journals differ");
        }
    }

    pub(crate) fn lines(&self, id: u64) -> &[Vec<u8>] {
        &self.members[&id].machine.lines
    }
}

#[test]
fn one_voter_leads_at_once_and_many_commands_share_a_sync() {
    let mut group = Group::new(&[1]);
    assert!(group.members[&1].status().may_lead(group.now));
    let syncs = group.members[&1].counters.syncs;
    let mut answers: Vec<_> = (0..20).map(|n| group.propose(1, &n.to_string())).collect();
    let mut read = group.read(1);
    group.deliver(|| false);
    for (at, answer) in answers.iter_mut().enumerate() {
        let applied = answer.try_recv().unwrap().unwrap();
        assert_eq!(applied.outcome, (at + 1).to_string());
    }
    assert!(read.try_recv().unwrap().is_ok());
    assert_eq!(group.members[&1].counters.syncs - syncs, 1);
}

#[test]
fn an_acknowledged_command_survives_the_loss_of_everything_unsynced() {
    let mut group = Group::new(&[1]);
    for round in 0..50 {
        let mut answer = group.propose(1, &format!("line {round}"));
        group.deliver(|| false);
        answer.try_recv().unwrap().unwrap();
        group.crash(1, round % 3);
        group.start(1, &[1]);
        assert_eq!(group.lines(1).len(), round + 1);
    }
    let status = group.members[&1].status();
    assert!(status.last_index - status.first_index < 30, "{status:?}");
}

#[test]
fn unacceptable_commands_are_refused_before_the_log() {
    let mut group = Group::new(&[1]);
    let last = group.members[&1].status().last_index;
    let refused = |answer: &mut oneshot::Receiver<Result<Applied, ProposeError>>| {
        answer.try_recv().unwrap().unwrap_err()
    };
    assert!(matches!(
        refused(&mut group.propose(1, "bad")),
        ProposeError::Invalid(_)
    ));
    assert!(matches!(
        refused(&mut group.propose(1, "")),
        ProposeError::Invalid(_)
    ));
    let long = "x".repeat((4 << 20) + 1);
    assert!(matches!(
        refused(&mut group.propose(1, &long)),
        ProposeError::TooLarge { .. }
    ));
    group.deliver(|| false);
    assert_eq!(group.members[&1].status().last_index, last);
}

#[test]
fn a_cut_off_leader_falls_silent_before_another_leads() {
    let mut group = Group::new(&[1, 2, 3]);
    let old = group.until_leader();
    let mut acknowledged = group.propose(old, "first");
    group.deliver(|| false);
    acknowledged.try_recv().unwrap().unwrap();

    group.cut_off = vec![old];
    let mut lost = group.propose(old, "lost");
    let mut read = group.read(old);
    let new = group.until_leader();
    assert_ne!(new, old);
    group.ticks(30);
    assert_eq!(lost.try_recv().unwrap(), Err(ProposeError::OutcomeUnknown));
    assert!(read.try_recv().unwrap().is_err());
    let mut answer = group.propose(old, "late");
    assert!(matches!(
        answer.try_recv().unwrap(),
        Err(ProposeError::NotLeader { .. })
    ));

    let mut second = group.propose(new, "second");
    group.deliver(|| false);
    second.try_recv().unwrap().unwrap();
    let term = group.members[&new].status().term;
    group.cut_off.clear();
    group.ticks(30);
    assert_eq!(group.lines(old), [b"first".to_vec(), b"second".to_vec()]);
    // The pre-vote keeps the returning member from ending the new leader's term.
    assert_eq!(group.members[&new].status().term, term);
}

#[test]
fn a_member_that_lags_behind_the_log_gets_a_snapshot() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.until_leader();
    let lagging = [1, 2, 3].into_iter().find(|id| *id != leader).unwrap();
    group.cut_off = vec![lagging];
    for line in 0..60 {
        group.propose(leader, &line.to_string());
        group.deliver(|| false);
    }
    assert!(group.members[&leader].status().first_index > 30);
    group.cut_off.clear();
    group.ticks(10);
    assert_eq!(group.lines(lagging).len(), 60);
    assert_eq!(group.members[&lagging].counters.snapshots_installed, 1);
    // The snapshot lasts: state, log and membership are one batch.
    group.crash(lagging, 0);
    group.start(lagging, &[1, 2, 3]);
    assert_eq!(group.lines(lagging).len(), 60);
}

#[test]
fn a_group_grows_from_one_to_three_hands_over_and_shrinks() {
    let mut group = Group::new(&[1]);
    for line in 0..40 {
        group.propose(1, &line.to_string());
        group.deliver(|| false);
    }
    let change = |group: &mut Group, at: u64, change| {
        let (reply, mut answer) = oneshot::channel();
        let input = Input::ChangeMembership { change, reply };
        group.members.get_mut(&at).unwrap().handle(group.now, input);
        group.deliver(|| false);
        group.ticks(10);
        answer.try_recv().unwrap()
    };
    for id in [2, 3] {
        group.start(id, &[]);
        change(&mut group, 1, MembershipChange::Promote(id)).unwrap_err();
        change(&mut group, 1, MembershipChange::AddLearner(id)).unwrap();
        change(&mut group, 1, MembershipChange::Promote(id)).unwrap();
        assert_eq!(group.lines(id).len(), 40);
    }
    let member = group.members.get_mut(&1).unwrap();
    member.handle(group.now, Input::TransferLeader(2));
    assert!(!member.status().may_lead(group.now));
    group.ticks(5);
    assert_eq!(group.leader(), Some(2));
    change(&mut group, 2, MembershipChange::Remove(2)).unwrap_err();
    change(&mut group, 2, MembershipChange::Remove(1)).unwrap();
    group.crash(3, 0);
    group.start(3, &[]);
    group.ticks(5);
    assert_eq!(group.members[&3].status().voters, [2, 3]);
}

#[test]
fn who_commits_its_own_removal_leads_no_more() {
    let mut group = Group::new(&[1, 2, 3]);
    assert_eq!(group.until_leader(), 1);
    let (reply, _answer) = oneshot::channel();
    let change = MembershipChange::Remove(2);
    let input = Input::ChangeMembership { change, reply };
    group.members.get_mut(&1).unwrap().handle(group.now, input);
    // Both others hear of it, and the leader dies before anybody knows that it is committed.
    let mut delivered = 0;
    group.deliver(|| {
        delivered += 1;
        delivered > 2
    });
    group.crash(1, usize::MAX);
    group.ticks(17);
    assert!(group.votes.contains_key(&(3, 2)), "2 cannot know either");
    assert_eq!(group.members[&2].status().voters, [1, 3]);
    assert_eq!(group.leader(), None);
    group.start(1, &[]);
    let leader = group.until_leader();
    assert_ne!(leader, 2);
    assert_eq!(group.members[&leader].status().voters, [1, 3]);
    let mut written = group.propose(leader, "goes on");
    group.ticks(1);
    assert!(written.try_recv().unwrap().is_ok());
}

#[test]
fn who_was_to_give_way_leads_no_more_in_that_term() {
    let mut group = Group::new(&[1, 2, 3]);
    group.ticks(40);
    let leader = group.leader().unwrap();
    let deaf = if leader == 2 { 3 } else { 2 };
    let term = group.members[&leader].status().term;
    // The order to campaign stays on its way.
    group.cut_off.push(deaf);
    let member = group.members.get_mut(&leader).unwrap();
    member.handle(group.now, Input::TransferLeader(deaf));
    for _ in 0..60 {
        group.ticks(1);
        let status = group.members[&leader].status();
        let old = status.term == term && status.may_lead(group.now);
        assert!(!old, "the lease is taken again while the order may arrive");
    }
    let next = group.leader().expect("the others elect one");
    assert!(group.members[&next].status().term > term);
}

#[test]
fn nothing_acknowledged_is_lost_whatever_fails() {
    for seed in 0..40 {
        run_faults(seed);
    }
}

/// Random proposals, lost messages, cuts and crashes; afterwards every acknowledged line is on every member.
fn run_faults(seed: u64) {
    let mut choice = Choice(seed);
    let ids = [1, 2, 3];
    let mut group = Group::new(&ids);
    let mut answers = Vec::new();
    for step in 0..300 {
        let id = 1 + choice.below(3);
        match choice.below(12) {
            0 if group.members.len() == 3 => group.crash(id, choice.below(4) as usize),
            1 => group.cut_off = vec![id],
            2 => group.cut_off.clear(),
            3 | 4 => {
                for id in ids {
                    if !group.members.contains_key(&id) {
                        group.start(id, &ids);
                    }
                }
            }
            _ => {
                if let Some(leader) = group.leader() {
                    let line = format!("{seed}-{step}");
                    let answer = group.propose(leader, &line);
                    answers.push((line, answer));
                }
            }
        }
        group.pass_time();
        group.deliver(|| choice.below(10) == 0);
        group.check();
    }
    group.cut_off.clear();
    for id in ids {
        if !group.members.contains_key(&id) {
            group.start(id, &ids);
        }
    }
    group.ticks(40);
    let leader = group.until_leader();
    group.propose(leader, "last");
    group.ticks(20);
    let lines = group.lines(leader).to_vec();
    for id in ids {
        assert_eq!(group.lines(id), lines, "seed {seed}, member {id}");
    }
    let mut acknowledged = 0;
    for (line, mut answer) in answers {
        if let Ok(Ok(_)) = answer.try_recv() {
            acknowledged += 1;
            let times = lines.iter().filter(|known| **known == line.as_bytes());
            assert_eq!(times.count(), 1, "seed {seed}: {line}");
        }
    }
    assert!(
        acknowledged > 20,
        "seed {seed}: only {acknowledged} acknowledged"
    );
}

#[path = "member_fault_tests.rs"]
mod faults;
