//! With which status the program ends when something went wrong (the higher ones are those of BSD's `sysexits.h`).

use tepui_client::Error;
use tepui_consensus::ConsensusError;
use tepui_engine::{DiskFailed, EngineError};

use crate::commands::Refusal;

/// Wrong usage, as clap has it.
pub(crate) const USAGE: u8 = 2;
/// The cluster cannot be reached, or nobody leads it.
const UNREACHABLE: u8 = 69;
/// Whoever calls may not, or is not known.
const NOT_ALLOWED: u8 = 77;

/// Tells what who calls did wrong from what others can mend, so that scripts know when to try again and who restarts daemons
/// knows when not to.
pub(crate) fn status(error: &anyhow::Error) -> u8 {
    let found = error.chain().find_map(|cause| {
        let opening = cause.downcast_ref::<EngineError>();
        let member = cause.downcast_ref::<ConsensusError>();
        let of_the_disk = cause.is::<DiskFailed>()
            || opening.is_some_and(EngineError::is_of_the_disk)
            || member.is_some_and(ConsensusError::is_of_the_disk);
        let refused = cause.downcast_ref::<Refusal>().map(|it| of_http(it.status));
        let called = cause.downcast_ref::<Error>().map(|error| match error {
            Error::Refused { status, .. } => of_http(*status),
            Error::Unreachable { .. } | Error::Timeout { .. } | Error::NoLeader(_) => UNREACHABLE,
            Error::Malformed(_) => USAGE,
        });
        of_the_disk
            .then_some(DiskFailed::EXIT_STATUS)
            .or(refused)
            .or(called)
    });
    found.unwrap_or(USAGE)
}

fn of_http(status: u16) -> u8 {
    match status {
        401 | 403 => NOT_ALLOWED,
        500.. => UNREACHABLE,
        _ => USAGE,
    }
}

#[cfg(test)]
#[path = "exit_tests.rs"]
mod tests;
