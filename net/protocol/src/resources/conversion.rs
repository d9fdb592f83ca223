//! What offer operations do to resources: something is consumed, something stands in its place.

use super::{Entry, ResourceError, Resources, Value};
use crate::v1::{self, offer::operation::Type};

/// A replacement of `consumed` by `converted`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversion {
    pub consumed: Resources,
    pub converted: Resources,
    /// Must not be there any more afterwards: a destroyed volume of which other copies are held.
    pub gone: Option<Entry>,
}

impl Conversion {
    #[must_use]
    pub fn new(consumed: Resources, converted: Resources) -> Self {
        Self {
            consumed,
            converted,
            gone: None,
        }
    }

    /// What all of them take and give as a whole: a later one may use what an earlier one made.
    #[must_use]
    pub fn net(conversions: &[Self]) -> (Resources, Resources) {
        let consumed: Resources = conversions
            .iter()
            .flat_map(|it| &it.consumed)
            .cloned()
            .collect();
        let converted: Resources = conversions
            .iter()
            .flat_map(|it| &it.converted)
            .cloned()
            .collect();
        (&consumed - &converted, &converted - &consumed)
    }

    /// The same of what an agent has, which is allocated to nobody.
    #[must_use]
    pub fn unallocated(&self) -> Self {
        let gone = self.gone.as_ref();
        Self {
            consumed: self.consumed.unallocated(),
            converted: self.converted.unallocated(),
            gone: gone.map(|entry| entry.with_terms(|terms| terms.allocation_role = None)),
        }
    }
}

impl Resources {
    /// What an agent must not forget: what was reserved or created at run time.
    #[must_use]
    pub fn to_checkpoint(&self) -> Self {
        self.filter(|entry| entry.is_dynamically_reserved() || entry.is_persistent_volume())
    }

    /// This collection after `conversion`.
    ///
    /// # Errors
    /// [`ResourceError::NotContained`]; [`ResourceError::Unsupported`] for a shared volume still held.
    pub fn apply(&self, conversion: &Conversion) -> Result<Self, ResourceError> {
        let rest =
            self.checked_sub(&conversion.consumed)
                .ok_or_else(|| ResourceError::NotContained {
                    total: self.to_string(),
                    consumed: conversion.consumed.to_string(),
                })?;
        let result = rest + &conversion.converted;
        match &conversion.gone {
            Some(volume) if result.contains_entry(volume) => {
                Err(ResourceError::Unsupported(format!(
                    "Persistent volume {volume} cannot be removed due to additional shared copies"
                )))
            }
            _ => Ok(result),
        }
    }

    /// This collection after all of `conversions`, in order.
    ///
    /// # Errors
    /// The first of [`Resources::apply`].
    pub fn apply_all(&self, conversions: &[Conversion]) -> Result<Self, ResourceError> {
        conversions
            .iter()
            .try_fold(self.clone(), |resources, next| resources.apply(next))
    }

    /// What an agent has, given its configured resources (`self`) and the dynamic reservations and
    /// volumes it remembers (Mesos `applyCheckpointedResources`).
    ///
    /// # Errors
    /// [`ResourceError::Unsupported`] where the configuration no longer has what was reserved.
    pub fn apply_checkpointed(&self, checkpointed: &Self) -> Result<Self, ResourceError> {
        let mut total = self.clone();
        for entry in checkpointed {
            let stripped = entry.as_configured();
            if entry.provider_id().is_some() || stripped == *entry {
                return Err(ResourceError::Unsupported(format!(
                    "Unexpected checkpointed resources {entry}"
                )));
            }
            if !total.contains_entry(&stripped) {
                return Err(ResourceError::Unsupported(format!(
                    "Incompatible agent resources: {total} does not contain {stripped}"
                )));
            }
            total.subtract_entry(&stripped);
            total.add_entry(entry);
        }
        Ok(total)
    }
}

impl Entry {
    /// Without what was made at run time: only static reservations, no volume.
    fn as_configured(&self) -> Self {
        let plain = if self.is_persistent_volume() {
            self.without_persistence()
        } else {
            self.clone()
        };
        plain.with_terms(|terms| {
            terms
                .reservations
                .retain(|r| r.kind == super::ReservationType::Static);
        })
    }
}

/// What `operation` converts (Mesos `getResourceConversions`). Resources are taken as valid:
/// [`crate::validate::operation`] checks them first.
///
/// # Errors
/// [`ResourceError::Unsupported`] for launches, disks of resource providers and unknown types, or an
/// operation without its body; [`ResourceError::Invalid`] for resources that break a rule.
pub fn conversions(operation: &v1::offer::Operation) -> Result<Vec<Conversion>, ResourceError> {
    let unsupported = |text: &str| ResourceError::Unsupported(text.to_owned());
    let missing = || unsupported("The operation has no body");
    match operation.r#type() {
        Type::Unknown => Err(unsupported("Unknown operation")),
        Type::Launch | Type::LaunchGroup | Type::CreateDisk | Type::DestroyDisk => {
            Err(unsupported("Operation not supported"))
        }
        Type::Reserve => reserve(operation.reserve.as_ref().ok_or_else(missing)?),
        Type::Unreserve => {
            let body = operation.unreserve.as_ref().ok_or_else(missing)?;
            entries(&body.resources)?
                .into_iter()
                .map(unreserve)
                .collect()
        }
        Type::Create => {
            let body = operation.create.as_ref().ok_or_else(missing)?;
            let volumes = entries(&body.volumes)?;
            let create = |v: Entry| Conversion::new(v.without_persistence().into(), v.into());
            Ok(volumes.into_iter().map(create).collect())
        }
        Type::Destroy => {
            let body = operation.destroy.as_ref().ok_or_else(missing)?;
            Ok(entries(&body.volumes)?.into_iter().map(destroy).collect())
        }
        Type::GrowVolume => {
            let body = operation.grow_volume.as_ref().ok_or_else(missing)?;
            grow(
                &Entry::from_proto(&body.volume)?,
                &Entry::from_proto(&body.addition)?,
            )
        }
        Type::ShrinkVolume => {
            let body = operation.shrink_volume.as_ref().ok_or_else(missing)?;
            shrink(&Entry::from_proto(&body.volume)?, body.subtract.value)
        }
    }
}

fn entries(resources: &[v1::Resource]) -> Result<Vec<Entry>, ResourceError> {
    resources.iter().map(Entry::from_proto).collect()
}

fn reserve(body: &v1::offer::operation::Reserve) -> Result<Vec<Conversion>, ResourceError> {
    let reserved = Resources::from_proto(&body.resources)?;
    let consumed = if body.source.is_empty() {
        reserved.pop_reservation()?
    } else {
        Resources::from_proto(&body.source)?
    };
    Ok(vec![Conversion::new(consumed, reserved)])
}

fn unreserve(entry: Entry) -> Result<Conversion, ResourceError> {
    let reserved = Resources::from(entry);
    let converted = reserved.pop_reservation()?;
    Ok(Conversion::new(reserved, converted))
}

fn destroy(volume: Entry) -> Conversion {
    Conversion {
        consumed: volume.clone().into(),
        converted: volume.without_persistence().into(),
        gone: Some(volume),
    }
}

fn sized(volume: &Entry) -> Result<super::Quantity, ResourceError> {
    if volume.provider_id().is_some() {
        return Err(ResourceError::Unsupported(
            "Operation not supported for resource provider".into(),
        ));
    }
    volume.scalar().ok_or_else(|| ResourceError::Invalid {
        resource: volume.to_string(),
        reason: "a volume is a scalar".into(),
    })
}

fn grow(volume: &Entry, addition: &Entry) -> Result<Vec<Conversion>, ResourceError> {
    let size = sized(volume)? + sized(addition)?;
    let consumed = Resources::from_iter([volume.clone(), addition.clone()]);
    let grown = volume.with_value(Value::Scalar(size));
    Ok(vec![Conversion::new(consumed, grown.into())])
}

fn shrink(volume: &Entry, by: f64) -> Result<Vec<Conversion>, ResourceError> {
    let size = sized(volume)?;
    let by = super::Quantity::from_f64(by)
        .filter(|by| *by > super::Quantity::ZERO && *by < size)
        .ok_or_else(|| {
            ResourceError::Unsupported(format!(
                "The volume of {size} can be shrunk by more than 0 and less than its size, not by {by}"
            ))
        })?;
    let shrunk = volume.with_value(Value::Scalar(size - by));
    let freed = volume.without_persistence().with_value(Value::Scalar(by));
    let converted = Resources::from_iter([shrunk, freed]);
    Ok(vec![Conversion::new(volume.clone().into(), converted)])
}

#[cfg(test)]
#[path = "conversion_tests.rs"]
mod tests;
