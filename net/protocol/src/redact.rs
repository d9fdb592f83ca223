//! Secrets, taken out of what is told of executors and tasks. Who runs them has them; state, events and history have not.

use std::sync::Arc;

use crate::v1::{CommandInfo, ContainerInfo, ExecutorInfo, HealthCheck, Secret};

/// An executor as others may see it: the same one where it has no secrets.
#[must_use]
pub fn executor(info: &Arc<ExecutorInfo>) -> Arc<ExecutorInfo> {
    let command = info.command.as_ref().is_some_and(command_has);
    let container = info.container.as_ref().is_some_and(container_has);
    if !command && !container {
        return Arc::clone(info);
    }
    let mut shown = ExecutorInfo::clone(info);
    if let Some(it) = &mut shown.command {
        empty_command(it);
    }
    if let Some(it) = &mut shown.container {
        empty_container(it);
    }
    Arc::new(shown)
}

/// A container as others may see it.
#[must_use]
pub(crate) fn container(info: &ContainerInfo) -> ContainerInfo {
    let mut shown = info.clone();
    empty_container(&mut shown);
    shown
}

/// A health check as others may see it.
#[must_use]
pub(crate) fn health_check(check: &HealthCheck) -> HealthCheck {
    let mut shown = check.clone();
    if let Some(it) = &mut shown.command {
        empty_command(it);
    }
    shown
}

fn command_has(command: &CommandInfo) -> bool {
    let mut variables = command.environment.iter().flat_map(|it| &it.variables);
    variables.any(|it| it.secret.is_some())
}

fn container_has(container: &ContainerInfo) -> bool {
    let mut sources = container.volumes.iter().filter_map(|it| it.source.as_ref());
    sources.any(|it| it.secret.is_some())
}

fn empty_command(command: &mut CommandInfo) {
    let variables = command
        .environment
        .iter_mut()
        .flat_map(|it| &mut it.variables);
    variables
        .filter_map(|it| it.secret.as_mut())
        .for_each(empty);
}

fn empty_container(container: &mut ContainerInfo) {
    let sources = container
        .volumes
        .iter_mut()
        .filter_map(|it| it.source.as_mut());
    sources.filter_map(|it| it.secret.as_mut()).for_each(empty);
}

fn empty(secret: &mut Secret) {
    if let Some(value) = &mut secret.value {
        value.data = Default::default();
    }
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
