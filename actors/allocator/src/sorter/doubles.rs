//! Copies of a volume that count for others from some place in the tree upwards.

use super::Sorter;
use crate::{
    doubles::{Double, Level},
    kinds::NameIx,
    order::NodeIx,
    slots::Place,
    world::{AgentIx, ClientIx},
};

/// Not counted at the node and above it.
pub(super) type Uncounted = (NodeIx, NameIx, i64);

impl Sorter {
    /// What of a client's copies on an agent is counted for others, instead of what was said before.
    pub(crate) fn set_doubles(&mut self, client: ClientIx, agent: AgentIx, doubles: &[Double]) {
        for (node, name, thousandths) in self.doubles.remove(&(client, agent)).unwrap_or_default() {
            self.count_above(node, name, thousandths);
        }
        if doubles.is_empty() || self.node(client).is_none() {
            return;
        }
        let places = doubles.iter().filter_map(|double| {
            let node = self.node_of(&double.level)?;
            Some((node, double.name, double.thousandths))
        });
        let uncounted: Vec<Uncounted> = places.collect();
        for (node, name, thousandths) in &uncounted {
            self.count_above(*node, *name, -thousandths);
        }
        self.doubles.insert((client, agent), uncounted);
    }

    /// Counts all that a client holds for everybody, before it goes.
    pub(super) fn clear_doubles(&mut self, client: ClientIx) {
        let all = (client, AgentIx::at(0))..=(client, AgentIx::at(u32::MAX));
        let known = self.doubles.range(all).map(|((_, agent), _)| *agent);
        for agent in known.collect::<Vec<AgentIx>>() {
            self.set_doubles(client, agent, &[]);
        }
    }

    fn node_of(&self, level: &Level) -> Option<NodeIx> {
        match level {
            Level::Clients(role) => self.own_nodes.get(self.role_nodes.get(role)?).copied(),
            Level::Role(role) if role.is_empty() => Some(self.root),
            Level::Role(role) => self.role_nodes.get(role).copied(),
        }
    }

    /// Adds to a node and all above it; nobody got anything by that.
    fn count_above(&mut self, node: NodeIx, name: NameIx, thousandths: i64) {
        let mut next = Some(node);
        while let Some(node) = next {
            let place = &mut self.nodes[node];
            *place.allocated.at(name) += thousandths;
            next = place.parent;
            self.reposition(node);
        }
    }
}
