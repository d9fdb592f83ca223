//! Owns the shim's record: the few lines in `<runtime dir>/record` by which a container's fate outlives every process
//! but the kernel. It never reads or writes the file itself; it turns lines into a [`Fate`] and back.
//!
//! ```text
//! shim 1 <boot id> <pid> <start>     the shim has claimed the container (or: "cancelled", the agent was faster)
//! started <pid> <start>              the command has its process
//! failed <stage> <errno>             but that process never became the command; then "exited" means nothing
//! forsaken                           its agent was away for too long: the shim ends it
//! exited <raw wait status>           how it ended
//! ```
//!
//! The file is created exclusively and only appended to, a whole line per `write`. A line counts once its newline is
//! there. So no reader sees half a fact, no rename is needed, and a full disk cannot take the last line away: the
//! block that holds it was allocated by the first. It is not synced: a kernel that dies takes the container with it.
//!
//! The agent that launches reads the same lines from a pipe. Shim and child both hold its writing end, and a
//! successful `exec` closes the child's: so the end of the pipe, without a failure, says that the command runs, and
//! the agent learns it from the kernel, not from a shim that has to be scheduled first.

use crate::process::ProcessId;
use std::fmt;
use std::str::FromStr;

/// The name of the record in a container's runtime directory.
pub const RECORD_FILE: &str = "record";

/// The line with which an agent takes a container away from a shim that has not claimed it yet.
pub const CANCELLED: &str = "cancelled\n";

/// With this exit code a shim says, to the agent that launched it, that it has seen that nothing is left of its container.
/// Those of an earlier version ended with 0 in any case.
pub const SWEPT: u8 = 64;

/// No record is longer; a longer file is not one.
pub const MAX_RECORD_BYTES: usize = 4096;

/// The version in the first line.
const VERSION: &str = "1";

/// The step of a launch that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stage {
    /// The shim could not read its orders.
    Spec = 1,
    /// The shim could not claim the record: the container is another's, cancelled, or its runtime dir is gone.
    Claim = 2,
    Fork = 3,
    Session = 4,
    Cgroup = 5,
    Rlimit = 6,
    User = 7,
    Stdout = 8,
    Stderr = 9,
    WorkingDir = 10,
    Privileges = 11,
    Exec = 12,
    Mount = 13,
    /// The terminal, the pipes or the socket of a container that clients can attach to.
    Switchboard = 24,
    Root = 18,
    Namespaces = 30,
    Seccomp = 31,
}

impl Stage {
    const ALL: [Self; 17] = [
        Self::Spec,
        Self::Claim,
        Self::Fork,
        Self::Session,
        Self::Cgroup,
        Self::Rlimit,
        Self::User,
        Self::Stdout,
        Self::Stderr,
        Self::WorkingDir,
        Self::Privileges,
        Self::Exec,
        Self::Mount,
        Self::Switchboard,
        Self::Root,
        Self::Namespaces,
        Self::Seccomp,
    ];

    /// The stage a number stands for.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| *stage as u8 == number)
    }

    fn what(self) -> &'static str {
        match self {
            Self::Spec => "the shim could not read the launch spec",
            Self::Claim => "the shim could not claim the container",
            Self::Fork => "the shim could not create a process",
            Self::Session => "the command could not be given its own session",
            Self::Cgroup => "the command could not enter its cgroups",
            Self::Rlimit => "a resource limit of the command could not be set",
            Self::User => "the command could not be given its user",
            Self::Stdout => "the file for standard output could not be opened in the sandbox",
            Self::Stderr => "the file for standard error could not be opened in the sandbox",
            Self::WorkingDir => "the working directory of the command could not be entered",
            Self::Privileges => "the privileges of the command could not be limited",
            Self::Exec => "the command could not be executed",
            Self::Mount => "a volume could not be mounted",
            Self::Switchboard => "the terminal or the pipes of the command could not be made",
            Self::Root => "the root file system of the command could not be set up",
            Self::Namespaces => "the command could not be set apart from the machine's namespaces",
            Self::Seccomp => "the filter of the command's system calls could not be installed",
        }
    }
}

/// A command that never ran: which step failed and the kernel's reason (`errno`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", .stage.what(), std::io::Error::from_raw_os_error(*.errno))]
pub struct LaunchFailure {
    pub stage: Stage,
    pub errno: i32,
}

/// One line of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Shim {
        boot_id: String,
        shim: ProcessId,
    },
    Cancelled,
    Started(ProcessId),
    Failed(LaunchFailure),
    /// The shim ends it, because its agent was away for too long.
    Forsaken,
    /// The status as `waitpid` gave it.
    Exited(i32),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shim { boot_id, shim } => {
                writeln!(
                    f,
                    "shim {VERSION} {boot_id} {} {}",
                    shim.pid, shim.start_ticks
                )
            }
            Self::Cancelled => f.write_str(CANCELLED),
            Self::Started(child) => writeln!(f, "started {} {}", child.pid, child.start_ticks),
            Self::Failed(failure) => {
                writeln!(f, "failed {} {}", failure.stage as u8, failure.errno)
            }
            Self::Forsaken => f.write_str("forsaken\n"),
            Self::Exited(status) => writeln!(f, "exited {status}"),
        }
    }
}

/// What a record tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// An agent took the container back before a shim claimed it.
    pub cancelled: bool,
    /// The boot and the shim that claimed the container.
    pub shim: Option<(String, ProcessId)>,
    /// The command's process: leader of its own session and process group.
    pub started: Option<ProcessId>,
    pub failed: Option<LaunchFailure>,
    /// Its agent was away for too long.
    pub forsaken: bool,
    /// The raw wait status.
    pub exited: Option<i32>,
}

/// A record that is not one of this version.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the container's record has a line this version does not know: {line:?}")]
pub struct RecordError {
    pub line: String,
}

/// Reads the complete lines of a record; an unfinished last line does not count yet.
pub fn parse(bytes: &[u8]) -> Result<Fate, RecordError> {
    let mut fate = Fate::default();
    for line in lines(bytes) {
        fate.add(line?);
    }
    Ok(fate)
}

/// As [`parse`], and passes over lines that it does not know: for who has to end what such a record names.
pub fn parse_known(bytes: &[u8]) -> Fate {
    let mut fate = Fate::default();
    lines(bytes).flatten().for_each(|line| fate.add(line));
    fate
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = Result<Line, RecordError>> {
    let ended = bytes.split_inclusive(|&byte| byte == b'\n');
    let ended = ended.map_while(|raw| raw.strip_suffix(b"\n"));
    ended.map(|raw| {
        let text = std::str::from_utf8(raw).ok();
        text.and_then(parse_line).ok_or_else(|| RecordError {
            line: String::from_utf8_lossy(raw).into_owned(),
        })
    })
}

impl Fate {
    fn add(&mut self, line: Line) {
        match line {
            Line::Shim { boot_id, shim } => self.shim = Some((boot_id, shim)),
            Line::Cancelled => self.cancelled = true,
            Line::Started(child) => self.started = Some(child),
            Line::Failed(failure) => self.failed = Some(failure),
            Line::Forsaken => self.forsaken = true,
            Line::Exited(status) => self.exited = Some(status),
        }
    }
}

fn parse_line(text: &str) -> Option<Line> {
    let mut words = text.split(' ');
    let line = match words.next()? {
        "shim" => {
            words.next().filter(|version| *version == VERSION)?;
            let boot_id = words.next().filter(|id| !id.is_empty())?.to_owned();
            Line::Shim {
                boot_id,
                shim: process(&mut words)?,
            }
        }
        "cancelled" => Line::Cancelled,
        "started" => Line::Started(process(&mut words)?),
        "failed" => {
            let stage = Stage::from_number(number(&mut words)?)?;
            Line::Failed(LaunchFailure {
                stage,
                errno: number(&mut words)?,
            })
        }
        "forsaken" => Line::Forsaken,
        "exited" => Line::Exited(number(&mut words)?),
        _ => return None,
    };
    words.next().is_none().then_some(line)
}

fn process<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<ProcessId> {
    Some(ProcessId {
        pid: number(words)?,
        start_ticks: number(words)?,
    })
}

fn number<'a, T: FromStr>(words: &mut impl Iterator<Item = &'a str>) -> Option<T> {
    words.next()?.parse().ok()
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
