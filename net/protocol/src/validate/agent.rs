//! Calls of operators and tools to the agent (Mesos: `slave/validation.cpp`, `agent::call::validate`).

// Deprecated calls are answered like the others.
#![allow(deprecated)]

use super::{Reason, call_type, container, id, present};
use crate::resources::{self, Entry};
use crate::v1::agent::{Call, call, call::Type, call::attach_container_input};
use crate::v1::{CommandInfo, ContainerId, ContainerInfo};

/// # Errors
/// The reason, to be prefixed with `Failed to validate agent::Call: `.
pub fn call(call: &Call) -> Reason {
    match call_type(call.r#type)? {
        Type::GetMetrics => present(&call.get_metrics, "get_metrics").map(|_| ()),
        Type::SetLoggingLevel => present(&call.set_logging_level, "set_logging_level").map(|_| ()),
        Type::ListFiles => present(&call.list_files, "list_files").map(|_| ()),
        Type::ReadFile => present(&call.read_file, "read_file").map(|_| ()),
        Type::AddResourceProviderConfig => {
            let field = "add_resource_provider_config";
            let body = present(&call.add_resource_provider_config, field)?;
            unset(body.info.id.is_some(), field)
        }
        Type::UpdateResourceProviderConfig => {
            let field = "update_resource_provider_config";
            let body = present(&call.update_resource_provider_config, field)?;
            unset(body.info.id.is_some(), field)
        }
        Type::RemoveResourceProviderConfig => present(
            &call.remove_resource_provider_config,
            "remove_resource_provider_config",
        )
        .map(|_| ()),
        Type::MarkResourceProviderGone => present(
            &call.mark_resource_provider_gone,
            "mark_resource_provider_gone",
        )
        .map(|_| ()),
        Type::Unknown
        | Type::GetHealth
        | Type::GetFlags
        | Type::GetVersion
        | Type::GetLoggingLevel
        | Type::GetState
        | Type::GetContainers
        | Type::GetFrameworks
        | Type::GetExecutors
        | Type::GetOperations
        | Type::GetTasks
        | Type::GetAgent
        | Type::GetResourceProviders
        | Type::PruneImages => Ok(()),
        kind => container_call(call, kind),
    }
}

fn unset(is_set: bool, field: &str) -> Reason {
    if is_set {
        return Err(format!("Expecting '{field}.info.id' to be unset"));
    }
    Ok(())
}

/// The calls about one container.
fn container_call(call: &Call, kind: Type) -> Reason {
    match kind {
        Type::LaunchNestedContainer => launch_nested(call),
        Type::LaunchNestedContainerSession => launch_session(call),
        Type::LaunchContainer => launch(present(&call.launch_container, "launch_container")?),
        Type::WaitNestedContainer => {
            let field = "wait_nested_container";
            nested(
                &present(&call.wait_nested_container, field)?.container_id,
                field,
            )
        }
        Type::KillNestedContainer => {
            let field = "kill_nested_container";
            nested(
                &present(&call.kill_nested_container, field)?.container_id,
                field,
            )
        }
        Type::RemoveNestedContainer => {
            let field = "remove_nested_container";
            nested(
                &present(&call.remove_nested_container, field)?.container_id,
                field,
            )
        }
        Type::WaitContainer => {
            let field = "wait_container";
            any(&present(&call.wait_container, field)?.container_id, field)
        }
        Type::KillContainer => {
            let field = "kill_container";
            any(&present(&call.kill_container, field)?.container_id, field)
        }
        Type::RemoveContainer => {
            let field = "remove_container";
            any(&present(&call.remove_container, field)?.container_id, field)
        }
        Type::AttachContainerOutput => {
            let field = "attach_container_output";
            any(
                &present(&call.attach_container_output, field)?.container_id,
                field,
            )
        }
        Type::AttachContainerInput => attach_input(call),
        _ => Ok(()),
    }
}

fn any(id: &ContainerId, field: &str) -> Reason {
    id::validate_container(id)
        .map_err(|reason| format!("'{field}.container_id' is invalid: {reason}"))
}

fn nested(id: &ContainerId, field: &str) -> Reason {
    any(id, field)?;
    present(&id.parent, &format!("{field}.container_id.parent")).map(|_| ())
}

fn attach_input(call: &Call) -> Reason {
    let field = "attach_container_input";
    let body = present(&call.attach_container_input, field)?;
    match call_type::<attach_container_input::Type>(body.r#type) {
        Err(_) => present(&None::<()>, "attach_container_input.type").map(|_| ()),
        Ok(attach_container_input::Type::Unknown) => {
            Err("'attach_container_input.type' is unknown".into())
        }
        Ok(attach_container_input::Type::ContainerId) => match &body.container_id {
            Some(id) => any(id, field),
            None => any(&ContainerId::default(), field),
        },
        Ok(attach_container_input::Type::ProcessIo) => Ok(()),
    }
}

fn is_twice_nested(id: &ContainerId) -> bool {
    id.parent
        .as_ref()
        .is_some_and(|parent| parent.parent.is_some())
}

fn what_to_run(command: Option<&CommandInfo>, info: Option<&ContainerInfo>, field: &str) -> Reason {
    if let Some(command) = command {
        container::command(command)
            .map_err(|reason| format!("'{field}.command' is invalid: {reason}"))?;
    }
    if let Some(info) = info {
        container::container(info)
            .map_err(|reason| format!("'{field}.container' is invalid: {reason}"))?;
    }
    Ok(())
}

fn launch_nested(call: &Call) -> Reason {
    let field = "launch_nested_container";
    let launch = present(&call.launch_nested_container, field)?;
    nested(&launch.container_id, field)?;
    what_to_run(launch.command.as_ref(), launch.container.as_ref(), field)?;
    let apart = container::share_cgroups(launch.container.as_ref()) == Some(false);
    if apart && is_twice_nested(&launch.container_id) {
        return Err("'launch_nested_container' is invalid: containers nested at the second level or greater cannot set 'share_cgroups' to 'false'".into());
    }
    Ok(())
}

fn launch_session(call: &Call) -> Reason {
    let field = "launch_nested_container_session";
    let launch = present(&call.launch_nested_container_session, field)?;
    nested(&launch.container_id, field)?;
    what_to_run(launch.command.as_ref(), launch.container.as_ref(), field)?;
    if container::share_cgroups(launch.container.as_ref()) == Some(false) {
        return Err("'launch_nested_container_session.container.linux_info' is invalid: 'share_cgroups' cannot be set to 'false' for nested container sessions".into());
    }
    Ok(())
}

fn launch(launch: &call::LaunchContainer) -> Reason {
    let field = "launch_container";
    any(&launch.container_id, field)?;
    let entries: Vec<Entry> = launch
        .resources
        .iter()
        .map(Entry::from_proto)
        .collect::<Result<_, resources::ResourceError>>()
        .map_err(|error| format!("Invalid resources: {error}"))?;
    super::resources::gpus(&launch.resources)
        .map_err(|reason| format!("Invalid GPU resources: {reason}"))?;
    let is_top = launch.container_id.parent.is_none();
    if is_top {
        entries.iter().try_for_each(standalone_resource)?;
    }
    what_to_run(launch.command.as_ref(), launch.container.as_ref(), field)?;

    let share_cgroups = container::share_cgroups(launch.container.as_ref());
    if is_twice_nested(&launch.container_id) {
        let refused = if !launch.resources.is_empty() {
            "specify resources"
        } else if !launch.limits.is_empty() {
            "specify resource limits"
        } else if share_cgroups == Some(false) {
            "set 'share_cgroups' to 'false'"
        } else {
            return Ok(());
        };
        return Err(format!(
            "'launch_container' is invalid: containers nested at the second level or greater cannot {refused}"
        ));
    }
    if is_top && share_cgroups == Some(true) {
        return Err("'launch_container' is invalid: containers without a parent cannot set 'share_cgroups' to 'true'".into());
    }
    Ok(())
}

/// Standalone containers use what nobody accounts for.
fn standalone_resource(entry: &Entry) -> Reason {
    let refused = if entry.is_reserved() {
        "must be unreserved"
    } else if entry.is_persistent_volume() {
        "may not use persistent volumes"
    } else if entry.is_revocable() {
        "must be non-revocable"
    } else {
        return Ok(());
    };
    Err(format!("'launch_container.resources' {refused}"))
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;
