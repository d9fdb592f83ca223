//! An amount of resources as the allocator computes with it: integers, no strings, no floats.
//!
//! Owns addition, subtraction and containment. Never knows what a kind means: that is [`crate::kinds`].

use std::{cmp::Ordering, collections::BTreeSet};

use smallvec::SmallVec;
use tepui_protocol::resources::Ranges;

use crate::kinds::KindIx;

/// Resources by kind. Two bundles are equal if they hold the same, whatever way they came about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bundle {
    /// Thousandths, each above zero; ascending by kind.
    scalars: SmallVec<[(KindIx, i64); 4]>,
    /// None of them empty; ascending by kind. Empty on the way of most computations.
    discrete: Vec<(KindIx, Discrete)>,
}

/// What is counted by its members.
#[derive(Debug, Clone, PartialEq)]
pub enum Discrete {
    Ranges(Ranges),
    Set(BTreeSet<String>),
}

impl Discrete {
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Ranges(ranges) => ranges.is_empty(),
            Self::Set(items) => items.is_empty(),
        }
    }

    fn add(&mut self, other: &Self) {
        match (self, other) {
            (Self::Ranges(mine), Self::Ranges(theirs)) => mine.union(theirs),
            (Self::Set(mine), Self::Set(theirs)) => mine.extend(theirs.iter().cloned()),
            // A kind names its type, so one kind never holds both.
            _ => debug_assert!(false, "one kind of resource with two types of value"),
        }
    }

    fn subtract(&mut self, other: &Self) {
        match (self, other) {
            (Self::Ranges(mine), Self::Ranges(theirs)) => mine.subtract(theirs),
            (Self::Set(mine), Self::Set(theirs)) => mine.retain(|item| !theirs.contains(item)),
            _ => debug_assert!(false, "one kind of resource with two types of value"),
        }
    }

    fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ranges(mine), Self::Ranges(theirs)) => mine.contains(theirs),
            (Self::Set(mine), Self::Set(theirs)) => mine.is_superset(theirs),
            _ => false,
        }
    }
}

impl Bundle {
    pub fn is_empty(&self) -> bool {
        self.scalars.is_empty() && self.discrete.is_empty()
    }

    /// Amounts in thousandths, ascending by kind.
    pub fn scalars(&self) -> impl Iterator<Item = (KindIx, i64)> {
        self.scalars.iter().copied()
    }

    /// Ranges and sets, ascending by kind.
    pub fn discrete(&self) -> impl Iterator<Item = (KindIx, &Discrete)> {
        self.discrete.iter().map(|(kind, value)| (*kind, value))
    }

    pub fn kinds(&self) -> impl Iterator<Item = KindIx> {
        self.scalars()
            .map(|(kind, _)| kind)
            .chain(self.discrete().map(|(kind, _)| kind))
    }

    /// Adds one scalar; nothing at or below zero is added.
    pub fn add_scalar(&mut self, kind: KindIx, thousandths: i64) {
        if thousandths <= 0 {
            return;
        }
        match self.scalars.binary_search_by_key(&kind, |(kind, _)| *kind) {
            Ok(at) => self.scalars[at].1 = self.scalars[at].1.saturating_add(thousandths),
            Err(at) => self.scalars.insert(at, (kind, thousandths)),
        }
    }

    /// Adds one range or set; nothing empty is added.
    pub fn add_discrete(&mut self, kind: KindIx, value: &Discrete) {
        if value.is_empty() {
            return;
        }
        match self.discrete.binary_search_by_key(&kind, |(kind, _)| *kind) {
            Ok(at) => self.discrete[at].1.add(value),
            Err(at) => self.discrete.insert(at, (kind, value.clone())),
        }
    }

    pub fn add(&mut self, other: &Self) {
        if self.is_empty() {
            self.clone_from(other);
            return;
        }
        for (kind, amount) in other.scalars() {
            self.add_scalar(kind, amount);
        }
        for (kind, value) in other.discrete() {
            self.add_discrete(kind, value);
        }
    }

    /// Takes `other` out; what is not there is ignored, so no amount falls below zero.
    pub fn subtract(&mut self, other: &Self) {
        let mut theirs = other.scalars.iter().peekable();
        self.scalars.retain(|(kind, amount)| {
            while theirs.next_if(|(other, _)| *other < *kind).is_some() {}
            if let Some((_, taken)) = theirs.next_if(|(other, _)| other == kind) {
                *amount -= taken;
            }
            *amount > 0
        });
        if other.discrete.is_empty() {
            return;
        }
        self.discrete.retain_mut(|(kind, value)| {
            if let Ok(at) = other.discrete.binary_search_by_key(kind, |(kind, _)| *kind) {
                value.subtract(&other.discrete[at].1);
            }
            !value.is_empty()
        });
    }

    /// Whether all of `other` is in `self`. Everything contains nothing.
    pub fn contains(&self, other: &Self) -> bool {
        covers(&self.scalars, &other.scalars, |mine, theirs| mine >= theirs)
            && covers(&self.discrete, &other.discrete, Discrete::contains)
    }

    /// What is in both.
    pub fn intersection(&self, other: &Self) -> Self {
        if other.contains(self) {
            return self.clone();
        }
        let mut missing = self.clone();
        missing.subtract(other);
        let mut common = self.clone();
        common.subtract(&missing);
        common
    }

    /// Keeps the kinds that `keep` likes.
    pub fn retain(&mut self, mut keep: impl FnMut(KindIx) -> bool) {
        self.scalars.retain(|(kind, _)| keep(*kind));
        self.discrete.retain(|(kind, _)| keep(*kind));
    }
}

/// Whether for each kind in `inner` there is one in `outer` that holds it; both ascend by kind.
fn covers<T>(outer: &[(KindIx, T)], inner: &[(KindIx, T)], holds: impl Fn(&T, &T) -> bool) -> bool {
    let mut outer = outer.iter();
    inner.iter().all(|(kind, wanted)| {
        outer
            .by_ref()
            .find_map(|(other, there)| match other.cmp(kind) {
                Ordering::Less => None,
                Ordering::Equal => Some(holds(there, wanted)),
                Ordering::Greater => Some(false),
            })
            .unwrap_or(false)
    })
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
