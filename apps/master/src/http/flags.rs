//! What `/flags` says: Mesos' names where they have a meaning here, with our values.

use std::collections::BTreeMap;

use tepui_protocol::durations::duration_text;

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
    pub forgetting: tepui_master_actor::Forgetting,
    /// Masters that must agree.
    pub quorum: usize,
}

/// Names and values that are the same for every master of this version. Durations as Mesos writes them.
const FIXED: [(&str, &str); 35] = [
    ("agent_ping_timeout", "15secs"),
    ("agent_reregister_timeout", "10mins"),
    ("allocation_interval", "1secs"),
    ("allocator", "hierarchical"),
    ("authenticate_agents", "false"),
    ("authenticate_frameworks", "false"),
    ("authenticate_http_frameworks", "false"),
    ("authenticate_http_readonly", "false"),
    ("authenticate_http_readwrite", "false"),
    ("authorizers", "local"),
    ("filter_gpu_resources", "true"),
    ("framework_sorter", "drf"),
    ("help", "false"),
    ("hostname_lookup", "true"),
    ("http_authenticators", "basic"),
    ("logbufsecs", "0"),
    ("logging_level", "INFO"),
    ("max_agent_ping_timeouts", "5"),
    ("max_completed_frameworks", "50"),
    ("max_completed_tasks_per_framework", "1000"),
    ("max_operator_event_stream_subscribers", "1000"),
    ("max_unreachable_tasks_per_framework", "1000"),
    ("memory_profiling", "false"),
    ("min_allocatable_resources", "cpus:0.01|mem:32"),
    ("offer_constraints_re2_max_mem", "4KB"),
    ("offer_constraints_re2_max_program_size", "100"),
    ("publish_per_framework_metrics", "true"),
    ("quiet", "false"),
    ("recovery_agent_removal_limit", "100%"),
    ("registry", "replicated_log"),
    ("registry_store_timeout", "20secs"),
    ("registry_strict", "false"),
    ("require_agent_domain", "false"),
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
        ];
        for (name, value) in own {
            if let Some(value) = value {
                table.insert(name.to_string(), value);
            }
        }
        table
    }
}
