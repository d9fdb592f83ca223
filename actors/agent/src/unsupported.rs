//! What this agent cannot do for a task or a container, in words for whoever asked. Pure.

use tepui_protocol::v1::{
    CommandInfo, ContainerInfo, TaskInfo, Volume,
    container_info::{self, DockerInfo},
    executor_info,
};

use crate::{
    checks,
    config::{Enforced, NodeConfig},
    confinement, engine, images, networks,
};

const VOLUMES: &str = "volumes of this kind";

/// Whether an id can name a directory, and only one. The master checks ids too; paths are made here.
pub(crate) fn names_directory(id: &str) -> bool {
    !id.is_empty() && id != "." && id != ".." && !id.contains(['/', '\0'])
}

/// Why this agent cannot run the task, in words for the framework.
pub(crate) fn of_task(config: &NodeConfig, task: &TaskInfo) -> Option<String> {
    let executor_id = task
        .executor
        .as_ref()
        .map(|executor| &executor.executor_id.value);
    if !names_directory(executor_id.unwrap_or(&task.task_id.value)) {
        return Some("The executor's id cannot name a directory".to_owned());
    }
    let executor = task.executor.as_ref();
    let is_pod = executor.is_some_and(|it| it.r#type() == executor_info::Type::Default);
    if executor.is_some_and(|executor| !is_pod && executor.command.is_none()) {
        return Some("The executor has no command to run".to_owned());
    }
    if is_pod && !names_directory(&task.task_id.value) {
        return Some("The task's id cannot name a directory".to_owned());
    }
    if let Some(problem) = commands(task).find_map(of_secrets) {
        return Some(problem);
    }
    let agent_plays_executor = executor.is_none() || is_pod;
    if let Some(problem) = checks::unsupported(task).filter(|_| agent_plays_executor) {
        return Some(problem);
    }
    if let Some(problem) = engine::problem(config, task) {
        return Some(problem);
    }
    // What an engine is asked for was looked at.
    let by_engine = |it: &ContainerInfo| !is_pod && engine::of(config, Some(it)).is_some();
    let own = task.container.iter().filter(|it| !by_engine(it));
    let (own_part, outer_part) = match is_pod {
        true => (Part::Within, Part::Outer),
        false => (Part::Whole, Part::Whole),
    };
    let outer = executor.and_then(|it| it.container.as_ref());
    let outer = outer.filter(|it| !by_engine(it));
    let of_executor = executor.map_or(&[][..], |it| &it.resources);
    let resources: Vec<_> = task.resources.iter().chain(of_executor).collect();
    let mut dockers = own.clone().chain(outer).filter_map(docker);
    let own = own.filter_map(|it| of_container(it, own_part));
    let problems = own.chain(outer.and_then(|it| of_container(it, outer_part)));
    let of_volumes = outer.filter(|_| is_pod);
    let of_volumes = of_volumes.and_then(|it| of_outer_volumes(it, task));
    problems
        .chain(of_volumes)
        .next()
        .or_else(|| dockers.find_map(|it| networks::check_ports(it, &resources).err()))
}

/// Why limits of one of these tasks would bind nothing here, in Mesos' words. An engine has its own means.
pub(crate) fn of_limits(enforced: Enforced, tasks: &[TaskInfo]) -> Option<&'static str> {
    let is_docker = |it: &ContainerInfo| it.r#type() == container_info::Type::Docker;
    let bound = tasks
        .iter()
        .filter(|task| !task.container.as_ref().is_some_and(is_docker));
    let mut limits = bound.map(|task| &task.limits);
    limits.find_map(|limits| {
        if limits.contains_key("cpus") && !enforced.cpus {
            return Some(
                "CPU limits can only be set on tasks launched in Mesos containers when the agent has loaded the \
                 'cgroups/cpu' isolator",
            );
        }
        (limits.contains_key("mem") && !enforced.memory).then_some(
            "Memory limits can only be set on tasks launched in Mesos containers when the agent has loaded the \
             'cgroups/mem' isolator",
        )
    })
}

fn docker(container: &ContainerInfo) -> Option<&DockerInfo> {
    let is_docker = container.r#type() == container_info::Type::Docker;
    container.docker.as_ref().filter(|_| is_docker)
}

/// All that a task may run, by itself and by its executor.
fn commands(task: &TaskInfo) -> impl Iterator<Item = &CommandInfo> {
    let executor = task.executor.as_ref().and_then(|it| it.command.as_ref());
    let health = task
        .health_check
        .as_ref()
        .and_then(|it| it.command.as_ref());
    let check = task.check.as_ref().and_then(|it| it.command.as_ref());
    let check = check.map(|it| &it.command);
    let all = [task.command.as_ref(), executor, health, check];
    all.into_iter().flatten()
}

/// Why the variables of a command cannot be had.
pub(crate) fn of_secrets(command: &CommandInfo) -> Option<String> {
    let variables = command.environment.iter().flat_map(|it| &it.variables);
    let mut secrets = variables.filter_map(|it| Some((&it.name, it.secret.as_ref()?)));
    secrets.find_map(|(name, secret)| match confinement::secret_data(secret) {
        Err(problem) => Some(format!("Environment variable '{name}': {problem}")),
        Ok(data) if std::str::from_utf8(&data.0).is_err() => Some(format!(
            "Environment variable '{name}': its secret is no UTF-8 text; a volume of type SECRET takes any bytes"
        )),
        Ok(_) => None,
    })
}

fn of_container(container: &ContainerInfo, part: Part) -> Option<String> {
    let has_image = match images::of(container) {
        Ok(image) => image.is_some(),
        Err(problem) => return Some(problem),
    };
    let confinement = match confinement::of(container) {
        Ok(confinement) => confinement,
        Err(problem) => return Some(problem),
    };
    if let Err(problem) = networks::of(container) {
        return Some(problem);
    }
    let unknown = [
        (
            "images to the default executor",
            has_image && part == Part::Outer,
        ),
        (
            VOLUMES,
            part == Part::Whole && container.volumes.len() > confinement.mounts.len(),
        ),
        (
            "a network of its own",
            part == Part::Within && networks::order(Some(container)).is_some(),
        ),
        (
            "a terminal",
            part == Part::Outer && container.tty_info.is_some(),
        ),
    ];
    let (what, _) = unknown.into_iter().find(|(_, wanted)| *wanted)?;
    Some(not_given(what))
}

fn not_given(what: &str) -> String {
    format!("This agent does not give containers {what} yet")
}

/// Volumes of an executor that runs nothing are for its tasks: why this one would not see one of them.
fn of_outer_volumes(outer: &ContainerInfo, task: &TaskInfo) -> Option<String> {
    let own = task.container.as_ref();
    let own = own.map_or(&[][..], |it| &it.volumes);
    let is_seen = |it: &Volume| own.contains(it) || confinement::shown_within(it).is_some();
    (!outer.volumes.iter().all(is_seen)).then(|| not_given(VOLUMES))
}

/// The part that a container plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It is all that its executor, or its task with a command, has.
    Whole,
    /// It is to be within another one, with which it may share directories and cgroups.
    Within,
    /// Others are launched within it, and nothing else runs in it.
    Outer,
    /// A client asks for it within another one, of which it may show directories.
    Guest,
}

/// Why a container that a client of the API asks for, by itself or within another one, cannot be as it describes it.
pub(crate) fn of_guest(container: &ContainerInfo, is_within: bool) -> Option<String> {
    let part = match is_within {
        true => Part::Guest,
        false => Part::Whole,
    };
    of_container(container, part)
}
