//! Between the schema's resources and the algebra: rules, and the formats of reservations.
//!
//! *Post-refinement* (what we keep): a stack in `reservations`. *Pre-refinement* (for old frameworks):
//! `role` and `reservation`. *Endpoint*: both, wherever the old one can say it.

use std::collections::HashSet;

use super::entry::{Entry, Reservation, ReservationType, Terms, Value};
use super::text::DisplayProto;
use super::{Quantity, Range, Ranges, ResourceError, Resources};
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

fn checked(resource: &v1::Resource) -> Result<(), ResourceError> {
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

impl Reservation {
    /// `None` without a role or a known type.
    #[must_use]
    pub fn from_proto(info: &ReservationInfo) -> Option<Self> {
        let kind = match info.r#type() {
            reservation_info::Type::Unknown => return None,
            reservation_info::Type::Static => ReservationType::Static,
            reservation_info::Type::Dynamic => ReservationType::Dynamic,
        };
        Some(Self {
            kind,
            role: info.role.clone()?,
            principal: info.principal.clone(),
            labels: info.labels.clone(),
        })
    }

    #[must_use]
    pub fn to_proto(&self) -> ReservationInfo {
        let kind = match self.kind {
            ReservationType::Static => reservation_info::Type::Static,
            ReservationType::Dynamic => reservation_info::Type::Dynamic,
        };
        ReservationInfo {
            r#type: Some(kind as i32),
            role: Some(self.role.clone()),
            principal: self.principal.clone(),
            labels: self.labels.clone(),
        }
    }
}

impl Ranges {
    #[must_use]
    pub fn to_proto(&self) -> value::Ranges {
        let range = |range: Range| value::Range {
            begin: range.begin(),
            end: range.end(),
        };
        value::Ranges {
            range: self.iter().map(range).collect(),
        }
    }

    /// Inverted ranges are left out.
    #[must_use]
    pub fn from_proto(ranges: &value::Ranges) -> Self {
        let range = |range: &value::Range| Range::new(range.begin, range.end);
        ranges.range.iter().filter_map(range).collect()
    }
}

impl Entry {
    /// One resource in any of the three formats.
    ///
    /// # Errors
    /// [`ResourceError::Invalid`] where it breaks a rule.
    pub fn from_proto(resource: &v1::Resource) -> Result<Self, ResourceError> {
        checked(resource)?;
        Self::from_proto_unchecked(resource).ok_or_else(|| ResourceError::Invalid {
            resource: DisplayProto(resource).to_string(),
            reason: "it has no value of its type".into(),
        })
    }

    /// `None` where there is no value to represent.
    fn from_proto_unchecked(resource: &v1::Resource) -> Option<Self> {
        let value = match resource.r#type() {
            value::Type::Scalar => Value::Scalar(
                Quantity::from_f64(resource.scalar.as_ref()?.value)
                    .filter(|amount| *amount >= Quantity::ZERO)?,
            ),
            value::Type::Ranges => Value::Ranges(Ranges::from_proto(resource.ranges.as_ref()?)),
            value::Type::Set => Value::Set(resource.set.as_ref()?.item.iter().cloned().collect()),
            value::Type::Text => return None,
        };
        let allocation = resource.allocation_info.as_ref();
        let terms = Terms {
            reservations: reservations(resource),
            allocation_role: allocation.and_then(|allocation| allocation.role.clone()),
            disk: resource.disk.clone(),
            revocable: resource.revocable.is_some(),
            shared: resource.shared.is_some(),
            provider_id: resource.provider_id.as_ref().map(|id| id.value.clone()),
        };
        Some(Self::new(&resource.name, value, terms))
    }

    /// In post-refinement format. A shared entry is written once, however often it is held.
    #[must_use]
    pub fn to_proto(&self) -> v1::Resource {
        let terms = self.terms();
        let (kind, scalar, ranges, set) = match self.value() {
            Value::Scalar(amount) => {
                let value = amount.to_f64();
                (
                    value::Type::Scalar,
                    Some(value::Scalar { value }),
                    None,
                    None,
                )
            }
            Value::Ranges(ranges) => (value::Type::Ranges, None, Some(ranges.to_proto()), None),
            Value::Set(items) => {
                let item = items.iter().cloned().collect();
                (value::Type::Set, None, None, Some(value::Set { item }))
            }
        };
        v1::Resource {
            provider_id: terms
                .provider_id
                .clone()
                .map(|value| v1::ResourceProviderId { value }),
            name: self.name().to_string(),
            r#type: kind as i32,
            scalar,
            ranges,
            set,
            role: None,
            allocation_info: terms
                .allocation_role
                .clone()
                .map(|role| v1::resource::AllocationInfo { role: Some(role) }),
            reservation: None,
            reservations: terms
                .reservations
                .iter()
                .map(Reservation::to_proto)
                .collect(),
            disk: terms.disk.clone(),
            revocable: terms.revocable.then(Default::default),
            shared: terms.shared.then(Default::default),
        }
    }

    /// With `role` and `reservation` beside the stack, where these can say it.
    fn to_endpoint(&self) -> v1::Resource {
        let mut resource = self.to_proto();
        match self.terms().reservations.as_slice() {
            [] => resource.role = Some(roles::ANY.into()),
            [single] => {
                resource.role = Some(single.role.clone());
                resource.reservation =
                    (single.kind == ReservationType::Dynamic).then(|| ReservationInfo {
                        r#type: None,
                        role: None,
                        principal: single.principal.clone(),
                        labels: single.labels.clone(),
                    });
            }
            _ => {}
        }
        resource
    }
}

/// The stack, whatever the format.
fn reservations(resource: &v1::Resource) -> Vec<Reservation> {
    if !resource.reservations.is_empty() {
        let stack = resource.reservations.iter();
        return stack.filter_map(Reservation::from_proto).collect();
    }
    match resource.role.as_deref() {
        None | Some(roles::ANY) => Vec::new(),
        Some(role) => {
            let old = resource.reservation.as_ref();
            vec![Reservation {
                kind: match old {
                    None => ReservationType::Static,
                    Some(_) => ReservationType::Dynamic,
                },
                role: role.to_owned(),
                principal: old.and_then(|old| old.principal.clone()),
                labels: old.and_then(|old| old.labels.clone()),
            }]
        }
    }
}

impl Resources {
    /// Validates and sums; each resource may be in any of the three formats.
    ///
    /// # Errors
    /// The first resource that breaks a rule: `Resource 'cpus:-1' is invalid: …`.
    pub fn from_proto(resources: &[v1::Resource]) -> Result<Self, ResourceError> {
        resources.iter().map(Entry::from_proto).collect()
    }

    /// For what was validated before. What cannot be represented is left out.
    #[must_use]
    pub fn from_proto_unchecked(resources: &[v1::Resource]) -> Self {
        resources
            .iter()
            .filter_map(Entry::from_proto_unchecked)
            .collect()
    }

    /// In post-refinement format, as in offers and tasks.
    #[must_use]
    pub fn to_proto(&self) -> Vec<v1::Resource> {
        self.iter().map(Entry::to_proto).collect()
    }

    /// In endpoint format, as in the agents of the operator API: `"role":"*"` on what is unreserved, both
    /// forms on what is reserved once.
    #[must_use]
    pub fn to_endpoint(&self) -> Vec<v1::Resource> {
        self.iter().map(Entry::to_endpoint).collect()
    }

    /// In pre-refinement format, for frameworks without RESERVATION_REFINEMENT.
    ///
    /// # Errors
    /// [`ResourceError::Unsupported`] where a reservation is refined: such resources are not shown to
    /// them.
    pub fn to_pre_refinement(&self) -> Result<Vec<v1::Resource>, ResourceError> {
        let old = |entry: &Entry| {
            if entry.is_refined() {
                return Err(ResourceError::Unsupported(format!(
                    "{entry} has refined reservations, which the pre-reservation-refinement format cannot express"
                )));
            }
            let mut resource = entry.to_endpoint();
            resource.reservations.clear();
            Ok(resource)
        };
        self.iter().map(old).collect()
    }
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
