//! Parts of a collection, and the same collection on other terms.

use std::collections::BTreeMap;

use super::{Entry, Name, Quantity, ResourceError, Resources};
use crate::roles;

impl Resources {
    /// The entries that `keep` wants, in their order.
    #[must_use]
    pub fn filter(&self, keep: impl Fn(&Entry) -> bool) -> Self {
        Self(self.iter().filter(|entry| keep(entry)).cloned().collect())
    }

    /// Reserved for any role.
    #[must_use]
    pub fn reserved(&self) -> Self {
        self.filter(Entry::is_reserved)
    }

    /// Whose innermost reservation is for exactly `role`.
    #[must_use]
    pub fn reserved_to(&self, role: &str) -> Self {
        self.filter(|entry| entry.reservation_role() == Some(role))
    }

    /// Reserved for `role` or a role below it.
    #[must_use]
    pub fn reserved_to_subtree(&self, role: &str) -> Self {
        self.filter(|entry| entry.reservation_role().is_some_and(|r| within(r, role)))
    }

    #[must_use]
    pub fn unreserved(&self) -> Self {
        self.filter(|entry| !entry.is_reserved())
    }

    /// Unreserved, or reserved for `role` or a role above it: what may be offered to `role`.
    #[must_use]
    pub fn allocatable_to(&self, role: &str) -> Self {
        self.filter(|entry| entry.is_allocatable_to(role))
    }

    #[must_use]
    pub fn revocable(&self) -> Self {
        self.filter(Entry::is_revocable)
    }

    #[must_use]
    pub fn non_revocable(&self) -> Self {
        self.filter(|entry| !entry.is_revocable())
    }

    #[must_use]
    pub fn shared(&self) -> Self {
        self.filter(Entry::is_shared)
    }

    #[must_use]
    pub fn non_shared(&self) -> Self {
        self.filter(|entry| !entry.is_shared())
    }

    #[must_use]
    pub fn scalars(&self) -> Self {
        self.filter(|entry| entry.scalar().is_some())
    }

    #[must_use]
    pub fn persistent_volumes(&self) -> Self {
        self.filter(Entry::is_persistent_volume)
    }

    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        self.filter(|entry| **entry.name() == *name)
    }

    /// Allocated to exactly `role`.
    #[must_use]
    pub fn allocated_to(&self, role: &str) -> Self {
        self.filter(|entry| entry.allocation_role() == Some(role))
    }

    /// By the role they are allocated to. What is not allocated is left out.
    #[must_use]
    pub fn allocations(&self) -> BTreeMap<String, Self> {
        self.by(Entry::allocation_role)
    }

    /// By the role they are reserved for. What is unreserved is left out.
    #[must_use]
    pub fn reservations(&self) -> BTreeMap<String, Self> {
        self.by(Entry::reservation_role)
    }

    fn by(&self, key: impl Fn(&Entry) -> Option<&str>) -> BTreeMap<String, Self> {
        let mut groups = BTreeMap::<String, Self>::new();
        for entry in self {
            if let Some(role) = key(entry) {
                groups.entry(role.to_owned()).or_default().add_entry(entry);
            }
        }
        groups
    }

    /// The sums of the scalars by name, in order of first appearance.
    #[must_use]
    pub fn quantities(&self) -> Vec<(Name, Quantity)> {
        let mut sums: Vec<(Name, Quantity)> = Vec::with_capacity(self.len());
        for entry in self {
            let Some(amount) = entry.scalar() else {
                continue;
            };
            match sums.iter_mut().find(|(name, _)| name == entry.name()) {
                Some((_, sum)) => *sum += amount,
                None => sums.push((entry.name().clone(), amount)),
            }
        }
        sums
    }

    /// The same, all allocated to `role`.
    #[must_use]
    pub fn allocated(&self, role: &str) -> Self {
        self.each(|entry| {
            if entry.allocation_role() == Some(role) {
                return entry.clone();
            }
            entry.with_terms(|terms| terms.allocation_role = Some(role.to_owned()))
        })
    }

    /// The same, allocated to nobody.
    #[must_use]
    pub fn unallocated(&self) -> Self {
        self.each(|entry| match entry.allocation_role() {
            None => entry.clone(),
            Some(_) => entry.with_terms(|terms| terms.allocation_role = None),
        })
    }

    /// The same without the innermost reservation of each.
    ///
    /// # Errors
    /// [`ResourceError::Invalid`] where an entry has none.
    pub fn pop_reservation(&self) -> Result<Self, ResourceError> {
        if let Some(entry) = self.iter().find(|entry| !entry.is_reserved()) {
            return Err(ResourceError::Invalid {
                resource: entry.to_string(),
                reason: "it is not reserved".into(),
            });
        }
        Ok(self.each(|entry| entry.with_terms(|terms| drop(terms.reservations.pop()))))
    }

    /// The same without any reservation.
    #[must_use]
    pub fn to_unreserved(&self) -> Self {
        self.each(Entry::to_unreserved)
    }

    fn each(&self, change: impl Fn(&Entry) -> Entry) -> Self {
        self.iter().map(change).collect()
    }

    /// Resources here that could stand for `targets`, whatever their reservations: for each target
    /// first those of its own role, then unreserved ones, then any (after Mesos `Resources::find`,
    /// which may give the same resources to two targets; here they are in `self`, each once).
    /// `None` if there are not enough.
    #[must_use]
    pub fn find(&self, targets: &Self) -> Option<Self> {
        let (mut total, mut pool) = (Self::new(), self.clone());
        for target in targets {
            let found = pool.find_one(target)?;
            pool -= &found;
            total += &found;
        }
        Some(total)
    }

    fn find_one(&self, target: &Entry) -> Option<Self> {
        let mut found = Self::new();
        let mut missing = target.to_unreserved();
        let own = |e: &Entry| e.is_reserved() && e.reservation_role() == target.reservation_role();
        let other = |e: &Entry| e.is_reserved() && !own(e);
        let passes = [self.filter(own), self.unreserved(), self.filter(other)];
        for entry in passes.iter().flatten() {
            let unreserved = entry.to_unreserved();
            if unreserved.contains(&missing) {
                let reservations = entry.terms().reservations.clone();
                found.add_entry(&missing.with_terms(|terms| terms.reservations = reservations));
                return Some(found);
            }
            // A part of what is missing. Exclusive disks never are: they go whole, or not at all.
            if let Some(rest) = missing.without(&unreserved) {
                found.add_entry(entry);
                missing = rest;
            }
        }
        None
    }
}

impl Entry {
    fn to_unreserved(&self) -> Self {
        if !self.is_reserved() {
            return self.clone();
        }
        self.with_terms(|terms| terms.reservations.clear())
    }

    /// What remains of this entry without `part`, if it contains it.
    fn without(&self, part: &Self) -> Option<Self> {
        if !self.contains(part) {
            return None;
        }
        let mut rest = self.clone();
        rest.take(part);
        Some(rest)
    }
}

fn within(role: &str, tree: &str) -> bool {
    role == tree || roles::is_strict_subrole_of(role, tree)
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
