//! Owns how a command becomes a contained, supervised process: the launch spec, the shim's record, cgroups (v1 and
//! v2), sandboxes, signals to a process tree, and usage. It never decides *when* to launch or kill, keeps no state that
//! has to survive (the shim's record and the kernel do), and knows nothing of tasks, executors or frameworks.
//!
//! The life of a container:
//!
//! ```text
//!  agent: Launcher::launch ── pipe or memfd: spec ──► tepui-shim (own session, subreaper)
//!     │    makes the cgroups                             │ claims <runtime dir>/record
//!     │                                                  │ forks; the child joins the cgroups, drops rights, execs
//!     │ ◄── pipe: "started PID START" ───────────────────┤ appends the same line to the record
//!     │ ◄── the pipe ends: exec succeeded                │ (or the child says "failed …" in both)
//!     │                                                  │ waits, reaps orphans
//!     │ ◄── pidfd of the shim becomes readable ──────────┘ appends "exited STATUS", kills what is left, ends
//!     └─ Running::wait reads the record
//! ```
//!
//! An agent that was dead meanwhile reads the same record through `Launcher::recover`; nothing is held in memory.
//!
//! A container with a terminal, and a session, have their standard streams kept by their shim (`switchboard`), which also
//! outlives the agent; so are those of one whose output is bounded (`rotation`). All others write to files, and their shims
//! see none of it.
//!
//! A container whose command nobody but the agent looks after outlives it for a time only (`patience`): its shim ends it.
//!
//! A few shims are brought up ahead of their orders; one that gets none ends with the agent.
//!
//! Without the feature `launcher` only what the shim needs is compiled: formats, cgroup and process helpers.

pub mod devices;
pub mod limits;
pub mod namespaces;
pub mod patience;
pub mod process;
pub mod record;
pub mod rotation;
pub mod spec;
pub mod switchboard;
pub mod tree;

#[cfg(feature = "launcher")]
pub mod attach;
#[cfg(feature = "launcher")]
mod beneath;
#[cfg(feature = "launcher")]
pub mod block_io;
#[cfg(feature = "launcher")]
pub mod cgroups;
#[cfg(feature = "launcher")]
pub mod dangling;
#[cfg(feature = "launcher")]
pub mod disk;
#[cfg(feature = "launcher")]
pub mod engine;
#[cfg(feature = "launcher")]
mod error;
#[cfg(feature = "launcher")]
pub mod images;
#[cfg(feature = "launcher")]
pub mod launch;
#[cfg(feature = "launcher")]
pub mod launcher;
#[cfg(feature = "launcher")]
pub mod mountpoints;
#[cfg(feature = "launcher")]
pub mod mounts;
#[cfg(feature = "launcher")]
pub mod nested;
#[cfg(feature = "launcher")]
pub mod networks;
#[cfg(feature = "launcher")]
pub mod ports;
#[cfg(feature = "launcher")]
mod pressure;
#[cfg(feature = "launcher")]
pub mod removal;
#[cfg(feature = "launcher")]
mod running;
#[cfg(feature = "launcher")]
pub mod sandbox;
#[cfg(feature = "launcher")]
pub mod sandboxes;
#[cfg(feature = "launcher")]
mod sealed;
#[cfg(feature = "launcher")]
pub mod seccomp;
#[cfg(feature = "launcher")]
mod spares;
#[cfg(feature = "launcher")]
mod start;
#[cfg(feature = "launcher")]
mod stock;
#[cfg(feature = "launcher")]
pub mod usage;
#[cfg(feature = "launcher")]
pub mod user;
#[cfg(feature = "launcher")]
pub mod volume_gids;
#[cfg(feature = "launcher")]
pub mod volumes;
#[cfg(feature = "launcher")]
pub mod whole;

#[cfg(feature = "launcher")]
pub use cgroups::{Cgroups, ContainerCgroup};
#[cfg(feature = "launcher")]
pub use error::Error;
#[cfg(feature = "launcher")]
pub use launch::{Command, LaunchSpec};
#[cfg(feature = "launcher")]
pub use launcher::Launcher;
pub use limits::Limits;
pub use namespaces::{Namespaces, UserRange};
pub use patience::Patience;
#[cfg(feature = "launcher")]
pub use pressure::Pressure;
pub use process::ProcessId;
pub use record::{LaunchFailure, Stage};
#[cfg(feature = "launcher")]
pub use running::{Exit, Recovered, Running};
pub use spec::{Capabilities, Credentials, Mount, Rlimit, RlimitKind, Root, SecretFile, View};
pub use switchboard::Switchboard;
#[cfg(feature = "launcher")]
pub use usage::Usage;
