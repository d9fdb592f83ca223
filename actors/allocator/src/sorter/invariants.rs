//! What always holds of the tree.

use std::collections::BTreeMap;

use super::Sorter;
use crate::{amounts::Amounts, order::NodeIx};

impl Sorter {
    /// Whether the tree agrees with itself: amounts and lists of each node with those of its children,
    /// ranks with shares. For invariants.
    pub(crate) fn is_consistent(&self) -> bool {
        let mut sums: BTreeMap<NodeIx, Amounts> = BTreeMap::new();
        let mut children: BTreeMap<NodeIx, (usize, usize)> = BTreeMap::new();
        for (_, place) in self.nodes.iter() {
            if let Some(parent) = place.parent {
                let (all, listed) = children.entry(parent).or_default();
                *all += 1;
                *listed += usize::from(place.listed);
                let sums: &mut Amounts = sums.entry(parent).or_default();
                for (name, amount) in place.allocated.iter() {
                    *sums.at(name) += amount;
                }
            }
        }
        for (node, name, amount) in self.doubles.values().flatten() {
            *sums.entry(*node).or_default().at(*name) -= amount;
        }
        self.nodes.iter().all(|(node, place)| {
            let sum = sums.remove(&node).unwrap_or_default();
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
            let sum_is_right = place.client.is_some() || sum == place.allocated;
            let (all, listed) = children.get(&node).copied().unwrap_or_default();
            (place.names.count(), place.order.len()) == (all, listed) && lists_right && sum_is_right
        })
    }
}
