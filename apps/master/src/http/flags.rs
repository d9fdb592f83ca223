//! What `/flags` says: Mesos' names where they have a meaning here, with our values.

use std::{collections::BTreeMap, time::Duration};

use crate::Security;
use tepui_messages::change::Kept;
use tepui_protocol::{codec::json, durations::duration_text, v1::DomainInfo};

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
        let fixed = FIXED
            .iter()
            .map(|(name, value)| (*name, (*value).to_string()));
        let mut table: BTreeMap<String, String> = fixed
            .map(|(name, value)| (name.to_string(), value))
            .collect();
        let security = &self.security;
        let basic = security.scheduler.is_guarded().then_some("basic");
        let own = [
            ("hostname", Some(self.hostname.clone())),
            ("ip", Some(self.ip.clone())),
            ("port", Some(self.port.to_string())),
            ("work_dir", Some(self.work_dir.clone())),
            ("cluster", self.cluster.clone()),
            ("log_dir", self.log_dir.clone()),
            ("quorum", Some(self.quorum.to_string())),
            ("roles", self.roles.clone()),
            ("root_submissions", Some(self.root_submissions.to_string())),
            ("offer_timeout", self.offer_timeout.map(duration_text)),
            ("domain", self.domain.as_ref().and_then(domain_text)),
            (
                "require_agent_domain",
                Some(self.require_agent_domain.to_string()),
            ),
            ("whitelist", self.whitelist.clone()),
            (
                "authenticate_http_frameworks",
                Some(security.scheduler.is_guarded().to_string()),
            ),
            (
                "authenticate_http_readonly",
                Some(security.readonly.is_guarded().to_string()),
            ),
            (
                "authenticate_http_readwrite",
                Some(security.readwrite.is_guarded().to_string()),
            ),
            ("http_framework_authenticators", basic.map(str::to_string)),
            ("credentials", security.shown.credentials.clone()),
            ("acls", security.shown.acls.clone()),
            ("allocator", Some(allocator(&self.allocation.policy))),
            (
                "allocation_interval",
                Some(duration_text(self.allocation.interval)),
            ),
            (
                "min_allocatable_resources",
                Some(least_text(&self.allocation.rules.min_allocatable)),
            ),
            (
                "fair_sharing_excluded_resource_names",
                listed(&self.allocation.rules.fair_sharing_excluded),
            ),
            (
                "registry_gc_interval",
                Some(duration_text(self.forgetting.interval)),
            ),
            (
                "registry_max_agent_age",
                Some(duration_text(self.forgetting.max_age)),
            ),
            (
                "registry_max_agent_count",
                Some(self.forgetting.max_agents.to_string()),
            ),
            (
                "agent_reregister_timeout",
                Some(duration_text(self.patience.reregister)),
            ),
            (
                "agent_ping_timeout",
                Some(duration_text(self.patience.ping)),
            ),
            (
                "max_agent_ping_timeouts",
                Some(self.patience.pings.to_string()),
            ),
            (
                "max_completed_frameworks",
                Some(self.kept.frameworks.to_string()),
            ),
            (
                "max_completed_tasks_per_framework",
                Some(self.kept.tasks.to_string()),
            ),
            (
                "max_unreachable_tasks_per_framework",
                Some(self.kept.unreachable_tasks.to_string()),
            ),
            ("hostname_lookup", Some(self.hostname_lookup.to_string())),
        ];
        for (name, value) in own {
            if let Some(value) = value {
                table.insert(name.to_string(), value);
            }
        }
        table
    }
}

fn domain_text(domain: &DomainInfo) -> Option<String> {
    let bytes = json::encode(domain).ok()?;
    String::from_utf8(bytes).ok()
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
