//! Each record under a key of its own in the family `registry`, so that a command writes only what it changed.
//!
//! | prefix | then             | value                  |
//! |--------|------------------|------------------------|
//! | `I`    |                  | cluster id             |
//! | `a`    | agent            | admitted agent         |
//! | `u`    | agent            | unreachable agent      |
//! | `g`    | agent            | time it was gone       |
//! | `f`    | framework        | framework              |
//! | `r`    | sequence         | removed framework      |
//! | `w`    | role             | weight                 |
//! | `q`    | role             | quota                  |
//! | `s`    |                  | maintenance schedule   |
//! | `m`    | machine          | machine                |
//! | `c`    | capability       | nothing                |
//! | `d`    | collection, name | document               |
//! | `M`    | member id        | master of the group    |
//! | `N`    |                  | highest member id      |
//! | `T`    |                  | counted time           |
//! | `o`    | framework, agent | refusals, by role      |

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tepui_consensus::StateError;
use tepui_engine::keys::REGISTRY;
use tepui_engine::record::{self, RecordError};
use tepui_engine::{Batch, Key, KeyReader};

use crate::{sizes::Sizes, state::Registry};

/// The version every record and snapshot is written with.
pub(crate) const VERSION: u8 = 1;

/// Names one record of the registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RecordKey {
    ClusterId,
    Agent(String),
    Unreachable(String),
    Gone(String),
    Framework(String),
    RemovedFramework(u64),
    Weight(String),
    Quota(String),
    Schedule,
    Machine(String),
    Capability(String),
    Document(String, String),
    Member(u64),
    LastMemberId,
    CountedTime,
    Refusals(String, String),
}

/// The records a command touched.
pub(crate) type Touched = BTreeSet<RecordKey>;

impl RecordKey {
    fn encode(&self) -> Key {
        match self {
            Self::ClusterId => Key::new(b'I'),
            Self::Agent(id) => Key::new(b'a').text(id),
            Self::Unreachable(id) => Key::new(b'u').text(id),
            Self::Gone(id) => Key::new(b'g').text(id),
            Self::Framework(id) => Key::new(b'f').text(id),
            Self::RemovedFramework(sequence) => Key::new(b'r').number(*sequence),
            Self::Weight(role) => Key::new(b'w').text(role),
            Self::Quota(role) => Key::new(b'q').text(role),
            Self::Schedule => Key::new(b's'),
            Self::Machine(name) => Key::new(b'm').text(name),
            Self::Capability(name) => Key::new(b'c').text(name),
            Self::Document(collection, name) => Key::new(b'd').text(collection).text(name),
            Self::Member(id) => Key::new(b'M').number(*id),
            Self::LastMemberId => Key::new(b'N'),
            Self::CountedTime => Key::new(b'T'),
            Self::Refusals(framework, agent) => Key::new(b'o').text(framework).text(agent),
        }
    }

    fn decode(key: &[u8]) -> Option<Self> {
        let mut reader = KeyReader::new(key);
        let decoded = match reader.prefix()? {
            b'I' => Self::ClusterId,
            b'a' => Self::Agent(reader.text()?),
            b'u' => Self::Unreachable(reader.text()?),
            b'g' => Self::Gone(reader.text()?),
            b'f' => Self::Framework(reader.text()?),
            b'r' => Self::RemovedFramework(reader.number()?),
            b'w' => Self::Weight(reader.text()?),
            b'q' => Self::Quota(reader.text()?),
            b's' => Self::Schedule,
            b'm' => Self::Machine(reader.text()?),
            b'c' => Self::Capability(reader.text()?),
            b'd' => Self::Document(reader.text()?, reader.text()?),
            b'M' => Self::Member(reader.number()?),
            b'N' => Self::LastMemberId,
            b'T' => Self::CountedTime,
            b'o' => Self::Refusals(reader.text()?, reader.text()?),
            _ => return None,
        };
        reader.end()?;
        Some(decoded)
    }
}

impl Registry {
    /// Puts the touched records into the batch as they are now: written if present, deleted if not.
    pub(crate) fn write(&self, touched: &Touched, batch: &mut Batch, sizes: &mut Sizes) {
        for record in touched {
            let key = Vec::from(record.encode());
            match self.value(record) {
                Some(value) => {
                    sizes.put(key.clone(), value.len());
                    batch.put(REGISTRY, key, value);
                }
                None => {
                    sizes.delete(&key);
                    batch.delete(REGISTRY, key);
                }
            }
        }
    }

    /// The keys of all records.
    pub(crate) fn all_keys(&self) -> Touched {
        let ids = |id: &String| id.clone();
        let mut keys = Touched::from([
            RecordKey::ClusterId,
            RecordKey::Schedule,
            RecordKey::LastMemberId,
            RecordKey::CountedTime,
        ]);
        keys.extend(self.members.keys().copied().map(RecordKey::Member));
        keys.extend(self.agents.keys().map(ids).map(RecordKey::Agent));
        keys.extend(self.unreachable.keys().map(ids).map(RecordKey::Unreachable));
        keys.extend(self.gone.keys().map(ids).map(RecordKey::Gone));
        keys.extend(self.frameworks.keys().map(ids).map(RecordKey::Framework));
        let removed = self.removed_frameworks.keys().copied();
        keys.extend(removed.map(RecordKey::RemovedFramework));
        keys.extend(self.weights.keys().map(ids).map(RecordKey::Weight));
        keys.extend(self.quotas.keys().map(ids).map(RecordKey::Quota));
        let machines = self.maintenance.machines.keys();
        keys.extend(machines.map(ids).map(RecordKey::Machine));
        let capabilities = self.minimum_capabilities.iter();
        keys.extend(capabilities.map(ids).map(RecordKey::Capability));
        for (framework, refusals) in &self.refusals {
            let agents = refusals.keys().map(ids);
            keys.extend(agents.map(|agent| RecordKey::Refusals(framework.clone(), agent)));
        }
        for (collection, documents) in &self.documents {
            let names = documents.keys().map(ids);
            keys.extend(names.map(|name| RecordKey::Document(collection.clone(), name)));
        }
        keys
    }

    fn value(&self, key: &RecordKey) -> Option<Vec<u8>> {
        fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
            record::encode(VERSION, value)
        }
        match key {
            RecordKey::ClusterId => self.cluster_id.as_ref().map(encode),
            RecordKey::Agent(id) => self.agents.get(id).map(encode),
            RecordKey::Unreachable(id) => self.unreachable.get(id).map(encode),
            RecordKey::Gone(id) => self.gone.get(id).map(encode),
            RecordKey::Framework(id) => self.frameworks.get(id).map(encode),
            RecordKey::RemovedFramework(sequence) => {
                self.removed_frameworks.get(sequence).map(encode)
            }
            RecordKey::Weight(role) => self.weights.get(role).map(encode),
            RecordKey::Quota(role) => self.quotas.get(role).map(encode),
            RecordKey::Schedule => self.maintenance.schedule.as_ref().map(encode),
            RecordKey::Machine(name) => self.maintenance.machines.get(name).map(encode),
            RecordKey::Capability(name) => self
                .minimum_capabilities
                .get(name)
                .map(|_| record::seal(VERSION, &[])),
            RecordKey::Document(collection, name) => {
                let documents = self.documents.get(collection)?;
                documents.get(name).map(encode)
            }
            RecordKey::Member(id) => self.members.get(id).map(encode),
            RecordKey::LastMemberId => {
                (self.last_member_id > 0).then(|| encode(&self.last_member_id))
            }
            RecordKey::Refusals(framework, agent) => {
                let refusals = self.refusals.get(framework)?;
                refusals.get(agent).map(encode)
            }
            RecordKey::CountedTime => (self.counted_nanos > 0).then(|| encode(&self.counted_nanos)),
        }
    }

    /// Takes in a stored record. Errors say what is wrong with it.
    pub(crate) fn insert(&mut self, key: &[u8], sealed: &[u8]) -> Result<(), StateError> {
        let place = || format!("{}, record {}", REGISTRY.name(), key.escape_ascii());
        let Some(named) = RecordKey::decode(key) else {
            let place = place();
            return Err(StateError(format!(
                "{place}: this program knows no such record; run a newer version"
            )));
        };
        self.read(named, sealed).map_err(|error| match error {
            RecordError::Version { .. } => StateError(format!("{}: {error}", place())),
            _ => StateError::damaged(&format!("{}: {error}", place())),
        })
    }

    fn read(&mut self, named: RecordKey, sealed: &[u8]) -> Result<(), RecordError> {
        match named {
            RecordKey::ClusterId => self.cluster_id = Some(decode(sealed)?),
            RecordKey::Agent(id) => drop(self.agents.insert(id, decode(sealed)?)),
            RecordKey::Unreachable(id) => drop(self.unreachable.insert(id, decode(sealed)?)),
            RecordKey::Gone(id) => drop(self.gone.insert(id, decode(sealed)?)),
            RecordKey::Framework(id) => drop(self.frameworks.insert(id, decode(sealed)?)),
            RecordKey::RemovedFramework(sequence) => {
                self.removed_frameworks.insert(sequence, decode(sealed)?);
            }
            RecordKey::Weight(role) => drop(self.weights.insert(role, decode(sealed)?)),
            RecordKey::Quota(role) => drop(self.quotas.insert(role, decode(sealed)?)),
            RecordKey::Schedule => self.maintenance.schedule = Some(decode::<Bytes>(sealed)?),
            RecordKey::Machine(name) => {
                self.maintenance.machines.insert(name, decode(sealed)?);
            }
            RecordKey::Capability(name) => {
                record::unseal(VERSION, sealed)?;
                self.minimum_capabilities.insert(name);
            }
            RecordKey::Document(collection, name) => {
                let documents = self.documents.entry(collection).or_default();
                documents.insert(name, decode(sealed)?);
            }
            RecordKey::Member(id) => drop(self.members.insert(id, decode(sealed)?)),
            RecordKey::LastMemberId => self.last_member_id = decode(sealed)?,
            RecordKey::CountedTime => self.counted_nanos = decode(sealed)?,
            RecordKey::Refusals(framework, agent) => {
                let refusals = self.refusals.entry(framework).or_default();
                refusals.insert(agent, decode(sealed)?);
            }
        }
        Ok(())
    }
}

fn decode<T: DeserializeOwned>(sealed: &[u8]) -> Result<T, RecordError> {
    record::decode(VERSION, sealed)
}
