//! Identifiers: what may name a task, an executor, an agent, a container; and UUIDs.

use super::Reason;
use crate::v1;

/// Longest id in bytes: ids become names of directories.
pub const MAX_ID_BYTES: usize = 255;

/// Longest id of a container in bytes: cgroups and shims add to it.
pub const MAX_CONTAINER_ID_BYTES: usize = 242;

/// The rule for ids of tasks, executors, agents, frameworks and persistent volumes.
///
/// # Errors
/// `ID must not be empty`, `'a/b' contains invalid characters`, …
pub fn validate(id: &str) -> Reason {
    if id.is_empty() {
        return Err("ID must not be empty".into());
    }
    if id.len() > MAX_ID_BYTES {
        return Err(format!(
            "ID must not be greater than {MAX_ID_BYTES} characters"
        ));
    }
    if id == "." || id == ".." {
        return Err(format!("'{id}' is disallowed"));
    }
    if id
        .bytes()
        .any(|b| b.is_ascii_control() || b == b'/' || b == b'\\')
    {
        return Err(format!("'{id}' contains invalid characters"));
    }
    Ok(())
}

/// The generic rule, shorter, without dots and spaces; for each parent too.
///
/// # Errors
/// As [`validate`], or `'ContainerID.value' 'a.b' contains invalid characters`.
pub fn validate_container(id: &v1::ContainerId) -> Reason {
    let value = &id.value;
    validate(value)?;
    if value.len() > MAX_CONTAINER_ID_BYTES {
        return Err(format!(
            "'ContainerID.value' '{value}' exceeds the maximum length ({MAX_CONTAINER_ID_BYTES})"
        ));
    }
    if value.contains(['.', ' ']) {
        return Err(format!(
            "'ContainerID.value' '{value}' contains invalid characters"
        ));
    }
    match &id.parent {
        None => Ok(()),
        Some(parent) => validate_container(parent)
            .map_err(|reason| format!("'ContainerID.parent' is invalid: {reason}")),
    }
}

/// Sixteen bytes of a UUID of version 1 to 5.
///
/// # Errors
/// `Not a valid UUID`, also for sixteen zeros.
pub fn uuid(bytes: &[u8]) -> Result<uuid::Uuid, String> {
    uuid::Uuid::from_slice(bytes)
        .ok()
        .filter(|uuid| (1..=5).contains(&uuid.get_version_num()))
        .ok_or_else(|| "Not a valid UUID".to_owned())
}

#[cfg(test)]
#[path = "id_tests.rs"]
mod tests;
