//! Which volume has which group. Pure.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Numbers of groups, in ranges that follow each other. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GidRange(Vec<RangeInclusive<u32>>);

impl GidRange {
    /// Of ranges with both ends included. `None`: there are none, one is empty, or holds 0 (root's group) or 4294967295
    /// (the kernel's "no group").
    pub fn new(ranges: impl IntoIterator<Item = (u64, u64)>) -> Option<Self> {
        let mut all = Vec::new();
        for (first, last) in ranges {
            let (first, last) = (u32::try_from(first).ok()?, u32::try_from(last).ok()?);
            let is_good = first > 0 && first <= last && last < u32::MAX;
            all.extend(is_good.then_some((first, last)));
            if !is_good {
                return None;
            }
        }
        all.sort_unstable();
        let mut merged: Vec<RangeInclusive<u32>> = Vec::new();
        for (first, last) in all {
            match merged.last_mut() {
                Some(before) if first <= before.end().saturating_add(1) => {
                    *before = *before.start()..=last.max(*before.end());
                }
                _ => merged.push(first..=last),
            }
        }
        (!merged.is_empty()).then_some(Self(merged))
    }

    pub(super) fn len(&self) -> u64 {
        let lengths = self.0.iter();
        lengths
            .map(|it| u64::from(*it.end()) - u64::from(*it.start()) + 1)
            .sum()
    }

    /// Whether it has this number.
    pub fn contains(&self, gid: u32) -> bool {
        self.0.iter().any(|it| it.contains(&gid))
    }
}

impl fmt::Display for GidRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges = self.0.iter();
        let ranges = ranges.map(|it| format!("{}-{}", it.start(), it.end()));
        write!(f, "[{}]", ranges.collect::<Vec<_>>().join(","))
    }
}

/// A volume with its group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) path: PathBuf,
    pub(super) gid: u32,
    /// In whose sandbox it lies, and with which it ends; `None`: a persistent volume.
    pub(super) container: Option<String>,
    /// Of the machine when it was given: no container is left of another one.
    pub(super) boot_id: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Held>", into = "Vec<Held>")]
pub(super) struct Table(BTreeMap<PathBuf, Held>);

impl From<Vec<Held>> for Table {
    fn from(all: Vec<Held>) -> Self {
        Self(all.into_iter().map(|it| (it.path.clone(), it)).collect())
    }
}

impl From<Table> for Vec<Held> {
    fn from(table: Table) -> Self {
        table.0.into_values().collect()
    }
}

impl Table {
    pub(super) fn get(&self, path: &Path) -> Option<&Held> {
        self.0.get(path)
    }

    pub(super) fn all(&self) -> Vec<Held> {
        self.0.values().cloned().collect()
    }

    pub(super) fn within(&self, container: &str) -> Vec<Held> {
        let held = self.0.values();
        held.filter(|it| it.container.as_deref() == Some(container))
            .cloned()
            .collect()
    }

    pub(super) fn add(&mut self, held: Held) {
        self.0.insert(held.path.clone(), held);
    }

    pub(super) fn remove(&mut self, path: &Path) {
        self.0.remove(path);
    }

    pub(super) fn is_taken(&self, gid: u32) -> bool {
        self.0.values().any(|it| it.gid == gid)
    }

    /// How many of these volumes have. An operator may have changed them since: then some have others.
    pub(super) fn taken(&self, total: &GidRange) -> u64 {
        let gids = self.0.values().map(|it| it.gid);
        gids.filter(|gid| total.contains(*gid)).count() as u64
    }

    /// The lowest that none has.
    pub(super) fn next(&self, total: &GidRange) -> Option<u32> {
        let taken: BTreeSet<u32> = self.0.values().map(|it| it.gid).collect();
        let mut all = total.0.iter().cloned().flatten();
        all.find(|gid| !taken.contains(gid))
    }
}
