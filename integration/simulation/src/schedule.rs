//! What goes wrong in a run, and when: drawn from the seed before the run begins, so that it never depends on how the
//! run goes.

use std::time::Duration;

use tepui_kit::Random;

use crate::{
    net::{Condition, Place},
    operator::Wish,
};

pub const AGENTS: u64 = 3;
pub const FRAMEWORKS: u64 = 2;

/// Faults begin after a while of peace and end with this.
pub const TROUBLE: Duration = Duration::from_secs(45);
const PEACE: Duration = Duration::from_secs(4);
/// No fault of a link, and none of an agent, lasts as long as masters wait for an agent.
const LONGEST: Duration = Duration::from_secs(12);
const MOST_FAULTS: u64 = 24;
/// Of the group that most runs begin with.
const FOUNDERS: u64 = 3;
/// One run in so many begins with one master.
const ALONE: u64 = 4;
/// Bytes of the last record that a torn write takes away: less than any record has.
const TORN_BYTES: u64 = 19;
/// Of what was synced, a failing disk loses so many bytes at most.
const LOST_BYTES: u64 = 500;
/// The share of runs in which a master is started on a wrong disk.
const SWAPS: f64 = 0.4;

#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    CrashMaster {
        id: u64,
        /// So many of the unsynced writes last.
        kept: usize,
    },
    /// It crashes while it writes its last record.
    TearRecord {
        id: u64,
        bytes: u64,
    },
    StartMaster {
        id: u64,
    },
    /// All at once, as by a power failure.
    CrashAllMasters,
    /// The process stands still, as under SIGSTOP, and goes on.
    StopMaster {
        id: u64,
        length: Duration,
    },
    /// The disk answers nobody for so long.
    StallDisk {
        id: u64,
        length: Duration,
    },
    FailSync {
        id: u64,
        after: u64,
    },
    DiskFull {
        id: u64,
        after: u64,
    },
    /// A bit of what the disk has kept flips.
    FlipBit {
        id: u64,
        choice: u64,
    },
    /// The machine crashes and its disk forgets what was synced.
    LoseSynced {
        id: u64,
        bytes: u64,
    },
    /// A link, or with `None` all of a place's links in that direction.
    Link {
        from: Place,
        to: Option<Place>,
        condition: Condition,
    },
    MendLink {
        from: Place,
        to: Option<Place>,
    },
    /// The files of its disk are copied.
    CopyDisk {
        id: u64,
    },
    /// It is started again on a disk that is not the one it had.
    SwapDisk {
        id: u64,
        by: Wrong,
    },
    CrashAgent {
        number: u64,
    },
    StartAgent {
        number: u64,
    },
    StopFramework {
        number: u64,
    },
    StartFramework {
        number: u64,
    },
    /// Another scheduler subscribes while the one before runs on for a while.
    FailOverFramework {
        number: u64,
    },
    EndOldScheduler {
        number: u64,
    },
    TransferLead {
        to: u64,
    },
    Wish(Wish),
}

/// A disk under the name of a master that is not the one that master had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// Empty.
    Wiped,
    /// Restored from the last copy.
    Older,
    /// That of the master of the same name in another cluster.
    Foreign,
}

/// The kinds of trouble. Each seed leaves some out, so that runs differ in kind and reach deeper.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Crash,
    CrashAll,
    Stop,
    Stall,
    BadWrite,
    BadDisk,
    CutOff,
    CutLink,
    Worsen,
    CutAgent,
    CrashAgent,
    Framework,
    Transfer,
    LateOrders,
    Isolate,
    Resize,
    Replace,
}

const KINDS: [Kind; 17] = [
    Kind::Crash,
    Kind::CrashAll,
    Kind::Stop,
    Kind::Stall,
    Kind::BadWrite,
    Kind::BadDisk,
    Kind::CutOff,
    Kind::CutLink,
    Kind::Worsen,
    Kind::CutAgent,
    Kind::CrashAgent,
    Kind::Framework,
    Kind::Transfer,
    Kind::LateOrders,
    Kind::Isolate,
    Kind::Resize,
    Kind::Replace,
];

/// In the order of their time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schedule {
    /// The masters that the group begins with.
    pub founders: Vec<u64>,
    pub faults: Vec<(Duration, Fault)>,
    /// Ids that masters have at one time or another.
    ids: u64,
}

impl Schedule {
    pub fn drawn(random: &mut Random) -> Schedule {
        let mut kinds = KINDS.to_vec();
        random.shuffle(&mut kinds);
        kinds.truncate(3 + random.below(KINDS.len() as u64 - 3) as usize);
        let founders = match random.below(ALONE) {
            0 => 1,
            _ => FOUNDERS,
        };
        let mut schedule = Schedule {
            founders: (1..=founders).collect(),
            ids: FOUNDERS,
            ..Schedule::default()
        };
        if founders < FOUNDERS {
            let size = Wish::Size(FOUNDERS as usize);
            schedule.add(Duration::from_secs(1), Fault::Wish(size));
        }
        let faults = 4 + random.below(MOST_FAULTS - 4);
        for _ in 0..faults {
            let kind = kinds[random.below(kinds.len() as u64) as usize];
            let at = random.between(PEACE, TROUBLE);
            schedule.draw(kind, at, random);
        }
        // After all else, so that the rest of a seed's troubles is what it was before there were these.
        if random.chance(SWAPS) {
            schedule.swap_disk(random);
        }
        schedule.faults.sort_by_key(|(at, _)| *at);
        schedule
    }

    /// A while after a copy was taken, which only one kind needs.
    fn swap_disk(&mut self, random: &mut Random) {
        let id = self.master(random);
        let at = random.between(PEACE, TROUBLE - LONGEST);
        let by = match random.below(3) {
            0 => Wrong::Wiped,
            1 => Wrong::Older,
            _ => Wrong::Foreign,
        };
        let length = random.between(Duration::from_secs(1), LONGEST);
        self.ids = (self.ids + 1).min(FOUNDERS + 4);
        self.add(at, Fault::CopyDisk { id });
        self.add(at + length, Fault::SwapDisk { id, by });
    }

    fn add(&mut self, at: Duration, fault: Fault) {
        self.faults.push((at, fault));
    }

    fn master(&self, random: &mut Random) -> u64 {
        1 + random.below(self.ids)
    }

    fn draw(&mut self, kind: Kind, at: Duration, random: &mut Random) {
        let length = random.between(Duration::from_millis(300), LONGEST);
        let end = at + length;
        let id = self.master(random);
        let agent = random.below(AGENTS);
        match kind {
            Kind::Crash => {
                let fault = if random.chance(0.3) {
                    let bytes = 1 + random.below(TORN_BYTES - 1);
                    Fault::TearRecord { id, bytes }
                } else {
                    let kept = random.below(6) as usize;
                    Fault::CrashMaster { id, kept }
                };
                self.add(at, fault);
                self.add(end, Fault::StartMaster { id });
            }
            Kind::CrashAll => {
                self.add(at, Fault::CrashAllMasters);
                for id in 1..=self.ids {
                    let at = at + random.between(Duration::ZERO, Duration::from_secs(3));
                    self.add(at, Fault::StartMaster { id });
                }
            }
            Kind::Stop => self.add(at, Fault::StopMaster { id, length }),
            Kind::Stall => {
                let length = length / 3;
                self.add(at, Fault::StallDisk { id, length });
            }
            Kind::BadWrite => {
                let after = random.below(5);
                let fault = if random.chance(0.5) {
                    Fault::FailSync { id, after }
                } else {
                    Fault::DiskFull { id, after }
                };
                self.add(at, fault);
            }
            Kind::BadDisk => self.harm(id, at, end, random),
            Kind::CutOff => self.cut(Place::Master(id), None, at, end, random),
            Kind::CutLink => {
                let other = Place::Master(self.master(random));
                self.cut(Place::Master(id), Some(other), at, end, random);
            }
            Kind::Worsen => self.worsen(at, end, random),
            Kind::LateOrders => self.delay_orders(id, at, end, random),
            Kind::Isolate => {
                // Cut off from the other masters only: agents and frameworks still hear it.
                let others = (1..=self.ids).map(Place::Master);
                for other in others.filter(|it| *it != Place::Master(id)) {
                    self.cut(Place::Master(id), Some(other), at, end, random);
                    self.cut(other, Some(Place::Master(id)), at, end, random);
                }
            }
            Kind::CutAgent => self.cut(
                Place::Agent(agent),
                Some(Place::Master(id)),
                at,
                end,
                random,
            ),
            Kind::CrashAgent => {
                self.add(at, Fault::CrashAgent { number: agent });
                self.add(end, Fault::StartAgent { number: agent });
            }
            Kind::Framework => self.fail_over(at, length, random),
            Kind::Transfer => self.add(at, Fault::TransferLead { to: id }),
            Kind::Resize => {
                // From three to five and back.
                self.ids = self.ids.max(FOUNDERS + 2);
                self.add(at, Fault::Wish(Wish::Size(5)));
                self.add(end, Fault::Wish(Wish::Size(3)));
            }
            Kind::Replace => {
                self.ids = (self.ids + 1).min(FOUNDERS + 4);
                self.add(at, Fault::Wish(Wish::Replace(id)));
            }
        }
    }

    /// A disk is not to be trusted any more; the master is to be replaced once it notices.
    fn harm(&mut self, id: u64, at: Duration, end: Duration, random: &mut Random) {
        self.ids = (self.ids + 1).min(FOUNDERS + 4);
        if random.chance(0.5) {
            let bytes = 1 + random.below(LOST_BYTES);
            self.add(at, Fault::LoseSynced { id, bytes });
        } else {
            let choice = random.next_u64();
            self.add(at, Fault::FlipBit { id, choice });
            // What stands on the disk is read when it starts.
            let crash = at + random.between(Duration::ZERO, end - at);
            self.add(crash, Fault::CrashMaster { id, kept: 0 });
        }
        self.add(end, Fault::StartMaster { id });
    }

    /// The lead goes while messages of the one who had it are still under way.
    fn delay_orders(&mut self, id: u64, at: Duration, end: Duration, random: &mut Random) {
        let condition = Condition {
            delay: (Duration::from_millis(500), Duration::from_secs(5)),
            ..Condition::default()
        };
        let from = Place::Master(id);
        for to in (0..AGENTS).map(|it| Some(Place::Agent(it))) {
            let link = Fault::Link {
                from,
                to,
                condition,
            };
            self.add(at, link);
            self.add(end, Fault::MendLink { from, to });
        }
        let to = self.master(random);
        self.add(at + (end - at) / 2, Fault::TransferLead { to });
    }

    fn fail_over(&mut self, at: Duration, length: Duration, random: &mut Random) {
        let number = random.below(FRAMEWORKS);
        if random.chance(0.5) {
            self.add(at, Fault::StopFramework { number });
            self.add(at + 2 * length, Fault::StartFramework { number });
        } else {
            self.add(at, Fault::FailOverFramework { number });
            self.add(at + length, Fault::EndOldScheduler { number });
        }
    }

    /// Cuts one direction, or both.
    fn cut(
        &mut self,
        from: Place,
        to: Option<Place>,
        at: Duration,
        end: Duration,
        random: &mut Random,
    ) {
        let condition = Condition {
            cut: true,
            ..Condition::default()
        };
        let mut one_way = |from, to| {
            let link = Fault::Link {
                from,
                to,
                condition,
            };
            self.faults.push((at, link));
            self.faults.push((end, Fault::MendLink { from, to }));
        };
        one_way(from, to);
        if let Some(to) = to
            && random.chance(0.5)
        {
            one_way(to, Some(from));
        }
    }

    /// Makes all links of a place lossy, doubling or slow.
    fn worsen(&mut self, at: Duration, end: Duration, random: &mut Random) {
        let from = match random.below(3) {
            0 => Place::Master(self.master(random)),
            1 => Place::Agent(random.below(AGENTS)),
            _ => Place::Framework(random.below(FRAMEWORKS)),
        };
        let most = Duration::from_millis(3 << random.below(10));
        let condition = Condition {
            cut: false,
            loss: random.unit() * 0.2,
            double: random.unit() * 0.3,
            delay: (Duration::from_micros(200), most),
        };
        let to = None;
        let link = Fault::Link {
            from,
            to,
            condition,
        };
        self.add(at, link);
        self.add(end, Fault::MendLink { from, to });
    }
}
