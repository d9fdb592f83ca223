//! What a restarted agent finds. Each record is judged alone: a damaged one is listed, the others stand.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tepui_engine::keys::CHECKPOINT;
use tepui_engine::record::{self, RecordError};
use tepui_engine::{Engine, EngineError, Key, KeyReader};

use crate::keys;
use crate::records::{
    AgentRecord, ContainerRecord, FrameworkRecord, PastRecord, StreamKey, TaskRecord, Uuid, VERSION,
};

/// Which kind of record was damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Agent,
    Document,
    Framework,
    Container,
    Task,
    Past,
    Update,
    Acknowledgement,
}

/// A record that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the {kind:?} record at {} of the checkpoint cannot be read: {error}; it is left out and all others stand; \
     check the disk",
    key.escape_ascii()
)]
pub struct Damaged {
    pub kind: Kind,
    /// The stored key. When the storage below stopped in the middle, the last key read before.
    pub key: Vec<u8>,
    pub error: String,
}

/// One status update of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredUpdate {
    pub uuid: Uuid,
    pub update: Bytes,
    pub acknowledged: bool,
}

/// Everything that was kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// `None` if the agent never registered; also if both its records are in `damaged`.
    pub agent: Option<AgentRecord>,
    pub documents: BTreeMap<String, Bytes>,
    pub frameworks: BTreeMap<String, FrameworkRecord>,
    /// Sorted by framework, executor, container.
    pub containers: Vec<ContainerRecord>,
    /// Sorted by framework, task.
    pub tasks: Vec<TaskRecord>,
    /// The updates of each task, oldest first: the first and the last of those that have an acknowledgement, and those that
    /// wait for one.
    pub streams: BTreeMap<StreamKey, Vec<RecoveredUpdate>>,
    /// What is left of earlier updates, all acknowledged: their UUIDs, oldest first.
    pub acknowledged: BTreeMap<StreamKey, Vec<Uuid>>,
    /// What has ended, the oldest first.
    pub past: Vec<PastRecord>,
    /// What could not be read. Its parts are missing above.
    pub damaged: Vec<Damaged>,
}

/// The numbers of the updates that were found.
type Sequences = BTreeMap<StreamKey, BTreeMap<Uuid, u64>>;

/// Reads everything; gives with it where the updates stand.
pub(crate) fn load(engine: &dyn Engine) -> Result<(Recovered, Sequences), EngineError> {
    let mut reader = Reader {
        engine,
        damaged: Vec::new(),
    };
    let mut recovered = Recovered {
        agent: agent(&mut reader)?,
        containers: reader.values(Kind::Container, keys::CONTAINER)?,
        tasks: reader.values(Kind::Task, keys::TASK)?,
        ..Recovered::default()
    };
    for prefix in [keys::FRAMEWORK, keys::FRAMEWORK_COPY] {
        for framework in reader.values::<FrameworkRecord>(Kind::Framework, prefix)? {
            let id = framework.framework_id.clone();
            recovered.frameworks.insert(id, framework);
        }
    }
    reader.each(Kind::Document, keys::DOCUMENT, |mut key, payload| {
        let name = key.text().ok_or_else(key_error)?;
        let value = Bytes::copy_from_slice(payload?);
        recovered.documents.insert(name, value);
        Ok(())
    })?;
    recovered.past = past(&mut reader)?;
    let sequences = load_streams(&mut reader, &mut recovered)?;
    recovered.damaged = reader.damaged;
    Ok((recovered, sequences))
}

fn agent(reader: &mut Reader<'_>) -> Result<Option<AgentRecord>, EngineError> {
    let mut records = reader.values(Kind::Agent, keys::AGENT)?;
    records.extend(reader.values(Kind::Agent, keys::AGENT_COPY)?);
    Ok(records.into_iter().next())
}

fn past(reader: &mut Reader<'_>) -> Result<Vec<PastRecord>, EngineError> {
    let mut past = Vec::new();
    reader.each_sealed(Kind::Past, keys::PAST, |mut key, sealed| {
        let path = std::iter::from_fn(|| key.text()).collect();
        let ended = record::decode(VERSION, sealed).map_err(text)?;
        past.push(PastRecord { path, ended });
        Ok(())
    })?;
    past.sort_by_key(|it| it.ended.unix_nanos);
    Ok(past)
}

fn load_streams(
    reader: &mut Reader<'_>,
    recovered: &mut Recovered,
) -> Result<Sequences, EngineError> {
    let mut acknowledged = acknowledged(reader)?;
    let mut sequences = Sequences::new();
    reader.each(Kind::Update, keys::UPDATE, |mut key, payload| {
        let stream = stream_key(&mut key)?;
        let sequence = key.number().ok_or_else(key_error)?;
        let (uuid, update) = payload?
            .split_first_chunk::<16>()
            .ok_or_else(|| "the update is shorter than its UUID".to_owned())?;
        let known = sequences.entry(stream.clone()).or_default();
        if known.contains_key(uuid) {
            return Ok(());
        }
        known.insert(*uuid, sequence);
        let seen = acknowledged.get_mut(&stream);
        let updates = recovered.streams.entry(stream).or_default();
        updates.push(RecoveredUpdate {
            uuid: *uuid,
            update: Bytes::copy_from_slice(update),
            acknowledged: seen.is_some_and(|seen| seen.remove(uuid).is_some()),
        });
        Ok(())
    })?;
    for (stream, uuids) in acknowledged {
        let mut uuids: Vec<_> = uuids.into_iter().collect();
        uuids.sort_by_key(|(_, sequence)| *sequence);
        if !uuids.is_empty() {
            let uuids = uuids.into_iter().map(|(uuid, _)| uuid).collect();
            recovered.acknowledged.insert(stream, uuids);
        }
    }
    Ok(sequences)
}

/// The numbers of the updates that were acknowledged; 0 where an earlier version wrote none.
fn acknowledged(reader: &mut Reader<'_>) -> Result<Sequences, EngineError> {
    let mut acknowledged = Sequences::new();
    reader.each(
        Kind::Acknowledgement,
        keys::ACKNOWLEDGED,
        |mut key, payload| {
            let stream = stream_key(&mut key)?;
            let uuid = key.uuid().ok_or_else(key_error)?;
            let sequence = payload?.try_into().map_or(0, u64::from_be_bytes);
            acknowledged
                .entry(stream)
                .or_default()
                .insert(uuid, sequence);
            Ok(())
        },
    )?;
    Ok(acknowledged)
}

/// Reads one kind of record after the other and collects what is damaged.
struct Reader<'a> {
    engine: &'a dyn Engine,
    damaged: Vec<Damaged>,
}

impl Reader<'_> {
    fn values<T: DeserializeOwned>(
        &mut self,
        kind: Kind,
        prefix: u8,
    ) -> Result<Vec<T>, EngineError> {
        let mut values = Vec::new();
        self.each_sealed(kind, prefix, |_, sealed| {
            values.push(record::decode(VERSION, sealed).map_err(text)?);
            Ok(())
        })?;
        Ok(values)
    }

    /// Shows key (behind its prefix) and payload, or why there is no payload.
    fn each(
        &mut self,
        kind: Kind,
        prefix: u8,
        mut visit: impl FnMut(KeyReader<'_>, Result<&[u8], String>) -> Result<(), String>,
    ) -> Result<(), EngineError> {
        self.each_sealed(kind, prefix, |key, sealed| {
            let payload = record::unseal(VERSION, sealed).map(|(_, payload)| payload);
            visit(key, payload.map_err(text))
        })
    }

    fn each_sealed(
        &mut self,
        kind: Kind,
        prefix: u8,
        mut visit: impl FnMut(KeyReader<'_>, &[u8]) -> Result<(), String>,
    ) -> Result<(), EngineError> {
        let damaged = &mut self.damaged;
        let mut last_key = vec![prefix];
        let range = Key::new(prefix).range();
        let scanned = self.engine.scan(CHECKPOINT, &range, &mut |key, sealed| {
            last_key = key.to_vec();
            let mut reader = KeyReader::new(key);
            reader.prefix();
            if let Err(error) = visit(reader, sealed) {
                damaged.push(Damaged {
                    kind,
                    key: key.to_vec(),
                    error,
                });
            }
            ControlFlow::Continue(())
        });
        match scanned {
            // Blocks below the records are damaged: what follows of this kind is lost, the other kinds are not.
            Err(error @ (EngineError::Damaged { .. } | EngineError::Io { .. })) => {
                self.damaged.push(Damaged {
                    kind,
                    key: last_key,
                    error: error.to_string(),
                });
                Ok(())
            }
            other => other,
        }
    }
}

fn stream_key(key: &mut KeyReader<'_>) -> Result<StreamKey, String> {
    Ok(StreamKey {
        framework_id: key.text().ok_or_else(key_error)?,
        task_id: key.text().ok_or_else(key_error)?,
    })
}

fn key_error() -> String {
    "the key has another shape than its prefix says".to_owned()
}

fn text(error: RecordError) -> String {
    error.to_string()
}
