//! The words of operators: agents that leave and come back, quota, weights, maintenance, the end of a framework.

use clap::{Args, Subcommand};

use super::{ListArgs, Target};

/// An agent, among those of the cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct OneAgentArgs {
    /// Its id, the beginning of it or its end (S3), its hostname, or HOST:PORT, as `tepui agents` shows them
    pub(crate) agent: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    pub(crate) agent: OneAgentArgs,
    /// How long its tasks may take to end at most, whatever they ask for, such as 30s or 10mins
    #[arg(long, env = "TEPUI_MAX_GRACE", value_name = "DURATION")]
    pub(crate) max_grace: Option<String>,
    /// Mark it gone once it is drained: it never comes back; asks first, see --yes
    #[arg(long)]
    pub(crate) gone: bool,
    #[command(flatten)]
    pub(crate) certainty: Certainty,
    /// Follow until it is drained, or gone, and tell how many tasks are left
    #[arg(long, env = "TEPUI_DRAIN_WAIT")]
    pub(crate) wait: bool,
}

/// What cannot be undone is asked for twice; never in the environment, where it would be forgotten.
#[derive(Debug, Clone, Args)]
pub(crate) struct Certainty {
    /// Do not ask; needed where there is no terminal to ask at
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct GoneArgs {
    #[command(flatten)]
    pub(crate) agent: OneAgentArgs,
    #[command(flatten)]
    pub(crate) certainty: Certainty,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct TeardownArgs {
    /// The framework's id, the beginning of it or its end, or its name
    pub(crate) framework: String,
    #[command(flatten)]
    pub(crate) certainty: Certainty,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct QuotaArgs {
    /// Only of this role [default: all that have quota]
    pub(crate) role: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
    #[command(subcommand)]
    pub(crate) command: Option<QuotaCommand>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum QuotaCommand {
    /// Set a role's guarantees and limits, in place of those it has
    Set(QuotaSetArgs),
    /// Take a role's guarantees and limits away
    Remove {
        /// The role
        role: String,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct QuotaSetArgs {
    /// The role
    pub(crate) role: String,
    /// What it gets whenever it wants it, such as 'cpus:4;mem:512'
    #[arg(long, env = "TEPUI_QUOTA_GUARANTEE", value_name = "AMOUNTS")]
    pub(crate) guarantee: Option<String>,
    /// The most it gets, such as 'cpus:8'; what is not named has no limit
    #[arg(long, env = "TEPUI_QUOTA_LIMIT", value_name = "AMOUNTS")]
    pub(crate) limit: Option<String>,
    /// Even where guarantees are more than the cluster has, or more is in use than the limit
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct WeightsArgs {
    #[command(flatten)]
    pub(crate) list: ListArgs,
    #[command(subcommand)]
    pub(crate) command: Option<WeightsCommand>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum WeightsCommand {
    /// Set the weights of roles; those of others stay
    Set {
        /// A role and its weight, such as web=2.5
        #[arg(required = true, value_name = "ROLE=WEIGHT")]
        weights: Vec<String>,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct MaintenanceArgs {
    #[command(flatten)]
    pub(crate) list: ListArgs,
    #[command(subcommand)]
    pub(crate) command: Option<MaintenanceCommand>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum MaintenanceCommand {
    /// Schedule machines; what others are scheduled for stays
    Schedule(ScheduleArgs),
    /// Take machines out of the schedule
    Cancel(HostsArgs),
    /// Take scheduled machines down: their agents are shut down, with their tasks, and not let in
    Down(HostsArgs),
    /// Bring machines that are down back, and take them out of the schedule
    Up(HostsArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct HostsArgs {
    /// Machines, each by its hostname, its address, both as HOST/ADDRESS, or the id of an agent there
    #[arg(required = true, value_name = "HOST")]
    pub(crate) hosts: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ScheduleArgs {
    #[command(flatten)]
    pub(crate) hosts: HostsArgs,
    /// When they go: now, +2h, or 2030-01-31T02:00:00Z
    #[arg(long, env = "TEPUI_START", value_name = "TIME")]
    pub(crate) start: String,
    /// For how long, such as 90mins or 2h [default: until they are brought up]
    #[arg(long, env = "TEPUI_DURATION", value_name = "DURATION")]
    pub(crate) duration: Option<String>,
}
