//! What always holds of the tree.

use std::collections::BTreeMap;

use super::Sorter;
use crate::{kinds::NameIx, order::NodeIx, slots::Place, world::amount_of};

impl Sorter {
    /// Whether the tree agrees with itself: amounts and lists of each node with those of its children,
    /// ranks with shares. For invariants.
    pub(crate) fn is_consistent(&self) -> bool {
        let mut sums: BTreeMap<NodeIx, Vec<i64>> = BTreeMap::new();
        let mut children: BTreeMap<NodeIx, (usize, usize)> = BTreeMap::new();
        for (_, place) in self.nodes.iter() {
            if let Some(parent) = place.parent {
                let (all, listed) = children.entry(parent).or_default();
                *all += 1;
                *listed += usize::from(place.listed);
                for (name, amount) in (0_u32..).zip(&place.allocated) {
                    *amount_of(sums.entry(parent).or_default(), NameIx::at(name)) += amount;
                }
            }
        }
        for (node, name, amount) in self.doubles.values().flatten() {
            *amount_of(sums.entry(*node).or_default(), *name) -= amount;
        }
        let trimmed = |amounts: &[i64]| {
            let used = amounts.iter().rposition(|amount| *amount != 0);
            amounts[..used.map_or(0, |last| last + 1)].to_vec()
        };
        self.nodes.iter().all(|(node, place)| {
            let sum = sums.get(&node).map_or(&[][..], Vec::as_slice);
            let order = place.parent.map(|parent| &self.nodes[parent].order);
            let lists_right = order.is_none_or(|order| match (place.listed, order.only()) {
                (false, _) => true,
                (true, Some(only)) => only == node,
                (true, None) => {
                    (self.stale
                        || place.rank.key
                            == self.measure.key(place, &self.inverse_totals, &self.lottery))
                        && order.holds(&place.rank, &self.seats)
                }
            });
            let sum_is_right = place.client.is_some() || trimmed(sum) == trimmed(&place.allocated);
            let (all, listed) = children.get(&node).copied().unwrap_or_default();
            (place.names.count(), place.order.len()) == (all, listed) && lists_right && sum_is_right
        })
    }
}
