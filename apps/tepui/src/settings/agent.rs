//! The settings of an agent, of its flags, environment and file.

use std::{
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
};

use anyhow::Context;
use serde::Deserialize;

use super::{
    addresses, dns, domain, engine, executors, fetching, hostname, images, isolation, lending,
    load, machine, networks, sandboxes, security,
};
use crate::cli::AgentArgs;

/// Flags of an agent: those that Mesos has too are of the same name, and the others may be given in the same way.
const AGENT_TWINS: &[&str] = &[
    "work_dir",
    "ip",
    "ip6",
    "port",
    "hostname",
    "hostname_lookup",
    "master",
    "resources",
    "attributes",
    "domain",
    "resource_estimator",
    "qos_controller",
    "oversubscribed_resources_interval",
    "qos_correction_interval_min",
    "http_hosts",
    "http_credentials",
    "authenticate_http_readonly",
    "authenticate_http_readwrite",
    "acls",
    "containerizers",
    "docker_socket",
    "docker_stop_timeout",
    "docker_remove_delay",
    "docker_kill_orphans",
    "docker_config",
    "docker_registry",
    "docker_store_dir",
    "docker_ignore_runtime",
    "image_gc_config",
    "image_provisioner_backend",
    "sandbox_directory",
    "isolation",
    "container_pids_limit",
    "default_container_shm_size",
    "seccomp_config_dir",
    "seccomp_profile_name",
    "effective_capabilities",
    "bounding_capabilities",
    "allowed_devices",
    "gpu_devices",
    "cgroups_enable_cfs",
    "cgroups_limit_swap",
    "revocable_cpu_low_priority",
    "user_namespace_range",
    "disallow_sharing_agent_pid_namespace",
    "disallow_sharing_agent_ipc_namespace",
    "disallow_host_path_volumes",
    "host_path_volume_force_creation",
    "volume_gid_range",
    "fetcher_cache_size",
    "fetcher_cache_dir",
    "fetcher_stall_timeout",
    "frameworks_home",
    "gc_delay",
    "gc_disk_headroom",
    "gc_non_executor_container_sandboxes",
    "disk_watch_interval",
    "container_logger",
    "recover",
    "reconfiguration_policy",
    "enforce_container_disk_quota",
    "container_disk_watch_interval",
    "network_cni_plugins_dir",
    "network_cni_config_dir",
    "network_cni_root_dir_persist",
    "network_cni_metrics",
    "default_container_dns",
    "enforce_container_ports",
    "container_ports_watch_interval",
    "container_ports_isolated_range",
    "check_agent_port_range_only",
    "executor_registration_timeout",
    "executor_reregistration_timeout",
    "executor_shutdown_grace_period",
    "recovery_timeout",
    "executor_environment_variables",
    "max_completed_executors_per_framework",
    "authenticate_http_executors",
    "jwt_secret_key",
    "http_executor_domain_sockets",
    "domain_socket_location",
    "advertise_ip",
    "advertise_port",
    "ip_discovery_command",
    "switch_user",
    "default_role",
    "runtime_dir",
    "cgroups_root",
    "cgroups_destroy_timeout",
    "registration_backoff_factor",
    "firewall_rules",
    "nvidia_gpu_devices",
];

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AgentFile {
    pub(super) work_dir: Option<PathBuf>,
    pub(super) master: Option<String>,
    pub(super) ip: Option<IpAddr>,
    pub(super) ip6: Option<Ipv6Addr>,
    pub(super) port: Option<u16>,
    pub(super) hostname: Option<String>,
    pub(super) hostname_lookup: Option<bool>,
    pub(super) resources: Option<String>,
    pub(super) attributes: Option<String>,
    pub(super) domain: Option<String>,
    pub(super) resource_estimator: Option<String>,
    pub(super) qos_controller: Option<String>,
    pub(super) oversubscribed_resources_interval: Option<String>,
    pub(super) qos_correction_interval_min: Option<String>,
    pub(super) http_hosts: Option<String>,
    pub(super) http_credentials: Option<String>,
    pub(super) authenticate_http_readonly: Option<bool>,
    pub(super) authenticate_http_readwrite: Option<bool>,
    pub(super) acls: Option<String>,
    pub(super) containerizers: Option<String>,
    pub(super) docker_socket: Option<String>,
    pub(super) docker_stop_timeout: Option<String>,
    pub(super) docker_remove_delay: Option<String>,
    pub(super) docker_kill_orphans: Option<bool>,
    pub(super) docker_config: Option<String>,
    pub(super) docker_registry: Option<String>,
    pub(super) docker_store_dir: Option<PathBuf>,
    pub(super) docker_ignore_runtime: Option<bool>,
    pub(super) image_gc_config: Option<String>,
    pub(super) image_provisioner_backend: Option<String>,
    pub(super) sandbox_directory: Option<PathBuf>,
    pub(super) isolation: Option<String>,
    pub(super) container_pids_limit: Option<u64>,
    pub(super) default_container_shm_size: Option<String>,
    pub(super) seccomp_config_dir: Option<PathBuf>,
    pub(super) seccomp_profile_name: Option<String>,
    pub(super) effective_capabilities: Option<String>,
    pub(super) bounding_capabilities: Option<String>,
    pub(super) allowed_devices: Option<String>,
    pub(super) gpu_devices: Option<String>,
    pub(super) cgroups_enable_cfs: Option<bool>,
    pub(super) cgroups_limit_swap: Option<bool>,
    pub(super) revocable_cpu_low_priority: Option<bool>,
    pub(super) user_namespace_range: Option<String>,
    pub(super) disallow_sharing_agent_pid_namespace: Option<bool>,
    pub(super) disallow_sharing_agent_ipc_namespace: Option<bool>,
    pub(super) disallow_host_path_volumes: Option<bool>,
    pub(super) host_path_volume_force_creation: Option<String>,
    pub(super) volume_gid_range: Option<String>,
    pub(super) fetcher_cache_size: Option<String>,
    pub(super) fetcher_cache_dir: Option<PathBuf>,
    pub(super) fetcher_stall_timeout: Option<String>,
    pub(super) frameworks_home: Option<PathBuf>,
    pub(super) gc_delay: Option<String>,
    pub(super) gc_disk_headroom: Option<f64>,
    pub(super) gc_non_executor_container_sandboxes: Option<bool>,
    pub(super) disk_watch_interval: Option<String>,
    pub(super) container_logger: Option<String>,
    pub(super) recover: Option<String>,
    pub(super) reconfiguration_policy: Option<String>,
    pub(super) enforce_container_disk_quota: Option<bool>,
    pub(super) container_disk_watch_interval: Option<String>,
    pub(super) network_cni_plugins_dir: Option<String>,
    pub(super) network_cni_config_dir: Option<PathBuf>,
    pub(super) network_cni_root_dir_persist: Option<bool>,
    pub(super) network_cni_metrics: Option<bool>,
    pub(super) default_container_dns: Option<String>,
    pub(super) enforce_container_ports: Option<bool>,
    pub(super) container_ports_watch_interval: Option<String>,
    pub(super) container_ports_isolated_range: Option<String>,
    pub(super) check_agent_port_range_only: Option<bool>,
    pub(super) executor_registration_timeout: Option<String>,
    pub(super) executor_reregistration_timeout: Option<String>,
    pub(super) executor_shutdown_grace_period: Option<String>,
    pub(super) recovery_timeout: Option<String>,
    pub(super) executor_environment_variables: Option<String>,
    pub(super) max_completed_executors_per_framework: Option<u64>,
    pub(super) authenticate_http_executors: Option<bool>,
    pub(super) jwt_secret_key: Option<String>,
    pub(super) http_executor_domain_sockets: Option<bool>,
    pub(super) domain_socket_location: Option<String>,
    pub(super) advertise_ip: Option<IpAddr>,
    pub(super) advertise_port: Option<u16>,
    pub(super) ip_discovery_command: Option<String>,
    pub(super) switch_user: Option<bool>,
    pub(super) default_role: Option<String>,
    pub(super) runtime_dir: Option<PathBuf>,
    pub(super) cgroups_root: Option<String>,
    pub(super) cgroups_destroy_timeout: Option<String>,
    pub(super) registration_backoff_factor: Option<String>,
    pub(super) firewall_rules: Option<String>,
    pub(super) nvidia_gpu_devices: Option<String>,
}

pub(crate) fn agent(args: &AgentArgs) -> anyhow::Result<tepui_agent::AgentSettings> {
    let file: AgentFile = load(args.config.as_ref(), args, AGENT_TWINS, &[])?;
    let security = security::of_agent(&file)?;
    let machine = machine::parse(&file)?;
    let ip = machine::ip(&file)?;
    let lending = lending::of(&file)?;
    let images = images::parse(&file)?;
    let dns = dns::parse(file.default_container_dns.as_deref())?;
    let engine = engine::parse(&file, &dns)?;
    let isolation = isolation::parse(&file)?;
    let sandboxes = sandboxes::parse(&file)?;
    let networks = networks::parse(&file, &dns)?;
    let executors = executors::parse(&file)?;
    let fetching = fetching::parse(&file)?;
    let given = file
        .master
        .context("--master is missing: expected the HTTP address of a master, such as --master 127.0.0.1:5050")?;
    Ok(tepui_agent::AgentSettings {
        images,
        engine,
        isolation,
        sandboxes,
        networks,
        machine,
        executors,
        fetching,
        recovery: sandboxes::recovery(file.recover.as_deref())?,
        reconfiguration: sandboxes::reconfiguration(file.reconfiguration_policy.as_deref())?,
        work_dir: file.work_dir.context("--work-dir is missing: expected a directory for sandboxes, such as --work-dir /var/lib/tepui/agent")?,
        masters: masters(&given)?,
        ip,
        ip6: file.ip6,
        port: file.port.unwrap_or(5051),
        hostname: hostname::hostname(file.hostname, file.hostname_lookup, ip)?,
        hostname_lookup: file.hostname_lookup.unwrap_or(false),
        resources: file.resources,
        attributes: file.attributes,
        domain: domain::parse(file.domain.as_deref())?,
        lending,
        security,
        log_file: None,
        verbosity: Default::default(),
    })
}

/// Where masters are to be found: their addresses, or, behind `file://`, a file that holds them (as Mesos has it).
fn masters(given: &str) -> anyhow::Result<Vec<String>> {
    let Some(path) = given.trim().strip_prefix("file://") else {
        return addresses(given);
    };
    let expected = "expected a file that holds host:port[,host:port…] of masters";
    let list = std::fs::read_to_string(path)
        .map_err(|error| anyhow::anyhow!("--master {given}: {error}; {expected}"))?;
    addresses(list.trim()).with_context(|| format!("--master {given}: {expected}"))
}
