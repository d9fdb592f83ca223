//! Between the schema's resources and the algebra: the formats of reservations.
//!
//! *Post-refinement* (what we keep): a stack in `reservations`. *Pre-refinement* (for old frameworks):
//! `role` and `reservation`. *Endpoint*: both, wherever the old one can say it.

use super::entry::{Entry, Reservation, ReservationType, Terms, Value};
use super::rules::checked;
use super::{DisplayProto, Quantity, Range, Ranges, ResourceError, Resources};
use crate::{roles, v1};
use v1::resource::{ReservationInfo, reservation_info};
use v1::value;

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
        add_old_format(&mut resource);
        resource
    }
}

/// Sets `role` and `reservation` by the stack, unless the stack says more than they can.
fn add_old_format(resource: &mut v1::Resource) {
    match resource.reservations.as_slice() {
        [] => {
            let role = resource.role.take();
            resource.role = role.or_else(|| Some(roles::ANY.into()));
        }
        [single] => {
            let is_dynamic = single.r#type() == reservation_info::Type::Dynamic;
            resource.reservation = is_dynamic.then(|| ReservationInfo {
                r#type: None,
                role: None,
                principal: single.principal.clone(),
                labels: single.labels.clone(),
            });
            resource.role.clone_from(&single.role);
        }
        _ => {}
    }
}

/// Puts resources into pre-refinement format, for frameworks without RESERVATION_REFINEMENT. What is
/// refined stays as it is.
///
/// # Errors
/// [`ResourceError::Unsupported`] names the first that stayed; the others are converted all the same.
pub fn downgrade(resources: &mut [v1::Resource]) -> Result<(), ResourceError> {
    for resource in resources.iter_mut() {
        add_old_format(resource);
        if resource.reservations.len() < 2 {
            resource.reservations.clear();
        }
    }
    let refined = resources.iter().find(|r| !r.reservations.is_empty());
    refined.map_or(Ok(()), |resource| {
        Err(ResourceError::Unsupported(format!(
            "{} has refined reservations, which the pre-reservation-refinement format cannot express",
            DisplayProto(resource)
        )))
    })
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

    /// As [`Resources::to_proto`], each shared entry as often as it is held: for those who count.
    #[must_use]
    pub fn to_proto_copies(&self) -> Vec<v1::Resource> {
        let copies = |entry: &Entry| std::iter::repeat_n(entry.to_proto(), entry.copies() as usize);
        self.iter().flat_map(copies).collect()
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
        let mut resources = self.to_proto();
        downgrade(&mut resources)?;
        Ok(resources)
    }
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
