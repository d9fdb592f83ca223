//! The node: registers with the leading master, offers what the machine has, runs what it is told, and never
//! forgets. Owns executors, tasks, status update streams, sandboxes and the fetcher; never decides who may run
//! what (the master does), never forks or signals a process itself (the container runtime does), and never
//! answers HTTP (`apps/agent` does).
//!
//! [`core::NodeCore`] holds the rules and does no I/O; [`actor::NodeActor`] carries its effects out.

pub mod actor;
mod amounts;
mod authorization;
mod carry;
pub mod checks;
mod command_executor;
pub mod compatibility;
pub mod config;
pub mod confinement;
pub mod controllers;
pub mod core;
pub mod detect;
pub mod disk;
mod drain;
#[cfg(feature = "checkpoint")]
pub mod durable;
pub mod effect;
pub mod engine;
mod environment;
pub mod estimators;
pub mod fetcher;
pub mod gc;
pub mod guests;
mod ids;
mod images;
mod limits;
mod measuring;
mod networks;
mod order;
mod preparing;
mod prober;
mod prober_tls;
pub mod probes;
mod status;
mod tables;
pub mod tokens;
mod unsupported;
pub mod updates;
pub mod usage;

mod callers;
mod children;
pub mod ends;
mod executors;
mod exits;
mod kills;
mod launches;
mod operations;
pub mod oversubscription;
mod past;
mod patience;
mod pods;
pub mod ports;
mod recovery;
mod registration;
mod reporting;
pub mod sessions;
mod signals;
mod snapshot;
pub mod volumes;
mod waiting;

#[cfg(test)]
mod storms_tests;
#[cfg(test)]
mod testing;
