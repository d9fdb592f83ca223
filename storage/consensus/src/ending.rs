//! How a member ends when it cannot go on inside raft. Raft panics on a read that fails, or sends a snapshot instead
//! and goes on: neither tells anybody what was found. So such a read unwinds with its reason, past raft.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::ConsensusError;

/// Ends the member's turn from within raft; [`caught`] gives the reason. No panic: nothing is printed.
pub(crate) fn give_up(error: ConsensusError) -> ! {
    resume_unwind(Box::new(error))
}

/// Does `work` and tells of whatever ended it. After an error what it worked on must not be used again.
pub(crate) fn caught<R>(
    work: impl FnOnce() -> Result<R, ConsensusError>,
) -> Result<R, ConsensusError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(reason(payload)))
}

fn reason(payload: Box<dyn Any + Send>) -> ConsensusError {
    match payload.downcast::<ConsensusError>() {
        Ok(error) => *error,
        Err(panic) => ConsensusError::Invariant(panic_text(panic.as_ref()).to_owned()),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("panic without a text")
}
