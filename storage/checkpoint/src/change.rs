//! What an agent may change, and how each change is written.

use bytes::Bytes;
use tepui_engine::keys::CHECKPOINT;
use tepui_engine::{Batch, Key, record};

use crate::keys;
use crate::records::{
    AgentRecord, ContainerRecord, FrameworkRecord, PastRecord, StreamKey, TaskRecord, Uuid, VERSION,
};
use crate::streams::Streams;

/// One change. A `Put` replaces the record with the same ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    PutAgent(AgentRecord),
    /// Forgets the agent's id, and all that has ended: the next registration is a new one.
    RemoveAgent,
    /// A value of its own name, such as checkpointed resources or drain configuration.
    PutDocument {
        name: String,
        value: Bytes,
    },
    RemoveDocument {
        name: String,
    },
    /// It has not ended, or not for good.
    PutFramework(FrameworkRecord),
    /// Forgets the framework and all its containers, tasks and streams, but not what has ended of it.
    RemoveFramework {
        framework_id: String,
    },
    PutContainer(ContainerRecord),
    RemoveContainer {
        framework_id: String,
        executor_id: String,
        container_id: String,
    },
    PutTask(TaskRecord),
    RemoveTask {
        framework_id: String,
        task_id: String,
    },
    PutPast(PastRecord),
    /// With all that is below it.
    RemovePast {
        path: Vec<String>,
    },
    /// Adds an update behind those of its stream, unless the stream has its UUID.
    AppendUpdate {
        stream: StreamKey,
        uuid: Uuid,
        update: Bytes,
    },
    /// Marks an update as acknowledged by the scheduler. The first acknowledged one stays and the latest few; but if it
    /// `replaces` the one before, that goes. Of those that go the UUIDs stay, as many as
    /// [`Checkpoint::open`](crate::Checkpoint::open) was told.
    AcknowledgeUpdate {
        stream: StreamKey,
        uuid: Uuid,
        replaces: bool,
    },
    /// Forgets a stream, its acknowledgements too.
    RemoveStream {
        stream: StreamKey,
    },
}

impl Change {
    /// Writes the change into `batch` and `streams`.
    pub(crate) fn write(&self, batch: &mut Batch, streams: &mut Streams) {
        match self {
            Self::PutAgent(agent) => {
                for prefix in [keys::AGENT, keys::AGENT_COPY] {
                    put(batch, keys::agent(prefix), agent);
                }
            }
            Self::RemoveAgent => {
                for prefix in [keys::AGENT, keys::AGENT_COPY] {
                    batch.delete(CHECKPOINT, keys::agent(prefix));
                }
                batch.delete_range(CHECKPOINT, Key::new(keys::PAST).range());
            }
            Self::PutDocument { name, value } => {
                let value = record::seal(VERSION, value);
                batch.put(CHECKPOINT, keys::document(name), value);
            }
            Self::RemoveDocument { name } => batch.delete(CHECKPOINT, keys::document(name)),
            Self::PutFramework(framework) => {
                for prefix in [keys::FRAMEWORK, keys::FRAMEWORK_COPY] {
                    let key = keys::framework(prefix, &framework.framework_id);
                    put(batch, key, framework);
                }
                let ended = keys::framework(keys::PAST, &framework.framework_id);
                batch.delete(CHECKPOINT, ended);
            }
            Self::RemoveFramework { framework_id } => {
                streams.remove_framework(framework_id);
                remove_framework(batch, framework_id);
            }
            Self::PutContainer(container) => put(batch, container_key(container), container),
            Self::RemoveContainer {
                framework_id,
                executor_id,
                container_id,
            } => {
                let key = keys::container(framework_id, executor_id, container_id);
                batch.delete(CHECKPOINT, key);
            }
            Self::PutTask(task) => put(batch, keys::task(&task.framework_id, &task.task_id), task),
            Self::RemoveTask {
                framework_id,
                task_id,
            } => batch.delete(CHECKPOINT, keys::task(framework_id, task_id)),
            Self::PutPast(past) => put(batch, keys::past(&past.path), &past.ended),
            Self::RemovePast { path } => {
                batch.delete_range(CHECKPOINT, keys::past(path).range());
            }
            Self::AppendUpdate {
                stream,
                uuid,
                update,
            } => {
                if let Some(sequence) = streams.append(stream, *uuid) {
                    let value = record::seal(VERSION, &[uuid.as_slice(), update].concat());
                    batch.put(CHECKPOINT, keys::update(stream, sequence), value);
                }
            }
            Self::AcknowledgeUpdate {
                stream,
                uuid,
                replaces,
            } => {
                let sequence = streams.acknowledge(batch, stream, *uuid, *replaces);
                let value = record::seal(VERSION, &sequence.to_be_bytes());
                batch.put(CHECKPOINT, keys::acknowledged(stream, uuid), value);
            }
            Self::RemoveStream { stream } => {
                streams.remove(stream);
                for prefix in [keys::UPDATE, keys::ACKNOWLEDGED] {
                    batch.delete_range(CHECKPOINT, keys::stream(prefix, stream).range());
                }
            }
        }
    }
}

fn put<T: serde::Serialize>(batch: &mut Batch, key: Key, value: &T) {
    batch.put(CHECKPOINT, key, record::encode(VERSION, value));
}

fn container_key(container: &ContainerRecord) -> Key {
    keys::container(
        &container.framework_id,
        &container.executor_id,
        &container.container_id,
    )
}

fn remove_framework(batch: &mut Batch, framework_id: &str) {
    for prefix in [
        keys::FRAMEWORK,
        keys::CONTAINER,
        keys::TASK,
        keys::UPDATE,
        keys::ACKNOWLEDGED,
        keys::FRAMEWORK_COPY,
    ] {
        batch.delete_range(CHECKPOINT, keys::framework(prefix, framework_id).range());
    }
}
