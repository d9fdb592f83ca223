//! Handshakes between masters in the simulation: whether each lets the other in, by the real master's judgement of whose
//! disk that is. Nothing of Raft goes between two that have not let each other in.

use std::sync::Arc;

use tepui_bridge::{Membership, Role};
use tepui_consensus::{Consensus, Identity};
use tepui_engine::{MemoryEngine, SharedEngine};
use tepui_master::entrance::{Known, Roster, Verdict};
use tepui_registry::RegistryReader;

/// What one life of a master shows of itself and knows of others.
#[derive(Clone)]
pub struct Papers {
    pub identity: Identity,
    /// Where it remembers the others' disks.
    pub engine: MemoryEngine,
    pub reader: RegistryReader,
    pub consensus: Consensus,
}

impl Papers {
    fn cluster_id(&self) -> Option<String> {
        let known = self.reader.with(|registry| registry.cluster_id.clone());
        known.or_else(|| self.identity.cluster_id.clone())
    }

    fn shown(&self) -> tepui_bridge::Identity {
        let name = &self.identity.name;
        let last_index = self.consensus.status().borrow().last_index;
        tepui_bridge::Identity {
            role: Role::Master,
            name: name.clone(),
            program_version: String::new(),
            cluster_id: self.cluster_id(),
            membership: Some(Membership {
                group: self.identity.group(),
                disk: self.identity.disk.clone(),
                http: format!("{name}:0"),
                bridge: format!("{name}:1"),
                id: Some(self.identity.node_id),
                last_index: Some(last_index),
            }),
        }
    }

    /// Whether this one lets the other in.
    ///
    /// # Errors
    /// The text of the refusal.
    pub fn admit(&self, other: &Papers) -> Result<(), String> {
        let engine: SharedEngine = Arc::new(self.engine.clone());
        let peers = self.identity.founders.values();
        let peers = peers.map(|name| (name.clone(), format!("{name}:1")));
        let peers = peers.collect();
        let read = |registry: &_| Roster::of(registry, &self.identity, &peers);
        let known = Known {
            identity: &self.identity,
            roster: &self.reader.with(read),
            engine: &engine,
            cluster_id: self.cluster_id(),
            status: Some(self.consensus.status().borrow().clone()),
        };
        match known.admit(&other.shown())?.0 {
            Verdict::Member(id) | Verdict::Newer(id) if id == other.identity.node_id => Ok(()),
            verdict => Err(format!("it was taken for {verdict:?}")),
        }
    }
}
