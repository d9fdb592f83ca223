//! Flags of Mesos 1.11's agent (`src/slave/flags.cpp`) that this one has not.

use super::Fate::{self, Only, Overlooked, Refused};

const MODULES: &str = "this agent loads no modules; estimators, controllers, loggers and policies have flags of their own";
const PORT_MAPPING: &str = "there is no port mapping by traffic control; expected CNI networks, whose bandwidth plug-in bounds rates (docs/networks.md)";
const PROVIDERS: &str = "there are no resource providers and no CSI plug-ins; disks are told with --resources, as PATH and MOUNT";
const ALWAYS_HTTP: &str = "this agent asks its master for nothing but to be let in by address; put both on a network of their own";

/// Other names of flags that this agent has.
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("allowed_capabilities", "effective_capabilities"),
    ("executor_secret_key", "jwt_secret_key"),
];

pub(super) const FLAGS: &[(&str, Fate)] = &[
    (
        "agent_features",
        Overlooked("every capability is always on"),
    ),
    (
        "agent_subsystems",
        Overlooked(
            "the agent stays in the cgroup it is started in; expected the service manager to bound it",
        ),
    ),
    (
        "slave_subsystems",
        Overlooked(
            "the agent stays in the cgroup it is started in; expected the service manager to bound it",
        ),
    ),
    (
        "appc_simple_discovery_uri_prefix",
        Overlooked("there are no images of type APPC"),
    ),
    (
        "appc_store_dir",
        Overlooked("there are no images of type APPC"),
    ),
    ("authenticatee", Only(&["crammd5"], MODULES)),
    ("authentication_backoff_factor", Overlooked(ALWAYS_HTTP)),
    ("authentication_timeout_max", Overlooked(ALWAYS_HTTP)),
    ("authentication_timeout_min", Overlooked(ALWAYS_HTTP)),
    ("credential", Overlooked(ALWAYS_HTTP)),
    ("authorizer", Only(&["local"], MODULES)),
    ("http_authenticators", Only(&["basic"], MODULES)),
    (
        "cgroups_cpu_enable_pids_and_tids_count",
        Overlooked("--container-pids-limit bounds processes and threads"),
    ),
    (
        "cgroups_hierarchy",
        Overlooked("the agent finds where cgroups are mounted"),
    ),
    ("cgroups_net_cls_primary_handle", Refused(PORT_MAPPING)),
    ("cgroups_net_cls_secondary_handles", Refused(PORT_MAPPING)),
    ("csi_plugin_config_dir", Refused(PROVIDERS)),
    ("disk_profile_adaptor", Refused(PROVIDERS)),
    ("resource_provider_config_dir", Refused(PROVIDERS)),
    (
        "default_container_info",
        Refused(
            "containers have what their tasks ask for; expected the framework to set ContainerInfo, or --isolation for all",
        ),
    ),
    (
        "docker",
        Overlooked("no program is called; the engine answers at --docker-socket"),
    ),
    (
        "docker_mesos_image",
        Refused(
            "containers outlive the agent by themselves where it runs in a container with the machine's pid namespace",
        ),
    ),
    (
        "docker_volume_checkpoint_dir",
        Refused(
            "there are no volume drivers of dvdcli; expected volumes of the host or persistent ones",
        ),
    ),
    (
        "docker_volume_chown",
        Refused(
            "there are no volume drivers of dvdcli; expected volumes of the host or persistent ones",
        ),
    ),
    ("egress_burst", Refused(PORT_MAPPING)),
    ("egress_ceil_limit", Refused(PORT_MAPPING)),
    ("egress_flow_classifier_parent", Refused(PORT_MAPPING)),
    ("egress_rate_limit_per_container", Refused(PORT_MAPPING)),
    ("egress_rate_per_cpu", Refused(PORT_MAPPING)),
    ("egress_unique_flow_per_container", Refused(PORT_MAPPING)),
    ("ephemeral_ports_per_container", Refused(PORT_MAPPING)),
    ("eth0_name", Refused(PORT_MAPPING)),
    ("ingress_burst", Refused(PORT_MAPPING)),
    ("ingress_ceil_limit", Refused(PORT_MAPPING)),
    ("ingress_isolate_existing_containers", Refused(PORT_MAPPING)),
    ("ingress_rate_limit_per_container", Refused(PORT_MAPPING)),
    ("ingress_rate_per_cpu", Refused(PORT_MAPPING)),
    ("lo_name", Refused(PORT_MAPPING)),
    ("maximum_egress_rate_limit", Refused(PORT_MAPPING)),
    ("maximum_ingress_rate_limit", Refused(PORT_MAPPING)),
    ("minimum_egress_rate_limit", Refused(PORT_MAPPING)),
    ("minimum_ingress_rate_limit", Refused(PORT_MAPPING)),
    ("network_enable_rate_statistics", Refused(PORT_MAPPING)),
    ("network_enable_snmp_statistics", Refused(PORT_MAPPING)),
    (
        "network_enable_socket_statistics_details",
        Refused(PORT_MAPPING),
    ),
    (
        "network_enable_socket_statistics_summary",
        Refused(PORT_MAPPING),
    ),
    ("network_link_speed", Refused(PORT_MAPPING)),
    ("network_rate_statistics_interval", Refused(PORT_MAPPING)),
    ("network_rate_statistics_window", Refused(PORT_MAPPING)),
    (
        "executor_reregistration_retry_interval",
        Overlooked("executors that speak HTTP subscribe again by themselves"),
    ),
    (
        "hadoop_home",
        Overlooked("files are fetched over http, https and from the machine"),
    ),
    ("hooks", Refused(MODULES)),
    (
        "http_command_executor",
        Overlooked("command tasks have no executor process"),
    ),
    (
        "http_heartbeat_interval",
        Only(&["30secs"], "heartbeats come every 30secs"),
    ),
    (
        "image_providers",
        Only(
            &["docker", "DOCKER"],
            "this agent has images of type DOCKER only",
        ),
    ),
    (
        "ip6_discovery_command",
        Overlooked("expected --ip6 with the address"),
    ),
    (
        "launcher",
        Only(
            &["linux"],
            "the agent uses cgroups and namespaces where it is root, and process groups where it is not; run it as another user",
        ),
    ),
    (
        "launcher_dir",
        Overlooked("its one helper, tepui-shim, lies beside it, or where TEPUI_SHIM says"),
    ),
    (
        "master_detector",
        Refused("this agent loads no modules; expected --master with the addresses of the masters"),
    ),
    ("memory_profiling", Overlooked("there is no jemalloc in it")),
    ("modules", Refused(MODULES)),
    ("modules_dir", Refused(MODULES)),
    ("perf_duration", Refused("perf events are not sampled")),
    ("perf_events", Refused("perf events are not sampled")),
    ("perf_interval", Refused("perf events are not sampled")),
    (
        "secret_resolver",
        Refused("this agent loads no modules; secrets have values, references are refused"),
    ),
    (
        "strict",
        Overlooked("a damaged record is left aside with its container, and the agent goes on"),
    ),
    (
        "systemd_enable_support",
        Overlooked("containers outlive the agent if its unit says KillMode=process"),
    ),
    (
        "systemd_runtime_directory",
        Overlooked("containers outlive the agent if its unit says KillMode=process"),
    ),
    (
        "xfs_kill_containers",
        Refused("there are no quotas of XFS; expected --enforce-container-disk-quota"),
    ),
    (
        "xfs_project_range",
        Refused("there are no quotas of XFS; expected --enforce-container-disk-quota"),
    ),
    (
        "xfs_quota_headroom",
        Refused("there are no quotas of XFS; expected --enforce-container-disk-quota"),
    ),
    (
        "zk_session_timeout",
        Overlooked("masters are found by their HTTP addresses"),
    ),
];
