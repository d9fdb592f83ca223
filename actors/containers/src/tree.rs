//! Owns reaching every process of a container: who they are, and a signal to all of them. It decides neither when nor
//! how often: one call is one pass, and the caller repeats it until nobody is left.
//!
//! With a cgroup the members are those of the cgroup. Root can leave it, or be moved: so the command counts wherever it is,
//! and so do the children of the shim, to which orphans return because it is a subreaper. Without a cgroup they are all
//! descendants of the shim and the session of the command, which is all that can still be told after the death of the
//! shim: a process that made itself a daemon is lost then, and only then.

use crate::process::{self, ProcessId, open_pidfd};
use rustix::process::{Pid, Signal, kill_process, pidfd_send_signal};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// So many processes are named where they cannot be ended.
const MAX_TOLD: usize = 4;

/// Cgroups within the container's own are visited this deep.
const MAX_CGROUP_DEPTH: usize = 8;

/// How to find the processes of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// One cgroup directory of the container: with v1 any controller's that every process joins.
    pub cgroup: Option<PathBuf>,
    /// The supervisor, which is not a member itself.
    pub shim: Option<ProcessId>,
    /// The command: leader of its session and process group.
    pub command: Option<ProcessId>,
}

impl Tree {
    /// The live processes of the container, zombies excluded. Errors: cgroup or `/proc` cannot be read.
    pub fn members(&self) -> io::Result<BTreeSet<u32>> {
        match &self.cgroup {
            Some(cgroup) => {
                let mut members = cgroup_members(cgroup)?;
                members.extend(self.strays());
                Ok(members)
            }
            None => self.members_by_descent(),
        }
    }

    /// Sends a signal to each member once; says how many took it. A member that ended meanwhile is not an error.
    pub fn signal(&self, signal: Signal) -> io::Result<usize> {
        self.wake_shim();
        Ok(send(&self.members()?, signal))
    }

    /// One pass of killing everything: says how many members it found. 0 means the container is empty.
    ///
    /// Nothing can be born between reading the members and killing them: v2 kills in one go, and with v1 the `pids`
    /// controller first forbids new processes. Without either a fork bomb has to be outrun by repeating.
    pub fn kill_pass(&self) -> io::Result<usize> {
        self.wake_shim();
        if let Some(cgroup) = &self.cgroup {
            // Which of the two files exists depends on the hierarchy; the other fails harmlessly.
            if std::fs::write(cgroup.join("cgroup.kill"), "1").is_err() {
                let _ = std::fs::write(cgroup.join("pids.max"), "0");
            }
        }
        let members = self.members()?;
        send(&members, Signal::KILL);
        Ok(members.len())
    }

    /// One that was stopped by somebody else would never tell of the end.
    fn wake_shim(&self) {
        if let Some(shim) = self.shim {
            // One that has ended needs no waking, and there is nothing else to be done about it here.
            let _ = signal_one(shim, Signal::CONT);
        }
    }

    /// Whether nobody is left but the first process of a namespace, which waits for whoever is the parent of a process
    /// that was killed. It has ended otherwise; only the parent's end or attention lets it go.
    pub fn is_spent(&self) -> bool {
        let is_spent =
            |pid: &u32| process::stat(*pid).is_ok_and(|it| it.is_dead() || it.is_ending_first);
        self.members()
            .is_ok_and(|members| members.iter().all(is_spent))
    }

    /// The first few of its processes in words, as [`process::told`].
    pub fn told(&self) -> String {
        let members = self.members().unwrap_or_default();
        let mut told: Vec<String> = members.iter().copied().map(process::told).collect();
        let more = told.len().saturating_sub(MAX_TOLD);
        told.truncate(MAX_TOLD);
        if more > 0 {
            told.push(format!("{more} more"));
        }
        told.join(", ")
    }

    /// Whoever may be outside of the cgroup, found without a look at all processes of the machine. Children of a stray
    /// return to the shim when it is killed, for the next pass.
    fn strays(&self) -> BTreeSet<u32> {
        let shim = self.shim.filter(|shim| shim.exists());
        let mut strays = shim.map_or_else(BTreeSet::new, |shim| process::children(shim.pid));
        strays.extend(self.command.filter(|it| it.exists()).map(|it| it.pid));
        strays.retain(|pid| process::stat(*pid).is_ok_and(|stat| !stat.is_dead()));
        strays
    }

    fn members_by_descent(&self) -> io::Result<BTreeSet<u32>> {
        let processes = process::all()?;
        let is_here = |id: ProcessId| processes.get(&id.pid).is_some_and(|stat| stat.id == id);
        let mut members = BTreeSet::new();
        if let Some(shim) = self.shim.filter(|shim| is_here(*shim)) {
            members.extend(process::descendants(shim.pid, &processes));
        }
        if let Some(command) = self.command {
            // The kernel does not reuse an id while it names a session, so a stranger under the command's id proves
            // that the session is empty.
            let reused = processes
                .get(&command.pid)
                .is_some_and(|stat| stat.id != command);
            if !reused {
                let session = processes.values().filter(|stat| {
                    stat.session == command.pid && stat.id.start_ticks >= command.start_ticks
                });
                members.extend(session.map(|stat| stat.id.pid));
            }
        }
        members.retain(|pid| processes.get(pid).is_some_and(|stat| !stat.is_dead()));
        Ok(members)
    }
}

/// The processes of a cgroup and of the cgroups below it. A cgroup that does not exist has none.
pub fn cgroup_members(cgroup: &Path) -> io::Result<BTreeSet<u32>> {
    let mut members = BTreeSet::new();
    collect(cgroup, MAX_CGROUP_DEPTH, &mut members)?;
    Ok(members)
}

fn collect(cgroup: &Path, depth: usize, members: &mut BTreeSet<u32>) -> io::Result<()> {
    match std::fs::read_to_string(cgroup.join("cgroup.procs")) {
        Ok(text) => members.extend(text.lines().filter_map(|line| line.parse::<u32>().ok())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    // Two links mean no directory within: the usual case costs no listing.
    if depth == 0 || std::os::unix::fs::MetadataExt::nlink(&std::fs::metadata(cgroup)?) <= 2 {
        return Ok(());
    }
    for entry in std::fs::read_dir(cgroup)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), depth - 1, members)?;
        }
    }
    Ok(())
}

/// Sends a signal to one process. One that has ended is no error; another one that has its id now gets nothing.
pub(crate) fn signal_one(process: ProcessId, signal: Signal) -> io::Result<()> {
    let sent = open_pidfd(process.pid).and_then(|pidfd| {
        // The descriptor stands for whoever has the id now, and still has it when it is looked at.
        if process::stat(process.pid)?.id == process {
            pidfd_send_signal(&pidfd, signal)?;
        }
        Ok(())
    });
    sent.or_else(|error| process::is_ended(&error).then_some(()).ok_or(error))
}

fn send(members: &BTreeSet<u32>, signal: Signal) -> usize {
    let pids = members
        .iter()
        .filter_map(|&pid| Pid::from_raw(i32::try_from(pid).ok()?));
    pids.filter(|&pid| kill_process(pid, signal).is_ok())
        .count()
}
