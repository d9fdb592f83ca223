//! Owns what `/proc` tells of processes: identity that survives the reuse of ids, parents, sessions, CPU time. It
//! never signals anybody.

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;

/// A process that cannot be mistaken for another: ids are reused, the pair of id and start time is not (in one boot).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId {
    pub pid: u32,
    /// Clock ticks between boot and the start of the process (field 22 of `/proc/<pid>/stat`).
    pub start_ticks: u64,
}

impl ProcessId {
    /// The process that has this id now. Errors: there is none, or `/proc` is not mounted.
    pub fn of(pid: u32) -> io::Result<Self> {
        stat(pid).map(|stat| stat.id)
    }

    /// Whether this very process still exists, be it as a zombie.
    pub fn exists(self) -> bool {
        Self::of(self.pid).is_ok_and(|now| now == self)
    }
}

/// A descriptor that stands for one process. Errors: it does not exist, or the id is none.
pub(crate) fn open_pidfd(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    Ok(pidfd_open(
        pid.ok_or(io::ErrorKind::InvalidInput)?,
        PidfdFlags::empty(),
    )?)
}

/// What `/proc/<pid>/stat` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub id: ProcessId,
    /// `R`, `S`, `D`, `Z` …
    pub state: char,
    pub parent_pid: u32,
    pub session: u32,
    /// In clock ticks, the process alone.
    pub user_ticks: u64,
    pub system_ticks: u64,
    pub threads: u32,
    pub rss_pages: u64,
    /// The first process of a namespace, [`FIRST`], which has ended but for waiting: until all others of it are reaped.
    pub is_ending_first: bool,
    /// It is still what its parent was when it made it: it has executed no program of its own.
    pub is_before_exec: bool,
}

/// The name of the first process of a container with process ids of its own.
pub const FIRST: &str = "tepui-init";

/// `PF_EXITING` of the kernel.
const EXITING: u32 = 0x4;

/// `PF_FORKNOEXEC` of the kernel.
const BEFORE_EXEC: u32 = 0x40;

impl Stat {
    /// Ended, and only waiting for its parent to notice.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// Reads a process' `stat`. Errors: it does not exist, or the text is not what the kernel writes.
pub fn stat(pid: u32) -> io::Result<Stat> {
    // The kernel gives the whole text in one read, and it is far below this size.
    let mut text = [0; 1024];
    let length = File::open(format!("/proc/{pid}/stat"))?.read(&mut text)?;
    parse_stat(&String::from_utf8_lossy(&text[..length])).ok_or_else(|| {
        let reason = format!("/proc/{pid}/stat is not understood");
        io::Error::new(io::ErrorKind::InvalidData, reason)
    })
}

/// A process in words, such as `42 (cat, state D, in request_wait_answer)`: its name, which it chose itself, its state, and the
/// kernel's function that it waits in, where that is told.
pub fn told(pid: u32) -> String {
    let read = |file: &str| {
        let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        text.trim_end_matches('\n').escape_debug().to_string()
    };
    let state = stat(pid).map_or('?', |stat| stat.state);
    let waits_in = match read("wchan").as_str() {
        "" | "0" => String::new(),
        function => format!(", in {function}"),
    };
    format!("{pid} ({}, state {state}{waits_in})", read("comm"))
}

/// Every process that can be seen, by id. Processes that end meanwhile are left out. Errors: it could not be looked.
pub fn all() -> io::Result<BTreeMap<u32, Stat>> {
    let mut processes = BTreeMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|it| it.parse().ok()) else {
            continue;
        };
        match stat(pid) {
            Ok(stat) => _ = processes.insert(pid, stat),
            Err(error) if is_ended(&error) || error.kind() == ErrorKind::PermissionDenied => {}
            // Without a descriptor to look with it would seem that nothing runs.
            Err(error) => return Err(error),
        }
    }
    Ok(processes)
}

/// Whether what could not be opened or read is a process that has ended. Any other error tells nothing of it.
pub fn is_ended(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// The children of a process' first thread, to which orphans return too; none if it has ended, or where the kernel does not
/// tell (it is built without `CONFIG_PROC_CHILDREN`).
pub fn children(parent: u32) -> BTreeSet<u32> {
    let told = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let told = told.unwrap_or_default();
    let pids = told.split_ascii_whitespace();
    pids.filter_map(|pid| pid.parse().ok()).collect()
}

/// Those among `processes` that descend from `ancestor`, itself excluded.
pub fn descendants(ancestor: u32, processes: &BTreeMap<u32, Stat>) -> BTreeSet<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (pid, stat) in processes {
        children.entry(stat.parent_pid).or_default().push(*pid);
    }
    let mut found = BTreeSet::new();
    let mut open = vec![ancestor];
    while let Some(parent) = open.pop() {
        for &child in children.get(&parent).into_iter().flatten() {
            if child != ancestor && found.insert(child) {
                open.push(child);
            }
        }
    }
    found
}

/// The name may hold spaces and brackets, so fields are counted from its last bracket.
fn parse_stat(text: &str) -> Option<Stat> {
    let (head, tail) = text.rsplit_once(')')?;
    let pid = head.split(' ').next()?.parse().ok()?;
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    // Field 3 of proc_pid_stat(5), the state, is the first after the name.
    let field = |number: usize| fields.get(number - 3).copied();
    let flags = field(9)?.parse::<u32>().ok()?;
    Some(Stat {
        id: ProcessId {
            pid,
            start_ticks: field(22)?.parse().ok()?,
        },
        state: field(3)?.chars().next()?,
        parent_pid: field(4)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        user_ticks: field(14)?.parse().ok()?,
        system_ticks: field(15)?.parse().ok()?,
        threads: field(20)?.parse().ok()?,
        rss_pages: field(24)?.parse().ok()?,
        is_ending_first: head.split_once('(')?.1 == FIRST && flags & EXITING != 0,
        is_before_exec: flags & BEFORE_EXEC != 0,
    })
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
