//! Owns noticing that no agent is there, and what follows when none comes in time: the container is asked to end, and then
//! killed (Mesos: the built-in executors' `--recovery_timeout`). While an agent lives this costs one descriptor and no
//! turn.

use crate::waking::Also;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};
use tepui_containers::patience::{Patience, Seen, look};

/// Between two looks for an agent.
const LOOKS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Of the time an agent has to come back, what passes between two looks.
const LOOK_SHARE: u32 = 16;
/// The pause between two passes of killing.
const KILL_PAUSE: Duration = Duration::from_millis(50);

/// The watch over an agent.
pub(crate) struct Absence {
    patience: Patience,
    /// It ends by the one signal, and others depend on it until then.
    is_holder: bool,
    state: State,
}

enum State {
    /// Its end is told by the descriptor. `None`: it cannot be watched, so it is looked for now and then.
    Here {
        watch: Option<OwnedFd>,
        /// Not recovered yet, so the time before it still counts.
        after: Option<Lack>,
    },
    Away(Lack),
    /// Nothing can be seen.
    Blind,
    Asked {
        at: Instant,
    },
}

/// A time without an agent that had recovered.
#[derive(Clone, Copy)]
struct Lack {
    since: Instant,
    /// What the last one that had recovered left.
    mark: u64,
}

/// What is to happen to the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Nothing,
    /// Once.
    Ask,
    Kill,
}

impl Absence {
    pub(crate) fn watch(patience: Patience, is_holder: bool) -> Self {
        let mut absence = Self {
            patience,
            is_holder,
            state: State::Blind,
        };
        absence.look(Instant::now());
        absence
    }

    /// To be asked after each wait.
    pub(crate) fn order(&mut self) -> Order {
        let now = Instant::now();
        match &self.state {
            State::Here {
                watch: Some(agent), ..
            } if !has_ended(agent) => return Order::Nothing,
            State::Asked { at } if now < *at + self.patience.grace => return Order::Nothing,
            State::Asked { .. } => return Order::Kill,
            _ => self.look(now),
        }
        let State::Away(Lack { since, .. }) = self.state else {
            return Order::Nothing;
        };
        if now < since + self.timeout() {
            return Order::Nothing;
        }
        self.state = State::Asked { at: now };
        Order::Ask
    }

    /// When it is to be asked again.
    pub(crate) fn wakes(&self) -> Also<'_> {
        let now = Instant::now();
        let at = match &self.state {
            State::Here {
                watch: Some(agent), ..
            } => return Also::readable(agent.as_fd()),
            State::Here { watch: None, .. } | State::Blind => now + self.pause(),
            State::Away(Lack { since, .. }) => (now + self.pause()).min(*since + self.timeout()),
            State::Asked { at } => (*at + self.patience.grace).max(now + KILL_PAUSE),
        };
        Also::at(at)
    }

    fn look(&mut self, now: Instant) {
        let lack = match self.state {
            State::Here { after, .. } => after,
            State::Away(lack) => Some(lack),
            State::Blind | State::Asked { .. } => None,
        };
        self.state = match look(&self.patience.presence) {
            Ok(Seen { is_here, pid, mark }) => {
                let lack = lack.filter(|lack| lack.mark == mark);
                match is_here {
                    true => State::Here {
                        watch: pid.and_then(|agent| watch(agent).ok()),
                        after: lack,
                    },
                    false => State::Away(lack.unwrap_or(Lack { since: now, mark })),
                }
            }
            Err(_) => State::Blind,
        };
    }

    /// A holder waits for those within it, who may look a little later than it does.
    fn timeout(&self) -> Duration {
        let Patience { timeout, grace, .. } = self.patience;
        match self.is_holder {
            true => timeout.saturating_add(grace).saturating_add(self.pause()),
            false => timeout,
        }
    }

    fn pause(&self) -> Duration {
        let (least, most) = LOOKS;
        (self.patience.timeout / LOOK_SHARE).clamp(least, most)
    }
}

fn watch(agent: Pid) -> rustix::io::Result<OwnedFd> {
    pidfd_open(agent, PidfdFlags::empty())
}

fn has_ended(agent: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(agent, PollFlags::IN)];
    poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}
