//! The agent's memory in `storage/checkpoint`: which record each change becomes, and back. Decides nothing.

use std::{collections::BTreeMap, ffi::OsStr, os::unix::ffi::OsStrExt, path::PathBuf, sync::Arc};

use bytes::Bytes;
use prost::Message;
use tepui_checkpoint::{
    AgentRecord, Change, Checkpoint, CheckpointError, ContainerRecord, Ended, FrameworkRecord,
    KillRecord, PastRecord, Recovered, ShimRecord, StreamKey, TaskRecord,
};
use tepui_engine::{Durability, SharedEngine};
use tepui_messages::{UnixNanos, agent::Draining, containers::ProcessMark};
use tepui_protocol::{
    node::CheckpointedResources,
    v1::{AgentInfo, Operation, Resource, TaskState, TaskStatus},
};

use crate::{
    actor::Memory,
    effect::{Keep, KeptContainer, KeptGuest, KeptKill, KeptTask, Past, Remembered, TaskKey},
    kills::DEFAULT_KILL_GRACE,
    updates::{MAX_REMEMBERED_UUIDS, uuid_of},
};

/// The document that holds the highest term: eight bytes, big-endian.
const TERM: &str = "term";
/// The document that holds since when the agent drains, eight bytes, big-endian, and then how.
const DRAIN: &str = "drain";
/// The document that holds reservations and volumes.
const RESOURCES: &str = "resources";
/// The documents that hold containers that clients of the API asked for: then the id.
const GUEST: &str = "guest/";
/// The documents that hold operations: then the uuid in hexadecimal.
const OPERATION: &str = "operation/";

/// A checkpoint as the actor's [`Memory`].
pub struct DurableMemory {
    checkpoint: Checkpoint,
    boot_id: String,
}

/// Opens the memory and reads what an earlier life kept. `boot_id` is that of the machine now. Records that
/// cannot be read are logged and left out.
///
/// # Errors
/// Only if the engine cannot be read at all.
pub fn open(
    engine: SharedEngine,
    boot_id: impl Into<String>,
) -> Result<(DurableMemory, Remembered), CheckpointError> {
    let (checkpoint, recovered) = Checkpoint::open(engine, MAX_REMEMBERED_UUIDS)?;
    for damaged in &recovered.damaged {
        tracing::warn!(%damaged, "a record of the checkpoint is left out");
    }
    let memory = DurableMemory {
        checkpoint,
        boot_id: boot_id.into(),
    };
    Ok((memory, remembered(recovered)))
}

impl Memory for DurableMemory {
    fn commit(&self, changes: &[Keep], synced: bool) -> Result<(), String> {
        let mut written = Vec::with_capacity(changes.len());
        for change in changes {
            if *change == Keep::ForgetAgent {
                let known = self.checkpoint.load().map_err(text)?.frameworks;
                let forget = |framework_id| Change::RemoveFramework { framework_id };
                written.extend(known.into_keys().map(forget));
                written.push(self.written(&Keep::Drain(None)));
            }
            written.push(self.written(change));
        }
        let durability = if synced {
            Durability::Synced
        } else {
            Durability::Buffered
        };
        self.checkpoint.commit(&written, durability).map_err(text)
    }
}

impl DurableMemory {
    fn written(&self, change: &Keep) -> Change {
        match change {
            Keep::Agent(info) => Change::PutAgent(AgentRecord {
                agent_id: info.id.as_ref().map(|id| id.value.clone()),
                info: encode(&**info),
                boot_id: self.boot_id.clone(),
            }),
            Keep::ForgetAgent => Change::RemoveAgent,
            Keep::Term(term) => Change::PutDocument {
                name: TERM.to_owned(),
                value: Bytes::copy_from_slice(&term.to_be_bytes()),
            },
            Keep::Drain(None) => Change::RemoveDocument {
                name: DRAIN.to_owned(),
            },
            Keep::Drain(Some(Draining { config, since })) => Change::PutDocument {
                name: DRAIN.to_owned(),
                value: [&since.to_be_bytes()[..], &encode(config)].concat().into(),
            },
            Keep::Resources(resources) => Change::PutDocument {
                name: RESOURCES.to_owned(),
                value: encode(&CheckpointedResources {
                    resources: resources.clone(),
                }),
            },
            Keep::Operation(operation) => Change::PutDocument {
                name: operation_name(&operation.uuid.value),
                value: encode(&**operation),
            },
            Keep::ForgetOperation(key) => Change::RemoveDocument {
                name: operation_name(key),
            },
            Keep::Framework(info) => Change::PutFramework(FrameworkRecord {
                framework_id: info
                    .id
                    .as_ref()
                    .map(|id| id.value.clone())
                    .unwrap_or_default(),
                info: encode(&**info),
            }),
            Keep::ForgetFramework { framework_id } => Change::RemoveFramework {
                framework_id: framework_id.clone(),
            },
            Keep::Container(kept) => Change::PutContainer(container_record(kept)),
            Keep::ForgetContainer { key, container_id } => Change::RemoveContainer {
                framework_id: key.framework_id.clone(),
                executor_id: key.executor_id.clone(),
                container_id: container_id.clone(),
            },
            Keep::Task(kept) => Change::PutTask(TaskRecord {
                framework_id: kept.framework_id.clone(),
                executor_id: kept.executor_id.clone(),
                task_id: kept.info.task_id.value.clone(),
                info: encode(&*kept.info),
                state: kept.state as i32,
                container_id: kept.container_id.clone(),
                group: kept.group,
                kill: kept.kill.as_ref().map(kill_record),
            }),
            Keep::ForgetTask(key) => Change::RemoveTask {
                framework_id: key.framework_id.clone(),
                task_id: key.task_id.clone(),
            },
            Keep::Update {
                framework_id,
                status,
            } => Change::AppendUpdate {
                stream: StreamKey {
                    framework_id: framework_id.clone(),
                    task_id: status.task_id.value.clone(),
                },
                uuid: uuid_of(status).expect("a stream takes only updates with a uuid"),
                update: encode(&**status),
            },
            Keep::Acknowledged {
                key,
                uuid,
                replaces,
            } => Change::AcknowledgeUpdate {
                stream: stream_key(key),
                uuid: *uuid,
                replaces: *replaces,
            },
            Keep::ForgetStream(key) => Change::RemoveStream {
                stream: stream_key(key),
            },
            Keep::Past(at, past) => Change::PutPast(past_record(*at, past)),
            Keep::ForgetPast(path) => Change::RemovePast { path: path.clone() },
            Keep::Guest {
                container_id,
                guest,
            } => Change::PutDocument {
                name: GUEST.to_owned() + container_id,
                value: guest_document(guest),
            },
            Keep::ForgetGuest { container_id } => Change::RemoveDocument {
                name: GUEST.to_owned() + container_id,
            },
        }
    }
}

fn container_record(kept: &KeptContainer) -> ContainerRecord {
    ContainerRecord {
        framework_id: kept.framework_id.clone(),
        executor_id: kept.info.executor_id.value.clone(),
        container_id: kept.container_id.clone(),
        info: encode(&*kept.info),
        shim: kept.shim.map(|shim| ShimRecord {
            pid: shim.pid,
            start_time_ticks: shim.start_time_ticks,
        }),
        sandbox: kept.sandbox.display().to_string(),
        resources: Bytes::new(),
        served: Some(kept.served),
    }
}

fn kill_record(kill: &KeptKill) -> KillRecord {
    KillRecord {
        grace: kill.grace,
        is_overdue: kill.is_overdue,
        is_unhealthy: kill.is_unhealthy,
    }
}

/// Earlier versions did not tell of a kill but by the state.
fn kill_of(record: &TaskRecord) -> Option<KeptKill> {
    if record.state != TaskState::TaskKilling as i32 {
        return None;
    }
    let known = record.kill.as_ref();
    Some(known.map_or_else(
        || KeptKill {
            grace: DEFAULT_KILL_GRACE,
            ..KeptKill::default()
        },
        |kill| KeptKill {
            grace: kill.grace,
            is_overdue: kill.is_overdue,
            is_unhealthy: kill.is_unhealthy,
        },
    ))
}

fn past_record(at: UnixNanos, past: &Past) -> PastRecord {
    let (info, sandbox) = match past {
        Past::Framework(info) => (encode(&**info), None),
        Past::Executor(kept) => (
            encode(&*kept.info),
            Some(kept.sandbox.display().to_string()),
        ),
        Past::Task { task, .. } => (encode(&**task), None),
    };
    PastRecord {
        path: past.path(),
        ended: Ended {
            unix_nanos: at,
            info,
            sandbox,
        },
    }
}

fn past_of(record: PastRecord) -> Option<Past> {
    let Ended { info, sandbox, .. } = record.ended;
    let info = &info;
    match record.path.len() {
        1 => Some(Past::Framework(Arc::new(decode("ended framework", info)?))),
        2 => {
            let [framework_id, container_id] = record.path.try_into().ok()?;
            Some(Past::Executor(KeptContainer {
                framework_id,
                container_id,
                info: Arc::new(decode("ended executor", info)?),
                sandbox: sandbox.map(PathBuf::from).unwrap_or_default(),
                shim: None,
                served: true,
            }))
        }
        _ => {
            let [framework_id, container_id, _] = record.path.try_into().ok()?;
            Some(Past::Task {
                framework_id,
                container_id,
                task: Arc::new(decode("ended task", info)?),
            })
        }
    }
}

fn remembered(recovered: Recovered) -> Remembered {
    let agent = recovered.agent.and_then(|record| {
        let info: AgentInfo = decode("agent", &record.info)?;
        Some((info, record.boot_id))
    });
    let frameworks = recovered.frameworks.into_values();
    let frameworks = frameworks.filter_map(|record| decode("framework", &record.info));
    let containers = recovered.containers.into_iter().filter_map(|record| {
        Some(KeptContainer {
            framework_id: record.framework_id,
            container_id: record.container_id,
            info: Arc::new(decode("executor", &record.info)?),
            sandbox: PathBuf::from(record.sandbox),
            shim: record.shim.map(|shim| ProcessMark {
                pid: shim.pid,
                start_time_ticks: shim.start_time_ticks,
            }),
            // Earlier versions did not say, and most have.
            served: record.served.unwrap_or(true),
        })
    });
    let tasks = recovered.tasks.into_iter().filter_map(|record| {
        Some(KeptTask {
            kill: kill_of(&record),
            framework_id: record.framework_id,
            executor_id: record.executor_id,
            info: Arc::new(decode("task", &record.info)?),
            state: TaskState::try_from(record.state).unwrap_or(TaskState::TaskStaging),
            container_id: record.container_id,
            group: record.group,
        })
    });
    let mut streams = BTreeMap::new();
    for (key, updates) in recovered.streams {
        let key = task_key(key);
        let updates = updates.into_iter().filter_map(|update| {
            let status: TaskStatus = decode("status update", &update.update)?;
            Some((status, update.acknowledged))
        });
        streams.insert(key, updates.collect());
    }
    let acknowledged = recovered.acknowledged.into_iter();
    let acknowledged = acknowledged.map(|(key, uuids)| (task_key(key), uuids));
    Remembered {
        agent,
        term: recovered.documents.get(TERM).map_or(0, term),
        drain: recovered.documents.get(DRAIN).and_then(drain),
        resources: recovered
            .documents
            .get(RESOURCES)
            .map_or_else(Vec::new, resources),
        operations: operations(&recovered.documents),
        frameworks: frameworks.collect(),
        containers: containers.collect(),
        tasks: tasks.collect(),
        streams,
        acknowledged: acknowledged.collect(),
        past: recovered.past.into_iter().filter_map(past_of).collect(),
        guests: guests(&recovered.documents),
    }
}

fn guests(documents: &BTreeMap<String, Bytes>) -> BTreeMap<String, KeptGuest> {
    let from = documents.range(GUEST.to_owned()..);
    let named = from.map_while(|(name, value)| Some((name.strip_prefix(GUEST)?, value)));
    let guests = named.map(|(id, value)| (id.to_owned(), guest_of(value)));
    guests.collect()
}

/// The path of the sandbox and, after a NUL, the user if there is one.
fn guest_document(guest: &KeptGuest) -> Bytes {
    let mut value = guest.sandbox.as_os_str().as_encoded_bytes().to_vec();
    if let Some(user) = &guest.user {
        value.push(0);
        value.extend(user.as_bytes());
    }
    value.into()
}

fn guest_of(value: &[u8]) -> KeptGuest {
    let mut parts = value.splitn(2, |byte| *byte == 0);
    let path = parts.next().unwrap_or_default();
    let user = parts.next().map(String::from_utf8_lossy);
    KeptGuest {
        sandbox: OsStr::from_bytes(path).into(),
        user: user.map(Into::into),
    }
}

fn operation_name(uuid: &[u8]) -> String {
    let digits = uuid.iter().map(|byte| format!("{byte:02x}"));
    OPERATION.to_owned() + &digits.collect::<String>()
}

/// In the order of their names, which is that of the orders of one leader.
fn operations(documents: &BTreeMap<String, Bytes>) -> Vec<Operation> {
    let from = documents.range(OPERATION.to_owned()..);
    from.take_while(|(name, _)| name.starts_with(OPERATION))
        .filter_map(|(_, document)| decode("operation", document))
        .collect()
}

fn resources(document: &Bytes) -> Vec<Resource> {
    let kept: Option<CheckpointedResources> = decode("reserved resources", document);
    kept.unwrap_or_default().resources
}

fn term(document: &Bytes) -> u64 {
    let bytes = document.as_ref().try_into();
    bytes.map(u64::from_be_bytes).unwrap_or_else(|_| {
        let length = document.len();
        tracing::warn!(
            length,
            "the record of the leader's term is left out; it has 8 bytes"
        );
        0
    })
}

fn drain(document: &Bytes) -> Option<Draining> {
    let (since, _) = document.split_first_chunk()?;
    let since = UnixNanos::from_be_bytes(*since);
    let config = decode("draining", &document.slice(size_of_val(&since)..))?;
    Some(Draining { config, since })
}

fn stream_key(key: &TaskKey) -> StreamKey {
    StreamKey {
        framework_id: key.framework_id.clone(),
        task_id: key.task_id.clone(),
    }
}

fn task_key(key: StreamKey) -> TaskKey {
    TaskKey {
        framework_id: key.framework_id,
        task_id: key.task_id,
    }
}

fn encode(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}

fn decode<T: Message + Default>(what: &str, bytes: &Bytes) -> Option<T> {
    let decoded = T::decode(bytes.clone());
    decoded
        .inspect_err(|error| tracing::warn!(what, %error, "a record of the checkpoint is left out"))
        .ok()
}

fn text(error: CheckpointError) -> String {
    error.to_string()
}

#[cfg(test)]
#[path = "durable_tests.rs"]
mod tests;
