//! The state itself: plain ordered maps of plain records.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{command::Command, refusals};

/// An agent that may offer resources. `info` is `mesos.v1.AgentInfo` as protobuf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmittedAgent {
    pub info: Bytes,
    /// `mesos.v1.DrainInfo` as protobuf, while the agent drains or is drained.
    pub drain: Option<Bytes>,
    /// A deactivated agent gets no offers made.
    pub deactivated: bool,
}

/// An agent that was admitted and stopped answering.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreachableAgent {
    /// Nanoseconds since 1970.
    pub at_nanos: i64,
    pub drain: Option<Bytes>,
    pub deactivated: bool,
}

/// A registered framework. `info` is `mesos.v1.FrameworkInfo` as protobuf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameworkRecord {
    pub info: Bytes,
    /// Written by earlier versions, by the clock on the wall, and obeyed by none any more.
    pub failover_deadline_nanos: Option<i64>,
    /// Roles in which it asked for no offers.
    pub suppressed: BTreeSet<String>,
    /// When a disconnected framework is removed, in the time of [`Registry::counted_nanos`]; `None` while it is
    /// connected, as far as was written.
    #[serde(default)]
    pub failover_ends_nanos: Option<i64>,
}

impl FrameworkRecord {
    /// Of what it said of itself, in bytes.
    fn size(&self) -> usize {
        self.info.len() + self.suppressed.iter().map(String::len).sum::<usize>()
    }
}

/// What a framework refuses of an agent under one role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalRecord {
    /// In the time of [`Registry::counted_nanos`].
    pub until_nanos: i64,
    /// The offered `mesos.v1.Resource`s as protobuf, each behind its length.
    pub resources: Bytes,
}

/// Of one framework, by agent and role.
pub type Refusals = BTreeMap<String, BTreeMap<String, RefusalRecord>>;

/// A framework whose id must not be taken again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedFramework {
    pub id: String,
    pub info: Bytes,
    /// Nanoseconds since 1970.
    pub at_nanos: i64,
}

/// `mesos.v1.MachineInfo.Mode`, by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MachineMode {
    Up,
    Draining,
    Down,
}

/// A machine of the maintenance schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineRecord {
    pub mode: MachineMode,
    /// `mesos.v1.MachineInfo` as protobuf.
    pub info: Bytes,
}

/// The whole of maintenance: what a change of it results in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// `mesos.v1.maintenance.Schedule` as protobuf; Mesos has at most one.
    pub schedule: Option<Bytes>,
    /// By a name the master makes of hostname and address.
    pub machines: BTreeMap<String, MachineRecord>,
}

/// A master of the group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRecord {
    pub name: String,
    /// `host:port` of its bridge, where the others reach it.
    pub address: String,
    /// The disk of one that joined, from the moment it took its id. Founders took theirs without asking.
    #[serde(default)]
    pub disk: Option<String>,
}

/// Everything the cluster must not forget.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Registry {
    pub cluster_id: Option<String>,
    pub agents: BTreeMap<String, AdmittedAgent>,
    pub unreachable: BTreeMap<String, UnreachableAgent>,
    /// When each agent was marked gone, in nanoseconds since 1970. It may never come back.
    pub gone: BTreeMap<String, i64>,
    pub frameworks: BTreeMap<String, FrameworkRecord>,
    /// The last removed frameworks, by the order of their removal.
    pub removed_frameworks: BTreeMap<u64, RemovedFramework>,
    pub weights: BTreeMap<String, f64>,
    /// `mesos.v1.quota.QuotaConfig` as protobuf, by role.
    pub quotas: BTreeMap<String, Bytes>,
    pub maintenance: Maintenance,
    /// What a master must be able to do to open this registry.
    pub minimum_capabilities: BTreeSet<String>,
    /// Small values of modules, by collection and name: credentials, jobs, operator reservations.
    #[serde(default)]
    pub documents: BTreeMap<String, BTreeMap<String, Bytes>>,
    /// The masters, by id, as the operator wants them; none until the first leader has written the founders.
    #[serde(default)]
    pub members: BTreeMap<u64, MemberRecord>,
    /// The highest id a master ever got: none is given twice.
    #[serde(default)]
    pub last_member_id: u64,
    /// Nanoseconds that leaders have counted since the cluster began: a time that no clock on a wall can move. It is
    /// written while deadlines run, and stands still in between.
    #[serde(default)]
    pub counted_nanos: i64,
    /// What frameworks refuse for long, by framework: as much as fits, since what is lost is only offered once more.
    #[serde(default)]
    pub refusals: BTreeMap<String, Refusals>,
}

impl Registry {
    /// Whether a framework with this id was removed, as far back as is remembered.
    pub fn was_removed(&self, framework_id: &str) -> bool {
        self.removed_frameworks
            .values()
            .any(|removed| removed.id == framework_id)
    }

    /// The most bytes by which a command makes this larger: 0 of one that takes nothing new.
    pub fn growth(&self, command: &Command, encoded: usize) -> usize {
        match command {
            Command::UpdateFramework {
                id,
                info,
                suppressed,
            } => {
                let new = info.len() + suppressed.iter().map(String::len).sum::<usize>();
                new.saturating_sub(self.frameworks.get(id).map_or(0, FrameworkRecord::size))
            }
            other if other.grows() => encoded,
            _ => 0,
        }
    }

    /// What must hold after every command; gives the first violation.
    pub fn check(&self) -> Result<(), String> {
        for id in self.agents.keys() {
            if self.unreachable.contains_key(id) || self.gone.contains_key(id) {
                return Err(format!("agent {id} is admitted and absent at once"));
            }
        }
        if let Some(id) = self
            .gone
            .keys()
            .find(|id| self.unreachable.contains_key(*id))
        {
            return Err(format!("agent {id} is unreachable and gone at once"));
        }
        if let Some(id) = self.frameworks.keys().find(|id| self.was_removed(id)) {
            return Err(format!("framework {id} is registered and removed at once"));
        }
        if self.removed_frameworks.len() > MAX_REMOVED {
            return Err("too many removed frameworks are remembered".to_owned());
        }
        if let Some(id) = self
            .refusals
            .keys()
            .find(|id| !self.frameworks.contains_key(*id))
        {
            return Err(format!(
                "framework {id} refuses offers and is not registered"
            ));
        }
        if self.refusals.values().map(refusals::count).sum::<usize>() > crate::MAX_REFUSALS {
            return Err("too many refusals are remembered".to_owned());
        }
        if self.weights.values().any(|weight| !is_weight(*weight)) {
            return Err("a weight is not a positive number".to_owned());
        }
        if self.documents.values().any(BTreeMap::is_empty) {
            return Err("an empty collection is kept".to_owned());
        }
        self.check_members()?;
        Ok(())
    }
}

const MAX_REMOVED: usize = crate::MAX_REMOVED_FRAMEWORKS;

/// A weight must be a finite number above 0.
pub(crate) fn is_weight(weight: f64) -> bool {
    weight.is_finite() && weight > 0.0
}
