//! Sets of integers as inclusive ranges: ports.

use std::fmt;

use smallvec::SmallVec;

/// `begin..=end`, never inverted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    begin: u64,
    end: u64,
}

impl Range {
    /// `None` if `begin > end`.
    #[must_use]
    pub fn new(begin: u64, end: u64) -> Option<Self> {
        (begin <= end).then_some(Self { begin, end })
    }

    #[must_use]
    pub fn begin(self) -> u64 {
        self.begin
    }

    /// The last value, inclusive.
    #[must_use]
    pub fn end(self) -> u64 {
        self.end
    }

    /// How many values it holds (one less than true for the range of all of `u64`).
    #[must_use]
    pub fn count(self) -> u64 {
        (self.end - self.begin).saturating_add(1)
    }
}

/// A set of integers: ascending, disjoint ranges that do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ranges(SmallVec<[Range; 2]>);

impl Ranges {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = Range> {
        self.0.iter().copied()
    }

    /// How many integers the set holds, saturating.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.iter().map(Range::count).fold(0, u64::saturating_add)
    }

    /// Every integer, ascending. May be long: bound it with `take`.
    pub fn values(&self) -> impl Iterator<Item = u64> {
        self.iter().flat_map(|range| range.begin..=range.end)
    }

    #[must_use]
    pub fn contains_value(&self, value: u64) -> bool {
        self.covers(Range {
            begin: value,
            end: value,
        })
    }

    /// Whether every integer of `other` is in `self`.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.iter().all(|range| self.covers(range))
    }

    fn covers(&self, range: Range) -> bool {
        let after = self.0.partition_point(|r| r.begin <= range.begin);
        after > 0 && self.0[after - 1].end >= range.end
    }

    /// Whether some integer is in both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.iter()
            .any(|l| other.iter().any(|r| l.begin <= r.end && r.begin <= l.end))
    }

    /// Adds every integer of `other`.
    pub fn union(&mut self, other: &Self) {
        if !other.is_empty() {
            *self = self.iter().chain(other.iter()).collect();
        }
    }

    /// Takes out every integer of `other`; those not there are ignored.
    pub fn subtract(&mut self, other: &Self) {
        if self.is_empty() || other.is_empty() {
            return;
        }
        let mut left = SmallVec::new();
        let mut holes = other.iter().peekable();
        for mut range in self.iter() {
            while holes.next_if(|hole| hole.end < range.begin).is_some() {}
            let mut whole = true;
            // A hole that reaches beyond this range also concerns the next one: it is not consumed.
            while let Some(&hole) = holes.peek()
                && hole.begin <= range.end
            {
                left.extend(
                    hole.begin
                        .checked_sub(1)
                        .and_then(|end| Range::new(range.begin, end)),
                );
                if hole.end >= range.end {
                    whole = false;
                    break;
                }
                range.begin = hole.end + 1;
                holes.next();
            }
            if whole {
                left.push(range);
            }
        }
        self.0 = left;
    }
}

/// Sorts and joins what overlaps or touches.
impl FromIterator<Range> for Ranges {
    fn from_iter<I: IntoIterator<Item = Range>>(ranges: I) -> Self {
        let mut sorted: SmallVec<[Range; 8]> = ranges.into_iter().collect();
        sorted.sort_unstable();
        let mut joined: SmallVec<[Range; 2]> = SmallVec::new();
        for range in sorted {
            match joined.last_mut() {
                Some(last) if range.begin <= last.end.saturating_add(1) => {
                    last.end = last.end.max(range.end);
                }
                _ => joined.push(range),
            }
        }
        Self(joined)
    }
}

/// `[31000-32000, 33000-33000]`.
impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (at, range) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{}-{}", range.begin, range.end)?;
        }
        f.write_str("]")
    }
}
