//! Containers of type DOCKER as an engine is asked for them: the body of its call `containers/create` (Mesos:
//! `Docker::RunOptions::create`, whose command line of `docker run` says the same). Pure.

use serde_json::{Value, json};
use tepui_messages::{containers::LaunchOrder, engine::EngineOrder};
use tepui_protocol::v1::{
    CommandInfo, ContainerInfo, Resource, TaskInfo, Volume,
    container_info::{self, DockerInfo, docker_info::Network},
    volume,
};

use crate::{config::NodeConfig, networks};

pub mod limits;
mod options;

pub use limits::limits;

/// What an agent with an engine knows of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineConfig {
    /// Containers of other types are refused (Mesos: `--containerizers=docker`).
    pub only: bool,
    /// The memory of the machine: how early the kernel ends a container that uses more than it requested.
    pub memory_bytes: Option<u64>,
    /// Of containers that name no servers themselves.
    pub dns: Vec<DnsRule>,
}

/// Name servers of containers in one kind of network (Mesos: `ContainerDNSInfo.DockerInfo`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsRule {
    pub network: DnsNetwork,
    pub nameservers: Vec<String>,
    pub search: Vec<String>,
    pub options: Vec<String>,
}

/// Whose name servers they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DnsNetwork {
    #[default]
    Bridge,
    /// Networks made by users: of this name, or all that no rule names.
    User(Option<String>),
}

/// The engine that is to run a container; `None`: it is run as all others.
pub(crate) fn of<'a>(
    config: &'a NodeConfig,
    container: Option<&ContainerInfo>,
) -> Option<&'a EngineConfig> {
    let is_docker = container.is_some_and(|it| it.r#type() == container_info::Type::Docker);
    config.engine.as_ref().filter(|_| is_docker)
}

/// Why a task cannot be run as it is described, in words for the framework.
pub(crate) fn problem(config: &NodeConfig, task: &TaskInfo) -> Option<String> {
    let engine = config.engine.as_ref()?;
    let executor = task.executor.as_ref();
    let container = task.container.as_ref().filter(|_| executor.is_none());
    let container = container.or_else(|| executor?.container.as_ref());
    let Some(container) = container.filter(|it| of(config, Some(it)).is_some()) else {
        return engine.only.then(|| {
            "None of the enabled containerizers (docker) could create a container for the provided TaskInfo/ExecutorInfo \
             message"
                .to_owned()
        });
    };
    let command = executor.map_or(task.command.as_ref(), |it| it.command.as_ref());
    let own = executor.map_or(&[][..], |it| &it.resources);
    let described = Described {
        config: engine,
        container,
        command: command?,
        resources: &task.resources.iter().chain(own).collect::<Vec<_>>(),
        sandbox_directory: "/",
    };
    let order = order(&described, LaunchOrder::default());
    let problem = order.err()?;
    Some(format!("Failed to create docker run options: {problem}"))
}

/// A container to be: all that its description is completed with.
pub(crate) struct Described<'a> {
    pub(crate) config: &'a EngineConfig,
    pub(crate) container: &'a ContainerInfo,
    pub(crate) command: &'a CommandInfo,
    /// Of the task and of its executor.
    pub(crate) resources: &'a [&'a Resource],
    /// Where the container sees its sandbox.
    pub(crate) sandbox_directory: &'a str,
}

/// [`order`] for a container that [`problem`] had nothing against.
pub(crate) fn complete(
    config: &NodeConfig,
    engine: &EngineConfig,
    (container, command, resources): (&ContainerInfo, &CommandInfo, &[&Resource]),
    plain: LaunchOrder,
) -> LaunchOrder {
    let described = Described {
        config: engine,
        container,
        command,
        resources,
        sandbox_directory: &config.sandbox_directory.display().to_string(),
    };
    // An order without a program, which starts nothing: on the machine itself this must never run.
    let nothing = LaunchOrder {
        container_id: plain.container_id.clone(),
        sandbox: plain.sandbox.clone(),
        ..LaunchOrder::default()
    };
    order(&described, plain).unwrap_or(nothing)
}

/// Completes an order, which has a sandbox, variables and amounts, for the engine.
///
/// Errors: what cannot be had, in words for the framework.
pub(crate) fn order(
    described: &Described<'_>,
    mut order: LaunchOrder,
) -> Result<LaunchOrder, String> {
    let docker = described.container.docker.as_ref();
    let docker = docker.ok_or("No docker info found in container info")?;
    order.env = variables(&order);
    let mut create = json!({
        "Image": docker.image,
        "Env": order.env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
        "HostConfig": {
            "Privileged": docker.privileged(),
            "Mounts": mounts(described, &order),
        },
    });
    command(&mut create, described.command)?;
    merge(
        &mut create["HostConfig"],
        limits(&order.amounts, described.config.memory_bytes),
    );
    volumes(&mut create, described, docker, &order)?;
    let network = network(described.container, docker)?;
    create["HostConfig"]["NetworkMode"] = network.clone().into();
    if let Some(hostname) = &described.container.hostname {
        if network == "host" {
            return Err("Unable to set hostname with host network mode".to_owned());
        }
        create["Hostname"] = hostname.clone().into();
    }
    ports(&mut create, described.resources, docker, &network)?;
    options::apply(&mut create, &docker.parameters)?;
    name_servers(&mut create, described.config, docker);
    // What the engine mounts is no concern of the launcher, nor is what it confines.
    let volumes = std::mem::take(&mut order.volumes);
    order.confinement = tepui_messages::containers::Confinement::default();
    order.switchboard = None;
    order.engine = Some(Box::new(EngineOrder {
        image: docker.image.clone(),
        force_pull: docker.force_pull_image(),
        volumes: volumes.into_iter().map(|it| it.source).collect(),
        create,
    }));
    Ok(order)
}

fn variables(order: &LaunchOrder) -> Vec<(String, String)> {
    let mut env = order.env.clone();
    let name = format!("mesos-{}", order.container_id);
    env.retain(|(known, _)| known != "MESOS_CONTAINER_NAME");
    env.push(("MESOS_CONTAINER_NAME".to_owned(), name));
    env.sort();
    env
}

/// The sandbox and what is shown in it. Not by `Binds`, whose parts are divided by colons: a sandbox may have one.
fn mounts(described: &Described<'_>, order: &LaunchOrder) -> Vec<Value> {
    let mount = |source: String, target: String| json!({"Type": "bind", "Source": source, "Target": target});
    let shown = described.sandbox_directory;
    let mut mounts = vec![mount(order.sandbox.display().to_string(), shown.to_owned())];
    let volumes = order.volumes.iter().map(|it| {
        let source = it.source.display().to_string();
        let mut mount = mount(source, format!("{shown}/{}", it.container_path));
        if it.read_only {
            mount["ReadOnly"] = true.into();
        }
        mount
    });
    mounts.extend(volumes);
    mounts
}

/// With a shell, the image's entrypoint is replaced by it; else what the command says follows that.
fn command(create: &mut Value, command: &CommandInfo) -> Result<(), String> {
    if command.shell.unwrap_or(true) {
        let value = command.value.as_ref();
        let value = value.ok_or("Shell specified but no command value provided")?;
        create["Entrypoint"] = json!(["/bin/sh"]);
        create["Cmd"] = json!(["-c", value]);
        return Ok(());
    }
    let words: Vec<&String> = command.value.iter().chain(&command.arguments).collect();
    if !words.is_empty() {
        create["Cmd"] = json!(words);
    }
    Ok(())
}

fn volumes(
    create: &mut Value,
    described: &Described<'_>,
    docker: &DockerInfo,
    order: &LaunchOrder,
) -> Result<(), String> {
    let mut driver: Option<String> = None;
    let mut binds = Vec::new();
    for volume in &described.container.volumes {
        let target = match volume.container_path.starts_with('/') {
            true => volume.container_path.clone(),
            false => format!("{}/{}", described.sandbox_directory, volume.container_path),
        };
        let mode = match volume.mode() {
            volume::Mode::Rw => "rw",
            volume::Mode::Ro => "ro",
        };
        let Some(source) = source(volume, docker, order)? else {
            continue;
        };
        let own = volume.source.as_ref();
        let own = own.and_then(|it| it.docker_volume.as_ref()?.driver.clone());
        match (&driver, own) {
            (Some(first), Some(own)) if *first != own => {
                return Err("Only one volume driver is supported".to_owned());
            }
            (_, Some(own)) => driver = Some(own),
            _ => {}
        }
        binds.push(format!("{source}:{target}:{mode}"));
    }
    if let Some(own) = &docker.volume_driver {
        if driver.as_ref().is_some_and(|first| first != own) {
            return Err("Only one volume driver per task is supported".to_owned());
        }
        driver = Some(own.clone());
    }
    create["HostConfig"]["Binds"] = json!(binds);
    if let Some(driver) = driver {
        create["HostConfig"]["VolumeDriver"] = driver.into();
    }
    Ok(())
}

/// What is mounted; `None` for kinds that Docker has not, as Mesos has it.
fn source(
    volume: &Volume,
    docker: &DockerInfo,
    order: &LaunchOrder,
) -> Result<Option<String>, String> {
    if let Some(host) = &volume.host_path {
        let is_relative = !host.starts_with('/');
        if is_relative && !volume.container_path.starts_with('/') {
            return Err(format!(
                "Both host_path '{host}' and container_path '{}' of a volume are relative",
                volume.container_path
            ));
        }
        let in_sandbox = is_relative && docker.volume_driver.is_none();
        return Ok(Some(match in_sandbox {
            true => order.sandbox.join(host).display().to_string(),
            false => host.clone(),
        }));
    }
    let source = volume.source.as_ref();
    let source = source.ok_or("Host path or volume source is required")?;
    Ok(source.docker_volume.as_ref().map(|it| it.name.clone()))
}

fn network(container: &ContainerInfo, docker: &DockerInfo) -> Result<String, String> {
    Ok(match docker.network() {
        Network::Host => "host".to_owned(),
        Network::Bridge => "bridge".to_owned(),
        Network::None => "none".to_owned(),
        Network::User => {
            let info = match container.network_infos.as_slice() {
                [] => return Err("No network info found in container info".to_owned()),
                [one] => one,
                _ => return Err("Only a single network can be defined in Docker run".to_owned()),
            };
            let name = info.name.clone();
            name.ok_or("No network name found in network info")?
        }
    })
}

fn ports(
    create: &mut Value,
    resources: &[&Resource],
    docker: &DockerInfo,
    network: &str,
) -> Result<(), String> {
    if docker.port_mappings.is_empty() {
        return Ok(());
    }
    if network == "host" || network == "none" {
        let text = "Port mappings are only supported for bridge and user-defined networks";
        return Err(text.to_owned());
    }
    networks::check_ports(docker, resources)?;
    for mapping in &docker.port_mappings {
        let port = mapping.host_port;
        let protocol = mapping.protocol.as_deref().unwrap_or("tcp");
        let inner = format!(
            "{}/{}",
            mapping.container_port,
            protocol.to_ascii_lowercase()
        );
        create["ExposedPorts"][&inner] = json!({});
        let bindings = &mut create["HostConfig"]["PortBindings"][&inner];
        push(bindings, json!({"HostPort": port.to_string()}));
    }
    Ok(())
}

/// What the agent knows of name servers, where the container says nothing.
fn name_servers(create: &mut Value, config: &EngineConfig, docker: &DockerInfo) {
    let host = &mut create["HostConfig"];
    if ["Dns", "DnsSearch", "DnsOptions"]
        .iter()
        .any(|it| !host[*it].is_null())
    {
        return;
    }
    let network = host["NetworkMode"].as_str().unwrap_or_default().to_owned();
    let rules = || config.dns.iter();
    let last = |wanted: DnsNetwork| rules().rfind(move |it| it.network == wanted);
    let rule = match docker.network() {
        Network::Bridge => last(DnsNetwork::Bridge),
        Network::User => {
            let named = last(DnsNetwork::User(Some(network)));
            named.or_else(|| last(DnsNetwork::User(None)))
        }
        Network::Host | Network::None => None,
    };
    if let Some(rule) = rule {
        host["Dns"] = json!(rule.nameservers);
        host["DnsSearch"] = json!(rule.search);
        host["DnsOptions"] = json!(rule.options);
    }
}

/// Appends to a list that may not be there yet.
fn push(list: &mut Value, item: Value) {
    match list {
        Value::Array(items) => items.push(item),
        other => *other = Value::Array(vec![item]),
    }
}

/// Sets all of `more` in `object`.
fn merge(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
