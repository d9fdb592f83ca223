//! What `/flags` says: Mesos' names where they have a meaning here, with our values.

use std::{collections::BTreeMap, time::Duration};

use tepui_http::Flags;
use tepui_messages::change::Kept;
use tepui_protocol::{durations::duration_text, v1::DomainInfo};

use crate::Security;

/// The settings that differ from master to master.
#[derive(Debug, Clone, Default)]
pub struct MasterFlags {
    pub hostname: String,
    pub ip: String,
    pub port: u16,
    pub work_dir: String,
    pub cluster: Option<String>,
    pub log_dir: Option<String>,
    pub roles: Option<String>,
    pub root_submissions: bool,
    pub offer_timeout: Option<Duration>,
    pub domain: Option<DomainInfo>,
    pub require_agent_domain: bool,
    pub whitelist: Option<String>,
    pub allocation: tepui_allocator::Config,
    pub forgetting: tepui_master_actor::Forgetting,
    pub patience: tepui_master_actor::Patience,
    pub kept: Kept,
    pub hostname_lookup: bool,
    pub security: Security,
    /// Masters that must agree.
    pub quorum: usize,
    /// Where clients of ZooKeeper find the leader, if they may.
    pub zk: Option<String>,
}

/// Names and values that are the same for every master of this version. Durations as Mesos writes them.
const FIXED: [(&str, &str); 21] = [
    ("authenticate_agents", "false"),
    ("authenticate_frameworks", "false"),
    ("authorizers", "local"),
    ("filter_gpu_resources", "true"),
    ("framework_sorter", "drf"),
    ("help", "false"),
    ("http_authenticators", "basic"),
    ("logbufsecs", "0"),
    ("logging_level", "INFO"),
    ("max_operator_event_stream_subscribers", "1000"),
    ("memory_profiling", "false"),
    ("offer_constraints_re2_max_mem", "4KB"),
    ("offer_constraints_re2_max_program_size", "100"),
    ("publish_per_framework_metrics", "true"),
    ("quiet", "false"),
    ("recovery_agent_removal_limit", "100%"),
    ("registry", "replicated_log"),
    ("registry_store_timeout", "20secs"),
    ("registry_strict", "false"),
    ("role_sorter", "drf"),
    ("version", "false"),
];

impl MasterFlags {
    /// The whole table.
    pub fn table(&self) -> BTreeMap<String, String> {
        let mut flags = Flags::fixed(&FIXED);
        self.of_itself(&mut flags);
        self.of_agents(&mut flags);
        of_allocation(&self.allocation, &mut flags);
        of_security(&self.security, &mut flags);
        flags.into_table()
    }

    fn of_itself(&self, flags: &mut Flags) {
        flags.set("hostname", &self.hostname);
        flags.set("hostname_lookup", self.hostname_lookup);
        flags.set("ip", &self.ip);
        flags.set("port", self.port);
        flags.set("work_dir", &self.work_dir);
        flags.set("quorum", self.quorum);
        flags.set_given("zk", self.zk.as_ref());
        flags.set_given("cluster", self.cluster.as_ref());
        flags.set_given("log_dir", self.log_dir.as_ref());
        flags.set_given("roles", self.roles.as_ref());
        flags.set("root_submissions", self.root_submissions);
        flags.set_given("offer_timeout", self.offer_timeout.map(duration_text));
        flags.set_domain(self.domain.as_ref());
        let kept = &self.kept;
        flags.set("max_completed_frameworks", kept.frameworks);
        flags.set("max_completed_tasks_per_framework", kept.tasks);
        let unreachable = kept.unreachable_tasks;
        flags.set("max_unreachable_tasks_per_framework", unreachable);
    }

    fn of_agents(&self, flags: &mut Flags) {
        flags.set("require_agent_domain", self.require_agent_domain);
        flags.set_given("whitelist", self.whitelist.as_ref());
        flags.set_time("registry_gc_interval", self.forgetting.interval);
        flags.set_time("registry_max_agent_age", self.forgetting.max_age);
        let most = self.forgetting.max_agents;
        flags.set("registry_max_agent_count", most);
        flags.set_time("agent_reregister_timeout", self.patience.reregister);
        flags.set_time("agent_ping_timeout", self.patience.ping);
        flags.set("max_agent_ping_timeouts", self.patience.pings);
    }
}

fn of_allocation(allocation: &tepui_allocator::Config, flags: &mut Flags) {
    flags.set("allocator", allocator(&allocation.policy));
    flags.set_time("allocation_interval", allocation.interval);
    let rules = &allocation.rules;
    let least = least_text(&rules.min_allocatable);
    flags.set("min_allocatable_resources", least);
    let excluded = listed(&rules.fair_sharing_excluded);
    flags.set_given("fair_sharing_excluded_resource_names", excluded);
}

fn of_security(security: &Security, flags: &mut Flags) {
    let schedulers = security.scheduler.is_guarded();
    let (readonly, readwrite) = (&security.readonly, &security.readwrite);
    flags.set("authenticate_http_frameworks", schedulers);
    flags.set("authenticate_http_readonly", readonly.is_guarded());
    flags.set("authenticate_http_readwrite", readwrite.is_guarded());
    let basic = schedulers.then_some("basic");
    flags.set_given("http_framework_authenticators", basic);
    flags.set_given("credentials", security.shown.credentials.as_ref());
    flags.set_given("acls", security.shown.acls.as_ref());
}

/// Mesos has its fair one by another name.
fn allocator(policy: &str) -> String {
    match policy {
        "drf" => "hierarchical",
        other => other,
    }
    .to_string()
}

/// `cpus:0.01|mem:32`, as Mesos writes it.
fn least_text(sets: &[Vec<(String, i64)>]) -> String {
    let one = |(name, amount): &(String, i64)| format!("{name}:{}", *amount as f64 / 1000.0);
    let sets = sets.iter();
    let sets = sets.map(|set| set.iter().map(one).collect::<Vec<_>>().join(";"));
    sets.collect::<Vec<_>>().join("|")
}

fn listed(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| names.join(","))
}
