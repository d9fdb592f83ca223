//! The words of the command line. Each daemon's flag is also `TEPUI_<FLAG>` in the environment and a key of the
//! TOML file named by `--config`; flags that Mesos has too also answer to `MESOS_<FLAG>`.

mod agent;
mod cluster;
mod executors;
mod machine;
mod networks;
mod operators;
mod sandboxes;

use std::{net::IpAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use serde::Serialize;

pub(crate) use agent::AgentArgs;
pub(crate) use cluster::*;
pub(crate) use executors::ExecutorArgs;
pub(crate) use machine::MachineArgs;
pub(crate) use networks::NetworkArgs;
pub(crate) use operators::*;
pub(crate) use sandboxes::SandboxArgs;

/// A cluster manager that speaks Apache Mesos' API.
#[derive(Debug, Parser)]
#[command(name = "tepui", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a whole cluster on this machine, on loopback
    Dev(DevArgs),
    /// Start a master
    Master(Box<MasterArgs>),
    /// Start an agent
    Agent(Box<AgentArgs>),
    /// Run a command as a task, stream its output, exit with its exit status
    Run(RunArgs),
    /// Run a command in the container of a task, with this terminal, and exit with its exit status
    Exec(ExecArgs),
    /// Print what a task has written
    Logs(LogsArgs),
    /// List tasks
    Ps(ListArgs),
    /// List agents
    Agents(ListArgs),
    /// List frameworks
    Frameworks(ListArgs),
    /// List outstanding offers; how long they have stood, and how earlier ones ended
    Offers(OffersArgs),
    /// Say why a framework is offered what it is: what stands between it and each agent, nearest miss first
    Why(WhyArgs),
    /// Show or change who decides who is offered what
    Allocator(AllocatorArgs),
    /// Let an agent's tasks end, and offer it to nobody until it is reactivated
    Drain(DrainArgs),
    /// Offer an agent to nobody; its tasks run on
    Deactivate(OneAgentArgs),
    /// Offer an agent again that was deactivated or is drained
    Reactivate(OneAgentArgs),
    /// Give an agent up for ever, with its tasks: it is never let in again
    Gone(GoneArgs),
    /// Show or change what roles are guaranteed and limited to
    Quota(QuotaArgs),
    /// Show or change how much more than others roles get
    Weights(WeightsArgs),
    /// Show or change when which machines are down
    Maintenance(MaintenanceArgs),
    /// End a framework and kill its tasks
    Teardown(TeardownArgs),
    /// See and change the group of masters
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Start a cluster, run a few tasks on it and show their lives
    Demo(DemoArgs),
    /// The custom executor of the demo; started by an agent
    #[command(hide = true)]
    DemoExecutor,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DevArgs {
    /// Port of the first master; agents listen on the ports after the masters
    #[arg(long, env = "TEPUI_PORT", default_value_t = 5050)]
    pub(crate) port: u16,
    /// How many agents
    #[arg(long, env = "TEPUI_AGENTS", default_value_t = 1)]
    pub(crate) agents: u16,
    /// How many masters
    #[arg(long, env = "TEPUI_MASTERS", default_value_t = 1)]
    pub(crate) masters: u16,
    /// Where everything is kept; a temporary directory, removed at the end, where it is not given
    #[arg(long, env = "TEPUI_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// Resources of each agent, such as 'cpus:4;mem:2048' (default: shared out from this machine's)
    #[arg(long, env = "TEPUI_RESOURCES")]
    pub(crate) resources: Option<String>,
}

/// Flags of a master; what is not given comes from the environment, the file or the default.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub(crate) struct MasterArgs {
    /// TOML file with these flags as keys (work_dir = "…")
    #[arg(long, env = "TEPUI_CONFIG")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    /// Where the registry is kept (required)
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) work_dir: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ip: Option<IpAddr>,
    /// Port of the HTTP API and the web admin [default: 5050]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
    /// Port of the bridge to agents and other masters [default: that of --peers, else 5060; 0: any free one]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bridge_port: Option<u16>,
    /// Port of a read-only ZooKeeper endpoint, for clients that find the leader by zk:// [default: none]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) zk_port: Option<u16>,
    /// What clients of that endpoint have behind the addresses of their zk:// [default: /mesos]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) zk_path: Option<String>,
    /// Name that clients are given [default: that of --peers, else the address]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hostname: Option<String>,
    /// Whether the name service is asked for the name of --ip where there is no --hostname [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hostname_lookup: Option<bool>,
    /// Name of the cluster, shown to people
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<String>,
    /// How fast lost agents become unreachable, such as 1/10mins [default: 5 % of all a minute, at least 2]
    #[arg(long, value_name = "N/DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent_removal_rate_limit: Option<String>,
    /// Roles that frameworks may have besides *, separated by commas [default: any]
    #[arg(long, value_name = "ROLE,…")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) roles: Option<String>,
    /// Whether frameworks may run tasks as root [default: true]
    #[arg(long, value_name = "true|false")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) root_submissions: Option<bool>,
    /// How long an offer may stand before it is taken back, such as 5mins [default: for ever]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) offer_timeout: Option<String>,
    /// Where this master is, as JSON or a file of it; agents of another region are only offered to frameworks that are
    /// REGION_AWARE [default: none]
    #[arg(long, value_name = "JSON|PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) domain: Option<String>,
    /// Whether agents without a domain are refused [default: false]
    #[arg(long, value_name = "true|false")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) require_agent_domain: Option<bool>,
    /// File of the hostnames of agents that are offered, one a line, read again every 5 s [default: all are]
    #[arg(long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) whitelist: Option<String>,
    /// Who decides who is offered what: a policy's name [default: drf]
    #[arg(long, value_name = "POLICY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allocator: Option<String>,
    /// Another policy that sees the same, is never obeyed, and is compared [default: none]
    #[arg(long, value_name = "POLICY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shadow_allocator: Option<String>,
    /// No refusal of an offer is shorter, and refusals end on multiples of it [default: 1secs]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allocation_interval: Option<String>,
    /// Less than all of these is offered to nobody, such as cpus:0.01|mem:32 [default: that]
    #[arg(long, value_name = "RESOURCES|…")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) min_allocatable_resources: Option<String>,
    /// Resources that do not count for fair shares, separated by commas [default: none]
    #[arg(long, value_name = "NAME,…")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fair_sharing_excluded_resource_names: Option<String>,
    /// How often agents that have been away for long are looked for, to be forgotten [default: 15mins]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registry_gc_interval: Option<String>,
    /// How long unreachable and gone agents are remembered [default: 2weeks]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registry_max_agent_age: Option<String>,
    /// How many unreachable agents are remembered, and as many gone ones [default: 102400]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registry_max_agent_count: Option<u64>,
    /// How long an agent whose connection ended may be away before it is unreachable [default: 10mins, the least]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent_reregister_timeout: Option<String>,
    /// With the next one: how long an agent may be silent, and by itself how long one with a broken connection keeps the tasks
    /// of frameworks without checkpoint [default: 15secs]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent_ping_timeout: Option<String>,
    /// After how many times --agent-ping-timeout without a word an agent is unreachable [default: 5]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_agent_ping_timeouts: Option<u32>,
    /// How many ended frameworks are remembered; at most 50 across a change of leaders [default: 50]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_completed_frameworks: Option<usize>,
    /// How many ended tasks of each framework are remembered [default: 1000]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_completed_tasks_per_framework: Option<usize>,
    /// How many tasks on unreachable agents are remembered of each framework [default: 1000]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_unreachable_tasks_per_framework: Option<usize>,
    /// How fast calls of frameworks are taken, by principal: Mesos' RateLimits as JSON, or a file [default: not limited]
    #[arg(long, value_name = "JSON|PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate_limits: Option<String>,
    /// Names that people's browsers have this master by, besides addresses, names without dots and its own: those of a proxy before it,
    /// separated by commas; by others none is let in [default: on loopback none, elsewhere any]
    #[arg(long, value_name = "NAME,…")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http_hosts: Option<String>,
    /// File of the principals that may call and their secrets, as JSON or a line each; only its owner may read it
    /// [default: none]
    #[arg(long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) credentials: Option<String>,
    /// Whether credentials are asked for where the master is only read [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authenticate_http_readonly: Option<bool>,
    /// Whether credentials are asked for where something can be changed [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authenticate_http_readwrite: Option<bool>,
    /// Whether frameworks are asked for credentials [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authenticate_http_frameworks: Option<bool>,
    /// How frameworks prove who they are; basic is the only way [default: basic]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http_framework_authenticators: Option<String>,
    /// Who may do what: Mesos' ACLs as JSON, or a file [default: everybody, everything]
    #[arg(long, value_name = "JSON|PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acls: Option<String>,
    /// This master's name in its group [default: m1]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// All masters of a new group with their bridges, the same for each: m1=host:5060,m2=host:5060,…; for one that
    /// is to be added to a group, the others
    #[arg(long, value_name = "NAME=HOST:PORT,…")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peers: Option<String>,
    /// How long others wait at least before they replace a leader [default: 350; at least 300]
    #[arg(long, value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) election_timeout_ms: Option<u64>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
    /// Processors, or parts of one
    #[arg(long, env = "TEPUI_CPUS", default_value_t = 0.1, value_parser = amount, allow_negative_numbers = true)]
    pub(crate) cpus: f64,
    /// Memory in megabytes
    #[arg(long, env = "TEPUI_MEM", default_value_t = 32.0, value_parser = amount, allow_negative_numbers = true)]
    pub(crate) mem: f64,
    /// The task's name [default: the command]
    #[arg(long, env = "TEPUI_NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

/// A task, among those of all frameworks.
#[derive(Debug, Clone, Args)]
pub(crate) struct TaskArgs {
    /// The task's id, or the beginning of it
    pub(crate) task: String,
    /// The id of its framework, or the beginning of it, where several have a task of that id
    #[arg(long, env = "TEPUI_FRAMEWORK", value_name = "ID")]
    pub(crate) framework: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    pub(crate) task: TaskArgs,
    /// Give the command a terminal [default: if standard input and output are one]
    #[arg(short, long, env = "TEPUI_TTY", conflicts_with = "no_tty")]
    pub(crate) tty: bool,
    /// Give the command pipes, even where standard input and output are a terminal
    #[arg(long, env = "TEPUI_NO_TTY")]
    pub(crate) no_tty: bool,
    /// Give the command what is typed even without a terminal of its own; pipes and files it always gets
    #[arg(short, long, env = "TEPUI_INTERACTIVE")]
    pub(crate) interactive: bool,
    /// Run as this user [default: the task's]
    #[arg(short, long, env = "TEPUI_EXEC_USER")]
    pub(crate) user: Option<String>,
    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub(crate) task: TaskArgs,
    /// Go on until the task has ended
    #[arg(short, long, env = "TEPUI_FOLLOW")]
    pub(crate) follow: bool,
    /// Only standard output
    #[arg(long, env = "TEPUI_STDOUT", conflicts_with = "stderr")]
    pub(crate) stdout: bool,
    /// Only standard error
    #[arg(long, env = "TEPUI_STDERR")]
    pub(crate) stderr: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print JSON, one object a line
    #[arg(long, env = "TEPUI_JSON")]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct OffersArgs {
    /// Who holds offers for how long, and how the last ones ended
    #[arg(long, env = "TEPUI_HISTORY")]
    pub(crate) history: bool,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct AllocatorArgs {
    /// Let this policy decide from now on
    #[arg(long, env = "TEPUI_POLICY")]
    pub(crate) policy: Option<String>,
    /// Compare this policy from now on; none: compare nothing
    #[arg(long, env = "TEPUI_SHADOW")]
    pub(crate) shadow: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct WhyArgs {
    /// The framework's id, the beginning of it or its end, or its name
    pub(crate) framework: String,
    /// Only under this role
    #[arg(long, env = "TEPUI_ROLE")]
    pub(crate) role: Option<String>,
    /// What one offer should hold, such as 'cpus:4;mem:512' [default: anything worth an offer]
    #[arg(long, env = "TEPUI_NEED", value_name = "RESOURCES")]
    pub(crate) need: Option<String>,
    /// How many agents are told of
    #[arg(long, env = "TEPUI_LIMIT", default_value_t = 20)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// HTTP addresses of masters
    #[arg(
        long,
        global = true,
        env = "TEPUI_MASTER",
        value_name = "HOST:PORT,…",
        value_delimiter = ',',
        value_parser = crate::settings::address,
        default_value = "127.0.0.1:5050"
    )]
    pub(crate) master: Vec<String>,
    /// File of the principal to call as and its secret, as JSON or two words; only its owner may read it. Or
    /// TEPUI_PRINCIPAL and TEPUI_SECRET in the environment
    #[arg(long, global = true, env = "TEPUI_CREDENTIAL", value_name = "PATH")]
    pub(crate) credential: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DemoArgs {
    /// Stay up until Ctrl-C
    #[arg(long, env = "TEPUI_STAY")]
    pub(crate) stay: bool,
    /// Port of the master
    #[arg(long, env = "TEPUI_PORT", default_value_t = 5050)]
    pub(crate) port: u16,
}

/// Of a resource, in its own unit.
fn amount(text: &str) -> Result<f64, String> {
    let amount = text.parse().ok();
    let amount = amount.filter(|it: &f64| it.is_finite() && *it > 0.0);
    amount.ok_or_else(|| "expected a number above 0, such as 0.5 or 64, without a unit".to_string())
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;
