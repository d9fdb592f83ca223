//! Checks and health checks of one task: when the next is due, what its outcome means, and what of it is news. Plain
//! rules of Mesos' `checks::Checker` and `HealthChecker` (its docs/health-checks.md); sends nothing and knows no task.

use std::time::Duration;

use tepui_protocol::v1::{
    CheckInfo, CheckStatusInfo, CommandInfo, HealthCheck, TaskInfo, TaskStatus, check_info,
    check_status_info, health_check, network_info,
};

use crate::status::empty_check_status;

/// Tries that follow each other faster would keep the agent busy with one task.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
/// The raw wait status of a command that was killed.
const SIGKILL: i32 = 9;
/// More than a century: what is longer is for ever, and sums of such times are still times.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

/// Which of a task's two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeKind {
    Check,
    Health,
}

/// What is to be tried.
#[derive(Debug, Clone, PartialEq)]
pub enum Trial {
    Command(CommandInfo),
    Knock(Knock),
}

/// A server is asked at the loopback of the task's network.
#[derive(Debug, Clone, PartialEq)]
pub enum Knock {
    Http {
        port: u16,
        path: String,
        v6: bool,
        tls: bool,
    },
    Tcp {
        port: u16,
        v6: bool,
    },
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The raw wait status of a command.
    Exited(i32),
    /// The status code of an HTTP answer.
    Answered(u16),
    Connected(bool),
    /// No outcome within the time.
    Nothing,
    /// The try could not be made.
    NotTried,
}

impl Outcome {
    /// Whether it says nothing of a task in a container of its own within an executor's: what is tried there comes and goes
    /// with that (Mesos: `CheckerProcess::___nestedCommandCheck`).
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::NotTried | Self::Exited(SIGKILL))
    }
}

/// When tries come.
#[derive(Debug, Clone)]
pub(crate) struct Cycle {
    pub(crate) trial: Trial,
    pub(crate) interval: Duration,
    /// `None`: it may take as long as it takes.
    pub(crate) timeout: Option<Duration>,
    /// When the next begins; `None` while one is under way.
    pub(crate) due: Option<Duration>,
    /// The container of a command that is under way.
    pub(crate) running: Option<String>,
}

/// A generic check: only reports.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) cycle: Cycle,
    /// What was told last.
    pub(crate) last: CheckStatusInfo,
    empty: CheckStatusInfo,
}

/// A health check: reports, and gives the task up in the end.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) cycle: Cycle,
    grace: Duration,
    bound: u32,
    /// Since when its grace period runs; `None` once it has succeeded.
    begun: Option<Duration>,
    failures: u32,
    /// What was told last.
    pub(crate) last: Option<bool>,
}

/// The checks of a running task.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) check: Option<Check>,
    pub(crate) health: Option<Health>,
}

/// What a health check's outcome means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing that was not told.
    Known,
    Healthy,
    Unhealthy,
    /// Unhealthy once too often.
    GivenUp,
}

impl Checks {
    /// Those of a task that runs since `now`. `told`: the last of what an earlier life of the agent told of it.
    pub(crate) fn begin(task: &TaskInfo, now: Duration, told: Option<&TaskStatus>) -> Self {
        Self {
            check: task
                .check
                .as_ref()
                .and_then(|it| Check::begin(it, now, told)),
            health: task
                .health_check
                .as_ref()
                .and_then(|it| Health::begin(it, now, told)),
        }
    }

    pub(crate) fn cycle(&mut self, kind: ProbeKind) -> Option<&mut Cycle> {
        match kind {
            ProbeKind::Check => self.check.as_mut().map(|it| &mut it.cycle),
            ProbeKind::Health => self.health.as_mut().map(|it| &mut it.cycle),
        }
    }

    /// When each begins next.
    pub(crate) fn due(&self) -> impl Iterator<Item = (ProbeKind, Duration)> {
        let check = self.check.as_ref().and_then(|it| it.cycle.due);
        let health = self.health.as_ref().and_then(|it| it.cycle.due);
        let check = check.map(|at| (ProbeKind::Check, at));
        check
            .into_iter()
            .chain(health.map(|at| (ProbeKind::Health, at)))
    }
}

/// A time of the schema; one that is none at all is zero, and none is so long that it cannot be counted with.
fn seconds(text: f64) -> Duration {
    let time = Duration::try_from_secs_f64(text).ok();
    let time = time.or_else(|| (text > 0.0).then_some(LONGEST));
    time.unwrap_or_default().min(LONGEST)
}

impl Cycle {
    /// The first try comes when the delay is over.
    fn new(trial: Trial, [delay, interval, timeout]: [f64; 3], now: Duration) -> Self {
        Self {
            trial,
            interval: seconds(interval).max(SHORTEST_INTERVAL),
            timeout: Some(seconds(timeout)).filter(|it| !it.is_zero()),
            due: Some(now + seconds(delay)),
            running: None,
        }
    }

    /// Again so long after the end of the last.
    pub(crate) fn again(&mut self, now: Duration) -> Duration {
        let at = now + self.interval;
        self.due = Some(at);
        at
    }
}

impl Check {
    fn begin(info: &CheckInfo, now: Duration, told: Option<&TaskStatus>) -> Option<Self> {
        let trial = check_trial(info)?;
        let times = [
            info.delay_seconds(),
            info.interval_seconds(),
            info.timeout_seconds(),
        ];
        let cycle = Cycle::new(trial, times, now);
        let empty = empty_check_status(info);
        let last = told.and_then(|status| status.check_status);
        Some(Self {
            cycle,
            last: last.unwrap_or(empty),
            empty,
        })
    }

    /// Whether it is news.
    pub(crate) fn take(&mut self, outcome: &Outcome) -> bool {
        let mut result = self.empty;
        match outcome {
            Outcome::Exited(status) => {
                let signal = status & 0x7f;
                let code = if signal == 0 {
                    (status >> 8) & 0xff
                } else {
                    signal
                };
                result.command = Some(check_status_info::Command {
                    exit_code: Some(code),
                });
            }
            Outcome::Answered(code) => {
                result.http = Some(check_status_info::Http {
                    status_code: Some(u32::from(*code)),
                });
            }
            Outcome::Connected(succeeded) => {
                result.tcp = Some(check_status_info::Tcp {
                    succeeded: Some(*succeeded),
                });
            }
            Outcome::Nothing | Outcome::NotTried => {}
        }
        let is_news = result != self.last;
        self.last = result;
        is_news
    }
}

impl Health {
    fn begin(info: &HealthCheck, now: Duration, told: Option<&TaskStatus>) -> Option<Self> {
        let trial = health_trial(info)?;
        let times = [
            info.delay_seconds(),
            info.interval_seconds(),
            info.timeout_seconds(),
        ];
        let cycle = Cycle::new(trial, times, now);
        let last = told.and_then(|status| status.healthy);
        Some(Self {
            cycle,
            grace: seconds(info.grace_period_seconds()),
            bound: info.consecutive_failures().max(1),
            begun: (last != Some(true)).then_some(now),
            // How many there were is not remembered over a restart.
            failures: u32::from(last == Some(false)),
            last,
        })
    }

    pub(crate) fn take(&mut self, outcome: &Outcome, now: Duration) -> Meaning {
        let healthy = match outcome {
            Outcome::Exited(status) => *status == 0,
            Outcome::Answered(code) => (200..400).contains(code),
            Outcome::Connected(succeeded) => *succeeded,
            Outcome::Nothing | Outcome::NotTried => false,
        };
        if healthy {
            let is_news = self.begun.take().is_some() || self.failures > 0;
            self.failures = 0;
            self.last = Some(true);
            return if is_news {
                Meaning::Healthy
            } else {
                Meaning::Known
            };
        }
        if self.begun.is_some_and(|begun| now < begun + self.grace) {
            return Meaning::Known;
        }
        self.failures += 1;
        self.last = Some(false);
        if self.failures >= self.bound {
            Meaning::GivenUp
        } else {
            Meaning::Unhealthy
        }
    }
}

fn check_trial(info: &CheckInfo) -> Option<Trial> {
    Some(match info.r#type() {
        check_info::Type::Command => Trial::Command(info.command.as_ref()?.command.clone()),
        check_info::Type::Http => {
            let http = info.http.as_ref()?;
            Trial::Knock(Knock::Http {
                port: port(http.port)?,
                path: http.path().to_owned(),
                v6: false,
                tls: false,
            })
        }
        check_info::Type::Tcp => Trial::Knock(Knock::Tcp {
            port: port(info.tcp.as_ref()?.port)?,
            v6: false,
        }),
        check_info::Type::Unknown => return None,
    })
}

fn health_trial(info: &HealthCheck) -> Option<Trial> {
    let is_v6 = |protocol| protocol == network_info::Protocol::IPv6;
    Some(match info.r#type() {
        health_check::Type::Command => Trial::Command(info.command.clone()?),
        health_check::Type::Http => {
            let http = info.http.as_ref()?;
            let tls = match http.scheme.as_deref() {
                None | Some("http") => false,
                Some("https") => true,
                Some(_) => return None,
            };
            Trial::Knock(Knock::Http {
                port: port(http.port)?,
                path: http.path().to_owned(),
                v6: is_v6(http.protocol()),
                tls,
            })
        }
        health_check::Type::Tcp => {
            let tcp = info.tcp.as_ref()?;
            Trial::Knock(Knock::Tcp {
                port: port(tcp.port)?,
                v6: is_v6(tcp.protocol()),
            })
        }
        health_check::Type::Unknown => return None,
    })
}

fn port(number: u32) -> Option<u16> {
    u16::try_from(number).ok()
}

/// Why the checks of a task cannot be made here, in words for the framework.
pub(crate) fn unsupported(task: &TaskInfo) -> Option<String> {
    if task
        .check
        .as_ref()
        .is_some_and(|it| check_trial(it).is_none())
    {
        return Some("The task's check names nothing that this agent can try".to_owned());
    }
    let health = task.health_check.as_ref();
    health.filter(|it| health_trial(it).is_none()).map(|_| {
        "The task's health check names nothing that this agent can try (of schemes it knows http and https)"
            .to_owned()
    })
}

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;
