//! An amount of a scalar resource.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};

/// Thousandths of a unit (of a cpu, of a megabyte): the precision Mesos keeps
/// (`src/common/values.cpp`). Sums saturate; [`Quantity::from_f64`] refuses what could come near.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(pub i64);

impl Quantity {
    pub const ZERO: Self = Self(0);

    /// The largest amount taken from outside: every thousandth up to here is exact in a double.
    pub const MAX: Self = Self(1 << 53);

    /// Whole units: `Quantity::from_units(4)` is 4 cpus.
    #[must_use]
    pub const fn from_units(units: i64) -> Self {
        Self(units.saturating_mul(1000))
    }

    /// Rounds to the nearest thousandth, halves away from zero. `None` for NaN, infinities and what is
    /// beyond [`Quantity::MAX`] either way.
    #[must_use]
    pub fn from_f64(value: f64) -> Option<Self> {
        let thousandths = (value * 1000.0).round();
        if thousandths.abs() <= Self::MAX.0 as f64 {
            Some(Self(thousandths as i64))
        } else {
            None
        }
    }

    /// The double that Mesos puts on the wire for this amount.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        (self.0 / 1000) as f64 + (self.0 % 1000) as f64 / 1000.0
    }

    #[must_use]
    pub const fn thousandths(self) -> i64 {
        self.0
    }

    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// `self - other`, or zero where `other` is the larger.
    #[must_use]
    pub fn saturating_sub_at_zero(self, other: Self) -> Self {
        Self((self - other).0.max(0))
    }
}

impl Add for Quantity {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Quantity {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Decimal, without trailing zeros: `4`, `0.1`, `-2.125`.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (units, rest) = (self.0.unsigned_abs() / 1000, self.0.unsigned_abs() % 1000);
        if rest == 0 {
            return write!(f, "{sign}{units}");
        }
        let rest = format!("{rest:03}");
        write!(f, "{sign}{units}.{}", rest.trim_end_matches('0'))
    }
}

#[cfg(test)]
#[path = "quantity_tests.rs"]
mod tests;
