//! The resource algebra: what agents have, what is offered, used and reserved.
//!
//! Owns [`Resources`] (sums, differences, containment, reservations, conversions), exact to a
//! thousandth, after Mesos `src/common/resources.cpp`. Never uses a float after reading, and knows
//! neither agents nor frameworks.

mod conversion;
mod convert;
mod entry;
mod filter;
mod name;
mod quantity;
mod ranges;
mod rules;
#[cfg(test)]
mod scene;
mod text;

use std::collections::BTreeSet;
use std::ops::{Add, AddAssign, Sub, SubAssign};

use smallvec::SmallVec;

pub use conversion::{Conversion, conversions};
pub use convert::downgrade;
pub use entry::{Entry, Reservation, ReservationType, Terms, Value};
pub use name::Name;
pub use quantity::Quantity;
pub use ranges::{Range, Ranges};
pub use rules::{validate, validate_all};
pub use text::DisplayProto;

/// Why resources were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// One resource breaks a rule; `resource` as Mesos prints it.
    #[error("Resource '{resource}' is invalid: {reason}")]
    Invalid { resource: String, reason: String },
    /// Text that is no resources.
    #[error("{0}")]
    Text(String),
    /// What a conversion consumes is not there.
    #[error("{total} does not contain {consumed}")]
    NotContained { total: String, consumed: String },
    /// An operation or conversion that has no meaning here.
    #[error("{0}")]
    Unsupported(String),
}

/// A collection of entries in the order Mesos holds and prints them: that of arrival, but the last takes
/// the place of one that is removed. Entries alike in all but value are one: scalars
/// summed, ranges and sets united, shared entries counted. Persistent volumes and exclusive disks are
/// never merged. No entry is empty. Equal means that each contains the other, whatever the order.
#[derive(Clone, Debug, Default)]
pub struct Resources(SmallVec<[Entry; 4]>);

impl Resources {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.0.iter()
    }

    /// Adds one entry; an empty one changes nothing.
    pub fn add_entry(&mut self, entry: &Entry) {
        if entry.is_empty() {
            return;
        }
        match self.0.iter_mut().find(|mine| mine.merges_with(entry)) {
            Some(mine) => mine.merge(entry),
            None => self.0.push(entry.clone()),
        }
    }

    /// So many copies more of each shared volume.
    pub fn add_copies(&mut self, copies: u32) {
        let shared = self.0.iter_mut().filter(|entry| entry.is_shared());
        shared.for_each(|entry| entry.add_copies(copies));
    }

    /// Takes out as much of `entry` as is there; see the `-=` operator.
    pub fn subtract_entry(&mut self, entry: &Entry) {
        if entry.is_empty() {
            return;
        }
        let Some(at) = self.0.iter().position(|mine| mine.yields_to(entry)) else {
            return;
        };
        self.0[at].take(entry);
        if self.0[at].is_empty() {
            self.0.swap_remove(at);
        }
    }

    /// Whether all of `other` is here. Each exclusive entry must be here as often as in `other`.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        let mut spent = Vec::new();
        other.iter().all(|wanted| {
            let found = self
                .iter()
                .enumerate()
                .position(|(at, mine)| mine.contains(wanted) && !spent.contains(&at));
            if let Some(at) = found
                && wanted.is_exclusive()
            {
                spent.push(at);
            }
            found.is_some()
        })
    }

    /// Whether all of one entry is here.
    #[must_use]
    pub fn contains_entry(&self, entry: &Entry) -> bool {
        self.iter().any(|mine| mine.contains(entry))
    }

    /// `self - other`, or `None` where `other` is not contained.
    #[must_use]
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        self.contains(other).then(|| self - other)
    }

    /// The sum of all scalars of that name, whatever their terms.
    #[must_use]
    pub fn scalar(&self, name: &str) -> Quantity {
        self.iter()
            .filter(|entry| **entry.name() == *name)
            .filter_map(Entry::scalar)
            .sum()
    }

    #[must_use]
    pub fn cpus(&self) -> Quantity {
        self.scalar("cpus")
    }

    /// In megabytes.
    #[must_use]
    pub fn mem(&self) -> Quantity {
        self.scalar("mem")
    }

    /// In megabytes.
    #[must_use]
    pub fn disk(&self) -> Quantity {
        self.scalar("disk")
    }

    #[must_use]
    pub fn gpus(&self) -> Quantity {
        self.scalar("gpus")
    }

    /// The union of all ranges of that name.
    #[must_use]
    pub fn ranges(&self, name: &str) -> Ranges {
        let mut all = Ranges::default();
        for entry in self.iter().filter(|entry| **entry.name() == *name) {
            if let Value::Ranges(ranges) = entry.value() {
                all.union(ranges);
            }
        }
        all
    }

    #[must_use]
    pub fn ports(&self) -> Ranges {
        self.ranges("ports")
    }

    /// The union of all sets of that name.
    #[must_use]
    pub fn set(&self, name: &str) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for entry in self.iter().filter(|entry| **entry.name() == *name) {
            if let Value::Set(items) = entry.value() {
                all.extend(items.iter().cloned());
            }
        }
        all
    }

    /// Names in alphabetical order.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        self.iter().map(|entry| entry.name().as_str()).collect()
    }
}

impl From<Entry> for Resources {
    fn from(entry: Entry) -> Self {
        std::iter::once(entry).collect()
    }
}

impl FromIterator<Entry> for Resources {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut sum = Self::new();
        for entry in entries {
            sum.add_entry(&entry);
        }
        sum
    }
}

impl<'a> std::iter::Sum<&'a Self> for Resources {
    fn sum<I: Iterator<Item = &'a Self>>(terms: I) -> Self {
        terms.fold(Self::new(), |sum, term| sum + term)
    }
}

impl<'a> IntoIterator for &'a Resources {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Resources {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.contains(other) && other.contains(self)
    }
}

impl Eq for Resources {}

impl AddAssign<&Resources> for Resources {
    fn add_assign(&mut self, other: &Resources) {
        if self.is_empty() {
            self.clone_from(other);
        } else {
            other.iter().for_each(|entry| self.add_entry(entry));
        }
    }
}

/// Takes out what is there. What `other` has beyond that is ignored, as in Mesos: a scalar ends at
/// nothing, never below; an exclusive disk goes only whole. [`Resources::checked_sub`] refuses instead.
impl SubAssign<&Resources> for Resources {
    fn sub_assign(&mut self, other: &Resources) {
        other.iter().for_each(|entry| self.subtract_entry(entry));
    }
}

impl AddAssign for Resources {
    fn add_assign(&mut self, other: Resources) {
        *self += &other;
    }
}

impl SubAssign for Resources {
    fn sub_assign(&mut self, other: Resources) {
        *self -= &other;
    }
}

impl Add<&Resources> for Resources {
    type Output = Resources;
    fn add(mut self, other: &Resources) -> Resources {
        self += other;
        self
    }
}

impl Sub<&Resources> for Resources {
    type Output = Resources;
    fn sub(mut self, other: &Resources) -> Resources {
        self -= other;
        self
    }
}

impl Add for &Resources {
    type Output = Resources;
    fn add(self, other: &Resources) -> Resources {
        self.clone() + other
    }
}

impl Sub for &Resources {
    type Output = Resources;
    fn sub(self, other: &Resources) -> Resources {
        self.clone() - other
    }
}

impl Add for Resources {
    type Output = Resources;
    fn add(self, other: Resources) -> Resources {
        self + &other
    }
}

impl Sub for Resources {
    type Output = Resources;
    fn sub(self, other: Resources) -> Resources {
        self - &other
    }
}

#[cfg(test)]
#[path = "resources/resources_tests.rs"]
mod tests;
