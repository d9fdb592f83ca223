//! The agent's settings under the names of Mesos' flags. Only those that hold here.

use std::{collections::BTreeMap, path::Path};

use tepui_http::Flags;
use tepui_node::config::{DomainSocket, Enforced};

use crate::{
    AgentSettings, DiskWatch, EngineSettings, ExecutorSettings, FetchSettings, IsolatedPorts,
    Isolation, LendingSettings, MachineSettings, NetworkSettings, PortsWatch, Reconfiguration,
    Recovery, SandboxSettings, Security, numbers::bytes_text, provisioner,
};

/// What is the same for every agent.
const FIXED: [(&str, &str); 4] = [
    ("http_heartbeat_interval", "30secs"),
    ("launcher", "posix"),
    ("logging_level", "INFO"),
    ("version", "false"),
];

/// What the agent found at its start.
pub(crate) struct Circumstances<'a> {
    pub(crate) enforced: Enforced,
    pub(crate) is_root: bool,
    pub(crate) runtime_dir: &'a Path,
    /// Where executors find it, besides its port.
    pub(crate) socket: Option<&'a DomainSocket>,
    /// As the operator wrote it.
    pub(crate) work_dir: &'a Path,
}

pub(crate) fn flags(
    settings: &AgentSettings,
    found: &Circumstances<'_>,
) -> BTreeMap<String, String> {
    let mut flags = Flags::fixed(&FIXED);
    flags.set("isolation", isolators(settings, found));
    of_itself(settings, found, &mut flags);
    of_isolation(&settings.isolation, &mut flags);
    of_machine(&settings.machine, found.is_root, &mut flags);
    if found.is_root {
        of_images(settings, &mut flags);
    }
    of_engine(settings.engine.as_ref(), &mut flags);
    of_networks(&settings.networks, &mut flags);
    of_executors(&settings.executors, found.socket, &mut flags);
    of_fetching(&settings.fetching, &settings.work_dir, &mut flags);
    of_sandboxes(&settings.sandboxes, &mut flags);
    of_lending(&settings.lending, &mut flags);
    of_security(&settings.security, &mut flags);
    flags.into_table()
}

/// Names of Mesos' isolators, those that are always there first.
fn isolators(settings: &AgentSettings, found: &Circumstances<'_>) -> String {
    let isolation = &settings.isolation;
    let always = [
        match found.enforced.cpus {
            true => "cgroups/cpu",
            false => "posix/cpu",
        },
        match found.enforced.memory {
            true => "cgroups/mem",
            false => "posix/mem",
        },
        match found.is_root {
            true => "filesystem/linux,docker/runtime",
            false => "filesystem/posix",
        },
    ];
    let chosen = [
        ("namespaces/pid", isolation.pids),
        ("namespaces/ipc", isolation.ipc),
        ("linux/nnp", isolation.no_new_privs),
        ("linux/seccomp", isolation.seccomp),
        ("linux/devices", isolation.device_nodes),
        ("disk/du", settings.sandboxes.disk_watch.is_some()),
        ("network/cni", settings.networks.config_dir.is_some()),
        ("network/ports", settings.networks.ports.is_some()),
    ];
    let chosen = chosen.into_iter().filter(|(_, is_on)| *is_on);
    let names = always.into_iter().chain(chosen.map(|(name, _)| name));
    let controllers = isolation.controllers.iter();
    let controllers = controllers.map(|it| format!("cgroups/{}", it.name()));
    let names: Vec<_> = names.map(str::to_owned).chain(controllers).collect();
    names.join(",")
}

fn of_itself(settings: &AgentSettings, found: &Circumstances<'_>, flags: &mut Flags) {
    flags.set("hostname", &settings.hostname);
    flags.set("hostname_lookup", settings.hostname_lookup);
    flags.set("ip", settings.ip);
    flags.set_given("ip6", settings.ip6);
    flags.set("port", settings.port);
    flags.set("master", settings.masters.join(","));
    flags.set_path("work_dir", found.work_dir);
    flags.set_path("runtime_dir", found.runtime_dir);
    if let Some(directory) = settings.log_file.as_deref().and_then(Path::parent) {
        flags.set_path("log_dir", directory);
    }
    flags.set_given("resources", settings.resources.as_ref());
    flags.set_given("attributes", settings.attributes.as_ref());
    flags.set_domain(settings.domain.as_ref());
    let recover = match settings.recovery {
        Recovery::Reconnect => "reconnect",
        Recovery::Cleanup => "cleanup",
    };
    let policy = match settings.reconfiguration {
        Reconfiguration::Equal => "equal",
        Reconfiguration::Additive => "additive",
    };
    flags.set("recover", recover);
    flags.set("reconfiguration_policy", policy);
}

fn of_isolation(isolation: &Isolation, flags: &mut Flags) {
    if let Some(dir) = isolation.profiles.dir() {
        flags.set_path("seccomp_config_dir", dir);
    }
    let profile = isolation.profiles.default_name();
    flags.set_given("seccomp_profile_name", profile);
    let limit = isolation.max_processes.unwrap_or(0);
    flags.set("container_pids_limit", limit);
    let shm = isolation.shm_mb.map(|size| format!("{size}MB"));
    flags.set_given("default_container_shm_size", shm);
    for (name, is_on) in [
        ("disallow_sharing_agent_pid_namespace", isolation.keep_pids),
        ("disallow_sharing_agent_ipc_namespace", isolation.keep_ipc),
        ("disallow_host_path_volumes", isolation.no_host_volumes),
        ("cgroups_enable_cfs", isolation.limit_cpus),
        ("cgroups_limit_swap", isolation.limit_swap),
        ("revocable_cpu_low_priority", isolation.lent_cpus_give_way),
    ] {
        flags.set(name, is_on);
    }
    let made = isolation.made_for_volumes.iter();
    let made: Vec<_> = made.map(|it| it.display().to_string()).collect();
    if !made.is_empty() {
        flags.set("host_path_volume_force_creation", made.join(":"));
    }
    flags.set_given("volume_gid_range", isolation.volume_gids.as_ref());
}

fn of_machine(machine: &MachineSettings, is_root: bool, flags: &mut Flags) {
    flags.set("switch_user", is_root && machine.switch_user);
    flags.set("default_role", &machine.default_role);
    flags.set("cgroups_root", &machine.cgroups_root);
    flags.set_time("cgroups_destroy_timeout", machine.destroy_timeout);
    let backoff = machine.registration_backoff;
    flags.set_time("registration_backoff_factor", backoff);
    flags.set_given("advertise_ip", machine.advertise_ip);
    flags.set_given("advertise_port", machine.advertise_port);
}

fn of_images(settings: &AgentSettings, flags: &mut Flags) {
    let images = &settings.images;
    flags.set("image_providers", "docker");
    flags.set("docker_registry", &images.registry);
    let store_dir = provisioner::store_dir(images, &settings.work_dir);
    flags.set_path("docker_store_dir", &store_dir);
    flags.set_path("sandbox_directory", &images.sandbox_directory);
    flags.set("docker_ignore_runtime", images.ignore_runtime);
    let backend = images.backend.map(|it| it.name());
    flags.set_given("image_provisioner_backend", backend);
}

fn of_engine(engine: Option<&EngineSettings>, flags: &mut Flags) {
    let Some(engine) = engine else {
        return flags.set("containerizers", "mesos");
    };
    let names = match engine.only {
        true => "docker",
        false => "docker,mesos",
    };
    flags.set("containerizers", names);
    flags.set_path("docker_socket", &engine.socket);
    flags.set_time("docker_stop_timeout", engine.stop_timeout);
    flags.set_time("docker_remove_delay", engine.remove_delay);
    flags.set("docker_kill_orphans", engine.kill_orphans);
}

fn of_networks(networks: &NetworkSettings, flags: &mut Flags) {
    flags.set("network_cni_root_dir_persist", networks.persist);
    flags.set("network_cni_metrics", networks.metrics);
    let plugins = networks.plugins_dir.as_ref();
    flags.set_given("network_cni_plugins_dir", plugins);
    if let Some(dir) = &networks.config_dir {
        flags.set_path("network_cni_config_dir", dir);
    }
    flags.set_given("default_container_dns", networks.shown_dns.as_ref());
    let watch = networks.ports.as_ref();
    let interval = watch.map_or(PortsWatch::DEFAULT_INTERVAL, |watch| watch.interval);
    let is_enforced = watch.is_some_and(|watch| watch.enforced);
    let isolated = watch.map(|watch| &watch.isolated);
    let only_offered = isolated == Some(&IsolatedPorts::Offered);
    flags.set_time("container_ports_watch_interval", interval);
    flags.set("enforce_container_ports", is_enforced);
    flags.set("check_agent_port_range_only", only_offered);
    if let Some(IsolatedPorts::Within(ranges)) = isolated {
        flags.set("container_ports_isolated_range", ranges);
    }
}

fn of_executors(executors: &ExecutorSettings, socket: Option<&DomainSocket>, flags: &mut Flags) {
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
        flags.set_time(name, time);
    }
    let kept = executors.max_completed;
    flags.set("max_completed_executors_per_framework", kept);
    flags.set("http_executor_domain_sockets", socket.is_some());
    if let Some(socket) = socket {
        flags.set_path("domain_socket_location", &socket.location);
    }
    let environment = executors.shown_environment.as_ref();
    flags.set_given("executor_environment_variables", environment);
}

fn of_fetching(fetching: &FetchSettings, work_dir: &Path, flags: &mut Flags) {
    flags.set_path("fetcher_cache_dir", &fetching.cache_dir(work_dir));
    flags.set("fetcher_cache_size", bytes_text(fetching.cache_bytes));
    flags.set_time("fetcher_stall_timeout", fetching.stall_timeout);
    let home = fetching.frameworks_home.as_deref();
    flags.set_path("frameworks_home", home.unwrap_or_else(|| Path::new("")));
}

fn of_sandboxes(sandboxes: &SandboxSettings, flags: &mut Flags) {
    let gc = &sandboxes.gc;
    flags.set_time("gc_delay", gc.delay);
    flags.set("gc_disk_headroom", gc.headroom);
    flags.set("gc_non_executor_container_sandboxes", gc.within);
    flags.set_time("disk_watch_interval", gc.interval);
    let watch = sandboxes.disk_watch;
    let is_enforced = watch.is_some_and(|watch| watch.enforced);
    let interval = watch.map_or(DiskWatch::DEFAULT_INTERVAL, |watch| watch.interval);
    flags.set("enforce_container_disk_quota", is_enforced);
    flags.set_time("container_disk_watch_interval", interval);
    flags.set("container_logger", sandboxes.logger);
}

fn of_lending(lending: &LendingSettings, flags: &mut Flags) {
    // Mesos names no module where none is chosen.
    for (name, choice) in [
        ("resource_estimator", &lending.estimator),
        ("qos_controller", &lending.controller),
    ] {
        let chosen = (choice != "noop").then_some(choice);
        flags.set_given(name, chosen);
    }
    let (interval, correction) = (lending.interval, lending.correction_interval);
    flags.set_time("oversubscribed_resources_interval", interval);
    flags.set_time("qos_correction_interval_min", correction);
}

fn of_security(security: &Security, flags: &mut Flags) {
    let (readonly, readwrite) = (&security.readonly, &security.readwrite);
    flags.set("authenticate_http_readonly", readonly.is_guarded());
    flags.set("authenticate_http_readwrite", readwrite.is_guarded());
    let executors = &security.executors;
    flags.set("authenticate_http_executors", executors.asked);
    flags.set_given("http_credentials", security.shown_credentials.as_ref());
    flags.set_given("acls", security.shown_acls.as_ref());
    flags.set_given("jwt_secret_key", executors.shown_key.as_ref());
}
