//! An amount of resources as the allocator computes with it: integers, no strings, no floats.
//!
//! Owns addition, subtraction and containment. Never knows what a kind means: that is [`crate::kinds`].
//! What is given away whole goes from hand to hand (total, free, granted, held, refused), so a bundle is
//! shared until it is changed, and so is what was once computed of it. A bundle belongs to one world.

use std::{
    cmp::Ordering,
    collections::BTreeSet,
    fmt,
    hash::{Hash, Hasher},
    sync::{Arc, OnceLock},
};

use smallvec::SmallVec;
use tepui_protocol::{resources::Ranges, v1::Resource};

use crate::kinds::{KindIx, NameIx};

/// Resources by kind. Two bundles are equal if they hold the same, whatever way they came about. A clone
/// costs a reference count.
#[derive(Clone, Default)]
pub struct Bundle {
    /// None if there is nothing in it.
    content: Option<Arc<Content>>,
}

#[derive(Default)]
struct Content {
    /// Thousandths, each above zero; ascending by kind.
    scalars: SmallVec<[(KindIx, i64); 4]>,
    /// None of them empty; ascending by kind. Empty on the way of most computations.
    discrete: Vec<(KindIx, Discrete)>,
    known: Known,
}

/// What was computed of a bundle once. A copy is made to be changed, so it starts with nothing.
#[derive(Default)]
struct Known {
    /// The same in the protocol's form.
    protocol: OnceLock<Arc<[Resource]>>,
    quantities: OnceLock<Quantities>,
    is_allocatable: OnceLock<bool>,
}

/// Scalars that count for fair shares, by name; a name may come more than once.
pub type Quantities = SmallVec<[(NameIx, i64); 4]>;

impl Clone for Content {
    fn clone(&self) -> Self {
        Self {
            scalars: self.scalars.clone(),
            discrete: self.discrete.clone(),
            known: Known::default(),
        }
    }
}

/// What is counted by its members.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
        self.content.is_none()
    }

    /// Amounts in thousandths, ascending by kind.
    pub fn scalars(&self) -> impl Iterator<Item = (KindIx, i64)> {
        self.scalar_list().iter().copied()
    }

    /// Ranges and sets, ascending by kind.
    pub fn discrete(&self) -> impl Iterator<Item = (KindIx, &Discrete)> {
        let list = self.discrete_list().iter();
        list.map(|(kind, value)| (*kind, value))
    }

    /// The amount of one kind; None if there is nothing of it.
    pub fn scalar(&self, kind: KindIx) -> Option<i64> {
        let list = self.scalar_list();
        let at = list.binary_search_by_key(&kind, |(kind, _)| *kind);
        Some(list[at.ok()?].1)
    }

    pub fn kinds(&self) -> impl Iterator<Item = KindIx> {
        self.scalars()
            .map(|(kind, _)| kind)
            .chain(self.discrete().map(|(kind, _)| kind))
    }

    /// The protocol form, made by `make` if nobody asked for it before.
    pub fn protocol(&self, make: impl FnOnce() -> Arc<[Resource]>) -> Arc<[Resource]> {
        match &self.content {
            Some(content) => Arc::clone(content.known.protocol.get_or_init(make)),
            None => Arc::default(),
        }
    }

    /// What of it counts for fair shares, counted by `count` if nobody asked before.
    pub fn quantities(&self, count: impl FnOnce() -> Quantities) -> &[(NameIx, i64)] {
        match &self.content {
            Some(content) => content.known.quantities.get_or_init(count),
            None => &[],
        }
    }

    /// Whether it is enough for an offer to anybody, found out by `find_out` if nobody asked before. Nothing is not.
    pub fn is_allocatable(&self, find_out: impl FnOnce() -> bool) -> bool {
        let content = self.content.as_ref();
        content.is_some_and(|content| *content.known.is_allocatable.get_or_init(find_out))
    }

    /// Whether `resources` is the protocol form that was given out for it, and not only equal to it.
    pub fn is_protocol(&self, resources: &Arc<[Resource]>) -> bool {
        let content = self.content.as_ref();
        content
            .and_then(|content| content.known.protocol.get())
            .is_some_and(|given| Arc::ptr_eq(given, resources))
    }

    /// Whether nobody holds a clone of it.
    pub fn is_alone(&self) -> bool {
        let content = self.content.as_ref();
        content.is_none_or(|content| Arc::strong_count(content) == 1)
    }

    /// Adds one scalar; nothing at or below zero is added.
    pub fn add_scalar(&mut self, kind: KindIx, thousandths: i64) {
        if thousandths > 0 {
            self.change(|content| content.add_scalar(kind, thousandths));
        }
    }

    /// Adds one range or set; nothing empty is added.
    pub fn add_discrete(&mut self, kind: KindIx, value: &Discrete) {
        if !value.is_empty() {
            self.change(|content| content.add_discrete(kind, value));
        }
    }

    pub fn add(&mut self, other: &Self) {
        if self.is_empty() {
            self.clone_from(other);
            return;
        }
        if other.is_empty() {
            return;
        }
        self.change(|content| {
            for (kind, amount) in other.scalars() {
                content.add_scalar(kind, amount);
            }
            for (kind, value) in other.discrete() {
                content.add_discrete(kind, value);
            }
        });
    }

    /// Takes `other` out; what is not there is ignored, so no amount falls below zero.
    pub fn subtract(&mut self, other: &Self) {
        if self.is_same(other) {
            self.content = None;
        } else if !self.is_empty() && !other.is_empty() {
            self.change(|content| content.subtract(other));
        }
    }

    /// Whether all of `other` is in `self`. Everything contains nothing.
    pub fn contains(&self, other: &Self) -> bool {
        let (scalars, discrete) = (other.scalar_list(), other.discrete_list());
        self.is_same(other)
            || (covers(self.scalar_list(), scalars, |mine, theirs| mine >= theirs)
                && covers(self.discrete_list(), discrete, Discrete::contains))
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
        if self.kinds().all(&mut keep) {
            return;
        }
        self.change(|content| {
            content.scalars.retain(|(kind, _)| keep(*kind));
            content.discrete.retain(|(kind, _)| keep(*kind));
        });
    }

    fn scalar_list(&self) -> &[(KindIx, i64)] {
        let content = self.content.as_ref();
        content.map_or(&[], |content| &content.scalars)
    }

    fn discrete_list(&self) -> &[(KindIx, Discrete)] {
        let content = self.content.as_ref();
        content.map_or(&[], |content| &content.discrete)
    }

    /// Whether they share what they hold; those that do not may still be equal.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.content, &other.content) {
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs),
            (mine, theirs) => mine.is_none() && theirs.is_none(),
        }
    }

    /// Changes what nobody else holds, or a copy of it.
    fn change(&mut self, change: impl FnOnce(&mut Content)) {
        let content = Arc::make_mut(self.content.get_or_insert_default());
        content.known = Known::default();
        change(content);
        if content.scalars.is_empty() && content.discrete.is_empty() {
            self.content = None;
        }
    }
}

impl PartialEq for Bundle {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
            || (self.scalar_list() == other.scalar_list()
                && self.discrete_list() == other.discrete_list())
    }
}

impl Eq for Bundle {}

impl Hash for Bundle {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.scalar_list().hash(state);
        self.discrete_list().hash(state);
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.scalars())
            .entries(self.discrete())
            .finish()
    }
}

impl Content {
    fn add_scalar(&mut self, kind: KindIx, thousandths: i64) {
        match self.scalars.binary_search_by_key(&kind, |(kind, _)| *kind) {
            Ok(at) => self.scalars[at].1 = self.scalars[at].1.saturating_add(thousandths),
            Err(at) => self.scalars.insert(at, (kind, thousandths)),
        }
    }

    fn add_discrete(&mut self, kind: KindIx, value: &Discrete) {
        match self.discrete.binary_search_by_key(&kind, |(kind, _)| *kind) {
            Ok(at) => self.discrete[at].1.add(value),
            Err(at) => self.discrete.insert(at, (kind, value.clone())),
        }
    }

    fn subtract(&mut self, other: &Bundle) {
        let mut theirs = other.scalar_list().iter().peekable();
        self.scalars.retain(|(kind, amount)| {
            while theirs.next_if(|(other, _)| *other < *kind).is_some() {}
            if let Some((_, taken)) = theirs.next_if(|(other, _)| other == kind) {
                *amount -= taken;
            }
            *amount > 0
        });
        let theirs = other.discrete_list();
        if theirs.is_empty() {
            return;
        }
        self.discrete.retain_mut(|(kind, value)| {
            if let Ok(at) = theirs.binary_search_by_key(kind, |(kind, _)| *kind) {
                value.subtract(&theirs[at].1);
            }
            !value.is_empty()
        });
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
