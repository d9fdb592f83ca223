//! Groups of three whose disks fail: histories from a seed, and each kind of fault once for its text.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tepui_engine::{Damage, Durability, Engine as _, EngineError, Key};

use super::*;
use crate::planted::{Bug, plant};

const IDS: [u64; 3] = [1, 2, 3];
const STEPS: u64 = 300;

type Answers = Vec<(String, oneshot::Receiver<Result<Applied, ProposeError>>)>;

/// One history. At most one member's disk loses what it had synced; the others fail, fill, stall and lose power.
struct History {
    seed: u64,
    choice: Choice,
    group: Group,
    answers: Answers,
    sick: Option<u64>,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut group = Group::new(&IDS);
        group.faults_expected = true;
        Self {
            seed,
            choice: Choice(seed),
            group,
            answers: Vec::new(),
            sick: None,
        }
    }

    fn step(&mut self, step: u64) {
        let id = 1 + self.choice.below(3);
        let engine = self.group.engines[&id].clone();
        match self.choice.below(24) {
            0 => self.power_cut(id),
            1 if self.choice.below(4) == 0 => IDS.into_iter().for_each(|id| self.power_cut(id)),
            2 => self.group.cut_off = vec![id],
            3 => self.group.cut_off.clear(),
            4 => engine.fail_sync_after(self.choice.below(6)),
            5 => engine.leave_room(Some(self.choice.below(2_000))),
            6 => {
                let ticks = u32::try_from(self.choice.below(5)).unwrap();
                engine.slow_syncs(TICK * ticks);
            }
            7 if self.sick.is_none() && self.choice.below(8) == 0 => self.sicken(id),
            8..=11 => self.restart_all(),
            _ => self.propose(step),
        }
        self.group.pass_time();
        let choice = &mut self.choice;
        self.group.deliver(|| choice.below(12) == 0);
        self.group.check();
        self.check_stops();
    }

    /// Loses what was not synced, or a part of it, or tears it.
    fn power_cut(&mut self, id: u64) {
        let engine = self.group.engines[&id].clone();
        let kept = usize::try_from(self.choice.below(4)).unwrap();
        let torn = self.choice.below(40);
        self.group.crash(id, engine.unsynced());
        if engine.unsynced() > 0 && self.choice.below(2) == 0 {
            engine.crash_tearing(torn);
        } else {
            engine.crash_keeping(kept);
        }
    }

    /// From now on this disk is not to be trusted.
    fn sicken(&mut self, id: u64) {
        self.sick = Some(id);
        let engine = self.group.engines[&id].clone();
        if self.choice.below(2) == 0 {
            engine.damage_any(self.choice.below(1 << 30));
            return;
        }
        self.group.crash(id, 0);
        engine.crash_tearing(1 + self.choice.below(500));
    }

    fn restart_all(&mut self) {
        for id in IDS {
            if self.group.members.contains_key(&id) {
                continue;
            }
            let kept = usize::try_from(self.choice.below(4)).unwrap();
            self.group.crash(id, kept);
            if self.choice.below(2) == 0 {
                self.group.engines[&id].leave_room(None);
            }
            if let Err(error) = self.group.try_start(id, &IDS) {
                self.group.stopped.insert(id, error);
            }
        }
    }

    fn propose(&mut self, step: u64) {
        let leader = self.group.leader();
        if let Some(leader) = leader.filter(|id| !self.group.busy.contains_key(id)) {
            let line = format!("{}-{step}", self.seed);
            let answer = self.group.propose(leader, &line);
            self.answers.push((line, answer));
        }
    }

    /// Who stopped had a reason, and says what to do.
    fn check_stops(&mut self) {
        for (id, error) in std::mem::take(&mut self.group.stopped) {
            let text = error.to_string();
            let expected = match &error {
                ConsensusError::Engine(EngineError::DiskFull { .. }) => "free space",
                ConsensusError::Engine(EngineError::Io { .. }) => "check the disk",
                ConsensusError::Damaged(_) | ConsensusError::State(_) if self.sick == Some(id) => {
                    "tepui cluster"
                }
                _ => panic!("seed {}, member {id}: {text}", self.seed),
            };
            assert!(text.contains(expected), "{text}");
        }
    }

    /// All disks but the sick one work again; gives how many commands were acknowledged.
    fn end(mut self) -> usize {
        let seed = self.seed;
        self.group.cut_off.clear();
        let well: Vec<u64> = IDS
            .into_iter()
            .filter(|id| self.sick != Some(*id))
            .collect();
        for id in IDS {
            let engine = &self.group.engines[&id];
            engine.leave_room(None);
            engine.slow_syncs(Duration::ZERO);
            engine.fail_sync_after(u64::MAX);
        }
        if let Some(id) = self.sick {
            self.group.crash(id, 0);
        }
        self.restart_all();
        self.group.ticks(60);
        let leader = self.group.until_leader();
        self.group.propose(leader, "last");
        self.group.ticks(20);
        self.check_stops();
        let lines = self.group.lines(leader).to_vec();
        for id in well {
            assert_eq!(self.group.lines(id), lines, "seed {seed}, member {id}");
        }
        let mut acknowledged = 0;
        for (line, mut answer) in self.answers {
            let times = lines.iter().filter(|it| **it == line.as_bytes()).count();
            assert!(times <= 1, "seed {seed}: {line} was applied {times} times");
            if let Ok(Ok(_)) = answer.try_recv() {
                acknowledged += 1;
                assert_eq!(times, 1, "seed {seed}: {line} was acknowledged and is lost");
            }
        }
        acknowledged
    }
}

fn run(seed: u64) -> (usize, bool) {
    let mut history = History::new(seed);
    for step in 0..STEPS {
        history.step(step);
    }
    let sick = history.sick.is_some();
    (history.end(), sick)
}

#[test]
fn nothing_acknowledged_is_lost_whatever_disks_do() {
    let mut acknowledged = 0;
    let mut sick = 0;
    for seed in 0..100 {
        let (of_this, was_sick) = run(seed);
        acknowledged += of_this;
        sick += usize::from(was_sick);
    }
    assert!(acknowledged > 1_000, "only {acknowledged} acknowledged");
    assert!((30..100).contains(&sick), "{sick} lost synced writes");
}

#[test]
fn the_histories_find_planted_bugs() {
    let bugs = [
        Bug::SkipSync,
        Bug::AnswerBeforeSync,
        Bug::IgnoreFailedWrite,
        Bug::ForgetVote,
    ];
    for bug in bugs {
        plant(Some(bug));
        let found = (0..300).find(|seed| catch_unwind(AssertUnwindSafe(|| run(*seed))).is_err());
        plant(None);
        assert!(found.is_some(), "{bug:?} was not found");
    }
}

/// Does something to the disk of a follower of a group at work; gives what the follower said when it stopped, and
/// the group.
fn stopped_by(harm: impl FnOnce(&MemoryEngine)) -> (String, Group, u64) {
    let mut group = Group::new(&IDS);
    let leader = group.until_leader();
    for line in 0..30 {
        group.propose(leader, &format!("before {line}"));
        group.deliver(|| false);
    }
    let victim = IDS.into_iter().find(|id| *id != leader).unwrap();
    group.faults_expected = true;
    harm(&group.engines[&victim]);
    let mut answers = Vec::new();
    for line in 0..10 {
        let leader = group.until_leader();
        assert_ne!(leader, victim);
        answers.push(group.propose(leader, &format!("after {line}")));
        group.tick();
    }
    for mut answer in answers {
        answer.try_recv().unwrap().unwrap();
    }
    let error = match group.stopped.remove(&victim) {
        Some(error) => error,
        None => {
            group.crash(victim, 0);
            group.try_start(victim, &IDS).err().unwrap()
        }
    };
    (error.to_string(), group, victim)
}

fn comes_back(mut group: Group, id: u64) {
    group.crash(id, 0);
    group.start(id, &IDS);
    group.ticks(10);
    assert_eq!(group.lines(id).len(), 40);
}

#[test]
fn after_a_failed_sync_a_member_stops_and_comes_back_by_a_restart() {
    let (text, group, id) = stopped_by(|engine| engine.fail_sync_after(0));
    assert!(text.contains("fsync failed") && text.contains("restart"));
    comes_back(group, id);
}

#[test]
fn on_a_full_disk_a_member_stops_and_comes_back_once_there_is_room() {
    let (text, group, id) = stopped_by(|engine| engine.leave_room(Some(100)));
    assert!(text.contains("no space left") && text.contains("free space"));
    group.engines[&id].leave_room(None);
    comes_back(group, id);
}

#[test]
fn a_member_on_a_slow_disk_holds_up_nobody() {
    let mut group = Group::new(&IDS);
    let leader = group.until_leader();
    let slow = IDS.into_iter().find(|id| *id != leader).unwrap();
    group.engines[&slow].slow_syncs(7 * TICK);
    for line in 0..30 {
        let mut answer = group.propose(leader, &line.to_string());
        group.tick();
        answer.try_recv().unwrap().unwrap();
    }
    assert_eq!(group.leader(), Some(leader));
    group.engines[&slow].slow_syncs(Duration::ZERO);
    group.ticks(20);
    assert_eq!(group.lines(slow).len(), 30);
}

#[test]
fn damaged_records_are_named_and_refused() {
    let entry = Key::new(b'e').number(28);
    let places = [
        (RAFT_LOG, entry, "raft_log, record e\\x00"),
        (RAFT_META, Key::new(b'h'), "raft_meta, record h"),
        (RAFT_META, Key::new(b'c'), "raft_meta, record c"),
        (RAFT_META, Key::new(b'a'), "raft_meta, record a"),
        (REGISTRY, Key::new(b'j').number(3), "registry, record j"),
    ];
    for (family, key, named) in places {
        let (text, _, _) = stopped_by(|engine| {
            engine.fail_sync_after(0);
            assert!(engine.damage(family, key.as_bytes(), Damage::Flip(9)));
        });
        assert!(text.contains("restart"), "{text}");
        let (_, mut group, id) = stopped_by(|engine| engine.fail_sync_after(0));
        group.crash(id, 0);
        assert!(group.engines[&id].damage(family, key.as_bytes(), Damage::Flip(9)));
        let text = group.try_start(id, &IDS).unwrap_err().to_string();
        for part in [named, "checksum", "tepui cluster"] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    }
}

#[test]
fn a_torn_tail_of_what_was_synced_is_refused() {
    let (_, mut group, id) = stopped_by(|engine| engine.fail_sync_after(0));
    group.engines[&id].crash_tearing(10_000);
    let text = group.try_start(id, &IDS).unwrap_err().to_string();
    assert!(
        text.contains("the log ends") && text.contains("tepui cluster"),
        "{text}"
    );
}

#[test]
fn a_log_that_ends_before_what_was_acknowledged_is_noticed_by_the_next_heartbeat() {
    let (_, mut group, id) = stopped_by(|engine| engine.fail_sync_after(0));
    comes_back_shorter(&mut group, id);
    group.ticks(10);
    let text = group.stopped[&id].to_string();
    assert!(
        text.contains("had acknowledged entry") && text.contains("tepui cluster"),
        "{text}"
    );
}

/// A heartbeat that speaks of more than anybody has.
fn forged(from: u64, to: u64, term: u64) -> Bytes {
    let mut message = Message::default();
    message.set_msg_type(MessageType::MsgHeartbeat);
    (message.from, message.to) = (from, to);
    (message.term, message.commit) = (term, u64::MAX);
    message.write_to_bytes().unwrap().into()
}

#[test]
fn a_forged_or_old_heartbeat_ends_nobody() {
    let mut group = Group::new(&IDS);
    let leader = group.until_leader();
    group.propose(leader, "before");
    group.ticks(5);
    let followers: Vec<u64> = IDS.into_iter().filter(|id| *id != leader).collect();
    let [follower, other] = followers[..] else {
        panic!("{followers:?}");
    };
    let term = group.members[&follower].status().term;
    // In another one's name; of an earlier term; by a member that does not lead, and by a stranger.
    for (from, on_way_of, term) in [
        (leader, other, term),
        (leader, leader, term - 1),
        (other, other, term),
        (9, 9, term),
        (9, 9, term),
    ] {
        group.hear(follower, on_way_of, forged(from, follower, term));
        assert!(group.members.contains_key(&follower));
    }
    group.hear(leader, follower, forged(follower, leader, term));
    // A whole new term is an election's work: it disturbs the group, and ends nobody.
    group.hear(follower, other, forged(other, follower, term + 1));
    group.ticks(60);
    let leader = group.until_leader();
    group.propose(leader, "after");
    group.ticks(20);
    for id in IDS {
        assert_eq!(group.lines(id), [b"before".to_vec(), b"after".to_vec()]);
    }
}

#[test]
fn a_leader_that_a_shortened_log_does_not_know_is_believed_in_time() {
    let mut group = Group::new(&IDS);
    let leader = group.until_leader();
    group.propose(leader, "before");
    group.ticks(5);
    let id = IDS.into_iter().find(|id| *id != leader).unwrap();
    let term = group.members[&id].status().term;
    // As long as the one that it knows is heard of as well, nobody else is believed.
    for _ in 0..60 {
        group.hear(id, 9, forged(9, id, term));
        group.ticks(1);
    }
    assert!(group.members.contains_key(&id));
    for other in IDS.into_iter().filter(|other| *other != id) {
        group.crash(other, 0);
    }
    group.faults_expected = true;
    let mut heard = 0;
    while group.members.contains_key(&id) {
        heard += 1;
        assert!(heard < 100, "it is not believed");
        group.hear(id, 9, forged(9, id, term));
        group.ticks(1);
    }
    assert!(heard > 10, "{heard}");
    let text = group.stopped[&id].to_string();
    assert!(text.contains("had acknowledged entry"), "{text}");
}

/// The member starts with a log whose end is gone without a trace: its commit and applied index are older as well.
fn comes_back_shorter(group: &mut Group, id: u64) {
    group.crash(id, 0);
    group.start(id, &IDS);
    group.ticks(5);
    let engine = group.engines[&id].clone();
    let old = [b'h', b'a'].map(|key| (key, engine.get(RAFT_META, &[key]).unwrap().unwrap()));
    let state: Vec<_> =
        tepui_engine::collect(&engine, REGISTRY, &tepui_engine::KeyRange::all()).unwrap();
    let last = group.members[&id].status().last_index;
    let leader = group.until_leader();
    for line in 0..5 {
        group.propose(leader, &format!("gone {line}"));
        group.tick();
    }
    group.crash(id, engine.unsynced());
    let mut batch = tepui_engine::Batch::new();
    for (key, value) in old {
        batch.put(RAFT_META, [key], value);
    }
    batch.delete_range(REGISTRY, tepui_engine::KeyRange::all());
    for (key, value) in state {
        batch.put(REGISTRY, key, value);
    }
    let lost = tepui_engine::KeyRange::between(
        Key::new(b'e').number(last + 1).as_bytes(),
        Key::new(b'e').number(u64::MAX).as_bytes(),
    );
    batch.delete_range(RAFT_LOG, lost);
    engine.write(&batch, Durability::Synced).unwrap();
    group.start(id, &IDS);
}
