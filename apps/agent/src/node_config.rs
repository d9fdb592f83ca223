//! What the node is told at its start: what the operator wrote, and what this machine has. Owns the sentences that say
//! which text of resources and attributes cannot be read.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    path::Path,
    sync::Arc,
};

use anyhow::{anyhow, bail};
use tepui_containers::{Cgroups, limits::Controller};
use tepui_node::{
    config::{Enforced, NodeConfig},
    controllers::{self, QosController},
    detect,
    estimators::{self, ResourceEstimator},
};
use tepui_protocol::{
    resources::Resources,
    roles,
    v1::{
        AgentInfo, Attribute, Resource,
        resource::{ReservationInfo, reservation_info},
    },
    values::parse_attributes,
};

use crate::{AgentSettings, lacks};

/// Where programs are found if nobody says so (Mesos: `os::host_default_path`).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Of the agent's own environment its executors are given this alone, as by Mesos: the address that programs on libprocess
/// listen at, which they look up by the machine's name else.
const ADDRESS_VARIABLE: &str = "LIBPROCESS_IP";

/// What the operator wrote as text, and it can be read.
pub(crate) struct Written {
    /// Those that were named.
    resources: Vec<Resource>,
    attributes: Vec<Attribute>,
    estimator: Option<Arc<dyn ResourceEstimator>>,
    controller: Option<Arc<dyn QosController>>,
}

impl Written {
    pub(crate) fn read(settings: &AgentSettings) -> anyhow::Result<Written> {
        let role = &settings.machine.default_role;
        let mut resources = resources(settings.resources.as_deref(), role)?;
        own_gpus(&mut resources, settings.isolation.gpus.len(), role)?;
        let attributes = settings.attributes.as_deref().unwrap_or_default();
        let attributes = parse_attributes(attributes).map_err(|reason| {
            anyhow!(
                "--attributes: {reason}; expected name:value pairs, such as 'rack:r1;gen:[1-5]'"
            )
        })?;
        let lending = &settings.lending;
        let estimator = estimators::parse(&lending.estimator)
            .map_err(|reason| anyhow!("--resource-estimator: {reason}"))?;
        let controller = controllers::parse(&lending.controller)
            .map_err(|reason| anyhow!("--qos-controller: {reason}"))?;
        Ok(Written {
            resources,
            attributes,
            estimator,
            controller,
        })
    }
}

/// What the node needs of the settings, and of this machine. `settings` has the directories and the port as they are.
pub(crate) fn node_config(
    settings: &AgentSettings,
    written: Written,
    cgroups: &Cgroups,
    is_root: bool,
) -> NodeConfig {
    let machine = &settings.machine;
    let info = AgentInfo {
        hostname: settings.hostname.clone(),
        port: Some(i32::from(machine.advertise_port.unwrap_or(settings.port))),
        resources: offered(
            &written.resources,
            settings.resources.as_deref(),
            &settings.work_dir,
            &machine.default_role,
        ),
        attributes: written.attributes,
        domain: settings.domain.clone(),
        // As every agent since Mesos 1.10 says.
        checkpoint: Some(true),
        ..AgentInfo::default()
    };
    let ip = machine.advertise_ip;
    let ip = ip.unwrap_or_else(|| advertised(settings.ip, &settings.masters));
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    let (executors, lending) = (&settings.executors, &settings.lending);
    let isolation = &settings.isolation;
    NodeConfig {
        ip6: settings.ip6.map(|it| it.to_string()),
        boot_id: detect::boot_id(),
        environment: environment(executors.environment.as_deref().unwrap_or_default()),
        libprocess_ip: std::env::var(ADDRESS_VARIABLE).ok(),
        executor_registration_timeout: executors.registration_timeout,
        executor_reregistration_timeout: executors.reregistration_timeout,
        executor_shutdown_grace: executors.shutdown_grace,
        recovery_timeout: executors.recovery_timeout,
        max_completed_executors_per_framework: executors.max_completed,
        token_key: settings.security.executors.key.clone(),
        is_root,
        switch_user: is_root && machine.switch_user,
        registration_backoff: machine.registration_backoff,
        estimator: written.estimator,
        controller: written.controller,
        oversubscribed_resources_interval: lending.interval,
        qos_correction_interval_min: lending.correction_interval,
        recovery: settings.recovery,
        reconfiguration: settings.reconfiguration,
        disk_watch: settings.sandboxes.disk_watch,
        ports_watch: settings.networks.ports.clone(),
        acls: Arc::clone(&settings.security.acls),
        seed: [high, low],
        shortcoming: lacks::shown(cgroups, is_root),
        limit_cpus: isolation.limit_cpus,
        enforced: Enforced {
            cpus: cgroups.has(Controller::Cpu),
            memory: cgroups.has(Controller::Memory),
        },
        machine: detect::machine(),
        lent_cpus_give_way: isolation.lent_cpus_give_way,
        sandbox_directory: settings.images.sandbox_directory.clone(),
        ..NodeConfig::new(info, ip.to_string(), &settings.work_dir)
    }
}

fn resources(text: Option<&str>, role: &str) -> anyhow::Result<Vec<Resource>> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    let parsed = Resources::parse(text, role).map_err(|error| {
        anyhow!(
            "--resources: {error}; expected text such as 'cpus:4;mem:2048;disk:10240;ports:[31000-32000]' \
             (mem and disk in MB)"
        )
    })?;
    let given = parsed.to_proto();
    for resource in &given {
        let (expected, right) = match resource.name.as_str() {
            "cpus" | "mem" | "disk" | "gpus" => ("a number", resource.scalar.is_some()),
            "ports" => ("ranges such as [31000-32000]", resource.ranges.is_some()),
            _ => continue,
        };
        if !right {
            bail!("--resources: {} is not {expected}", resource.name);
        }
    }
    Ok(given)
}

/// What is named is what it is named with, also if that is nothing and parsing leaves it out.
fn offered(given: &[Resource], text: Option<&str>, work_dir: &Path, role: &str) -> Vec<Resource> {
    let names = text.unwrap_or_default().split(';');
    let names = names.filter_map(|it| it.split([':', '(']).next());
    let names: Vec<&str> = names.map(str::trim).collect();
    let mut all = detect::resources(given, work_dir);
    for found in all.iter_mut().filter(|it| !given.contains(it)) {
        if role != roles::ANY {
            found.reservations.push(ReservationInfo {
                r#type: Some(reservation_info::Type::Static as i32),
                role: Some(role.to_owned()),
                ..ReservationInfo::default()
            });
        }
    }
    all.retain(|it| given.contains(it) || !names.contains(&it.name.as_str()));
    all
}

/// An agent offers the GPUs it has, each as a whole (Mesos: `isolators/gpu/allocator.cpp`).
fn own_gpus(given: &mut Vec<Resource>, count: usize, role: &str) -> anyhow::Result<()> {
    if count == 0 {
        return Ok(());
    }
    let named = given.iter().filter(|it| it.name == "gpus");
    let values = named.filter_map(|it| Some(it.scalar.as_ref()?.value));
    let Some(named) = values.reduce(|a, b| a + b) else {
        let text = format!("gpus:{count}");
        given.extend(resources(Some(&text), role)?);
        return Ok(());
    };
    #[expect(clippy::cast_precision_loss, reason = "devices of one machine")]
    if named != count as f64 {
        bail!(
            "--resources: gpus are {named}, but --gpu-devices names {count}; leave them out, or name as many"
        );
    }
    Ok(())
}

/// What others reach this agent at: of "any address" the one that leads to a master.
fn advertised(ip: IpAddr, masters: &[String]) -> IpAddr {
    if !ip.is_unspecified() {
        return ip;
    }
    let found = masters.iter().find_map(|master| {
        // No packet is sent: the kernel only chooses the address.
        let socket = UdpSocket::bind(SocketAddr::new(ip, 0)).ok()?;
        socket.connect(master.as_str()).ok()?;
        Some(socket.local_addr().ok()?.ip())
    });
    found.unwrap_or_else(|| IpAddr::from([127, 0, 0, 1]))
}

/// What the operator gave, and where programs are found. Nothing of the agent's own environment, where secrets may be.
fn environment(given: &[(String, String)]) -> Vec<(String, String)> {
    let path = ("PATH".to_owned(), DEFAULT_PATH.to_owned());
    let has_path = given.iter().any(|(name, _)| name == "PATH");
    let own = (!has_path).then_some(path);
    own.into_iter().chain(given.iter().cloned()).collect()
}

#[cfg(test)]
#[path = "node_config_tests.rs"]
mod tests;
