//! Owns the process that stands for a container without a command of its own: what its resources are limited by and
//! what its end is known by, while the containers within it come and go. It is this same program, started by a shim
//! like any command.

use crate::sys;
use std::process::ExitCode;
use tepui_containers::spec::HOLDER;

/// Whether this process is to be one.
pub(crate) fn is_asked() -> bool {
    std::env::args_os()
        .next()
        .is_some_and(|name| name == HOLDER)
}

/// Waits for SIGTERM.
pub(crate) fn until_asked_to_end() -> ExitCode {
    sys::release_code();
    sys::wait_for_termination();
    ExitCode::SUCCESS
}
