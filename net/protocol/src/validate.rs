//! Structural validation of calls: what can be refused by looking at the message alone.
//!
//! Owns Mesos' rules, their order and their sentences (`src/common`, `src/master` and
//! `src/slave/validation.cpp`). Never knows agents, offers or running tasks: those rules stand where
//! that state is. Every function returns the reason without a prefix; the caller writes
//! `Failed to validate scheduler::Call: ` before it.

pub mod agent;
pub mod checks;
pub mod constraints;
pub mod container;
pub mod disk;
pub mod executor;
pub mod framework;
pub mod id;
pub mod master;
pub mod operation;
pub mod process_io;
pub mod quota;
pub mod registration;
pub mod resources;
pub mod scheduler;
pub mod task;

/// Why something was refused, in Mesos' words.
pub type Reason = Result<(), String>;

fn expecting(field: &str) -> String {
    format!("Expecting '{field}' to be present")
}

/// The body, or `Expecting 'field' to be present`.
fn present<'a, T>(body: &'a Option<T>, field: &str) -> Result<&'a T, String> {
    body.as_ref().ok_or_else(|| expecting(field))
}

/// The type of a call. An unknown number is as good as none, as in protobuf 2.
fn call_type<T: TryFrom<i32>>(number: Option<i32>) -> Result<T, String> {
    number
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| expecting("type"))
}
