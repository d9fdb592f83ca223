//! `tepui-shim`: the supervisor of one container. It outlives the agent, and it is all of Tepui that has to.
//!
//! It owns starting one command, reaping everything that descends from it, and writing down how it ended. It makes no
//! cgroup, and seldom decides to kill a running command: the agent does all that from outside. Only where clients attach
//! to the command's standard streams it listens to somebody, and ends a session whose client has gone (`switchboard`);
//! only where its output is bounded it writes the files of it (`logs`); and it ends what the kernel took a part of
//! (`shortage`), and what no agent comes back to (`absence`).
//! `tepui_containers` describes the orders it reads on standard input and the record it writes.
//!
//! There is one process a container, so every page counts: no runtime, no threads, no allocation that stays.

mod absence;
mod child;
mod hold;
mod log_file;
mod logs;
mod namespaces;
mod privileges;
mod rootfs;
mod secrets;
mod shortage;
mod supervise;
mod switchboard;
mod sys;
mod terminal;
mod users;
mod volumes;
mod waking;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use tepui_containers::record::{LaunchFailure, Line, SWEPT, Stage};
use tepui_containers::spec::{self, MAX_SPEC_BYTES, ShimSpec};

fn main() -> ExitCode {
    if hold::is_asked() {
        return hold::until_asked_to_end();
    }
    sys::detach();
    // Started from memory it would be called by the number of a descriptor. Nothing depends on it.
    let _ = rustix::thread::set_name(c"tepui-shim");
    let orders = match read_orders() {
        // A spare whose agent has ended, or does not want it any more.
        Ok(None) => return ExitCode::SUCCESS,
        Ok(Some(spec)) => Ok(spec),
        Err(failure) => Err(failure),
    };
    let Ok(answer) = take_answer() else {
        return ExitCode::FAILURE;
    };
    match orders.and_then(|spec| supervise::start(&spec, &answer)) {
        Ok(container) => {
            // The agent waits for both ends to close: this one, and the child's.
            drop(answer);
            match supervise::until_the_end(container) {
                true => ExitCode::from(SWEPT),
                false => ExitCode::FAILURE,
            }
        }
        Err(failure) => {
            supervise::write_line(&answer, &Line::Failed(failure).to_string());
            ExitCode::FAILURE
        }
    }
}

/// Waits for the launch spec and reads it; `None` if there comes none.
fn read_orders() -> Result<Option<ShimSpec>, LaunchFailure> {
    let failed = |errno| LaunchFailure {
        stage: Stage::Spec,
        errno,
    };
    let mut bytes = Vec::new();
    let mut bounded = std::io::stdin().lock().take(MAX_SPEC_BYTES as u64);
    bounded
        .read_to_end(&mut bytes)
        .map_err(|error| failed(error.raw_os_error().unwrap_or(libc::EIO)))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    // A person who starts the shim by hand sees what is wrong; an agent's log shows it too.
    let spec = spec::decode(&bytes).map_err(|error| {
        eprintln!("tepui-shim: {error}");
        failed(libc::EINVAL)
    })?;
    Ok(Some(spec))
}

/// Moves the pipe to the agent off standard output, to a descriptor that exec closes, and leaves `/dev/null` in all
/// three standard places.
fn take_answer() -> Result<OwnedFd, Errno> {
    let answer = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let null = rustix::fs::openat(CWD, "/dev/null", flags, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(answer)
}
