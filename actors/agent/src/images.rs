//! Images of containers: what a framework asks for, and what an image's own settings make of its command (Mesos: the
//! isolator `docker/runtime`, and `docker run` for containers of type DOCKER). Pure.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use tepui_messages::containers::{
    ImageCommand, ImageOrder, ImageUser, LaunchOrder, MountOrder, MountSource, Provisioned,
    VolumeLink,
};
use tepui_protocol::v1::{
    CommandInfo, ContainerInfo, Image, Parameter,
    container_info::{self, DockerInfo},
    image,
};

/// What a command finds its programs by where its image does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a container of type DOCKER has beyond a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Parameters {
    env: Vec<(String, String)>,
    user: Option<String>,
    working_dir: Option<PathBuf>,
    entrypoint: Option<String>,
    mounts: Vec<MountOrder>,
}

/// What a container's image asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    name: String,
    cached: bool,
    is_docker: bool,
    parameters: Parameters,
}

/// The image of a container; `None` if it sees the machine's files.
///
/// Errors: what cannot be had, in words for the framework.
pub(crate) fn of(container: &ContainerInfo) -> Result<Option<Asked>, String> {
    if container.r#type() == container_info::Type::Docker {
        let docker = container.docker.as_ref();
        let docker =
            docker.ok_or("DockerInfo 'docker' is not set for DOCKER typed ContainerInfo")?;
        return of_docker(docker).map(Some);
    }
    let image = container.mesos.as_ref().and_then(|it| it.image.as_ref());
    image.map(of_image).transpose()
}

/// What a volume shows.
///
/// Errors: what cannot be had, in words for the framework.
pub(crate) fn of_volume(image: &Image) -> Result<MountSource, String> {
    let Asked { name, cached, .. } = of_image(image)?;
    Ok(MountSource::Image { name, cached })
}

fn of_image(image: &Image) -> Result<Asked, String> {
    if image.r#type() != image::Type::Docker {
        return Err("This agent has images of type DOCKER only".to_owned());
    }
    let docker = image.docker.as_ref();
    let docker = docker.ok_or("'Image.docker' is not set for an image of type DOCKER")?;
    if docker.config.is_some() {
        return Err(
            "This agent does not take registry credentials with an image yet; give it --docker_config"
                .to_owned(),
        );
    }
    Ok(Asked {
        name: docker.name.clone(),
        cached: image.cached(),
        is_docker: false,
        parameters: Parameters::default(),
    })
}

fn of_docker(docker: &DockerInfo) -> Result<Asked, String> {
    if docker.privileged() {
        return Err("This agent runs no privileged Docker containers".to_owned());
    }
    if docker.volume_driver.is_some() {
        return Err("This agent has no volume drivers".to_owned());
    }
    Ok(Asked {
        name: docker.image.clone(),
        cached: !docker.force_pull_image(),
        is_docker: true,
        parameters: parameters(&docker.parameters)?,
    })
}

/// The options of `docker run` that have a meaning here.
fn parameters(given: &[Parameter]) -> Result<Parameters, String> {
    let mut taken = Parameters::default();
    for Parameter { key, value } in given {
        let wrong = |expected: &str| {
            format!("The Docker parameter '{key}' has the value '{value}'; expected {expected}")
        };
        match key.as_str() {
            "env" | "e" => {
                let pair = value.split_once('=').filter(|(name, _)| !name.is_empty());
                let (name, value) = pair.ok_or_else(|| wrong("NAME=value"))?;
                taken.env.push((name.to_owned(), value.to_owned()));
            }
            "user" | "u" => taken.user = Some(value.clone()),
            "workdir" | "w" => {
                let path = inner_path(value).ok_or_else(|| wrong("an absolute path"))?;
                taken.working_dir = Some(path);
            }
            "entrypoint" => taken.entrypoint = Some(value.clone()),
            "volume" | "v" => {
                let mount = volume(value);
                let expected = "/host/path:/container/path[:ro|:rw]";
                taken.mounts.push(mount.ok_or_else(|| wrong(expected))?);
            }
            // Nobody here asks for them.
            "label" | "l" => {}
            _ => {
                return Err(format!(
                    "This agent does not know the Docker parameter '{key}'; it knows entrypoint, env, label, user, \
                     volume and workdir"
                ));
            }
        }
    }
    Ok(taken)
}

fn volume(value: &str) -> Option<MountOrder> {
    let mut parts = value.split(':');
    let (source, target) = (inner_path(parts.next()?)?, inner_path(parts.next()?)?);
    let read_only = match parts.next() {
        None | Some("rw") => false,
        Some("ro") => true,
        Some(_) => return None,
    };
    parts.next().is_none().then_some(MountOrder {
        source: MountSource::Host(source),
        container_path: target,
        read_only,
        propagates: false,
    })
}

fn inner_path(text: &str) -> Option<PathBuf> {
    let good =
        text.starts_with('/') && !text.contains('\0') && !text.split('/').any(|it| it == "..");
    good.then(|| text.into())
}

/// A persistent volume that is mounted, not linked.
pub(crate) fn mounted_volume(volume: VolumeLink) -> MountOrder {
    MountOrder {
        source: MountSource::Persistent(volume.source),
        container_path: volume.container_path.into(),
        read_only: volume.read_only,
        propagates: false,
    }
}

impl Asked {
    /// Completes an order for a container whose environment holds nothing of the agent's own.
    pub(crate) fn order(
        self,
        mut order: LaunchOrder,
        command: &CommandInfo,
        sandbox: &Path,
    ) -> LaunchOrder {
        let Parameters {
            env,
            user,
            working_dir,
            entrypoint,
            mounts,
        } = self.parameters;
        let mut all: BTreeMap<String, String> = env.into_iter().collect();
        // What was ordered comes before what the container is described by.
        all.extend(std::mem::take(&mut order.env));
        if self.is_docker {
            let name = format!("mesos-{}", order.container_id);
            all.insert("MESOS_CONTAINER_NAME".to_owned(), name);
        }
        order.env = all.into_iter().collect();
        order.confinement.mounts.extend(mounts);
        // Links to the machine's directories lead nowhere in an image.
        let volumes = std::mem::take(&mut order.volumes).into_iter();
        let volumes = volumes.map(mounted_volume);
        order.confinement.mounts.extend(volumes);
        let is_root = order.user.as_deref().is_none_or(|user| user == "root");
        let user = match (user, self.is_docker) {
            // An image gives nobody more rights than its task has.
            (Some(user), true) if is_root => ImageUser::Named(user),
            (None, true) if is_root => ImageUser::Image,
            _ => ImageUser::Task,
        };
        order.image = Some(ImageOrder {
            name: self.name,
            cached: self.cached,
            command: ImageCommand {
                shell: command.shell.unwrap_or(true),
                value: command.value.clone(),
                arguments: command.arguments.clone(),
                is_docker: self.is_docker,
                entrypoint,
                working_dir,
            },
            user,
            sandbox: sandbox.to_owned(),
        });
        order
    }
}

/// The order with all that the image says.
///
/// Errors: there is nothing to run, in words for the framework.
pub(crate) fn complete(mut order: LaunchOrder, made: Provisioned) -> Result<LaunchOrder, String> {
    let Some(image) = &order.image else {
        return Ok(order);
    };
    let command = &image.command;
    (order.program, order.argv) = command_line(command, &made)?;
    let own = made.env.iter().filter_map(|it| it.split_once('='));
    let own = own.filter(|(name, _)| !name.is_empty());
    let mut env = BTreeMap::from([("PATH".to_owned(), DEFAULT_PATH.to_owned())]);
    env.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    env.extend(order.env);
    order.env = env.into_iter().collect();
    let working_dir = command.working_dir.clone().or(made.working_dir);
    order.working_dir = working_dir.map(|path| Path::new("/").join(path));
    if made.user.is_some() {
        order.user = made.user;
    }
    order.root = Some(made.root);
    Ok(order)
}

/// What a command says of itself comes before what the image says: by the table in Mesos'
/// `isolators/docker/runtime.cpp`, or as `docker run` has it.
fn command_line(
    command: &ImageCommand,
    image: &Provisioned,
) -> Result<(String, Vec<String>), String> {
    let value = command.value.as_ref();
    if command.shell {
        let value = value.ok_or("Shell specified but no command value provided")?;
        let argv = ["sh", "-c", value].map(str::to_owned).to_vec();
        return Ok(("/bin/sh".to_owned(), argv));
    }
    let value = match value {
        Some(value) if !command.is_docker => {
            let argv = match command.arguments.is_empty() {
                true => vec![value.clone()],
                false => command.arguments.clone(),
            };
            return Ok((value.clone(), argv));
        }
        value => value,
    };
    let own: Vec<&String> = value.into_iter().chain(&command.arguments).collect();
    let (program, default) = match (&command.entrypoint, image.entrypoint.as_slice()) {
        (Some(entrypoint), _) => (std::slice::from_ref(entrypoint), &[][..]),
        // Mesos keeps the first word of a default command, Docker replaces all of it.
        (None, []) if !command.is_docker => image.cmd.split_at(image.cmd.len().min(1)),
        (None, entrypoint) => (entrypoint, image.cmd.as_slice()),
    };
    let rest: Vec<&String> = match own.is_empty() {
        true => default.iter().collect(),
        false => own,
    };
    let argv: Vec<String> = program.iter().chain(rest).cloned().collect();
    let program = argv.first().ok_or("No executable is found")?;
    Ok((program.clone(), argv))
}

#[cfg(test)]
#[path = "images_tests.rs"]
mod tests;
