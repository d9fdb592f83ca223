//! With which status the program ends when something went wrong.

use tepui_consensus::ConsensusError;
use tepui_engine::{DiskFailed, EngineError};

/// Wrong usage, as clap has it.
pub(crate) const USAGE: u8 = 2;

/// Wrong usage and settings are told from a disk that failed, so that who restarts daemons knows when not to.
pub(crate) fn status(error: &anyhow::Error) -> u8 {
    let of_the_disk = error.chain().any(|cause| {
        let opening = cause.downcast_ref::<EngineError>();
        let member = cause.downcast_ref::<ConsensusError>();
        cause.is::<DiskFailed>()
            || opening.is_some_and(EngineError::is_of_the_disk)
            || member.is_some_and(ConsensusError::is_of_the_disk)
    });
    if of_the_disk {
        DiskFailed::EXIT_STATUS
    } else {
        USAGE
    }
}

#[cfg(test)]
#[path = "exit_tests.rs"]
mod tests;
