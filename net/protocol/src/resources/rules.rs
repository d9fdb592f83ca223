//! What one resource must be (Mesos `Resources::validate`): its value, its disk, its reservations.
//!
//! Owns the rules and Mesos' sentences for breaking them. Rules over lists are in `validate::resources`.

use std::collections::HashSet;

use super::{DisplayProto, Quantity, ResourceError};
use crate::{roles, v1};
use v1::resource::{DiskInfo, ReservationInfo, disk_info::source, reservation_info};
use v1::value;

/// Checks one resource (Mesos `Resources::validate`); the error is Mesos' sentence.
pub fn validate(resource: &v1::Resource) -> Result<(), String> {
    if resource.name.is_empty() {
        return Err("Empty resource name".into());
    }
    validate_value(resource)?;
    if let Some(disk) = &resource.disk {
        validate_disk(&resource.name, disk)?;
    }
    match resource.reservations.as_slice() {
        [] => validate_old_reservation(resource)?,
        stack => {
            validate_stack(stack)?;
            validate_agreement(resource, stack)?;
        }
    }
    if resource.shared.is_some() {
        if resource.name != "disk" {
            return Err(format!("Resource {} cannot be shared", resource.name));
        }
        if resource
            .disk
            .as_ref()
            .is_none_or(|disk| disk.persistence.is_none())
        {
            return Err("Only persistent volumes can be shared".into());
        }
    }
    Ok(())
}

/// Checks each resource.
///
/// # Errors
/// The first that breaks a rule: `Resource 'cpus:-1' is invalid: …`.
pub fn validate_all(resources: &[v1::Resource]) -> Result<(), ResourceError> {
    resources.iter().try_for_each(checked)
}

pub(super) fn checked(resource: &v1::Resource) -> Result<(), ResourceError> {
    validate(resource).map_err(|reason| ResourceError::Invalid {
        resource: DisplayProto(resource).to_string(),
        reason,
    })
}

fn validate_value(resource: &v1::Resource) -> Result<(), String> {
    let present = (
        resource.scalar.as_ref(),
        resource.ranges.as_ref(),
        resource.set.as_ref(),
    );
    match value::Type::try_from(resource.r#type) {
        Err(_) => Err("Invalid resource type".into()),
        Ok(value::Type::Scalar) => match present {
            (Some(scalar), None, None) => validate_scalar(scalar.value),
            _ => Err("Invalid scalar resource".into()),
        },
        Ok(value::Type::Ranges) => match present {
            (None, Some(ranges), None) => validate_ranges(ranges),
            _ => Err("Invalid ranges resource".into()),
        },
        Ok(value::Type::Set) => match present {
            (None, None, Some(set)) => {
                let mut seen = HashSet::with_capacity(set.item.len());
                if set.item.iter().all(|item| seen.insert(item)) {
                    Ok(())
                } else {
                    Err("Invalid set resource: duplicated elements".into())
                }
            }
            _ => Err("Invalid set resource".into()),
        },
        Ok(value::Type::Text) => Err("Unsupported resource type".into()),
    }
}

/// Zero is legal, what rounds to zero is not.
fn validate_scalar(value: f64) -> Result<(), String> {
    match Quantity::from_f64(value) {
        Some(amount) if value == 0.0 || amount > Quantity::ZERO => Ok(()),
        None if value.is_nan() => Err("Invalid scalar resource: value is not a number".into()),
        None if value > 0.0 => Err(format!(
            "Invalid scalar resource: value > {}",
            Quantity::MAX
        )),
        _ => Err("Invalid scalar resource: value <= 0".into()),
    }
}

fn validate_ranges(ranges: &value::Ranges) -> Result<(), String> {
    if ranges.range.iter().any(|range| range.begin > range.end) {
        return Err("Invalid ranges resource: begin > end".into());
    }
    let mut sorted: Vec<_> = ranges.range.iter().map(|r| (r.begin, r.end)).collect();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[1].0 <= pair[0].1) {
        return Err("Invalid ranges resource: overlapping ranges".into());
    }
    Ok(())
}

fn validate_disk(name: &str, disk: &DiskInfo) -> Result<(), String> {
    if name != "disk" {
        return Err(format!("DiskInfo should not be set for {name} resource"));
    }
    let Some(source) = &disk.source else {
        return Ok(());
    };
    let kind = source.r#type();
    match kind {
        source::Type::Path | source::Type::Mount => Ok(()),
        source::Type::Unknown => Err("Unsupported 'DiskInfo.Source.Type' in 'UNKNOWN'".into()),
        source::Type::Block | source::Type::Raw => {
            let extra = match (&source.mount, &source.path) {
                (Some(_), _) => "Mount",
                (None, Some(_)) => "Path",
                (None, None) => return Ok(()),
            };
            Err(format!(
                "{extra} should not be set for {} disk source",
                kind.as_str_name()
            ))
        }
    }
}

fn validate_old_reservation(resource: &v1::Resource) -> Result<(), String> {
    let role = resource.role.as_deref().unwrap_or(roles::ANY);
    roles::validate(role)?;
    let Some(reservation) = &resource.reservation else {
        return Ok(());
    };
    for (is_set, field) in [
        (reservation.r#type.is_some(), "type"),
        (reservation.role.is_some(), "role"),
    ] {
        if is_set {
            return Err(format!(
                "'Resource.ReservationInfo.{field}' must not be set for the 'Resource.reservation' field"
            ));
        }
    }
    if role == roles::ANY {
        return Err("Invalid reservation: role \"*\" cannot be dynamically reserved".into());
    }
    Ok(())
}

fn validate_stack(stack: &[ReservationInfo]) -> Result<(), String> {
    let must_be_set = |field: &str| {
        format!("Invalid reservation: 'Resource.ReservationInfo.{field}' field must be set.")
    };
    let mut above: Option<&str> = None;
    for reservation in stack {
        if reservation.r#type.is_none() {
            return Err(must_be_set("type"));
        }
        let role = reservation
            .role
            .as_deref()
            .ok_or_else(|| must_be_set("role"))?;
        roles::validate(role)?;
        if role == roles::ANY {
            return Err("Invalid reservation: role \"*\" cannot be reserved".into());
        }
        if reservation.r#type() == reservation_info::Type::Unknown {
            return Err("Unsupported 'Resource.ReservationInfo.Type'".into());
        }
        if let Some(above) = above {
            if reservation.r#type() == reservation_info::Type::Static {
                return Err(
                    "Invalid refined reservation: A refined reservation cannot be STATIC".into(),
                );
            }
            if !roles::is_strict_subrole_of(role, above) {
                return Err(format!(
                    "Invalid refined reservation: role '{role}' is not a refinement of '{above}'"
                ));
            }
        }
        above = Some(role);
    }
    Ok(())
}

/// The old fields beside a stack must say the same (the endpoint format).
fn validate_agreement(resource: &v1::Resource, stack: &[ReservationInfo]) -> Result<(), String> {
    let [single] = stack else {
        let old_fields = [
            (resource.role.is_some(), "role"),
            (resource.reservation.is_some(), "reservation"),
        ];
        return match old_fields.iter().find(|(is_set, _)| *is_set) {
            None => Ok(()),
            Some((_, field)) => Err(format!(
                "Invalid resource format: 'Resource.{field}' must not be set if there is more than one reservation in 'Resource.reservations'"
            )),
        };
    };
    if let Some(role) = &resource.role
        && *role != *single.role()
    {
        return Err(format!(
            "Invalid resource format: 'Resource.role' field with '{role}' does not match the role '{}' in 'Resource.reservations'",
            single.role()
        ));
    }
    if single.r#type() == reservation_info::Type::Static {
        return match resource.reservation {
            None => Ok(()),
            Some(_) => Err("Invalid resource format: 'Resource.reservation' must not be set if the single reservation in 'Resource.reservations' is STATIC".into()),
        };
    }
    validate_dynamic_agreement(resource, single)
}

fn validate_dynamic_agreement(
    resource: &v1::Resource,
    single: &ReservationInfo,
) -> Result<(), String> {
    if resource.role.is_some() != resource.reservation.is_some() {
        return Err("Invalid resource format: 'Resource.role' and 'Resource.reservation' must either be both set or both not set if the single reservation in 'Resource.reservations' is DYNAMIC".into());
    }
    let Some(old) = &resource.reservation else {
        return Ok(());
    };
    if old.principal() != single.principal() {
        return Err(format!(
            "Invalid resource format: 'Resource.reservation.principal' field with '{}' does not match the principal '{}' in 'Resource.reservations'",
            old.principal(),
            single.principal()
        ));
    }
    if old.labels.clone().unwrap_or_default() != single.labels.clone().unwrap_or_default() {
        return Err("Invalid resource format: 'Resource.reservation.labels' field does not match the labels in 'Resource.reservations'".into());
    }
    Ok(())
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
