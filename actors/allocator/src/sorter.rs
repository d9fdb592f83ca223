//! Who is next by (weighted) dominant resource fairness, kept in order as shares change.
//!
//! Owns the tree of roles, the shares in it and the order among siblings. Never knows agents, filters or
//! capabilities: whoever asks for the next client says which ones will not do. Sources: Ghodsi et al.,
//! "Dominant Resource Fairness", NSDI 2011, section 4; Mesos `sorter/drf/sorter.cpp`.
//!
//! The tree is root, roles by path, and under each role its clients. The clients of a role that has roles
//! below it compete with those as one sibling named `.`, as Mesos has it; here every role has it.

mod doubles;
mod invariants;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use smallvec::SmallVec;
use tepui_kit::Random;
use tepui_protocol::roles;

use crate::{
    amounts::Amounts,
    kinds::NameIx,
    lottery::Lottery,
    order::{Names, NodeIx, Order, Rank, Seats},
    slots::{Column, Place, Slots},
    world::{AgentIx, ClientIx},
};

/// The name of the sibling that stands for the clients of a role itself.
const OWN_CLIENTS: &str = ".";

#[derive(Debug, Clone)]
struct Node {
    parent: Option<NodeIx>,
    /// For clients: whose place it is.
    client: Option<ClientIx>,
    /// For roles the path.
    name: Arc<str>,
    is_role: bool,
    /// Right as long as there are others in the parent's order: nobody asks where the only one stands, and
    /// mostly the clients of a role are its only part.
    rank: Rank,
    weight: f64,
    allocated: Amounts,
    /// Children that have an active client in or below them, in order.
    order: Order,
    /// All children.
    names: Names,
    /// An active client, or one with an active client below: in the order of its parent.
    listed: bool,
}

/// The tree of roles and clients.
#[derive(Debug, Clone)]
pub struct Sorter {
    nodes: Slots<NodeIx, Node>,
    seats: Seats,
    root: NodeIx,
    role_nodes: BTreeMap<Arc<str>, NodeIx>,
    own_nodes: HashMap<NodeIx, NodeIx>,
    client_nodes: Column<ClientIx, Option<NodeIx>>,
    /// Copies of what others below the same role hold too, see [`crate::doubles`].
    doubles: BTreeMap<(ClientIx, AgentIx), Vec<doubles::Uncounted>>,
    weights: Arc<BTreeMap<String, f64>>,
    /// One over the total of the cluster, by name; 0 where there is nothing.
    inverse_totals: Vec<f64>,
    /// Totals or weights changed, so every share is out of date.
    stale: bool,
    measure: Measure,
    lottery: Lottery,
}

/// What puts siblings in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Measure {
    /// Least share over weight first.
    #[default]
    Fair,
    /// Greatest weight first, whatever it has; among equals, least share.
    Strict,
    /// At random by weight.
    Lottery,
}

impl Measure {
    /// Of a node that has a rank; less comes first. Numbers at or above zero order like their bits.
    fn key(self, place: &Node, inverse_totals: &[f64], lottery: &Lottery) -> u64 {
        match self {
            Self::Fair => place.share(inverse_totals).to_bits(),
            Self::Strict => {
                let share = place.share(inverse_totals) as f32;
                let weight = !(place.weight as f32).to_bits();
                u64::from(weight) << 32 | u64::from(share.to_bits())
            }
            Self::Lottery => lottery.turn(place.rank.node).to_bits(),
        }
    }
}

impl Default for Sorter {
    fn default() -> Self {
        let mut nodes = Slots::default();
        let root = nodes.insert(Node::new(None, "".into()));
        Self {
            nodes,
            seats: Seats::default(),
            root,
            role_nodes: BTreeMap::new(),
            own_nodes: HashMap::new(),
            client_nodes: Column::default(),
            doubles: BTreeMap::new(),
            weights: Arc::default(),
            inverse_totals: Vec::new(),
            stale: false,
            measure: Measure::Fair,
            lottery: Lottery::default(),
        }
    }
}

impl Node {
    fn new(parent: Option<NodeIx>, name: Arc<str>) -> Self {
        Self {
            parent,
            client: None,
            name,
            is_role: false,
            rank: Rank::new(NodeIx::at(u32::MAX), 0),
            weight: 1.0,
            allocated: Amounts::default(),
            order: Order::default(),
            names: Names::default(),
            listed: false,
        }
    }

    fn share(&self, inverse_totals: &[f64]) -> f64 {
        let pairs = self.allocated.as_slice().iter().zip(inverse_totals);
        let shares = pairs.map(|(amount, inverse)| *amount as f64 * inverse);
        // None of them is not a number, which `f64::max` would look for.
        let dominant = shares.fold(0.0, |most, share| if share > most { share } else { most });
        dominant / self.weight
    }
}

impl Sorter {
    /// One in which a greater weight goes before any share. Weights that differ by less than a part in ten million
    /// are equal.
    pub fn strict() -> Self {
        Self {
            measure: Measure::Strict,
            ..Self::default()
        }
    }

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
            place.weight = weight(&self.weights, &place.name);
        }
        self.stale = true;
    }

    /// One that draws who is next, by weight.
    pub fn random() -> Self {
        Self {
            measure: Measure::Lottery,
            ..Self::default()
        }
    }

    /// Draws from `random` from now on, if it draws at all.
    pub fn reseed(&mut self, random: &mut Random) {
        if self.measure == Measure::Lottery {
            self.lottery.reseed(random.fork());
        }
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
        self.clear_doubles(client);
        self.set_allocated(client, &Amounts::default());
        *self.client_nodes.at(client) = None;
        let mut next = Some(node);
        while let Some(node) = next.filter(|node| *node != self.root) {
            if self.nodes[node].names.count() > 0 {
                break;
            }
            let place = self
                .nodes
                .remove(node)
                .expect("a node on the way up stands");
            next = place.parent;
            if place.is_role {
                self.role_nodes.remove(&place.name);
            }
            if let Some(parent) = next {
                self.nodes[parent].names.remove(place.name, node);
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
            if listed {
                if let Some(only) = self.nodes[parent].order.only() {
                    self.update(parent, only);
                }
                if self.measure == Measure::Lottery {
                    let weight = self.nodes[node].weight;
                    self.lottery.draw(parent, node, weight);
                }
                let rank = self.rank(node);
                self.nodes[parent].order.insert(rank, &mut self.seats);
            } else {
                self.nodes[parent].order.remove(node, &mut self.seats);
            }
            listed = !self.nodes[parent].order.is_empty();
            node = parent;
        }
    }

    /// What the client holds by name, as a whole. More than before counts as one allocation.
    pub fn set_allocated(&mut self, client: ClientIx, allocated: &Amounts) {
        if let Some(node) = self.node(client) {
            let differences = self.nodes[node].allocated.difference(allocated);
            self.change(node, &differences);
        }
    }

    /// Counts an allocation to the client, by name.
    pub fn grant(&mut self, client: ClientIx, amounts: &[(NameIx, i64)]) {
        if let Some(node) = self.node(client) {
            self.change(node, amounts);
        }
    }

    /// Brings every share up to date after totals or weights changed. Costs as much as there are clients.
    pub fn refresh(&mut self) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        let all: Vec<NodeIx> = self.nodes.iter().map(|(node, _)| node).collect();
        for node in all {
            self.reposition(node);
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
        let order = &self.nodes[node].order;
        order.find(|child| match self.nodes[child].client {
            Some(client) => will_do(client).then_some(client),
            None => self.first_below(child, will_do),
        })
    }

    /// Puts a few clients, active or not, into the order they have among all.
    pub fn sort(&self, clients: &mut [ClientIx]) {
        clients.sort_by_cached_key(|client| {
            let mut way: SmallVec<[Rank; 4]> = SmallVec::new();
            let mut next = self.node(*client);
            while let Some(node) = next {
                let place = &self.nodes[node];
                let mut rank = place.rank;
                rank.key = self.measure.key(place, &self.inverse_totals, &self.lottery);
                way.push(rank);
                next = place.parent;
            }
            way.reverse();
            way
        });
    }

    /// All clients of a role and of those below it, active or not.
    pub fn clients_in(&self, role: &str) -> Vec<ClientIx> {
        let mut clients = Vec::new();
        let mut nodes: Vec<NodeIx> = self.role_nodes.get(role).copied().into_iter().collect();
        while let Some(node) = nodes.pop() {
            clients.extend(self.nodes[node].client);
            nodes.extend(self.nodes[node].names.nodes());
        }
        clients
    }

    /// Whether the client takes part in the order.
    pub fn is_active(&self, client: ClientIx) -> bool {
        self.node(client)
            .is_some_and(|node| self.nodes[node].listed)
    }

    /// Dominant share over weight among the siblings; for tests and explanations.
    pub fn share(&self, client: ClientIx) -> Option<f64> {
        Some(self.nodes[self.node(client)?].share(&self.inverse_totals))
    }

    /// Dominant share over weight of a role with all roles below it.
    pub fn role_share(&self, role: &str) -> Option<f64> {
        Some(self.nodes[*self.role_nodes.get(role)?].share(&self.inverse_totals))
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
        self.nodes[node].weight = weight(&self.weights, role);
        self.nodes[node].is_role = true;
        self.role_nodes.insert(path, node);
        node
    }

    fn insert(&mut self, parent: NodeIx, name: Arc<str>) -> NodeIx {
        let node = self
            .nodes
            .insert(Node::new(Some(parent), Arc::clone(&name)));
        match self.nodes[parent].names.insert(name, node) {
            Some(label) => self.nodes[node].rank = Rank::new(node, label),
            None => {
                self.nodes[node].rank.node = node;
                self.relabel(parent);
            }
        }
        node
    }

    /// Gives the children of a node new labels for their names, where one more had no room.
    fn relabel(&mut self, parent: NodeIx) {
        let labels: Vec<(NodeIx, u64)> = self.nodes[parent].names.relabel().collect();
        for (node, label) in &labels {
            self.nodes[*node].rank.name = *label;
        }
        // The order stays, but it is made of ranks, and would compare old ones with new ones on the way.
        let mut order = Order::default();
        for (node, _) in labels {
            if self.nodes[node].listed {
                order.insert(self.nodes[node].rank, &mut self.seats);
            }
        }
        self.nodes[parent].order = order;
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
            place.allocated.count(differences, 1);
            place.rank.allocations += u64::from(is_allocation);
            next = place.parent;
            if let (Measure::Lottery, true, Some(parent)) = (self.measure, is_allocation, next) {
                let weight = place.weight;
                self.lottery.take(parent, node, weight);
            }
            self.reposition(node);
        }
    }

    /// Moves a node to its place among its siblings, if it has one and they are several.
    #[inline]
    fn reposition(&mut self, node: NodeIx) {
        let place = &self.nodes[node];
        if let (true, Some(parent)) = (place.listed, place.parent)
            && self.nodes[parent].order.len() > 1
        {
            self.update(parent, node);
        }
    }

    #[inline(never)]
    fn update(&mut self, parent: NodeIx, node: NodeIx) {
        let rank = self.rank(node);
        self.nodes[parent].order.update(rank, &mut self.seats);
    }

    /// The rank of a node as it is now.
    fn rank(&mut self, node: NodeIx) -> Rank {
        let place = &mut self.nodes[node];
        place.rank.key = self.measure.key(place, &self.inverse_totals, &self.lottery);
        place.rank
    }
}

fn weight(weights: &BTreeMap<String, f64>, path: &str) -> f64 {
    let weight = weights.get(path).copied();
    // The master refuses others; a share divided by one of those would order nothing.
    weight
        .filter(|weight| weight.is_finite() && *weight > 0.0)
        .unwrap_or(1.0)
}

#[cfg(test)]
#[path = "sorter_tests.rs"]
mod tests;
