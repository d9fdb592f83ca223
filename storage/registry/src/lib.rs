//! What the cluster must not forget: agents, frameworks, roles, maintenance. Owns the commands that change it,
//! the rules by which each is applied or refused, and the encoding of every record. It reads no clock, draws no
//! random number and depends on no map order: every member comes to the same state.
//!
//! Tasks, executors and offers are not here; agents bring them back. The operations follow those of Mesos'
//! `master/registry_operations.cpp`; frameworks are our addition. Protocol messages are kept as the bytes their
//! sender encoded.

mod agents;
mod backup;
mod cluster;
mod command;
mod frameworks;
mod keys;
mod machine;
mod members;
mod refusals;
mod sizes;
mod state;

pub use agents::outdated;
pub use backup::{Backup, BackupError};
pub use command::{Command, CommandError, Outcome, Refused};
pub use machine::{RegistryMachine, RegistryReader};
pub use state::{
    AdmittedAgent, FrameworkRecord, MachineMode, MachineRecord, Maintenance, MemberRecord,
    RefusalRecord, Refusals, Registry, RemovedFramework, UnreachableAgent,
};

/// Agents that may be admitted at one time.
pub const MAX_AGENTS: usize = 200_000;
/// Agents remembered as unreachable, and as many as gone; beyond it the oldest are forgotten.
pub const MAX_ABSENT_AGENTS: usize = 200_000;
/// Frameworks that may be registered at one time.
pub const MAX_FRAMEWORKS: usize = 20_000;
/// Removed frameworks remembered, so that their ids are not taken again.
pub const MAX_REMOVED_FRAMEWORKS: usize = 50;
/// Roles with a weight, and as many with a quota.
pub const MAX_ROLES: usize = 100_000;
/// Machines with a maintenance mode.
pub const MAX_MACHINES: usize = 200_000;
/// Masters of one group; more only make each write wait for more disks.
pub const MAX_MASTERS: usize = 7;
/// Documents of all collections.
pub const MAX_DOCUMENTS: usize = 100_000;

/// Bytes of all records that are taken by who proposes commands; nothing of it binds who applies them. A member that
/// lags gets all of them as one message of the bridge between masters, which has a gibibyte.
pub const MAX_BYTES: usize = 768 << 20;

/// Refused offers that are remembered, of all frameworks.
pub const MAX_REFUSALS: usize = 20_000;
/// And of one.
pub const MAX_REFUSALS_PER_FRAMEWORK: usize = 2_000;
/// A refusal of more is not remembered.
pub const MAX_REFUSED_BYTES: usize = 1_024;

/// Needed of every master while an agent drains or is deactivated.
pub const AGENT_DRAINING: &str = "AGENT_DRAINING";
/// Needed of every master while a quota is set.
pub const QUOTA_V2: &str = "QUOTA_V2";
/// What this program can do. A registry that asks for more is not opened.
pub const CAPABILITIES: [&str; 2] = [AGENT_DRAINING, QUOTA_V2];
