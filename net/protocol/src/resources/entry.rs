//! One entry of a collection: an amount, ranges or a set, and the terms on which they may be used.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Name, Quantity, Ranges};
use crate::{roles, v1};

/// How much there is. Set items are kept in order of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Scalar(Quantity),
    Ranges(Ranges),
    Set(BTreeSet<String>),
}

impl Value {
    /// Nothing at all; amounts below zero do not occur in an entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Scalar(amount) => amount.is_zero(),
            Self::Ranges(ranges) => ranges.is_empty(),
            Self::Set(items) => items.is_empty(),
        }
    }

    fn same_type(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    fn add(&mut self, other: &Self) {
        match (self, other) {
            (Self::Scalar(mine), Self::Scalar(theirs)) => *mine += *theirs,
            (Self::Ranges(mine), Self::Ranges(theirs)) => mine.union(theirs),
            (Self::Set(mine), Self::Set(theirs)) => mine.extend(theirs.iter().cloned()),
            _ => unreachable!("entries of different types are never added"),
        }
    }

    fn subtract(&mut self, other: &Self) {
        match (self, other) {
            (Self::Scalar(mine), Self::Scalar(theirs)) => {
                *mine = mine.saturating_sub_at_zero(*theirs);
            }
            (Self::Ranges(mine), Self::Ranges(theirs)) => mine.subtract(theirs),
            (Self::Set(mine), Self::Set(theirs)) => mine.retain(|item| !theirs.contains(item)),
            _ => unreachable!("entries of different types are never subtracted"),
        }
    }

    fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Scalar(mine), Self::Scalar(theirs)) => mine >= theirs,
            (Self::Ranges(mine), Self::Ranges(theirs)) => mine.contains(theirs),
            (Self::Set(mine), Self::Set(theirs)) => mine.is_superset(theirs),
            _ => false,
        }
    }
}

/// Who reserved: the agent's configuration, or a framework or operator at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservationType {
    Static,
    Dynamic,
}

/// One layer of a stack of reservations, outermost role first.
#[derive(Clone, Debug)]
pub struct Reservation {
    pub kind: ReservationType,
    pub role: String,
    pub principal: Option<String>,
    pub labels: Option<v1::Labels>,
}

impl PartialEq for Reservation {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.role == other.role
            && self.principal == other.principal
            && same_labels(self.labels.as_ref(), other.labels.as_ref())
    }
}

/// Labels are equal in any order, as in Mesos.
fn same_labels(left: Option<&v1::Labels>, right: Option<&v1::Labels>) -> bool {
    let (Some(left), Some(right)) = (left, right) else {
        return left.is_none() && right.is_none();
    };
    let sorted = |labels: &v1::Labels| {
        let mut pairs: Vec<_> = labels
            .labels
            .iter()
            .map(|label| (label.key.clone(), label.value.clone()))
            .collect();
        pairs.sort_unstable();
        pairs
    };
    let may_differ_in_order = left.labels.len() == right.labels.len() && left.labels.len() > 1;
    left == right || may_differ_in_order && sorted(left) == sorted(right)
}

/// What keeps two entries of one name apart.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Empty: unreserved.
    pub reservations: Vec<Reservation>,
    /// The role it is offered or allocated to.
    pub allocation_role: Option<String>,
    pub disk: Option<Box<v1::resource::DiskInfo>>,
    pub revocable: bool,
    pub shared: bool,
    pub provider_id: Option<String>,
}

static PLAIN: Terms = Terms {
    reservations: Vec::new(),
    allocation_role: None,
    disk: None,
    revocable: false,
    shared: false,
    provider_id: None,
};

impl Terms {
    fn is_plain(&self) -> bool {
        self.reservations.is_empty()
            && self.allocation_role.is_none()
            && self.disk.is_none()
            && !self.revocable
            && !self.shared
            && self.provider_id.is_none()
    }

    /// A disk that is had whole or not at all: a persistent volume, a mount or block device, a raw
    /// disk with an identity.
    fn is_exclusive(&self) -> bool {
        use v1::resource::disk_info::source::Type;
        let Some(disk) = &self.disk else { return false };
        disk.persistence.is_some()
            || disk.source.as_ref().is_some_and(|source| {
                matches!(source.r#type(), Type::Mount | Type::Block)
                    || source.r#type() == Type::Raw && source.id.is_some()
            })
    }
}

/// How a volume is mounted and who created it say how it is used, not what it is.
impl PartialEq for Terms {
    fn eq(&self, other: &Self) -> bool {
        // What differs most often comes first: an agent's volumes are many, and each is compared with all others.
        same_disk(self.disk.as_deref(), other.disk.as_deref())
            && self.revocable == other.revocable
            && self.shared == other.shared
            && self.allocation_role == other.allocation_role
            && self.provider_id == other.provider_id
            && self.reservations == other.reservations
    }
}

fn same_disk(
    left: Option<&v1::resource::DiskInfo>,
    right: Option<&v1::resource::DiskInfo>,
) -> bool {
    let (Some(left), Some(right)) = (left, right) else {
        return left.is_none() && right.is_none();
    };
    if persistence_id(left) != persistence_id(right) {
        return false;
    }
    match (&left.source, &right.source) {
        (Some(left), Some(right)) => {
            left.r#type == right.r#type
                && left.path == right.path
                && left.mount == right.mount
                && left.vendor == right.vendor
                && left.id == right.id
                && left.profile == right.profile
                && same_labels(left.metadata.as_ref(), right.metadata.as_ref())
        }
        (left, right) => left.is_none() && right.is_none(),
    }
}

fn persistence_id(disk: &v1::resource::DiskInfo) -> Option<&str> {
    let persistence = disk.persistence.as_ref();
    persistence.map(|persistence| persistence.id.as_str())
}

/// A named value on terms. Cloning copies no text.
#[derive(Clone, Debug)]
pub struct Entry {
    name: Name,
    value: Value,
    terms: Option<Arc<Terms>>,
    /// References held; more than one only where shared.
    copies: u32,
}

impl Entry {
    #[must_use]
    pub fn new(name: &str, value: Value, terms: Terms) -> Self {
        Self {
            name: name.into(),
            value,
            terms: (!terms.is_plain()).then(|| Arc::new(terms)),
            copies: 1,
        }
    }

    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    #[must_use]
    pub fn terms(&self) -> &Terms {
        self.terms.as_deref().unwrap_or(&PLAIN)
    }

    /// How often a shared entry is held; 1 for others.
    #[must_use]
    pub fn copies(&self) -> u32 {
        self.copies
    }

    /// The amount, if it is a scalar.
    #[must_use]
    pub fn scalar(&self) -> Option<Quantity> {
        match self.value {
            Value::Scalar(amount) => Some(amount),
            _ => None,
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.copies == 0 || self.value.is_empty()
    }

    /// The innermost role it is reserved for.
    #[must_use]
    pub fn reservation_role(&self) -> Option<&str> {
        Some(&self.terms().reservations.last()?.role)
    }

    #[must_use]
    pub fn allocation_role(&self) -> Option<&str> {
        self.terms().allocation_role.as_deref()
    }

    #[must_use]
    pub fn disk(&self) -> Option<&v1::resource::DiskInfo> {
        self.terms().disk.as_deref()
    }

    #[must_use]
    pub fn provider_id(&self) -> Option<&str> {
        self.terms().provider_id.as_deref()
    }

    #[must_use]
    pub fn is_reserved(&self) -> bool {
        !self.terms().reservations.is_empty()
    }

    #[must_use]
    pub fn is_dynamically_reserved(&self) -> bool {
        let innermost = self.terms().reservations.last();
        innermost.is_some_and(|reservation| reservation.kind == ReservationType::Dynamic)
    }

    /// More than one layer of reservation.
    #[must_use]
    pub fn is_refined(&self) -> bool {
        self.terms().reservations.len() > 1
    }

    #[must_use]
    pub fn is_revocable(&self) -> bool {
        self.terms().revocable
    }

    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.terms().shared
    }

    /// The id of the persistent volume this is.
    #[must_use]
    pub fn persistence_id(&self) -> Option<&str> {
        Some(&self.disk()?.persistence.as_ref()?.id)
    }

    #[must_use]
    pub fn is_persistent_volume(&self) -> bool {
        self.persistence_id().is_some()
    }

    /// Had whole or not at all, and never merged: see [`Terms`].
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        !self.is_shared() && self.terms().is_exclusive()
    }

    /// Unreserved, or reserved for `role` or a role above it.
    #[must_use]
    pub fn is_allocatable_to(&self, role: &str) -> bool {
        self.reservation_role()
            .is_none_or(|owner| role == owner || roles::is_strict_subrole_of(role, owner))
    }

    /// The same entry with another value.
    #[must_use]
    pub fn with_value(&self, value: Value) -> Self {
        Self {
            value,
            ..self.clone()
        }
    }

    /// The same entry on changed terms.
    #[must_use]
    pub fn with_terms(&self, change: impl FnOnce(&mut Terms)) -> Self {
        let mut terms = self.terms().clone();
        change(&mut terms);
        Self {
            terms: (!terms.is_plain()).then(|| Arc::new(terms)),
            ..self.clone()
        }
    }

    /// The disk space under a persistent volume: no persistence, no mount, not shared.
    #[must_use]
    pub fn without_persistence(&self) -> Self {
        let mut plain = self.with_terms(|terms| {
            terms.shared = false;
            terms.disk = terms.disk.take().filter(|disk| disk.source.is_some());
            if let Some(disk) = &mut terms.disk {
                disk.persistence = None;
                disk.volume = None;
            }
        });
        plain.copies = 1;
        plain
    }

    pub(super) fn same_terms(&self, other: &Self) -> bool {
        match (&self.terms, &other.terms) {
            (None, None) => true,
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs) || mine == theirs,
            _ => false,
        }
    }

    fn same_kind(&self, other: &Self) -> bool {
        self.name == other.name && self.value.same_type(&other.value) && self.same_terms(other)
    }

    /// Whether both can become one entry.
    pub(super) fn merges_with(&self, other: &Self) -> bool {
        !self.is_exclusive()
            && self.same_kind(other)
            && (!self.is_shared() || self.value == other.value)
    }

    /// Whether `other` can be taken out of this entry, in part at least.
    pub(super) fn yields_to(&self, other: &Self) -> bool {
        self.same_kind(other)
            && (!(self.is_exclusive() || self.is_shared()) || self.value == other.value)
    }

    /// Whether all of `other` is in this entry.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.yields_to(other) && self.copies >= other.copies && self.value.contains(&other.value)
    }

    /// Whether some port or item is in both. Scalars never overlap.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.same_kind(other)
            && match (&self.value, &other.value) {
                (Value::Ranges(mine), Value::Ranges(theirs)) => mine.overlaps(theirs),
                (Value::Set(mine), Value::Set(theirs)) => !mine.is_disjoint(theirs),
                _ => false,
            }
    }

    /// So many copies more; requires that it is shared.
    pub(super) fn add_copies(&mut self, copies: u32) {
        self.copies = self.copies.saturating_add(copies);
    }

    /// Requires [`Entry::merges_with`].
    pub(super) fn merge(&mut self, other: &Self) {
        if self.is_shared() {
            self.copies = self.copies.saturating_add(other.copies);
        } else {
            self.value.add(&other.value);
        }
    }

    /// Requires [`Entry::yields_to`]. Stops at nothing, never below.
    pub(super) fn take(&mut self, other: &Self) {
        if self.is_shared() {
            self.copies = self.copies.saturating_sub(other.copies);
        } else {
            self.value.subtract(&other.value);
        }
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.same_kind(other) && self.value == other.value && self.copies == other.copies
    }
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
