//! CREATE_DISK and DESTROY_DISK: disks of resource providers (Mesos: `master/validation.cpp`, `operation::validate`).

use super::{Reason, resources as lists};
use crate::resources::Entry;
use crate::v1::{self, offer::operation, resource::disk_info::source::Type};

/// CREATE_DISK.
///
/// # Errors
/// The message of OPERATION_ERROR.
pub fn create(body: &operation::CreateDisk) -> Reason {
    let source = provided_disk(&body.source)?;
    if source.r#type() != Type::Raw {
        return Err("'source' is not a RAW disk resource".into());
    }
    if !matches!(body.target_type(), Type::Mount | Type::Block) {
        return Err("'target_type' is neither MOUNT or BLOCK".into());
    }
    match (&source.profile, &body.target_profile) {
        (Some(_), Some(_)) => {
            Err("'target_profile' must not be set when 'source' has a profile".into())
        }
        (None, None) => Err("'target_profile' must be set when 'source' has no profile".into()),
        _ => Ok(()),
    }
}

/// DESTROY_DISK.
///
/// # Errors
/// The message of OPERATION_ERROR.
pub fn destroy(body: &operation::DestroyDisk) -> Reason {
    let source = provided_disk(&body.source)?;
    if !matches!(source.r#type(), Type::Mount | Type::Block | Type::Raw) {
        return Err("'source' is neither a MOUNT, BLOCK or RAW disk resource".into());
    }
    if source.id.is_none() {
        return Err("'source' is not backed by a CSI volume".into());
    }
    let disk = Entry::from_proto(&body.source).map_err(|error| error.to_string())?;
    if disk.is_persistent_volume() {
        return Err(format!(
            "A disk resource containing a persistent volume {disk} cannot be destroyed directly. Please destroy the persistent volume first then destroy the disk resource"
        ));
    }
    Ok(())
}

/// The source of a resource provider's disk; of type UNKNOWN where it has none.
fn provided_disk(resource: &v1::Resource) -> Result<v1::resource::disk_info::Source, String> {
    lists::validate(std::slice::from_ref(resource))
        .map_err(|reason| format!("Invalid resource: {reason}"))?;
    if resource.provider_id.is_none() {
        return Err("'source' is not managed by a resource provider".into());
    }
    let source = resource.disk.as_ref().and_then(|disk| disk.source.clone());
    Ok(source.unwrap_or_default())
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
