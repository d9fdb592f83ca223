//! Commands, environments, secrets, volumes and containers.

use super::Reason;
use crate::v1::{self, container_info, environment::variable, secret, volume::source};

/// A secret carries what its type says and nothing else.
///
/// # Errors
/// Names the field that is missing or too many.
pub fn secret(secret: &v1::Secret) -> Reason {
    match secret.r#type() {
        secret::Type::Reference => match (&secret.reference, &secret.value) {
            (None, _) => Err("Secret of type REFERENCE must have the 'reference' field set".into()),
            (Some(reference), Some(_)) => Err(format!(
                "Secret '{}' of type REFERENCE must not have the 'value' field set",
                reference.name
            )),
            (Some(_), None) => Ok(()),
        },
        secret::Type::Value => match (&secret.value, &secret.reference) {
            (None, _) => Err("Secret of type VALUE must have the 'value' field set".into()),
            (_, Some(_)) => {
                Err("Secret of type VALUE must not have the 'reference' field set".into())
            }
            (Some(_), None) => Ok(()),
        },
        secret::Type::Unknown => Ok(()),
    }
}

/// # Errors
/// Names the variable and what is wrong with it, never its value.
pub fn environment(environment: &v1::Environment) -> Reason {
    environment
        .variables
        .iter()
        .try_for_each(environment_variable)
}

fn environment_variable(variable: &v1::environment::Variable) -> Reason {
    let name = &variable.name;
    let wrong = |text: &str| Err(format!("Environment variable '{name}' {text}"));
    match variable.r#type() {
        variable::Type::Secret => {
            let Some(hidden) = &variable.secret else {
                return wrong("of type 'SECRET' must have a secret set");
            };
            if variable.value.is_some() {
                return wrong("of type 'SECRET' must not have a value set");
            }
            if let Err(reason) = secret(hidden) {
                return wrong(&format!("specifies an invalid secret: {reason}"));
            }
            if hidden
                .value
                .as_ref()
                .is_some_and(|value| value.data.contains(&0))
            {
                return wrong(
                    "specifies a secret containing null bytes, which is not allowed in the environment",
                );
            }
            Ok(())
        }
        variable::Type::Value if variable.value.is_none() => {
            wrong("of type 'VALUE' must have a value set")
        }
        variable::Type::Value if variable.secret.is_some() => {
            wrong("of type 'VALUE' must not have a secret set")
        }
        variable::Type::Value => Ok(()),
        variable::Type::Unknown => {
            Err("Environment variable of type 'UNKNOWN' is not allowed".into())
        }
    }
}

/// # Errors
/// Those of its environment.
pub fn command(command: &v1::CommandInfo) -> Reason {
    command.environment.as_ref().map_or(Ok(()), environment)
}

/// Exactly one of `host_path`, `image` and `source`, and the body that the source's type asks for.
///
/// # Errors
/// Names the field.
pub fn volume(volume: &v1::Volume) -> Reason {
    let origins = [
        volume.host_path.is_some(),
        volume.image.is_some(),
        volume.source.is_some(),
    ];
    if origins.iter().filter(|set| **set).count() != 1 {
        return Err("Only one of them should be set: 'host_path', 'image' and 'source'".into());
    }
    let Some(source) = &volume.source else {
        return Ok(());
    };
    let (is_set, field, kind) = match source.r#type() {
        source::Type::DockerVolume => (
            source.docker_volume.is_some(),
            "docker_volume",
            "DOCKER_VOLUME",
        ),
        source::Type::HostPath => (source.host_path.is_some(), "host_path", "HOST_PATH"),
        source::Type::SandboxPath => (
            source.sandbox_path.is_some(),
            "sandbox_path",
            "SANDBOX_PATH",
        ),
        source::Type::Secret => (source.secret.is_some(), "secret", "SECRET"),
        source::Type::CsiVolume => match &source.csi_volume {
            None => (false, "csi_volume", "CSI"),
            Some(csi) => {
                let provisioned = csi.static_provisioning.is_some();
                (provisioned, "csi_volume.static_provisioning", "CSI")
            }
        },
        source::Type::Unknown => return Err("'source.type' is unknown".into()),
    };
    if is_set {
        Ok(())
    } else {
        Err(format!("'source.{field}' is not set for {kind} volume"))
    }
}

/// # Errors
/// `Invalid volume: …`, a DOCKER container without its body or with a name of its own.
pub fn container(container: &v1::ContainerInfo) -> Reason {
    container
        .volumes
        .iter()
        .try_for_each(volume)
        .map_err(|reason| format!("Invalid volume: {reason}"))?;
    if container.r#type() != container_info::Type::Docker {
        return Ok(());
    }
    let docker = container
        .docker
        .as_ref()
        .ok_or("DockerInfo 'docker' is not set for DOCKER typed ContainerInfo")?;
    if docker
        .parameters
        .iter()
        .any(|parameter| parameter.key == "name")
    {
        return Err("Parameter in DockerInfo must not be 'name'".into());
    }
    Ok(())
}

/// What a container says about sharing its parent's cgroups; `None` where it says nothing.
#[must_use]
pub fn share_cgroups(container: Option<&v1::ContainerInfo>) -> Option<bool> {
    container?.linux_info.as_ref()?.share_cgroups
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
