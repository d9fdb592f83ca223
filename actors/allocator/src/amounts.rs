//! Amounts of scalars by name: what shares and quota are counted in.

use smallvec::SmallVec;

use crate::{kinds::NameIx, slots::Place};

/// Thousandths by name; what was never written is 0.
#[derive(Debug, Clone, Default)]
pub struct Amounts(SmallVec<[i64; 4]>);

impl Amounts {
    pub fn get(&self, name: NameIx) -> i64 {
        self.0.get(name.index()).copied().unwrap_or(0)
    }

    pub fn at(&mut self, name: NameIx) -> &mut i64 {
        let index = name.index();
        if index >= self.0.len() {
            self.0.resize(index + 1, 0);
        }
        &mut self.0[index]
    }

    /// Adds them (`sign` 1), or takes them away (-1); a name may come more than once.
    pub fn count(&mut self, amounts: &[(NameIx, i64)], sign: i64) {
        let mine = &mut self.0[..];
        for (at, (name, amount)) in amounts.iter().enumerate() {
            match mine.get_mut(name.index()) {
                Some(mine) => *mine += sign * amount,
                None => return self.count_new(&amounts[at..], sign),
            }
        }
    }

    #[cold]
    fn count_new(&mut self, amounts: &[(NameIx, i64)], sign: i64) {
        for (name, amount) in amounts {
            *self.at(*name) += sign * amount;
        }
    }

    /// By name, from the first; those that are not there are 0.
    pub fn as_slice(&self) -> &[i64] {
        &self.0
    }

    pub fn iter(&self) -> impl Iterator<Item = (NameIx, i64)> {
        let names = (0_u32..).map(NameIx::at);
        names.zip(self.0.iter().copied())
    }

    /// What must be added to get `other`, of the names where that is something.
    pub fn difference(&self, other: &Self) -> SmallVec<[(NameIx, i64); 4]> {
        let longer = if self.0.len() > other.0.len() {
            self
        } else {
            other
        };
        let names = longer.iter().map(|(name, _)| name);
        let differences = names.map(|name| (name, other.get(name) - self.get(name)));
        differences
            .filter(|(_, difference)| *difference != 0)
            .collect()
    }
}

impl PartialEq for Amounts {
    fn eq(&self, other: &Self) -> bool {
        self.difference(other).is_empty()
    }
}

#[cfg(test)]
impl<const N: usize> From<[i64; N]> for Amounts {
    fn from(amounts: [i64; N]) -> Self {
        Self(amounts.into_iter().collect())
    }
}
