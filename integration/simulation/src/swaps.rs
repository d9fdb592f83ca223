//! Whose disk a master has, and a master that is started on a disk that is not the one it had: empty, older, or another
//! cluster's. The others are to refuse it, and its operator puts another master in its place.

use std::{collections::BTreeMap, sync::Arc};

use tepui_consensus::{Consensus, Identity, Role};
use tepui_engine::{MemoryEngine, SharedEngine, keys::MASTER_FAMILIES};
use tepui_registry::Command;

use crate::{
    master::{Fate, MasterHost},
    operator,
    schedule::Wrong,
    world::World,
};

/// With fewer voters none may lose its disk: the rest would be no majority.
const VOTERS_THAT_BEAR_A_LOSS: usize = 3;

impl MasterHost {
    /// Writes down whose disk this is, as the first start does and the answer to a joiner.
    pub(crate) fn own_disk(&mut self, founders: BTreeMap<u64, String>) {
        self.disks += 1;
        let identity = Identity {
            node_id: self.id,
            name: self.name.clone(),
            disk: format!("disk-{}-{}", self.id, self.disks),
            founders,
            cluster_id: None,
        };
        let engine: SharedEngine = Arc::new(self.engine.clone());
        identity.write(&engine).expect("a new disk works");
    }

    /// The leader notes which disk took its id.
    pub fn claim(&self, leader: &Consensus) {
        let (id, disk) = (self.id, format!("disk-{}-{}", self.id, self.disks));
        let claim = Command::ClaimMember { id, disk };
        let claimed = leader.propose(claim.encode());
        tokio::task::spawn_local(async move {
            // Where it was lost, others remember the disk as well.
            let _ = claimed.await;
        });
    }

    pub fn copy_disk(&mut self) {
        self.copy = Some(self.engine.copy());
    }

    /// Starts it on a disk that is not the one it had; whether there is such a disk.
    pub fn swap_disk(&mut self, by: Wrong) -> bool {
        let copy = self.copy.take();
        if by == Wrong::Older && copy.is_none() {
            return false;
        }
        self.die();
        self.fate = Fate::Harmed;
        self.engine = match (by, copy) {
            (Wrong::Older, Some(copy)) => copy,
            _ => MemoryEngine::new(&MASTER_FAMILIES),
        };
        let founders = match by {
            Wrong::Older => None,
            // One that joined does not start by itself on an empty disk: it asks to be let in.
            Wrong::Wiped if !self.realm.group.contains_key(&self.id) => {
                self.fate = Fate::Lost;
                return false;
            }
            Wrong::Wiped => Some(self.realm.group.clone()),
            Wrong::Foreign => Some(BTreeMap::from([
                (self.id, self.name.clone()),
                (self.id + 1, "other".to_owned()),
            ])),
        };
        if let Some(founders) = founders {
            self.own_disk(founders);
        }
        self.start();
        true
    }
}

impl World {
    /// Whether one more disk may lose what it has promised to keep: the group has the majority without it, and no
    /// other one has lost something.
    pub(crate) fn bears_a_loss(&self) -> bool {
        let Some(leader) = operator::leader(&self.roster) else {
            return false;
        };
        let voters = leader.consensus.status().borrow().voters.len();
        let is_sound = |host: &MasterHost| matches!(host.fate, Fate::Well | Fate::Retired);
        voters >= VOTERS_THAT_BEAR_A_LOSS && self.hosts().iter().all(is_sound)
    }

    /// Only where the group bears it, and where the leader is there to tell: a disk that is wrong while the leader is away
    /// are two failures at once.
    pub(crate) fn swap_disk(&self, id: u64, by: Wrong) {
        let Some(leader) = operator::leader(&self.roster) else {
            return;
        };
        let status = leader.consensus.status().borrow().clone();
        let knows = status.acknowledged.iter().any(|(it, _)| *it == id);
        let reaches = self.realm.links.joins(status.node_id, id);
        let tells = status.role == Role::Leader && status.voters.contains(&id) && knows && reaches;
        if !tells || status.node_id == id || !self.bears_a_loss() {
            return;
        }
        self.master(id, |host| {
            if host.swap_disk(by) {
                self.look_at_disk(host);
            }
        });
    }

    /// It meets all others, as it dials all of them when it starts.
    fn look_at_disk(&self, host: &mut MasterHost) {
        if !host.is_running() {
            return;
        }
        let others = self
            .roster
            .running()
            .into_keys()
            .filter(|it| *it != host.id);
        for other in others {
            let met = self
                .realm
                .links
                .meet(host.id, other, &self.roster, self.realm.planted);
            let Err(text) = met else { continue };
            self.history
                .note(format!("master {} is refused by {other}: {text}", host.id));
            if text.contains("--replace") || text.contains("tepui cluster add") {
                host.crash(0);
                host.fate = Fate::Lost;
                return;
            }
        }
        // Nobody can tell it from the one it had, or nobody looked.
        host.fate = Fate::Well;
    }
}
