//! The commands, as they stand in the log, and their outcomes. Times come in the command: applying reads no clock.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::state::Maintenance;

/// A new field needs `#[serde(default)]`; a new command needs a new version, proposed only when every member can
/// read it.
const FIRST_VERSION: u8 = 1;
/// Brought the commands on masters of the group.
const MEMBERS_VERSION: u8 = 2;
/// Brought counted time and the deadlines in it.
const TIME_VERSION: u8 = 3;
const NEWEST_VERSION: u8 = TIME_VERSION;
const UNCHANGED: u8 = 0;
const CHANGED: u8 = 1;
const REFUSED: u8 = 2;

/// One change of the registry. Infos are protobuf bytes, times nanoseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Names the cluster, once.
    SetClusterId {
        id: String,
    },
    /// Admits a new agent. Refused if the id is known in any state.
    AdmitAgent {
        id: String,
        info: Bytes,
    },
    /// Replaces the info of an admitted agent.
    UpdateAgent {
        id: String,
        info: Bytes,
    },
    /// An admitted agent stopped answering.
    MarkUnreachable {
        id: String,
        at_nanos: i64,
    },
    /// An agent answers again. One that was forgotten is admitted too; one that is gone is refused.
    MarkReachable {
        id: String,
        info: Bytes,
    },
    /// An admitted or unreachable agent is never to come back.
    MarkGone {
        id: String,
        at_nanos: i64,
    },
    /// An admitted agent has left in good order; its id may be forgotten.
    RemoveAgent {
        id: String,
    },
    /// Starts draining, which deactivates. `drain` is `mesos.v1.DrainInfo`.
    DrainAgent {
        id: String,
        drain: Bytes,
    },
    /// Replaces the drain info of a draining agent by that of a drained one.
    MarkDrained {
        id: String,
        drain: Bytes,
    },
    DeactivateAgent {
        id: String,
    },
    /// Ends draining and deactivation.
    ReactivateAgent {
        id: String,
    },
    /// Forgets unreachable and gone agents older than `before_nanos`, and the oldest beyond `max` of each.
    Prune {
        before_nanos: i64,
        max: u64,
    },
    /// Registers a new framework. Refused if the id is registered or was removed.
    AdmitFramework {
        id: String,
        info: Bytes,
        suppressed: Vec<String>,
    },
    /// Replaces info and suppressed roles; says nothing about the connection.
    UpdateFramework {
        id: String,
        info: Bytes,
        suppressed: Vec<String>,
    },
    FrameworkConnected {
        id: String,
    },
    /// Of earlier versions, by the clock on the wall: read from their logs, proposed no more.
    FrameworkDisconnected {
        id: String,
        deadline_nanos: i64,
    },
    /// These frameworks are disconnected, each until its deadline. Both in the time of
    /// [`Registry::counted_nanos`](crate::Registry::counted_nanos).
    FrameworksAway {
        now_nanos: i64,
        deadlines: Vec<(String, i64)>,
    },
    /// Frameworks refuse these resources of an agent; one refusal a framework, agent and role. `now_nanos` as above.
    RefuseOffers {
        now_nanos: i64,
        refused: Vec<Refused>,
    },
    /// A framework wants to be asked again under these roles, or under all if there are none.
    ForgetRefusals {
        id: String,
        roles: Vec<String>,
    },
    /// So much time has been counted.
    CountTime {
        now_nanos: i64,
    },
    RemoveFramework {
        id: String,
        at_nanos: i64,
    },
    /// Sets weights, by role; the others stay.
    UpdateWeights {
        weights: Vec<(String, f64)>,
    },
    /// Sets and removes quota configurations, by role; the others stay. All or none.
    UpdateQuota {
        set: Vec<(String, Bytes)>,
        remove: Vec<String>,
    },
    /// The three changes of maintenance carry the whole result, which the leader worked out.
    UpdateSchedule {
        maintenance: Maintenance,
    },
    StartMaintenance {
        maintenance: Maintenance,
    },
    StopMaintenance {
        maintenance: Maintenance,
    },
    PutDocument {
        collection: String,
        name: String,
        value: Bytes,
    },
    DeleteDocument {
        collection: String,
        name: String,
    },
    /// Writes down who founded the group: id, name and address. Without effect once there are members.
    FoundMembers {
        members: Vec<(u64, String, String)>,
    },
    /// A master is to join under the next id. Refused if the name is taken, unless the old one is to be replaced.
    AddMember {
        name: String,
        address: String,
        replace: bool,
    },
    /// A master is to leave; its id is not given again.
    RemoveMember {
        name: String,
    },
    /// A master that was added takes its id for this disk, and for no other.
    ClaimMember {
        id: u64,
        disk: String,
    },
    /// A master has another address.
    MoveMember {
        id: u64,
        address: String,
    },
}

/// What a framework refuses, and until when in counted time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub framework: String,
    pub agent: String,
    pub role: String,
    pub until_nanos: i64,
    pub resources: Bytes,
}

/// Why bytes are no command of this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError(pub String);

impl std::fmt::Display for CommandError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for CommandError {}

impl Command {
    /// The bytes to propose: a version byte, then MessagePack with named fields.
    pub fn encode(&self) -> Bytes {
        let mut bytes = vec![self.version()];
        rmp_serde::encode::write_named(&mut bytes, self)
            .expect("commands are plain data, which always encodes");
        Bytes::from(bytes)
    }

    fn version(&self) -> u8 {
        match self {
            Self::FoundMembers { .. }
            | Self::AddMember { .. }
            | Self::RemoveMember { .. }
            | Self::ClaimMember { .. }
            | Self::MoveMember { .. } => MEMBERS_VERSION,
            Self::FrameworksAway { .. }
            | Self::CountTime { .. }
            | Self::RefuseOffers { .. }
            | Self::ForgetRefusals { .. } => TIME_VERSION,
            _ => FIRST_VERSION,
        }
    }

    /// Whether it takes something new into the registry, rather than bringing the cluster back in order: such a
    /// command may be refused while disks are nearly full.
    pub fn grows(&self) -> bool {
        match self {
            Self::AdmitAgent { .. }
            | Self::AdmitFramework { .. }
            | Self::UpdateWeights { .. }
            | Self::PutDocument { .. }
            | Self::AddMember { .. }
            | Self::RefuseOffers { .. } => true,
            Self::UpdateQuota { set, .. } => !set.is_empty(),
            Self::UpdateSchedule { maintenance } => maintenance.schedule.is_some(),
            _ => false,
        }
    }

    /// Reads a command. Errors name a version this program does not know, or what is malformed.
    pub fn decode(bytes: &[u8]) -> Result<Self, CommandError> {
        let Some((&version, mut payload)) = bytes.split_first() else {
            return Err(CommandError("the command is empty".to_owned()));
        };
        if !(FIRST_VERSION..=NEWEST_VERSION).contains(&version) {
            return Err(CommandError(format!(
                "the command has version {version}, this program reads up to {NEWEST_VERSION}; run a newer version"
            )));
        }
        let command = rmp_serde::from_read(&mut payload)
            .map_err(|error| CommandError(format!("the command cannot be decoded: {error}")))?;
        if !payload.is_empty() {
            let left = payload.len();
            return Err(CommandError(format!("{left} bytes follow the command")));
        }
        Ok(command)
    }
}

/// What became of a command. A refused one changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Applied {
        /// False if the state was so already.
        changed: bool,
    },
    Refused {
        reason: String,
    },
}

impl Outcome {
    pub(crate) const CHANGED: Self = Self::Applied { changed: true };

    pub(crate) fn changed(changed: bool) -> Self {
        Self::Applied { changed }
    }

    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused {
            reason: reason.into(),
        }
    }

    /// The bytes that consensus carries to the proposer.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Applied { changed: false } => Bytes::from_static(&[UNCHANGED]),
            Self::Applied { changed: true } => Bytes::from_static(&[CHANGED]),
            Self::Refused { reason } => {
                let mut bytes = vec![REFUSED];
                bytes.extend_from_slice(reason.as_bytes());
                Bytes::from(bytes)
            }
        }
    }

    /// Reads what [`Outcome::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, CommandError> {
        match bytes.split_first() {
            Some((&UNCHANGED, [])) => Ok(Self::changed(false)),
            Some((&CHANGED, [])) => Ok(Self::CHANGED),
            Some((&REFUSED, reason)) => Ok(Self::refused(String::from_utf8_lossy(reason))),
            _ => Err(CommandError("the bytes are no outcome".to_owned())),
        }
    }
}
