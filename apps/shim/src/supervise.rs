//! Owns the shim's life after its orders: the record, the fork, the answer to the agent, waiting and sweeping up.

use crate::child;
use crate::sys::{self, Fork};
use rustix::process::{Pid, WaitOptions};
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tepui_containers::ProcessId;
use tepui_containers::record::{LaunchFailure, Line, RECORD_FILE, Stage};
use tepui_containers::spec::ShimSpec;
use tepui_containers::tree::Tree;

/// How long the shim tries to kill what its command left behind. After that the agent does, when it cleans up.
const SWEEP_DEADLINE: Duration = Duration::from_secs(5);

/// The pause between two passes, growing by doubling.
const SWEEP_PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// A running container.
pub(crate) struct Container {
    record: File,
    shim: ProcessId,
    command: ProcessId,
    cgroup: Option<PathBuf>,
}

/// Claims the container, starts its command and tells the agent. Errors: the command does not run.
pub(crate) fn start(spec: &ShimSpec) -> Result<Container, LaunchFailure> {
    let claim_failed = |error: io::Error| failure(Stage::Claim, &error);
    let shim = ProcessId::of(std::process::id()).map_err(claim_failed)?;
    let claim = Line::Shim {
        boot_id: spec.boot_id.clone(),
        shim,
    }
    .to_string();
    let mut record = claim_record(spec, &claim).map_err(claim_failed)?;
    let started = start_command(spec);
    let line = match &started {
        Ok(command) => Line::Started(*command).to_string(),
        Err(failure) => Line::Failed(*failure).to_string(),
    };
    // The block was allocated by the first line; a file system that fails now fails the agent's reading too.
    let _ = record.write_all(line.as_bytes());
    let command = started?;
    tell_agent(&(claim + &line));
    Ok(Container {
        record,
        shim,
        command,
        cgroup: spec.cgroup_kill.clone(),
    })
}

/// Answers the agent on standard output and hangs up.
pub(crate) fn tell_agent(text: &str) {
    // An agent that died meanwhile reads the record.
    let _ = rustix::io::write(rustix::stdio::stdout(), text.as_bytes());
    let _ = rustix::stdio::dup2_stdout(rustix::stdio::stdin());
}

/// Reaps until the command has ended, writes that down, then kills what it left and reaps that.
pub(crate) fn until_the_end(mut container: Container) {
    let command_pid = i32::try_from(container.command.pid)
        .ok()
        .and_then(Pid::from_raw);
    let status = loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if Some(pid) == command_pid => break status.as_raw(),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // Without a child there is nothing to tell; the agent finds a record without an end.
            Err(_) => return,
        }
    };
    let _ = container
        .record
        .write_all(Line::Exited(status).to_string().as_bytes());
    sweep(&container);
}

/// The first line. Exclusive creation decides between the shim and an agent that gave the container up.
fn claim_record(spec: &ShimSpec, claim: &str) -> io::Result<File> {
    let mut options = File::options();
    let mut record = options
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(spec.runtime_dir.join(RECORD_FILE))?;
    record.write_all(claim.as_bytes())?;
    Ok(record)
}

fn start_command(spec: &ShimSpec) -> Result<ProcessId, LaunchFailure> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(|errno| {
        LaunchFailure {
            stage: Stage::Fork,
            errno: errno.raw_os_error(),
        }
    })?;
    let (reader, writer) = io::pipe().map_err(|error| failure(Stage::Fork, &error))?;
    match sys::fork().map_err(|errno| LaunchFailure {
        stage: Stage::Fork,
        errno,
    })? {
        Fork::Child => {
            drop(reader);
            report(writer, child::become_command(spec));
            sys::exit_now(127)
        }
        Fork::Parent { child } => {
            drop(writer);
            if let Some(failed) = failure_of_child(reader) {
                let _ = rustix::process::waitpid(Pid::from_raw(child), WaitOptions::empty());
                return Err(failed);
            }
            let pid = u32::try_from(child).expect("fork returns a positive id to the parent");
            // The child, even if it has ended, is not reaped before here, so `/proc` still tells of it.
            ProcessId::of(pid).map_err(|error| failure(Stage::Fork, &error))
        }
    }
}

/// The child's last words, if exec failed; a successful exec closes the pipe without any.
fn failure_of_child(mut reader: PipeReader) -> Option<LaunchFailure> {
    let mut bytes = [0; 5];
    reader.read_exact(&mut bytes).ok()?;
    let [stage, errno @ ..] = bytes;
    Some(LaunchFailure {
        stage: Stage::from_number(stage)?,
        errno: i32::from_le_bytes(errno),
    })
}

fn report(mut writer: PipeWriter, failure: LaunchFailure) {
    let [a, b, c, d] = failure.errno.to_le_bytes();
    let _ = writer.write_all(&[failure.stage as u8, a, b, c, d]);
}

fn sweep(container: &Container) {
    // Orphans return to this process, so having no child left means that nothing is: the usual case.
    if !reap_ended() {
        return;
    }
    let tree = Tree {
        cgroup: container.cgroup.clone(),
        shim: Some(container.shim),
        command: Some(container.command),
    };
    let begun = Instant::now();
    let (mut pause, longest_pause) = SWEEP_PAUSE;
    while begun.elapsed() < SWEEP_DEADLINE {
        let _ = tree.kill_pass();
        std::thread::sleep(pause);
        pause = (pause * 2).min(longest_pause);
        if !reap_ended() {
            return;
        }
    }
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

fn failure(stage: Stage, error: &io::Error) -> LaunchFailure {
    LaunchFailure {
        stage,
        errno: error.raw_os_error().unwrap_or(libc::EIO),
    }
}
