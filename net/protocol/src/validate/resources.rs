//! Rules over lists of resources, as tasks, executors and operations carry them (Mesos: `Resources::validate`;
//! `master/validation.cpp`, `resource::validate`).

use std::collections::BTreeSet;

use super::{Reason, id};
use crate::resources::{self, Entry, Resources};
use crate::v1;

/// Each resource, then `gpus`, disks and reservations; returns their sum.
///
/// # Errors
/// `Invalid resources: …`, `Invalid 'gpus' resource: …`, `Invalid DiskInfo: …`,
/// `Invalid ReservationInfo: …`.
pub fn validate(list: &[v1::Resource]) -> Result<Resources, String> {
    resources::validate_all(list).map_err(|error| format!("Invalid resources: {error}"))?;
    gpus(list).map_err(|reason| format!("Invalid 'gpus' resource: {reason}"))?;
    let sum = Resources::from_proto(list).map_err(|error| format!("Invalid resources: {error}"))?;
    list.iter()
        .try_for_each(disk)
        .map_err(|reason| format!("Invalid DiskInfo: {reason}"))?;
    let seized = |entry: &&Entry| entry.is_dynamically_reserved() && entry.is_revocable();
    match sum.iter().find(seized) {
        None => Ok(sum),
        Some(entry) => Err(format!(
            "Invalid ReservationInfo: Dynamically reserved resource {entry} cannot be created from revocable resources"
        )),
    }
}

/// Only whole `gpus`.
///
/// # Errors
/// `The 'gpus' resource must be an unsigned integer`.
pub fn gpus(list: &[v1::Resource]) -> Reason {
    let all = Resources::from_proto_unchecked(list).gpus();
    if all.thousandths() % 1000 == 0 {
        Ok(())
    } else {
        Err("The 'gpus' resource must be an unsigned integer".into())
    }
}

fn disk(resource: &v1::Resource) -> Reason {
    let Some(disk) = &resource.disk else {
        return Ok(());
    };
    let Some(persistence) = &disk.persistence else {
        return match (&disk.volume, &disk.source) {
            (Some(_), _) => Err("Non-persistent volume not supported".into()),
            (None, None) => Err("DiskInfo is set but empty".into()),
            (None, Some(_)) => Ok(()),
        };
    };
    if resource.revocable.is_some() {
        return Err("Persistent volumes cannot be created from revocable resources".into());
    }
    let old_role = resource.role.as_deref().unwrap_or(crate::roles::ANY);
    if resource.reservations.is_empty() && old_role == crate::roles::ANY {
        return Err("Persistent volumes cannot be created from unreserved resources".into());
    }
    let volume = disk
        .volume
        .as_ref()
        .ok_or("Expecting 'volume' to be set for persistent volume")?;
    if volume.host_path.is_some() {
        return Err("Expecting 'host_path' to be unset for persistent volume".into());
    }
    id::validate(&persistence.id)
        .map_err(|reason| format!("Invalid persistence ID for persistent volume: {reason}"))
}

/// # Errors
/// `Persistence ID 'x' is not unique`: ids are unique per role on an agent.
pub fn unique_persistence_ids(sum: &Resources) -> Reason {
    let mut seen = BTreeSet::new();
    for volume in sum {
        if let Some(id) = volume.persistence_id()
            && !seen.insert((volume.reservation_role(), id))
        {
            return Err(format!("Persistence ID '{id}' is not unique"));
        }
    }
    Ok(())
}

/// # Errors
/// `Cannot use both revocable and non-revocable 'cpus' at the same time`.
pub fn not_both_revocable_and_not(sum: &Resources) -> Reason {
    for name in sum.names() {
        let mut revocable = sum
            .iter()
            .filter(|e| **e.name() == *name)
            .map(Entry::is_revocable);
        let first = revocable.next();
        if revocable.any(|other| Some(other) != first) {
            return Err(format!(
                "Cannot use both revocable and non-revocable '{name}' at the same time"
            ));
        }
    }
    Ok(())
}

/// # Errors
/// `The resources are not allocated to a role`, or to several.
pub fn allocated_to_one_role(sum: &Resources) -> Reason {
    let mut one = None;
    for entry in sum {
        let role = entry
            .allocation_role()
            .ok_or("The resources are not allocated to a role")?;
        let first = *one.get_or_insert(role);
        if first != role {
            return Err(format!(
                "The resources have multiple allocation roles ('{role}' and '{first}') but only one allocation role is allowed"
            ));
        }
    }
    Ok(())
}

/// Each has a persistent volume's `disk`, to be mounted for writing.
///
/// # Errors
/// Names what is missing.
pub fn persistent_volumes(list: &[v1::Resource]) -> Reason {
    for resource in list {
        let Some(disk) = &resource.disk else {
            return Err(format!(
                "Resource {} does not have DiskInfo",
                resources::DisplayProto(resource)
            ));
        };
        if disk.persistence.is_none() {
            return Err("'persistence' is not set in DiskInfo".into());
        }
        let volume = disk
            .volume
            .as_ref()
            .ok_or("Expecting 'volume' to be set for persistent volume")?;
        if volume.mode() == v1::volume::Mode::Ro {
            return Err("Read-only persistent volume not supported".into());
        }
    }
    Ok(())
}

/// All from the agent, or all from one resource provider.
///
/// # Errors
/// An empty list too, as in Mesos.
pub fn one_provider(list: &[v1::Resource]) -> Reason {
    let providers: BTreeSet<Option<&str>> = list
        .iter()
        .map(|resource| resource.provider_id.as_ref().map(|id| id.value.as_str()))
        .collect();
    if providers.len() == 1 {
        return Ok(());
    }
    if providers.contains(&None) {
        return Err("Some resources have a resource provider and some do not".into());
    }
    let ids: Vec<&str> = providers.into_iter().flatten().collect();
    Err(format!(
        "The resources have multiple resource providers: {}",
        ids.join(", ")
    ))
}

/// Whether two of `parts` claim the same port or the same item of a set.
#[must_use]
pub fn overlap(parts: &[&Resources]) -> bool {
    parts.iter().enumerate().any(|(at, part)| {
        part.iter().any(|entry| {
            let earlier = parts.iter().take(at);
            earlier
                .flat_map(|other| other.iter())
                .any(|other| other.overlaps(entry))
        })
    })
}

#[cfg(test)]
#[path = "resources_tests.rs"]
mod tests;
