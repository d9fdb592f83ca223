//! The keys of the family `checkpoint`.
//!
//! | prefix | then                             | value                        |
//! |--------|----------------------------------|------------------------------|
//! | `a`    |                                  | agent                        |
//! | `d`    | name                             | document                     |
//! | `f`    | framework                        | framework                    |
//! | `c`    | framework, executor, container   | container                    |
//! | `t`    | framework, task                  | task                         |
//! | `u`    | framework, task, sequence        | update: UUID, then its bytes |
//! | `k`    | framework, task, UUID            | acknowledged: its sequence   |
//! | `e`    | framework, container, task: the first, two or all | what has ended |
//! | `y`    | framework                        | framework, a second time     |
//! | `z`    |                                  | agent, a second time         |
//!
//! Of acknowledged updates the first and the newest have a `u` still, and the oldest other `k` go. Earlier versions wrote no sequence into `k`.
//!
//! What containers of more than one task depend on is kept twice, far apart: a damaged record costs one container.

use tepui_engine::Key;

use crate::records::{StreamKey, Uuid};

pub(crate) const AGENT: u8 = b'a';
pub(crate) const DOCUMENT: u8 = b'd';
pub(crate) const FRAMEWORK: u8 = b'f';
pub(crate) const CONTAINER: u8 = b'c';
pub(crate) const TASK: u8 = b't';
pub(crate) const UPDATE: u8 = b'u';
pub(crate) const ACKNOWLEDGED: u8 = b'k';
pub(crate) const PAST: u8 = b'e';
pub(crate) const FRAMEWORK_COPY: u8 = b'y';
pub(crate) const AGENT_COPY: u8 = b'z';

/// With [`AGENT`] or [`AGENT_COPY`].
pub(crate) fn agent(prefix: u8) -> Key {
    Key::new(prefix)
}

pub(crate) fn document(name: &str) -> Key {
    Key::new(DOCUMENT).text(name)
}

/// The key of a framework's record with [`FRAMEWORK`]; with another prefix, what all its records begin with.
pub(crate) fn framework(prefix: u8, framework_id: &str) -> Key {
    Key::new(prefix).text(framework_id)
}

pub(crate) fn container(framework_id: &str, executor_id: &str, container_id: &str) -> Key {
    framework(CONTAINER, framework_id)
        .text(executor_id)
        .text(container_id)
}

/// See [`PastRecord::path`](crate::PastRecord::path): what all keys below begin with, too.
pub(crate) fn past(path: &[String]) -> Key {
    let key = Key::new(PAST);
    path.iter().fold(key, |key, name| key.text(name))
}

pub(crate) fn task(framework_id: &str, task_id: &str) -> Key {
    framework(TASK, framework_id).text(task_id)
}

/// What all keys of a stream begin with; `prefix` is [`UPDATE`] or [`ACKNOWLEDGED`].
pub(crate) fn stream(prefix: u8, stream: &StreamKey) -> Key {
    framework(prefix, &stream.framework_id).text(&stream.task_id)
}

pub(crate) fn update(key: &StreamKey, sequence: u64) -> Key {
    stream(UPDATE, key).number(sequence)
}

pub(crate) fn acknowledged(key: &StreamKey, uuid: &Uuid) -> Key {
    stream(ACKNOWLEDGED, key).uuid(uuid)
}
