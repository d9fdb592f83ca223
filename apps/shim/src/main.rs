//! `tepui-shim`: the supervisor of one container. It outlives the agent, and it is all of Tepui that has to.
//!
//! It owns starting one command, reaping everything that descends from it, and writing down how it ended. It never
//! decides to kill a running command, listens to nobody, and makes no cgroup: the agent does all that from outside.
//! `tepui_containers` describes the orders it reads on standard input and the record it writes.
//!
//! There is one process a container, so every page counts: no runtime, no threads, no allocation that stays.

mod child;
mod supervise;
mod sys;

use rustix::fs::{CWD, Mode, OFlags};
use std::io::Read;
use std::process::ExitCode;
use tepui_containers::record::{LaunchFailure, Line, Stage};
use tepui_containers::spec::{self, MAX_SPEC_BYTES, ShimSpec};

fn main() -> ExitCode {
    sys::detach();
    let decided = read_orders().and_then(|spec| supervise::start(&spec));
    match decided {
        Ok(container) => {
            supervise::until_the_end(container);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            // Nothing is started; the agent may be gone, then nobody needs to hear it.
            supervise::tell_agent(&Line::Failed(failure).to_string());
            ExitCode::FAILURE
        }
    }
}

/// Reads the launch spec and leaves `/dev/null` in its place: the command's standard input.
fn read_orders() -> Result<ShimSpec, LaunchFailure> {
    let failed = |errno| LaunchFailure {
        stage: Stage::Spec,
        errno,
    };
    let mut bytes = Vec::new();
    let mut bounded = std::io::stdin().lock().take(MAX_SPEC_BYTES as u64);
    bounded
        .read_to_end(&mut bytes)
        .map_err(|error| failed(error.raw_os_error().unwrap_or(libc::EIO)))?;
    let null = rustix::fs::openat(
        CWD,
        "/dev/null",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    );
    let null = null.map_err(|errno| failed(errno.raw_os_error()))?;
    rustix::stdio::dup2_stdin(&null).map_err(|errno| failed(errno.raw_os_error()))?;
    // A person who starts the shim by hand sees what is wrong; an agent's log shows it too.
    let spec = spec::decode(&bytes).map_err(|error| {
        eprintln!("tepui-shim: {error}");
        failed(libc::EINVAL)
    })?;
    rustix::stdio::dup2_stderr(&null).map_err(|errno| failed(errno.raw_os_error()))?;
    Ok(spec)
}
