//! The agent's settings under the names of Mesos' flags, for tools that read them. Only those that hold here.

use std::collections::BTreeMap;

use tepui_node::config::{DomainSocket, Enforced};
use tepui_protocol::{codec::json, durations::duration_text};

use crate::{
    AgentSettings, DiskWatch, EngineSettings, IsolatedPorts, PortsWatch, Reconfiguration, Recovery,
    numbers::bytes_text,
};

/// What is the same for every agent.
const FIXED: [(&str, &str); 4] = [
    ("http_heartbeat_interval", "30secs"),
    ("launcher", "posix"),
    ("logging_level", "INFO"),
    ("version", "false"),
];

/// `enforced` and `root` are what the agent found at its start.
pub(crate) fn flags(
    settings: &AgentSettings,
    socket: Option<&DomainSocket>,
    runtime_dir: &std::path::Path,
    enforced: Enforced,
    root: bool,
) -> BTreeMap<String, String> {
    let fixed = FIXED.iter();
    let mut flags: BTreeMap<String, String> = fixed
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let mut set = |name: &str, value: String| flags.insert(name.to_owned(), value);
    let cpu = match enforced.cpus {
        true => "cgroups/cpu",
        false => "posix/cpu",
    };
    let memory = match enforced.memory {
        true => "cgroups/mem",
        false => "posix/mem",
    };
    let files = match root {
        true => "filesystem/linux,docker/runtime",
        false => "filesystem/posix",
    };
    if let Some(directory) = settings
        .log_file
        .as_deref()
        .and_then(std::path::Path::parent)
    {
        set("log_dir", directory.display().to_string());
    }
    set_engine(settings.engine.as_ref(), |name, value| {
        set(name, value);
    });
    let isolation = &settings.isolation;
    let more = [
        ("namespaces/pid", isolation.pids),
        ("namespaces/ipc", isolation.ipc),
        ("linux/nnp", isolation.no_new_privs),
        ("linux/seccomp", isolation.seccomp),
        ("linux/devices", isolation.device_nodes),
        ("disk/du", settings.sandboxes.disk_watch.is_some()),
        ("network/cni", settings.networks.config_dir.is_some()),
        ("network/ports", settings.networks.ports.is_some()),
    ];
    let more = more.iter().filter(|(_, is_on)| *is_on);
    let names = [cpu, memory, files].into_iter();
    let controllers = isolation.controllers.iter();
    let controllers = controllers.map(|it| format!("cgroups/{}", it.name()));
    let names = names.chain(more.map(|(name, _)| *name)).map(str::to_owned);
    let names: Vec<_> = names.chain(controllers).collect();
    set("isolation", names.join(","));
    if let Some(dir) = isolation.profiles.dir() {
        set("seccomp_config_dir", dir.display().to_string());
    }
    if let Some(name) = isolation.profiles.default_name() {
        set("seccomp_profile_name", name.to_owned());
    }
    let limit = isolation.max_processes.unwrap_or(0);
    set("container_pids_limit", limit.to_string());
    if let Some(size) = isolation.shm_mb {
        set("default_container_shm_size", format!("{size}MB"));
    }
    for (name, is_on) in [
        ("disallow_sharing_agent_pid_namespace", isolation.keep_pids),
        ("disallow_sharing_agent_ipc_namespace", isolation.keep_ipc),
        ("disallow_host_path_volumes", isolation.no_host_volumes),
        ("cgroups_enable_cfs", isolation.limit_cpus),
        ("cgroups_limit_swap", isolation.limit_swap),
        ("revocable_cpu_low_priority", isolation.lent_cpus_give_way),
    ] {
        set(name, is_on.to_string());
    }
    let made: Vec<_> = isolation
        .made_for_volumes
        .iter()
        .map(|it| it.display().to_string())
        .collect();
    if !made.is_empty() {
        set("host_path_volume_force_creation", made.join(":"));
    }
    if let Some(range) = &isolation.volume_gids {
        set("volume_gid_range", range.to_string());
    }
    if root {
        set("image_providers", "docker".to_owned());
        set("docker_registry", settings.images.registry.clone());
        let store_dir = crate::provisioner::store_dir(&settings.images, &settings.work_dir);
        set("docker_store_dir", store_dir.display().to_string());
        let sandbox = settings.images.sandbox_directory.display();
        set("sandbox_directory", sandbox.to_string());
        let ignored = settings.images.ignore_runtime;
        set("docker_ignore_runtime", ignored.to_string());
        if let Some(backend) = settings.images.backend {
            set("image_provisioner_backend", backend.name().to_owned());
        }
    }
    let security = &settings.security;
    let (readonly, readwrite) = (&security.readonly, &security.readwrite);
    set(
        "authenticate_http_readonly",
        readonly.is_guarded().to_string(),
    );
    set(
        "authenticate_http_readwrite",
        readwrite.is_guarded().to_string(),
    );
    let machine = &settings.machine;
    set("switch_user", (root && machine.switch_user).to_string());
    set("default_role", machine.default_role.clone());
    set("cgroups_root", machine.cgroups_root.clone());
    let destroy_timeout = duration_text(machine.destroy_timeout);
    set("cgroups_destroy_timeout", destroy_timeout);
    let backoff = duration_text(machine.registration_backoff);
    set("registration_backoff_factor", backoff);
    if let Some(ip) = machine.advertise_ip {
        set("advertise_ip", ip.to_string());
    }
    if let Some(port) = machine.advertise_port {
        set("advertise_port", port.to_string());
    }
    set("hostname", settings.hostname.clone());
    set("hostname_lookup", settings.hostname_lookup.to_string());
    set("ip", settings.ip.to_string());
    if let Some(ip6) = settings.ip6 {
        set("ip6", ip6.to_string());
    }
    set("port", settings.port.to_string());
    set("master", settings.masters.join(","));
    set("work_dir", settings.work_dir.display().to_string());
    set("runtime_dir", runtime_dir.display().to_string());
    let lending = &settings.lending;
    // Mesos names no module where none is chosen.
    let chosen = [
        ("resource_estimator", &lending.estimator),
        ("qos_controller", &lending.controller),
    ];
    for (name, choice) in chosen.into_iter().filter(|(_, choice)| *choice != "noop") {
        set(name, choice.clone());
    }
    let intervals = [
        ("oversubscribed_resources_interval", lending.interval),
        ("qos_correction_interval_min", lending.correction_interval),
    ];
    for (name, interval) in intervals {
        set(name, duration_text(interval));
    }
    let executors = &settings.executors;
    for (name, time) in [
        (
            "executor_registration_timeout",
            executors.registration_timeout,
        ),
        (
            "executor_reregistration_timeout",
            executors.reregistration_timeout,
        ),
        ("executor_shutdown_grace_period", executors.shutdown_grace),
        ("recovery_timeout", executors.recovery_timeout),
    ] {
        set(name, duration_text(time));
    }
    set(
        "max_completed_executors_per_framework",
        executors.max_completed.to_string(),
    );
    set(
        "authenticate_http_executors",
        security.executors.asked.to_string(),
    );
    set("http_executor_domain_sockets", socket.is_some().to_string());
    if let Some(socket) = socket {
        let location = socket.location.display();
        set("domain_socket_location", location.to_string());
    }
    let fetching = &settings.fetching;
    let cache_dir = fetching.cache_dir(&settings.work_dir);
    set("fetcher_cache_dir", cache_dir.display().to_string());
    set("fetcher_cache_size", bytes_text(fetching.cache_bytes));
    set(
        "fetcher_stall_timeout",
        duration_text(fetching.stall_timeout),
    );
    let home = fetching.frameworks_home.as_ref();
    set(
        "frameworks_home",
        home.map_or_else(String::new, |it| it.display().to_string()),
    );
    let gc = &settings.sandboxes.gc;
    set("gc_delay", duration_text(gc.delay));
    set("gc_disk_headroom", gc.headroom.to_string());
    set("gc_non_executor_container_sandboxes", gc.within.to_string());
    set("disk_watch_interval", duration_text(gc.interval));
    let recover = match settings.recovery {
        Recovery::Reconnect => "reconnect",
        Recovery::Cleanup => "cleanup",
    };
    let policy = match settings.reconfiguration {
        Reconfiguration::Equal => "equal",
        Reconfiguration::Additive => "additive",
    };
    set("recover", recover.to_owned());
    set("reconfiguration_policy", policy.to_owned());
    let watch = settings.sandboxes.disk_watch;
    let is_enforced = watch.is_some_and(|watch| watch.enforced);
    let interval = watch.map_or(DiskWatch::DEFAULT_INTERVAL, |watch| watch.interval);
    set("enforce_container_disk_quota", is_enforced.to_string());
    set("container_disk_watch_interval", duration_text(interval));
    set("container_logger", settings.sandboxes.logger.to_string());
    of_networks(settings, &mut flags);
    let mut set = |name: &str, value: String| flags.insert(name.to_owned(), value);
    let domain = settings.domain.as_ref();
    let domain = domain.and_then(|domain| String::from_utf8(json::encode(domain).ok()?).ok());
    let optional = [
        ("resources", &settings.resources),
        ("attributes", &settings.attributes),
        ("domain", &domain),
        ("http_credentials", &security.shown_credentials),
        ("acls", &security.shown_acls),
        ("jwt_secret_key", &security.executors.shown_key),
        (
            "executor_environment_variables",
            &executors.shown_environment,
        ),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            set(name, value.clone());
        }
    }
    flags
}

fn set_engine(engine: Option<&EngineSettings>, mut set: impl FnMut(&str, String)) {
    let Some(engine) = engine else {
        return set("containerizers", "mesos".to_owned());
    };
    let names = if engine.only {
        "docker"
    } else {
        "docker,mesos"
    };
    set("containerizers", names.to_owned());
    set("docker_socket", engine.socket.display().to_string());
    set("docker_stop_timeout", duration_text(engine.stop_timeout));
    set("docker_remove_delay", duration_text(engine.remove_delay));
    set("docker_kill_orphans", engine.kill_orphans.to_string());
}

fn of_networks(settings: &AgentSettings, flags: &mut BTreeMap<String, String>) {
    let networks = &settings.networks;
    let mut set = |name: &str, value: String| flags.insert(name.to_owned(), value);
    set("network_cni_root_dir_persist", networks.persist.to_string());
    set("network_cni_metrics", networks.metrics.to_string());
    if let Some(dirs) = &networks.plugins_dir {
        set("network_cni_plugins_dir", dirs.clone());
    }
    if let Some(dir) = &networks.config_dir {
        set("network_cni_config_dir", dir.display().to_string());
    }
    if let Some(dns) = &networks.shown_dns {
        set("default_container_dns", dns.clone());
    }
    let watch = networks.ports.as_ref();
    let interval = watch.map_or(PortsWatch::DEFAULT_INTERVAL, |watch| watch.interval);
    let is_enforced = watch.is_some_and(|watch| watch.enforced);
    let isolated = watch.map(|watch| &watch.isolated);
    let only_offered = isolated == Some(&IsolatedPorts::Offered);
    set("container_ports_watch_interval", duration_text(interval));
    set("enforce_container_ports", is_enforced.to_string());
    set("check_agent_port_range_only", only_offered.to_string());
    if let Some(IsolatedPorts::Within(ranges)) = isolated {
        set("container_ports_isolated_range", ranges.to_string());
    }
}
