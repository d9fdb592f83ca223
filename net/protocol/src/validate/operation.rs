//! Offer operations on reservations and volumes, by frameworks and operators (Mesos: `master/validation.cpp`,
//! `operation::validate`).
//!
//! What depends on the agent's state (is the volume there, is it in use, what can the agent do) is asked
//! of what the caller passes.

use std::collections::BTreeSet;

use super::Reason;
use super::resources as lists;
use crate::resources::{DisplayProto, Entry, Quantity, Resources};
use crate::v1::{
    self, agent_info::capability::Type as Capability, offer::operation,
    resource::disk_info::source::Type,
};

/// Who asks: an operator, or a framework with its roles.
#[derive(Clone, Copy, Debug)]
pub enum Asker<'a> {
    Operator,
    Framework(&'a BTreeSet<String>),
}

/// What an agent can do with reservations, volumes and disks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    pub hierarchical_role: bool,
    pub reservation_refinement: bool,
    pub resize_volume: bool,
    pub resource_provider: bool,
    pub agent_operation_feedback: bool,
}

impl Abilities {
    /// From what an agent announced.
    #[must_use]
    pub fn of(capabilities: &[v1::agent_info::Capability]) -> Self {
        let has = |kind: Capability| capabilities.iter().any(|found| found.r#type() == kind);
        Self {
            hierarchical_role: has(Capability::HierarchicalRole),
            reservation_refinement: has(Capability::ReservationRefinement),
            resize_volume: has(Capability::ResizeVolume),
            resource_provider: has(Capability::ResourceProvider),
            agent_operation_feedback: has(Capability::AgentOperationFeedback),
        }
    }

    /// `what` is `Resource` or `Volume`, `done` what is to happen to it.
    fn reservation(self, entry: &Entry, what: &str, done: &str) -> Reason {
        let role = entry.reservation_role().unwrap_or_default();
        if !self.hierarchical_role && role.contains('/') {
            return Err(format!(
                "{what} {entry} with reservation for hierarchical role '{role}' cannot be {done} on an agent without HIERARCHICAL_ROLE capability"
            ));
        }
        if !self.reservation_refinement && entry.is_refined() {
            return Err(format!(
                "{what} {entry} with reservation refinement cannot be {done} on an agent without RESERVATION_REFINEMENT capability"
            ));
        }
        Ok(())
    }

    fn resize(self, volume: &Entry, done: &str) -> Reason {
        if self.resize_volume {
            return Ok(());
        }
        Err(format!(
            "Volume {volume} cannot be {done} on an agent without RESIZE_VOLUME capability"
        ))
    }
}

/// RESERVE. `principal` is the authenticated one, if any.
///
/// # Errors
/// The message of OPERATION_ERROR.
pub fn reserve(
    body: &operation::Reserve,
    principal: Option<&str>,
    agent: Abilities,
    asker: Asker<'_>,
) -> Reason {
    let target = invalid(lists::validate(&body.resources))?;
    let source = lists::validate(&body.source).map_err(|r| format!("Invalid source: {r}"))?;
    if !body.source.is_empty() {
        one_stack(&source).map_err(|reason| format!("Invalid source: {reason}"))?;
        invalid(one_stack(&target))?;
        let (from, to) = (source.to_unreserved(), target.to_unreserved());
        if from != to {
            return Err(format!(
                "Source and target resources should refer to identical resource quantities: {from} vs. {to}"
            ));
        }
    }
    invalid(lists::one_provider(&body.resources))?;
    for entry in &target {
        dynamically_reserved(entry)?;
        agent.reservation(entry, "Resource", "reserved")?;
        if let Some(principal) = principal {
            reserving_principal(entry, principal)?;
        }
        match asker {
            Asker::Framework(roles) => reserving_role(entry, roles)?,
            Asker::Operator if entry.allocation_role().is_some() => {
                return Err("A reserve operation was attempted with an allocated resource, but the operator API only allows reservations to be made to unallocated resources".into());
            }
            Asker::Operator => {}
        }
    }
    match asker {
        Asker::Operator => Ok(()),
        Asker::Framework(_) => lists::allocated_to_one_role(&target)
            .map_err(|reason| format!("Invalid reservation resources: {reason}")),
    }
}

fn invalid<T>(result: Result<T, String>) -> Result<T, String> {
    result.map_err(|reason| format!("Invalid resources: {reason}"))
}

fn one_stack(resources: &Resources) -> Reason {
    let mut stacks = resources.iter().map(|entry| &entry.terms().reservations);
    let first = stacks.next().ok_or("Resource cannot be empty")?;
    if stacks.all(|other| other == first) {
        Ok(())
    } else {
        Err(format!("Mixed reservations are not supported{resources}"))
    }
}

fn dynamically_reserved(entry: &Entry) -> Reason {
    if entry.is_dynamically_reserved() {
        Ok(())
    } else {
        Err(format!("Resource {entry} is not dynamically reserved"))
    }
}

fn reserving_principal(entry: &Entry, principal: &str) -> Reason {
    let innermost = entry.terms().reservations.last();
    match innermost.and_then(|reservation| reservation.principal.as_deref()) {
        None => Err(format!(
            "A reserve operation was attempted by principal '{principal}', but there is a reserved resource in the request with no principal set"
        )),
        Some(other) if other != principal => Err(format!(
            "A reserve operation was attempted by authenticated principal '{principal}', which does not match a reserved resource in the request with principal '{other}'"
        )),
        Some(_) => Ok(()),
    }
}

fn reserving_role(entry: &Entry, roles: &BTreeSet<String>) -> Reason {
    let Some(allocation) = entry.allocation_role() else {
        return Err(format!(
            "A reserve operation was attempted on unallocated resource {entry}, but frameworks can only perform reservations on allocated resources"
        ));
    };
    let reservation = entry.reservation_role().unwrap_or_default();
    if allocation != reservation {
        return Err(format!(
            "A reserve operation was attempted for a resource with role '{reservation}', but the resource was allocated to role '{allocation}'"
        ));
    }
    if !roles.contains(allocation) {
        let list: Vec<&str> = roles.iter().map(String::as_str).collect();
        return Err(format!(
            "A reserve operation was attempted for a resource allocated to role '{allocation}', but the framework only has roles '{{ {} }}'",
            list.join(", ")
        ));
    }
    Ok(())
}

/// UNRESERVE.
///
/// # Errors
/// The message of OPERATION_ERROR.
pub fn unreserve(body: &operation::Unreserve) -> Reason {
    let resources = invalid(lists::validate(&body.resources))?;
    invalid(lists::one_provider(&body.resources))?;
    for entry in &resources {
        dynamically_reserved(entry)?;
        if entry.is_persistent_volume() {
            return Err(format!(
                "A dynamically reserved persistent volume {entry} cannot be unreserved directly. Please destroy the persistent volume first then unreserve the resource"
            ));
        }
    }
    Ok(())
}

/// CREATE. `existing` are the volumes the agent has; `framework` its id and whether it has
/// SHARED_RESOURCES, or `None` for an operator.
///
/// # Errors
/// The message of OPERATION_ERROR.
pub fn create(
    body: &operation::Create,
    existing: &Resources,
    principal: Option<&str>,
    agent: Abilities,
    framework: Option<(&str, bool)>,
) -> Reason {
    let volumes = invalid(lists::validate(&body.volumes))?;
    invalid(lists::one_provider(&body.volumes))?;
    lists::persistent_volumes(&body.volumes)
        .map_err(|reason| format!("Not a persistent volume: {reason}"))?;
    lists::unique_persistence_ids(&(existing + &volumes).unallocated())?;
    for volume in &volumes {
        if let Some((id, false)) = framework
            && volume.is_shared()
        {
            return Err(format!(
                "Create volume operation for '{}' has been attempted by framework '{id}' with no SHARED_RESOURCES capability",
                DisplayProto(&volume.to_proto())
            ));
        }
        agent.reservation(volume, "Volume", "created")?;
        if let Some(principal) = principal {
            creating_principal(volume, principal)?;
        }
    }
    match framework {
        None => Ok(()),
        Some(_) => lists::allocated_to_one_role(&volumes)
            .map_err(|reason| format!("Invalid volume resources: {reason}")),
    }
}

fn creating_principal(volume: &Entry, principal: &str) -> Reason {
    let persistence = volume.disk().and_then(|disk| disk.persistence.as_ref());
    match persistence.and_then(|persistence| persistence.principal.as_deref()) {
        None => Err(format!(
            "Create volume operation attempted by principal '{principal}', but there is a volume in the operation with no principal set in 'disk.persistence'"
        )),
        Some(other) if other != principal => Err(format!(
            "Create volume operation attempted by authenticated principal '{principal}', which does not match a volume in the operation with principal '{other}' set in 'disk.persistence'"
        )),
        Some(_) => Ok(()),
    }
}

/// DESTROY. `existing` are the volumes the agent has, `used` what tasks and executors on it use.
///
/// # Errors
/// The message of OPERATION_ERROR.
pub fn destroy(body: &operation::Destroy, existing: &Resources, used: &Resources) -> Reason {
    let volumes = invalid(lists::validate(&body.volumes))?.unallocated();
    invalid(lists::one_provider(&body.volumes))?;
    lists::persistent_volumes(&body.volumes)
        .map_err(|reason| format!("Not a persistent volume: {reason}"))?;
    let missing =
        |volume: &Entry| volume.provider_id().is_none() && !existing.contains_entry(volume);
    if volumes.iter().any(missing) {
        return Err("Persistent volumes not found".into());
    }
    let used = used.unallocated();
    if volumes.iter().any(|volume| used.contains_entry(volume)) {
        return Err("Persistent volumes in use".into());
    }
    Ok(())
}

fn one(resource: &v1::Resource, field: &str) -> Result<Entry, String> {
    crate::resources::validate(resource)
        .map_err(|reason| format!("Invalid resource in the '{field}' field: {reason}"))?;
    Entry::from_proto(resource).map_err(|error| error.to_string())
}

/// GROW_VOLUME.
///
/// # Errors
/// The message of OPERATION_ERROR.
pub fn grow(body: &operation::GrowVolume, agent: Abilities) -> Reason {
    let volume = one(&body.volume, "GrowVolume.volume")?;
    let addition = one(&body.addition, "GrowVolume.addition")?;
    if addition.scalar().unwrap_or_default() <= Quantity::ZERO {
        return Err("The size of 'GrowVolume.addition' field must be greater than zero".into());
    }
    resizable(&body.volume, &volume, "Growing", "GrowVolume.volume")?;
    if Resources::from_iter([volume.without_persistence(), addition]).len() != 1 {
        return Err(
            "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields"
                .into(),
        );
    }
    agent.resize(&volume, "grown")
}

fn resizable(resource: &v1::Resource, volume: &Entry, verb: &str, field: &str) -> Reason {
    if volume.provider_id().is_some() {
        return Err(format!(
            "{verb} a volume from a resource provider is not supported"
        ));
    }
    let source = volume.disk().and_then(|disk| disk.source.as_ref());
    if verb == "Shrinking" && source.is_some_and(|source| source.r#type() == Type::Mount) {
        return Err("Shrinking a volume on a MOUNT disk is not supported".into());
    }
    lists::persistent_volumes(std::slice::from_ref(resource))
        .map_err(|reason| format!("Invalid persistent volume in the '{field}' field: {reason}"))?;
    if volume.is_shared() {
        return Err(format!(
            "{verb} a shared persistent volume is not supported"
        ));
    }
    Ok(())
}

/// SHRINK_VOLUME.
///
/// # Errors
/// The message of OPERATION_ERROR.
pub fn shrink(body: &operation::ShrinkVolume, agent: Abilities) -> Reason {
    let volume = one(&body.volume, "ShrinkVolume.volume")?;
    let by = Quantity::from_f64(body.subtract.value).unwrap_or_default();
    if by <= Quantity::ZERO {
        return Err("Value of 'ShrinkVolume.subtract' must be greater than zero".into());
    }
    if volume.scalar().unwrap_or_default() <= by {
        return Err("Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'".into());
    }
    resizable(&body.volume, &volume, "Shrinking", "ShrinkVolume.volume")?;
    agent.resize(&volume, "shrunk")
}

#[cfg(test)]
#[path = "operation_tests.rs"]
mod tests;
