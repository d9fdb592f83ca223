//! Owns the shim's life after its orders: the record, the fork, the answer to the agent, waiting and sweeping up.

use crate::absence::{Absence, Order};
use crate::logs::Logs;
use crate::shortage::Shortage;
use crate::switchboard::Board;
use crate::sys::{self, Fork};
use crate::terminal::CommandEnds;
use crate::waking::Also;
use crate::{child, logs, namespaces, terminal, users};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tepui_containers::record::{LaunchFailure, Line, RECORD_FILE, Stage};
use tepui_containers::spec::{HOLDER, ShimSpec};
use tepui_containers::tree::Tree;
use tepui_containers::{Patience, ProcessId};

/// How long the shim tries to kill what its command left behind. After that the agent does, when it cleans up.
const SWEEP_DEADLINE: Duration = Duration::from_secs(5);

/// The pause between two passes, growing by doubling.
const SWEEP_PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// The exit code of a child that did not become its command; nobody reads it, since the record says why.
const NOT_EXECUTED: i32 = 127;

/// A running container.
pub(crate) struct Container {
    record: File,
    shim: ProcessId,
    command: ProcessId,
    cgroup: Option<PathBuf>,
    /// Whose memory is watched, where that is done here.
    memory_cgroup: Option<PathBuf>,
    /// It has the process ids of another container: orphans go to the first process there, and not to this one.
    is_guest: bool,
    /// Other containers are within it, which it must not end before.
    is_holder: bool,
    patience: Option<Patience>,
    streams: Option<Streams>,
}

/// What the shim does while its command runs.
enum Streams {
    /// The command writes files of its own: nothing, until a child has ended.
    Files { children: OwnedFd },
    /// Clients attach to them.
    Board(Board),
    /// They become bounded files.
    Logs(Logs),
}

impl Streams {
    /// Waits for something to do and does it. Says whether the container is to be killed.
    fn turn(&mut self, also: Also<'_>) -> bool {
        match self {
            Self::Board(board) => return board.turn(also),
            Self::Logs(logs) => logs.turn(also),
            Self::Files { children } => logs::wait_for_child(children, also),
        }
        false
    }

    fn finish(self) {
        match self {
            Self::Board(board) => board.finish(),
            Self::Logs(logs) => logs.finish(),
            Self::Files { .. } => {}
        }
    }
}

/// Claims the container, starts its command and tells the agent. Errors: nothing was started, and nobody told yet.
///
/// Whether `exec` succeeds is not waited for: the child says so itself if it does not, and the agent learns of a
/// success by the end of the pipe.
pub(crate) fn start(spec: &ShimSpec, answer: &OwnedFd) -> Result<Container, LaunchFailure> {
    let shim =
        ProcessId::of(std::process::id()).map_err(|error| io_failure(Stage::Claim, &error))?;
    let boot_id = spec.boot_id.clone();
    let claim = Line::Shim { boot_id, shim }.to_string();
    let record = claim_record(spec, &claim).map_err(|error| io_failure(Stage::Claim, &error))?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(|errno| {
        LaunchFailure {
            stage: Stage::Fork,
            errno: errno.raw_os_error(),
        }
    })?;
    let (command_ends, streams) = open_streams(spec)?.unzip();
    let users = users::open(spec)?;
    namespaces::begin(spec)?;
    let (told, tell) = match namespaces::whose(spec) {
        Some(_) => std::io::pipe()
            .map_err(|error| io_failure(Stage::Fork, &error))
            .map(|(told, tell)| (Some(told), Some(tell)))?,
        None => (None, None),
    };
    let fork = sys::fork().map_err(|errno| LaunchFailure {
        stage: Stage::Fork,
        errno,
    })?;
    let Fork::Parent { child } = fork else {
        drop(told);
        let failed = child::become_command(spec, command_ends.as_ref(), users.as_ref(), tell);
        let failed = Line::Failed(failed).to_string();
        write_line(&record, &failed);
        write_line(answer, &failed);
        sys::exit_now(NOT_EXECUTED)
    };
    drop(tell);
    // What becomes the command may be a child of it. One that failed before is all there is.
    let child = told.and_then(read_id).unwrap_or(child);
    let pid = u32::try_from(child).expect("fork returns a positive id to the parent");
    // Nobody has reaped the child yet, so `/proc` tells of it even if it has ended. Without `/proc` the shim itself
    // would not have come this far.
    let start_ticks = ProcessId::of(pid).map_or(shim.start_ticks, |child| child.start_ticks);
    let command = ProcessId { pid, start_ticks };
    let started = Line::Started(command).to_string();
    write_line(&record, &started);
    write_line(answer, &(claim + &started));
    Ok(Container {
        record,
        shim,
        command,
        cgroup: spec.cgroup_kill.clone(),
        memory_cgroup: spec.cgroup_memory.clone(),
        is_guest: namespaces::whose_pids(spec).is_some(),
        is_holder: spec.argv.first().is_some_and(|name| name == HOLDER),
        patience: spec.patience.clone(),
        streams,
    })
}

/// Waits for the id of a process; `None`: there will be none.
fn read_id(mut told: PipeReader) -> Option<i32> {
    let mut id = [0; size_of::<i32>()];
    told.read_exact(&mut id).ok()?;
    Some(i32::from_ne_bytes(id))
}

/// `None`: the command opens its files itself.
fn open_streams(spec: &ShimSpec) -> Result<Option<(CommandEnds, Streams)>, LaunchFailure> {
    if let Some(switchboard) = &spec.switchboard {
        let (command, ends) = terminal::open(spec, switchboard)?;
        let children = sys::child_signals().map_err(|errno| LaunchFailure {
            stage: Stage::Switchboard,
            errno: errno.raw_os_error(),
        })?;
        let board = Board::new(ends, switchboard.is_session, children);
        return Ok(Some((command, Streams::Board(board))));
    }
    let Some(rotation) = &spec.rotation else {
        return Ok(None);
    };
    let (command, logs) = logs::open(spec, rotation)?;
    Ok(Some((command, Streams::Logs(logs))))
}

/// Appends a whole line, or several, in one write.
pub(crate) fn write_line(file: impl AsFd, line: &str) {
    // A pipe whose agent died has the record beside it, and the record's block was allocated by its first line.
    let _ = rustix::io::write(file, line.as_bytes());
}

/// Reaps until the command has ended, writes that down, then kills what it left and reaps that. Whether nothing is left.
///
/// Only here the shim leaves the agent's session. A kernel that groups processes by session to share the CPU between
/// them makes a newcomer wait; so shim and child do it last, when nobody waits for them any more.
pub(crate) fn until_the_end(mut container: Container) -> bool {
    // Fails only for a session leader, which is detached already.
    let _ = rustix::process::setsid();
    let mut watches = Watches::begin(&mut container);
    sys::release_code();
    let mut streams = container.streams.take().or_else(|| {
        let children = watches.any().then(sys::child_signals);
        let children = children.and_then(Result::ok);
        children.map(|children| Streams::Files { children })
    });
    let ended = match &mut streams {
        None => wait_for(&container),
        Some(streams) => serve_until(&container, streams, &mut watches),
    };
    // Without a child there is nothing to tell; the agent finds a record without an end.
    let Some(mut status) = ended else {
        return false;
    };
    // It was faster than this process, but no other than a command that was killed in time.
    if status == 0 && watches.has_struck() {
        status = libc::SIGKILL;
    }
    write_line(&container.record, &Line::Exited(status).to_string());
    let is_swept = sweep(&container);
    if let Some(streams) = streams {
        streams.finish();
    }
    is_swept
}

/// What can end a container besides its command.
struct Watches {
    shortage: Option<Shortage>,
    absence: Option<Absence>,
}

impl Watches {
    fn begin(container: &mut Container) -> Self {
        let dir = container.memory_cgroup.as_ref();
        let patience = container.patience.take();
        Self {
            // A kernel that does not tell leaves the container as it was before such watches.
            shortage: dir.and_then(|dir| Shortage::watch(dir).ok()),
            absence: patience.map(|it| Absence::watch(it, container.is_holder)),
        }
    }

    fn any(&self) -> bool {
        self.shortage.is_some() || self.absence.is_some()
    }

    fn wakes(&self) -> Also<'_> {
        let shortage = self.shortage.as_ref().map(Shortage::wakes);
        let absence = self.absence.as_ref().map(Absence::wakes);
        shortage
            .unwrap_or_default()
            .and(absence.unwrap_or_default())
    }

    fn has_struck(&mut self) -> bool {
        self.shortage.as_mut().is_some_and(Shortage::has_struck)
    }

    fn of_absence(&mut self) -> Order {
        self.absence.as_mut().map_or(Order::Nothing, Absence::order)
    }
}

/// Reaps until the command has ended: its raw status.
fn wait_for(container: &Container) -> Option<i32> {
    let command = container.command_pid();
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if Some(pid) == command => return Some(status.as_raw()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// As [`wait_for`]; meanwhile it serves the standard streams and heeds what else can end the container.
fn serve_until(container: &Container, streams: &mut Streams, watches: &mut Watches) -> Option<i32> {
    let command = container.command_pid();
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if Some(pid) == command => return Some(status.as_raw()),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => {
                let is_left = streams.turn(watches.wakes());
                let order = watches.of_absence();
                if order == Order::Ask {
                    write_line(&container.record, &Line::Forsaken.to_string());
                    container.ask_to_end();
                }
                if is_left || watches.has_struck() || order == Order::Kill {
                    let _ = container.tree().kill_pass();
                }
            }
            Err(_) => return None,
        }
    }
}

impl Container {
    fn command_pid(&self) -> Option<Pid> {
        let pid = i32::try_from(self.command.pid).ok();
        pid.and_then(Pid::from_raw)
    }

    /// What takes no notice is killed later.
    fn ask_to_end(&self) {
        let _ = match self.command_pid().filter(|_| self.is_holder) {
            Some(holder) => {
                rustix::process::kill_process(holder, Signal::TERM).map_err(io::Error::from)
            }
            None => self.tree().signal(Signal::TERM).map(drop),
        };
    }

    fn tree(&self) -> Tree {
        Tree {
            cgroup: self.cgroup.clone(),
            shim: Some(self.shim),
            command: Some(self.command),
        }
    }
}

/// The first line. Exclusive creation decides between the shim and an agent that gave the container up.
fn claim_record(spec: &ShimSpec, claim: &str) -> io::Result<File> {
    let mut options = File::options();
    options.append(true).create_new(true).mode(0o600);
    let mut record = options.open(spec.runtime_dir.join(RECORD_FILE))?;
    record.write_all(claim.as_bytes())?;
    Ok(record)
}

/// Whether nothing is left.
fn sweep(container: &Container) -> bool {
    let tree = container.tree();
    // Orphans return to this process, so having no child left means that nothing is: the usual case.
    let is_over = |left: usize| !reap_ended() && (left == 0 || !container.is_guest);
    if is_over(usize::from(container.is_guest)) {
        return true;
    }
    let begun = Instant::now();
    let (mut pause, longest_pause) = SWEEP_PAUSE;
    while begun.elapsed() < SWEEP_DEADLINE {
        // What cannot be looked at may be left: the agent looks again.
        let left = tree.kill_pass();
        if is_over(*left.as_ref().unwrap_or(&0)) {
            return left.is_ok() || !container.is_guest;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(longest_pause);
    }
    false
}

/// Takes the status of every child that has ended; says whether others are left.
fn reap_ended() -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

fn io_failure(stage: Stage, error: &io::Error) -> LaunchFailure {
    let errno = error.raw_os_error().unwrap_or(libc::EIO);
    LaunchFailure { stage, errno }
}
