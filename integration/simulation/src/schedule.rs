//! What goes wrong in a run, and when: drawn from the seed before the run begins, so that it never depends on how the
//! run goes.

use std::time::Duration;

use tepui_kit::Random;

use crate::{
    member::MEMBERS,
    net::{Condition, Place},
};

pub const AGENTS: u64 = 3;
pub const FRAMEWORKS: u64 = 2;

/// Faults begin after a while of peace and end with this.
pub const TROUBLE: Duration = Duration::from_secs(45);
const PEACE: Duration = Duration::from_secs(4);
/// No fault of a link, and none of an agent, lasts as long as masters wait for an agent.
const LONGEST: Duration = Duration::from_secs(12);
const MOST_FAULTS: u64 = 24;

#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    CrashMaster {
        id: u64,
        kept: usize,
    },
    StartMaster {
        id: u64,
    },
    /// All at once, as by a power failure.
    CrashAllMasters,
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
}

/// In the order of their time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schedule {
    pub faults: Vec<(Duration, Fault)>,
}

/// Kinds of which each seed leaves some out, so that runs differ in kind and reach deeper.
const KINDS: usize = 14;

impl Schedule {
    pub fn drawn(random: &mut Random) -> Schedule {
        let mut kinds: Vec<usize> = (0..KINDS).collect();
        random.shuffle(&mut kinds);
        kinds.truncate(3 + random.below(KINDS as u64 - 3) as usize);
        let mut schedule = Schedule::default();
        let faults = 4 + random.below(MOST_FAULTS - 4);
        for _ in 0..faults {
            let kind = kinds[random.below(kinds.len() as u64) as usize];
            let at = random.between(PEACE, TROUBLE);
            schedule.draw(kind, at, random);
        }
        schedule.faults.sort_by_key(|(at, _)| *at);
        schedule
    }

    fn add(&mut self, at: Duration, fault: Fault) {
        self.faults.push((at, fault));
    }

    fn draw(&mut self, kind: usize, at: Duration, random: &mut Random) {
        let length = random.between(Duration::from_millis(300), LONGEST);
        let end = at + length;
        let id = MEMBERS[random.below(3) as usize];
        let agent = random.below(AGENTS);
        let number = random.below(FRAMEWORKS);
        match kind {
            0 | 1 => {
                let kept = random.below(6) as usize;
                self.add(at, Fault::CrashMaster { id, kept });
                self.add(end, Fault::StartMaster { id });
            }
            2 => {
                self.add(at, Fault::CrashAllMasters);
                for id in MEMBERS {
                    let at = at + random.between(Duration::ZERO, Duration::from_secs(3));
                    self.add(at, Fault::StartMaster { id });
                }
            }
            3 => {
                let length = length / 3;
                self.add(at, Fault::StallDisk { id, length });
            }
            4 => {
                let after = random.below(5);
                let fault = if random.chance(0.5) {
                    Fault::FailSync { id, after }
                } else {
                    Fault::DiskFull { id, after }
                };
                self.add(at, fault);
            }
            5 => self.cut(Place::Master(id), None, at, end, random),
            6 => {
                let other = Place::Master(MEMBERS[random.below(3) as usize]);
                self.cut(Place::Master(id), Some(other), at, end, random);
            }
            7 => self.worsen(at, end, random),
            12 => {
                // The lead goes while messages of the one who had it are still under way.
                let condition = Condition {
                    delay: (Duration::from_millis(500), Duration::from_secs(5)),
                    ..Condition::default()
                };
                let from = Place::Master(id);
                for to in (0..AGENTS).map(|it| Some(Place::Agent(it))) {
                    self.add(
                        at,
                        Fault::Link {
                            from,
                            to,
                            condition,
                        },
                    );
                    self.add(end, Fault::MendLink { from, to });
                }
                let to = MEMBERS[random.below(3) as usize];
                self.add(at + length / 2, Fault::TransferLead { to });
            }
            13 => {
                // Cut off from the other masters only: agents and frameworks still hear it.
                let others = MEMBERS.map(Place::Master).into_iter();
                for other in others.filter(|it| *it != Place::Master(id)) {
                    self.cut(Place::Master(id), Some(other), at, end, random);
                    self.cut(other, Some(Place::Master(id)), at, end, random);
                }
            }
            8 => self.cut(
                Place::Agent(agent),
                Some(Place::Master(id)),
                at,
                end,
                random,
            ),
            9 => {
                self.add(at, Fault::CrashAgent { number: agent });
                self.add(end, Fault::StartAgent { number: agent });
            }
            10 => {
                if random.chance(0.5) {
                    self.add(at, Fault::StopFramework { number });
                    self.add(end + length, Fault::StartFramework { number });
                } else {
                    self.add(at, Fault::FailOverFramework { number });
                    self.add(end, Fault::EndOldScheduler { number });
                }
            }
            _ => self.add(at, Fault::TransferLead { to: id }),
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
        self.add(
            at,
            Fault::Link {
                from,
                to,
                condition,
            },
        );
        self.add(end, Fault::MendLink { from, to });
        if let Some(to) = to
            && random.chance(0.5)
        {
            let (from, to) = (to, Some(from));
            self.add(
                at,
                Fault::Link {
                    from,
                    to,
                    condition,
                },
            );
            self.add(end, Fault::MendLink { from, to });
        }
    }

    /// Makes all links of a place lossy, doubling or slow.
    fn worsen(&mut self, at: Duration, end: Duration, random: &mut Random) {
        let from = match random.below(3) {
            0 => Place::Master(MEMBERS[random.below(3) as usize]),
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
        self.add(
            at,
            Fault::Link {
                from,
                to,
                condition,
            },
        );
        self.add(end, Fault::MendLink { from, to });
    }
}
