//! What is worth an offer: the least of which something must be there, of the cluster or of one framework's role.
//!
//! Owns how amounts are counted for that: scalars by their value, ranges and sets by their members.
//! Source: Mesos `--min_allocatable_resources` and `OfferFilters.min_allocatable_resources`.

use std::sync::Arc;

use tepui_protocol::{resources::Quantity, v1::OfferFilters};

use crate::{
    bundle::{Bundle, Discrete},
    kinds::{Kinds, NameIx},
};

/// So much of a name, in thousandths.
#[derive(Debug, Clone, PartialEq)]
struct Least {
    name: String,
    /// Of the names that fair shares are computed over; what frameworks name is looked up by its text, so that they
    /// cannot use those up.
    index: Option<NameIx>,
    amount: i64,
}

/// Sets, one of which must be there, each with all that it names. Without any, whatever is not nothing will do.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Minimums(Arc<[Vec<Least>]>);

impl Minimums {
    /// Of the cluster: thousandths by name.
    pub(crate) fn of_cluster(sets: &[Vec<(String, i64)>], kinds: &mut Kinds) -> Minimums {
        let mut least = |(name, amount): &(String, i64)| Least {
            name: name.clone(),
            index: kinds.name(name),
            amount: *amount,
        };
        let sets = sets.iter();
        let sets = sets.map(|set| set.iter().map(&mut least).collect());
        Minimums(sets.collect())
    }

    /// Of one role of a framework, if it has its own.
    pub(crate) fn of_role(filters: Option<&OfferFilters>) -> Option<Minimums> {
        let own = filters?.min_allocatable_resources.as_ref()?;
        let sets = own.quantities.iter().map(|set| {
            let amounts = set.quantities.iter();
            let amounts = amounts.map(|(name, amount)| Least {
                name: name.clone(),
                index: None,
                amount: Quantity::from_f64(amount.value)
                    .unwrap_or_default()
                    .thousandths(),
            });
            amounts.collect()
        });
        Some(Minimums(sets.collect()))
    }

    /// Whether it is enough for an offer.
    pub(crate) fn are_met(&self, kinds: &Kinds, bundle: &Bundle) -> bool {
        if self.0.is_empty() {
            return !bundle.is_empty();
        }
        let is_there = |least: &Least| least.is_there(kinds, bundle);
        !bundle.is_empty() && self.0.iter().any(|set| set.iter().all(is_there))
    }

    /// Whether no offer of so little of each name can be worth making.
    pub(crate) fn are_above(&self, rest: impl Fn(NameIx) -> i64) -> bool {
        let rest = |least: &Least| least.index.map_or(i64::MAX, &rest) >= least.amount;
        let mut sets = self.0.iter();
        !self.0.is_empty() && !sets.any(|set| set.iter().all(rest))
    }

    /// What each set has of which `bundle` has too little: thousandths by name.
    pub(crate) fn missing<'a>(
        &'a self,
        kinds: &'a Kinds,
        bundle: &'a Bundle,
    ) -> impl Iterator<Item = Vec<(&'a String, i64)>> {
        self.0.iter().map(|set| {
            let set = set.iter();
            let missing = set.map(|least| (&least.name, least.amount - least.found(kinds, bundle)));
            missing.filter(|(_, missing)| *missing > 0).collect()
        })
    }
}

impl Least {
    fn is_there(&self, kinds: &Kinds, bundle: &Bundle) -> bool {
        self.scalars(kinds, bundle) >= self.amount || self.found(kinds, bundle) >= self.amount
    }

    fn found(&self, kinds: &Kinds, bundle: &Bundle) -> i64 {
        let scalars = self.scalars(kinds, bundle);
        scalars.saturating_add(self.members(kinds, bundle))
    }

    fn scalars(&self, kinds: &Kinds, bundle: &Bundle) -> i64 {
        match self.index {
            Some(index) => {
                let quantities = kinds.quantities(bundle).iter();
                let mine = quantities.filter(|(name, _)| *name == index);
                mine.map(|(_, amount)| amount).sum()
            }
            None => {
                let scalars = bundle.scalars();
                let mine =
                    scalars.filter(|(kind, _)| kinds.get(*kind).resource_name() == self.name);
                mine.map(|(_, amount)| amount).sum()
            }
        }
    }

    fn members(&self, kinds: &Kinds, bundle: &Bundle) -> i64 {
        let discrete = bundle.discrete();
        let mine = discrete.filter(|(kind, _)| kinds.get(*kind).resource_name() == self.name);
        // Agents say what they have, and may say much.
        mine.map(|(_, value)| count(value).saturating_mul(1000))
            .fold(0, i64::saturating_add)
    }
}

fn count(value: &Discrete) -> i64 {
    let count = match value {
        Discrete::Ranges(ranges) => ranges.count(),
        Discrete::Set(items) => items.len() as u64,
    };
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "least_tests.rs"]
mod tests;
