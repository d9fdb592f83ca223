//! Who is next by (weighted) dominant resource fairness, kept in order as shares change.
//!
//! Owns the tree of roles, the shares in it and the order among siblings. Never knows agents, filters or
//! capabilities: whoever asks for the next client says which ones will not do. Sources: Ghodsi et al.,
//! "Dominant Resource Fairness", NSDI 2011, section 4; Mesos `sorter/drf/sorter.cpp`.
//!
//! The tree is root, roles by path, and under each role its clients. The clients of a role that has roles
//! below it compete with those as one sibling named `.`, as Mesos has it; here every role has it.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use smallvec::SmallVec;
use tepui_protocol::roles;

use crate::{
    kinds::NameIx,
    slots::{Column, Place, Slots, place},
    world::{ClientIx, amount_of},
};

place!(
    /// A place in the tree.
    NodeIx
);

/// The name of the sibling that stands for the clients of a role itself.
const OWN_CLIENTS: &str = ".";

/// The place of a node among its siblings: least share first, then fewest allocations, then name.
#[derive(Debug, Clone)]
struct Rank {
    share: f64,
    allocations: u64,
    name: Arc<str>,
    node: NodeIx,
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        self.share
            .total_cmp(&other.share)
            .then(self.allocations.cmp(&other.allocations))
            .then_with(|| self.name.cmp(&other.name))
            .then(self.node.cmp(&other.node))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rank {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Rank {}

#[derive(Debug)]
struct Node {
    parent: Option<NodeIx>,
    /// For clients: whose place it is.
    client: Option<ClientIx>,
    /// For roles: the path, by which weights are kept.
    path: Option<Arc<str>>,
    rank: Rank,
    weight: f64,
    allocated: Vec<i64>,
    /// Children that have an active client in or below them, in order.
    order: BTreeSet<Rank>,
    /// All children.
    children: u32,
    /// An active client, or one with an active client below: in the order of its parent.
    listed: bool,
}

/// The tree of roles and clients.
#[derive(Debug)]
pub struct Sorter {
    nodes: Slots<NodeIx, Node>,
    root: NodeIx,
    role_nodes: BTreeMap<Arc<str>, NodeIx>,
    own_nodes: HashMap<NodeIx, NodeIx>,
    client_nodes: Column<ClientIx, Option<NodeIx>>,
    weights: Arc<BTreeMap<String, f64>>,
    /// One over the total of the cluster, by name; 0 where there is nothing.
    inverse_totals: Vec<f64>,
    /// Totals or weights changed, so every share is out of date.
    stale: bool,
}

impl Default for Sorter {
    fn default() -> Self {
        let mut nodes = Slots::default();
        let root = nodes.insert(Node::new(None, "".into()));
        Self {
            nodes,
            root,
            role_nodes: BTreeMap::new(),
            own_nodes: HashMap::new(),
            client_nodes: Column::default(),
            weights: Arc::default(),
            inverse_totals: Vec::new(),
            stale: false,
        }
    }
}

impl Node {
    fn new(parent: Option<NodeIx>, name: Arc<str>) -> Self {
        Self {
            parent,
            client: None,
            path: None,
            rank: Rank {
                share: 0.0,
                allocations: 0,
                name,
                node: NodeIx::at(u32::MAX),
            },
            weight: 1.0,
            allocated: Vec::new(),
            order: BTreeSet::new(),
            children: 0,
            listed: false,
        }
    }

    fn share(&self, inverse_totals: &[f64]) -> f64 {
        let pairs = self.allocated.iter().zip(inverse_totals);
        let shares = pairs.map(|(amount, inverse)| *amount as f64 * inverse);
        shares.fold(0.0, f64::max) / self.weight
    }
}

impl Sorter {
    /// The amounts that shares are shares of, by name; names at 0 do not count.
    pub fn set_totals(&mut self, totals: impl Iterator<Item = i64>) {
        self.inverse_totals.clear();
        let inverse = |total| if total > 0 { 1.0 / total as f64 } else { 0.0 };
        self.inverse_totals.extend(totals.map(inverse));
        self.stale = true;
    }

    /// Weights by path of role; 1 where none is given.
    pub fn set_weights(&mut self, weights: Arc<BTreeMap<String, f64>>) {
        self.weights = weights;
        for node in self.role_nodes.values() {
            let place = &mut self.nodes[*node];
            place.weight = weight(&self.weights, place.path.as_deref());
        }
        self.stale = true;
    }

    /// Enters a client of `role`, inactive and with nothing allocated. `name` settles ties.
    pub fn add(&mut self, client: ClientIx, role: &str, name: &str) {
        if self.node(client).is_some() {
            return;
        }
        let role = self.role_node(role);
        let own = match self.own_nodes.get(&role) {
            Some(own) => *own,
            None => {
                let own = self.insert(role, OWN_CLIENTS.into());
                self.own_nodes.insert(role, own);
                own
            }
        };
        let node = self.insert(own, name.into());
        self.nodes[node].client = Some(client);
        *self.client_nodes.at(client) = Some(node);
    }

    /// Removes a client, and the roles that nobody is left in. What it held no longer counts.
    pub fn remove(&mut self, client: ClientIx) {
        let Some(node) = self.node(client) else {
            return;
        };
        self.set_active(client, false);
        self.set_allocated(client, &[]);
        *self.client_nodes.at(client) = None;
        let mut next = Some(node);
        while let Some(node) = next.filter(|node| *node != self.root) {
            if self.nodes[node].children > 0 {
                break;
            }
            let place = self
                .nodes
                .remove(node)
                .expect("a node on the way up stands");
            next = place.parent;
            if let Some(path) = place.path {
                self.role_nodes.remove(&path);
            }
            if let Some(parent) = next {
                self.nodes[parent].children -= 1;
                if self.own_nodes.get(&parent) == Some(&node) {
                    self.own_nodes.remove(&parent);
                }
            }
        }
    }

    /// Whether the client takes part in the order.
    pub fn set_active(&mut self, client: ClientIx, active: bool) {
        let Some(mut node) = self.node(client) else {
            return;
        };
        // A role is listed as long as something in it is.
        let mut listed = active;
        while self.nodes[node].listed != listed {
            let Some(parent) = self.nodes[node].parent else {
                break;
            };
            self.nodes[node].listed = listed;
            let rank = self.nodes[node].rank.clone();
            let order = &mut self.nodes[parent].order;
            if listed {
                order.insert(rank);
            } else {
                order.remove(&rank);
            }
            listed = !order.is_empty();
            node = parent;
        }
    }

    /// What the client holds by name, as a whole. More than before counts as one allocation.
    pub fn set_allocated(&mut self, client: ClientIx, allocated: &[i64]) {
        let Some(node) = self.node(client) else {
            return;
        };
        let before = &self.nodes[node].allocated;
        let names = before.len().max(allocated.len());
        let at = |amounts: &[i64], index| amounts.get(index).copied().unwrap_or(0);
        let differences: SmallVec<[(NameIx, i64); 4]> = (0_u32..)
            .zip(0..names)
            .map(|(name, index)| (NameIx::at(name), at(allocated, index) - at(before, index)))
            .filter(|(_, difference)| *difference != 0)
            .collect();
        self.change(node, &differences);
    }

    /// Counts an allocation to the client, by name.
    pub fn grant(&mut self, client: ClientIx, amounts: impl Iterator<Item = (NameIx, i64)>) {
        if let Some(node) = self.node(client) {
            let amounts: SmallVec<[(NameIx, i64); 4]> = amounts.collect();
            self.change(node, &amounts);
        }
    }

    /// Brings every share up to date after totals or weights changed. Costs as much as there are clients.
    pub fn refresh(&mut self) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        let all: Vec<NodeIx> = self.nodes.iter().map(|(node, _)| node).collect();
        for node in all {
            self.reposition(node, 0);
        }
    }

    /// The first client in order for which `will_do` holds.
    pub fn first(&self, mut will_do: impl FnMut(ClientIx) -> bool) -> Option<ClientIx> {
        self.first_below(self.root, &mut will_do)
    }

    fn first_below(
        &self,
        node: NodeIx,
        will_do: &mut impl FnMut(ClientIx) -> bool,
    ) -> Option<ClientIx> {
        for rank in &self.nodes[node].order {
            let found = match self.nodes[rank.node].client {
                Some(client) => Some(client).filter(|client| will_do(*client)),
                None => self.first_below(rank.node, will_do),
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Puts a few clients into the order they have among all.
    pub fn sort(&self, clients: &mut [ClientIx]) {
        clients.sort_by_cached_key(|client| {
            let mut way: SmallVec<[&Rank; 6]> = SmallVec::new();
            let mut next = self.node(*client);
            while let Some(node) = next {
                way.push(&self.nodes[node].rank);
                next = self.nodes[node].parent;
            }
            way.reverse();
            way
        });
    }

    /// Dominant share over weight among the siblings; for tests and explanations.
    pub fn share(&self, client: ClientIx) -> Option<f64> {
        Some(self.nodes[self.node(client)?].rank.share)
    }

    /// Dominant share over weight of a role with all roles below it.
    pub fn role_share(&self, role: &str) -> Option<f64> {
        Some(self.nodes[*self.role_nodes.get(role)?].rank.share)
    }

    fn node(&self, client: ClientIx) -> Option<NodeIx> {
        self.client_nodes.get(client).copied().flatten()
    }

    /// The node of a role, made with those above it.
    fn role_node(&mut self, role: &str) -> NodeIx {
        if let Some(node) = self.role_nodes.get(role) {
            return *node;
        }
        let parent = match roles::ancestors(role).next() {
            Some(above) => self.role_node(above),
            None => self.root,
        };
        let path: Arc<str> = role.into();
        let node = self.insert(parent, Arc::clone(&path));
        self.nodes[node].weight = weight(&self.weights, Some(role));
        self.nodes[node].path = Some(Arc::clone(&path));
        self.role_nodes.insert(path, node);
        node
    }

    fn insert(&mut self, parent: NodeIx, name: Arc<str>) -> NodeIx {
        let node = self.nodes.insert(Node::new(Some(parent), name));
        self.nodes[node].rank.node = node;
        self.nodes[parent].children += 1;
        node
    }

    /// Adds to what a client holds, and to every role it is in.
    fn change(&mut self, node: NodeIx, differences: &[(NameIx, i64)]) {
        if differences.is_empty() {
            return;
        }
        let is_allocation = differences.iter().any(|(_, difference)| *difference > 0);
        let mut next = Some(node);
        while let Some(node) = next {
            let place = &mut self.nodes[node];
            for (name, difference) in differences {
                *amount_of(&mut place.allocated, *name) += difference;
            }
            next = place.parent;
            self.reposition(node, u64::from(is_allocation));
        }
    }

    /// Computes the share of a node anew and moves it to its place among its siblings.
    fn reposition(&mut self, node: NodeIx, new_allocations: u64) {
        let place = &self.nodes[node];
        let Some(parent) = place.parent else {
            return;
        };
        let share = place.share(&self.inverse_totals);
        if share.total_cmp(&place.rank.share).is_eq() && new_allocations == 0 {
            return;
        }
        let before = place.rank.clone();
        let after = Rank {
            share,
            allocations: before.allocations + new_allocations,
            ..before.clone()
        };
        if place.listed {
            let order = &mut self.nodes[parent].order;
            order.remove(&before);
            order.insert(after.clone());
        }
        self.nodes[node].rank = after;
    }

    /// Whether the tree agrees with itself: amounts and lists of each node with those of its children,
    /// ranks with shares. For invariants.
    pub(crate) fn is_consistent(&self) -> bool {
        let mut sums: BTreeMap<NodeIx, Vec<i64>> = BTreeMap::new();
        let mut children: BTreeMap<NodeIx, u32> = BTreeMap::new();
        for (_, place) in self.nodes.iter() {
            if let Some(parent) = place.parent {
                *children.entry(parent).or_default() += 1;
                for (name, amount) in (0_u32..).zip(&place.allocated) {
                    *amount_of(sums.entry(parent).or_default(), NameIx::at(name)) += amount;
                }
            }
        }
        let trimmed = |amounts: &[i64]| {
            let used = amounts.iter().rposition(|amount| *amount != 0);
            amounts[..used.map_or(0, |last| last + 1)].to_vec()
        };
        self.nodes.iter().all(|(node, place)| {
            let sum = sums.get(&node).map_or(&[][..], Vec::as_slice);
            let rank_is_right = self.stale
                || place.parent.is_none()
                || place
                    .rank
                    .share
                    .total_cmp(&place.share(&self.inverse_totals))
                    .is_eq();
            let lists_right = place.parent.is_none_or(|parent| {
                self.nodes[parent].order.contains(&place.rank) == place.listed
            });
            let sum_is_right = place.client.is_some() || trimmed(sum) == trimmed(&place.allocated);
            place.children == children.get(&node).copied().unwrap_or(0)
                && rank_is_right
                && lists_right
                && sum_is_right
        })
    }
}

fn weight(weights: &BTreeMap<String, f64>, path: Option<&str>) -> f64 {
    let weight = path.and_then(|path| weights.get(path)).copied();
    // The master refuses others; a share divided by one of those would order nothing.
    weight
        .filter(|weight| weight.is_finite() && *weight > 0.0)
        .unwrap_or(1.0)
}

#[cfg(test)]
#[path = "sorter_tests.rs"]
mod tests;
