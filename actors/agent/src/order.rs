//! From what a framework described to what the container runtime is ordered: command line, environment, user,
//! limits. What this agent cannot do is in [`crate::unsupported`]. Pure.

use std::{collections::BTreeMap, path::Path};

use tepui_messages::containers::{
    Amounts, Confinement, LaunchOrder, MountOrder, MountSource, NestedSandbox, Switchboard,
    Terminal,
};
use tepui_protocol::v1::{CommandInfo, ContainerInfo, Resource, TaskInfo, container_info, value};

use crate::{
    amounts::{self, gpus, sum_of_all},
    config::{NodeConfig, SOCKET_NAME},
    confinement,
    effect::Launch,
    engine,
    environment::{TOKEN_VARIABLE, command_environment, mesos_environment, role_of},
    images::{self, Asked},
    networks, patience,
    tables::{Child, Executor, Framework, TaskEntry},
    volumes,
};

mod around;

pub(crate) use around::show_around;

/// Where an executor finds the path of the agent's socket.
const SOCKET_VARIABLE: &str = "MESOS_DOMAIN_SOCKET";
const ROLE_VARIABLE: &str = "MESOS_ALLOCATION_ROLE";
/// Where an executor with files of an image sees the directory of that socket.
const IMAGE_SOCKET_DIRECTORY: &str = "/run/mesos";

/// What was found to be possible, so it is no error now.
fn image_of(container: Option<&ContainerInfo>) -> Option<Asked> {
    container.and_then(|it| images::of(it).ok().flatten())
}

/// What a container's environment begins with: nothing of this machine's where it does not see the machine's files.
fn base_environment(config: &NodeConfig, sees_machine: bool) -> BTreeMap<String, String> {
    let own = config.environment.iter().filter(|_| sees_machine);
    own.cloned().collect()
}

/// The same of one within another one, which has as in Mesos nothing of the agent's but where programs are.
fn environment_within(config: &NodeConfig, sees_machine: bool) -> BTreeMap<String, String> {
    let mut env = base_environment(config, sees_machine);
    env.retain(|name, _| name == "PATH");
    env
}

/// Where a command sees its sandbox.
fn shown_sandbox(config: &NodeConfig, sees_machine: bool, sandbox: &Path) -> String {
    let shown = match sees_machine {
        true => sandbox,
        false => &config.sandbox_directory,
    };
    shown.display().to_string()
}

fn with_image(
    config: &NodeConfig,
    image: Option<Asked>,
    order: LaunchOrder,
    command: &CommandInfo,
) -> LaunchOrder {
    match image {
        Some(image) => image.order(order, command, &config.sandbox_directory),
        // Without root there are no mounts, and a link has to do (Mesos: the isolator `filesystem/posix`).
        None if config.is_root => mount_read_only(order),
        None => order,
    }
}

fn mount_read_only(mut order: LaunchOrder) -> LaunchOrder {
    let volumes = std::mem::take(&mut order.volumes).into_iter();
    let (mounted, linked): (Vec<_>, Vec<_>) = volumes.partition(|it| it.read_only);
    order.volumes = linked;
    let mounted = mounted.into_iter().map(images::mounted_volume);
    order.confinement.mounts.extend(mounted);
    order
}

/// What was found to be possible, so it is no error now.
pub(crate) fn confinement_of(container: Option<&ContainerInfo>) -> Confinement {
    let confinement = container.map(confinement::of);
    confinement.and_then(Result::ok).unwrap_or_default()
}

/// Standard streams are kept for clients where they are a terminal.
fn switchboard_of(container: Option<&ContainerInfo>) -> Option<Switchboard> {
    let terminal = Some(terminal_of(container)?);
    Some(Switchboard {
        terminal,
        is_session: false,
    })
}

pub(crate) fn terminal_of(container: Option<&ContainerInfo>) -> Option<Terminal> {
    let terminal = container?.tty_info.as_ref()?;
    let characters = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    let size = terminal.window_size.as_ref();
    let size = size.map(|size| (characters(size.rows), characters(size.columns)));
    Some(Terminal { size })
}

/// What starts a task of a default executor, in a container within the executor's.
pub(crate) fn child_launch(
    config: &NodeConfig,
    framework: &Framework,
    executor: &Executor,
    child: &Child,
    task: &TaskInfo,
) -> Launch {
    let command = task.command.clone().unwrap_or_default();
    let (program, argv) = command_line(&command);
    let sandbox = executor.sandbox.join("containers").join(child.name());
    let container = task.container.as_ref();
    let image = image_of(container);
    let shown = shown_sandbox(config, image.is_none(), &sandbox);
    let mut env = environment_within(config, image.is_none());
    env.insert("MESOS_SANDBOX".to_owned(), shown);
    env.extend(command_environment(&command));
    // Unlike others these are not the task's to change.
    let address = networks::address(&executor.networks, &config.ip).to_owned();
    env.insert("MESOS_CONTAINER_IP".to_owned(), address);
    env.extend(role_variable(&task.resources));
    let user = user_of(config, framework, &command);
    let shares = shares_cgroups(container);
    let mut confinement = confinement_of(container);
    if image.is_none() {
        let own = std::mem::take(&mut confinement.mounts);
        confinement.mounts = mounts_around(executor, own);
    }
    let seen = around::of_child(config, framework, executor, task, user.as_ref());
    confinement.mounts.extend(seen.mounts);
    let nested = NestedSandbox {
        root: executor.sandbox.clone(),
        name: child.name().to_owned(),
        task: Some(task.task_id.value.clone()),
        user: user.clone(),
        shared: seen.links,
    };
    let order = LaunchOrder {
        container_id: child.container_id.clone(),
        sandbox,
        is_holder: false,
        program,
        argv,
        env: env.into_iter().collect(),
        user,
        amounts: Amounts {
            gpus: gpus(task.resources.iter()),
            ..match shares {
                true => Amounts::default(),
                false => sum_of_all(config, &[], [task].into_iter()),
            }
        },
        volumes: seen.volumes,
        confinement,
        switchboard: switchboard_of(container),
        patience: Some(patience::of_child(config, framework, executor, task)),
        ..LaunchOrder::default()
    };
    Launch {
        order: with_image(config, image, order, &command),
        uris: command.uris,
        nested: Some(nested),
    }
}

fn role_variable(resources: &[Resource]) -> Option<(String, String)> {
    Some((ROLE_VARIABLE.to_owned(), role_of(resources)?))
}

/// What starts a command beside a task, for a check or a session, or beside an executor's program: with its user, its
/// environment and its sandbox, in a container within its own.
pub(crate) fn beside(
    config: &NodeConfig,
    agent_id: &str,
    (framework, executor, entry): (&Framework, &Executor, Option<&TaskEntry>),
    command: &CommandInfo,
    container_id: String,
) -> LaunchOrder {
    let child = entry.and_then(|entry| Some((entry.child.as_ref()?, entry)));
    let of_task = match child {
        Some((child, entry)) => child_launch(config, framework, executor, child, &entry.info).order,
        None => {
            let task = entry.map(|it| &*it.info);
            launch_order(config, agent_id, framework, executor, task)
        }
    };
    let (program, argv) = command_line(command);
    let mut env: BTreeMap<String, String> = of_task.env.into_iter().collect();
    // By which the agent knows the executor alone.
    env.remove(TOKEN_VARIABLE);
    env.extend(command_environment(command));
    let user = command.user.clone().filter(|_| config.switch_user);
    let has_files = of_task.image.is_some() || of_task.engine.is_some();
    let view_of = has_files.then_some(of_task.container_id);
    // Whom a task with an image runs as is known where its image was looked into.
    let of_task_user = of_task.user.filter(|_| view_of.is_none());
    let mut confinement = of_task.confinement;
    volumes::keep_owners(&mut confinement.mounts);
    LaunchOrder {
        container_id,
        sandbox: of_task.sandbox,
        is_holder: false,
        program,
        argv,
        env: env.into_iter().collect(),
        user: user.or(of_task_user),
        amounts: Amounts::default(),
        confinement,
        view_of,
        patience: of_task.patience,
        ..LaunchOrder::default()
    }
}

/// What a task without an image sees of its executor's volumes, and then of its own.
fn mounts_around(executor: &Executor, own: Vec<MountOrder>) -> Vec<MountOrder> {
    let container = executor.info.container.as_ref();
    let volumes = container.map_or(&[][..], |it| &it.volumes);
    let around = volumes.iter().filter_map(confinement::shown_within);
    let is_own = |path: &Path| own.iter().any(|it| it.container_path == path);
    let mut mounts: Vec<_> = around.filter(|it| !is_own(&it.container_path)).collect();
    mounts.extend(own);
    mounts
}

/// Whether a container within another one is bound by what that may use, and by nothing else.
fn shares_cgroups(container: Option<&ContainerInfo>) -> bool {
    let linux = container.and_then(|it| it.linux_info.as_ref());
    linux.is_none_or(|it| it.share_cgroups.unwrap_or(true))
}

/// What starts a container that a client of the API asks for.
pub(crate) fn guest_order(
    config: &NodeConfig,
    container_id: &str,
    sandbox: &Path,
    user: Option<String>,
    (command, container): (&CommandInfo, Option<&ContainerInfo>),
    (resources, limits): (&[Resource], &BTreeMap<String, value::Scalar>),
) -> LaunchOrder {
    let (program, argv) = command_line(command);
    let image = image_of(container);
    let mut env = environment_within(config, image.is_none());
    let shown = shown_sandbox(config, image.is_none(), sandbox);
    env.insert("MESOS_SANDBOX".to_owned(), shown);
    env.extend(command_environment(command));
    let amounts = match container_id.contains('.') && shares_cgroups(container) {
        true => Amounts {
            gpus: gpus(resources.iter()),
            ..Amounts::default()
        },
        false => amounts::of_guest(config, resources, limits),
    };
    let order = LaunchOrder {
        container_id: container_id.to_owned(),
        sandbox: sandbox.to_owned(),
        is_holder: false,
        program,
        argv,
        env: env.into_iter().collect(),
        user,
        amounts,
        confinement: confinement_of(container),
        switchboard: switchboard_of(container),
        network: networks::order(container),
        ..LaunchOrder::default()
    };
    with_image(config, image, order, command)
}

/// The order that starts an executor, or the command of a command task.
pub(crate) fn launch_order(
    config: &NodeConfig,
    agent_id: &str,
    framework: &Framework,
    executor: &Executor,
    task: Option<&TaskInfo>,
) -> LaunchOrder {
    let empty = CommandInfo::default();
    let of_task = task.and_then(|task| task.command.as_ref());
    let command = if executor.command_task {
        of_task
    } else {
        executor.info.command.as_ref()
    };
    let command = command.unwrap_or(&empty);
    let (program, argv) = if executor.is_pod() {
        // The agent plays the executor.
        (String::new(), Vec::new())
    } else {
        command_line(command)
    };
    let container = executor.info.container.as_ref();
    let container = container.filter(|_| !executor.is_pod());
    let engine = engine::of(config, container);
    let image = image_of(container).filter(|_| engine.is_none());
    let sees_machine = image.is_none() && engine.is_none();
    let network = networks::order(executor.info.container.as_ref());
    let mut env = BTreeMap::new();
    // An engine's container has an address of its own on most networks.
    let address = config.libprocess_ip.as_ref();
    let is_docker = container.is_some_and(|it| it.r#type() == container_info::Type::Docker);
    // In Mesos the executor of such a task is a program outside of its container.
    let is_told = !(is_docker && executor.command_task);
    let address = address.filter(|_| network.is_none() && engine.is_none() && is_told);
    env.extend(address.map(|ip| ("LIBPROCESS_IP".to_owned(), ip.clone())));
    env.extend(base_environment(config, sees_machine));
    if is_told {
        env.extend(mesos_environment(config, agent_id, framework, executor));
    }
    let socket = config.domain_socket.as_ref();
    let socket = socket.filter(|_| sees_machine || (executor.is_custom() && engine.is_none()));
    if let Some(socket) = socket {
        let shown = match sees_machine {
            true => socket.location.clone(),
            false => Path::new(IMAGE_SOCKET_DIRECTORY).join(SOCKET_NAME),
        };
        env.insert(SOCKET_VARIABLE.to_owned(), shown.display().to_string());
    }
    let shown = shown_sandbox(config, sees_machine, &executor.sandbox);
    let shown = ("MESOS_SANDBOX".to_owned(), shown);
    let own = command_environment(command);
    if is_docker {
        // What was said first holds (Mesos: `Docker::RunOptions::create`).
        for (name, value) in own {
            env.entry(name).or_insert(value);
        }
        env.extend([shown]);
    } else {
        env.extend([shown]);
        env.extend(own);
    }
    // A task's command cannot change it; a program that is an executor can.
    env.extend(task.and_then(|it| role_variable(&it.resources)));
    let resources = || {
        let own = executor.info.resources.iter();
        own.chain(task.iter().flat_map(|task| &task.resources))
    };
    let mut confinement = match &executor.info.container {
        Some(outer) if executor.is_pod() => confinement::of_holder(outer),
        _ => confinement_of(container),
    };
    let own = volumes::Own::of(config, framework, executor.sequence, resources());
    let volumes = if engine.is_some() {
        // It mounts them all by itself.
        volumes::links(&config.work_dir, resources())
    } else if executor.is_pod() {
        own.unmounted()
    } else {
        let (volumes, mounted) = own.mounted();
        confinement.mounts.extend(mounted);
        volumes
    };
    let socket = socket.filter(|_| !sees_machine);
    // The directory, not the socket: an agent that starts again makes a new one.
    confinement.mounts.extend(socket.map(|socket| MountOrder {
        source: MountSource::Own(socket.directory.clone()),
        container_path: IMAGE_SOCKET_DIRECTORY.into(),
        read_only: true,
        propagates: false,
    }));
    let order = LaunchOrder {
        container_id: executor.container_id.clone(),
        sandbox: executor.sandbox.clone(),
        is_holder: executor.is_pod(),
        program,
        argv,
        env: env.into_iter().collect(),
        user: user_of(config, framework, command),
        amounts: amounts::at_launch(config, executor, task, engine.is_some()),
        volumes,
        confinement,
        switchboard: switchboard_of(container),
        // What holds the containers of a group holds their network too.
        network,
        patience: patience::of(config, framework, executor, task),
        ..LaunchOrder::default()
    };
    match (engine, container) {
        (Some(engine), Some(container)) => {
            let resources: Vec<&Resource> = resources().collect();
            engine::complete(config, engine, (container, command, &resources), order)
        }
        _ => with_image(config, image, order, command),
    }
}

/// Whom the command runs as; `None`: as the agent does.
pub(crate) fn user_of(
    config: &NodeConfig,
    framework: &Framework,
    command: &CommandInfo,
) -> Option<String> {
    let user = command.user.clone();
    let user = user.unwrap_or_else(|| framework.info.user.clone());
    Some(user).filter(|user| config.switch_user && !user.is_empty())
}

fn command_line(command: &CommandInfo) -> (String, Vec<String>) {
    let value = command.value.clone().unwrap_or_default();
    if is_shell(command) {
        let argv = ["sh", "-c", &value].map(str::to_owned).to_vec();
        return ("/bin/sh".to_owned(), argv);
    }
    let argv = if command.arguments.is_empty() {
        vec![value.clone()]
    } else {
        command.arguments.clone()
    };
    (value, argv)
}

pub(crate) fn is_shell(command: &CommandInfo) -> bool {
    command.shell.unwrap_or(true)
}

/// The directory of one run of an executor, below the work directory.
pub(crate) fn sandbox_path(
    work_dir: &Path,
    agent_id: &str,
    framework_id: &str,
    executor_id: &str,
    container_id: &str,
) -> std::path::PathBuf {
    let parts = [
        "slaves",
        agent_id,
        "frameworks",
        framework_id,
        "executors",
        executor_id,
        "runs",
    ];
    let mut path = work_dir.to_path_buf();
    path.extend(parts);
    path.join(container_id)
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
