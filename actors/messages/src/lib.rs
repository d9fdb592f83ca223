//! What actors of one process say to each other: plain Rust, never serialised; one file a receiver.
//!
//! Times are nanoseconds since the Unix epoch ([`UnixNanos`]); durations are [`std::time::Duration`].

pub mod agent;
pub mod allocator;
pub mod change;
mod confinement;
pub mod containers;
pub mod engine;
pub mod framework;
pub mod master;
pub mod registrar;
pub mod traffic;
pub mod view;
pub mod why;

/// Nanoseconds since the Unix epoch.
pub type UnixNanos = i64;
