//! Status update streams: one a task, one update in flight, repeated until acknowledged, in order.
//!
//! Owns what waits for an acknowledgement and when it is sent again. Never sends, never stores; the rules are
//! Mesos' `TaskStatusUpdateManager`.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};
pub use tepui_protocol::task::is_terminal;

use tepui_protocol::{
    codec::protobuf,
    v1::{TaskState, TaskStatus},
};

use crate::effect::TaskKey;

/// Updates one task may have waiting. More are refused, so that an executor cannot fill the memory; but its end is always
/// taken.
pub const MAX_PENDING_UPDATES: usize = 4096;
/// Bytes of them that one more may find waiting, if it is no small one.
const MAX_PENDING_BYTES: usize = 16 << 20;
/// As many as may wait of these stay within the bytes.
const SMALL_BYTES: usize = MAX_PENDING_BYTES / MAX_PENDING_UPDATES;
/// Acknowledged uuids a stream remembers, also on the disk, to tell a repeated update from a new one.
pub(crate) const MAX_REMEMBERED_UUIDS: usize = 4096;

/// The streams of one agent.
#[derive(Debug)]
pub struct Streams {
    retry_min: Duration,
    retry_max: Duration,
    paused: bool,
    streams: BTreeMap<TaskKey, Stream>,
}

#[derive(Debug, Default)]
struct Stream {
    pending: VecDeque<Arc<TaskStatus>>,
    acknowledged: BTreeSet<[u8; 16]>,
    acknowledged_order: VecDeque<[u8; 16]>,
    /// A terminal update was taken: none follows it.
    closed: bool,
    /// What was acknowledged last.
    told: Option<TaskState>,
    retry: Option<Retry>,
}

#[derive(Debug, Clone, Copy)]
struct Retry {
    at: Duration,
    next_wait: Duration,
}

/// What became of a new update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    Taken,
    /// The stream has had this uuid.
    Duplicate,
    /// A terminal update went before.
    Closed,
    /// Not a uuid, or too many wait.
    Refused,
}

/// What became of an acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acknowledged {
    /// It was the head; with `ended` it was the last, and the stream is gone. With `replaces` it tells the same state as the
    /// one acknowledged before, of which nothing is shown any more. `again_at` is the time of the repetition that is not
    /// needed any more.
    Head {
        ended: bool,
        replaces: bool,
        again_at: Option<Duration>,
    },
    /// Not of the update in flight, or of none.
    Ignored,
}

/// An update to send now, and when to look again.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward {
    pub status: Arc<TaskStatus>,
    pub again_at: Duration,
}

impl Streams {
    /// Paused until [`Self::resume`].
    pub fn new(retry_min: Duration, retry_max: Duration) -> Self {
        Self {
            retry_min,
            retry_max,
            paused: true,
            streams: BTreeMap::new(),
        }
    }

    /// Adds an update behind those of its task.
    pub fn append(&mut self, key: &TaskKey, status: Arc<TaskStatus>) -> Appended {
        let Some(uuid) = uuid_of(&status) else {
            return Appended::Refused;
        };
        if !self.streams.contains_key(key) {
            self.streams.insert(key.clone(), Stream::default());
        }
        let stream = self.streams.get_mut(key).expect("just inserted");
        let is_pending = stream
            .pending
            .iter()
            .any(|known| uuid_of(known) == Some(uuid));
        if is_pending || stream.acknowledged.contains(&uuid) {
            return Appended::Duplicate;
        }
        if stream.closed {
            return Appended::Closed;
        }
        let ends = is_terminal(status.state());
        if !ends && !stream.has_room(&status) {
            return Appended::Refused;
        }
        stream.closed = ends;
        stream.pending.push_back(status);
        Appended::Taken
    }

    /// Puts back what an earlier life kept, oldest first.
    pub fn restore(
        &mut self,
        key: TaskKey,
        acknowledged: Vec<[u8; 16]>,
        updates: Vec<(TaskStatus, bool)>,
    ) {
        let mut stream = Stream::default();
        acknowledged
            .into_iter()
            .for_each(|uuid| stream.remember(uuid));
        // One after the other is acknowledged: where the record of that is damaged a later one tells it.
        let told = updates.iter().rposition(|(_, acknowledged)| *acknowledged);
        let told = told.map_or(0, |last| last + 1);
        for (at, (status, _)) in updates.into_iter().enumerate() {
            let acknowledged = at < told;
            let Some(uuid) = uuid_of(&status) else {
                continue;
            };
            stream.closed |= is_terminal(status.state());
            if acknowledged {
                stream.remember(uuid);
                stream.told = Some(status.state());
            } else {
                stream.pending.push_back(Arc::new(status));
            }
        }
        self.streams.insert(key, stream);
    }

    /// The head of a stream if it is due: never sent, or its wait is over.
    pub fn due(&mut self, key: &TaskKey, now: Duration) -> Option<Forward> {
        if self.paused {
            return None;
        }
        let stream = self.streams.get_mut(key)?;
        let status = Arc::clone(stream.pending.front()?);
        let wait = match stream.retry {
            Some(retry) if retry.at > now => return None,
            Some(retry) => retry.next_wait,
            None => self.retry_min,
        };
        let again_at = now + wait;
        stream.retry = Some(Retry {
            at: again_at,
            next_wait: (wait * 2).min(self.retry_max),
        });
        Some(Forward { status, again_at })
    }

    /// Takes the scheduler's acknowledgement.
    pub fn acknowledge(&mut self, key: &TaskKey, uuid: [u8; 16]) -> Acknowledged {
        let Some(stream) = self.streams.get_mut(key) else {
            return Acknowledged::Ignored;
        };
        let Some(head) = stream.pending.front() else {
            return Acknowledged::Ignored;
        };
        // Before it was sent nobody can know its uuid.
        if uuid_of(head) != Some(uuid) {
            return Acknowledged::Ignored;
        }
        let state = head.state();
        let ended = is_terminal(state);
        let replaces = stream.told.replace(state) == Some(state);
        stream.pending.pop_front();
        stream.remember(uuid);
        let again_at = stream.retry.take().map(|retry| retry.at);
        if ended {
            self.streams.remove(key);
        }
        Acknowledged::Head {
            ended,
            replaces,
            again_at,
        }
    }

    /// Nothing is due until [`Self::resume`]: there is no master.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Makes every head due at once and names their tasks, each with the time that it waited for.
    pub fn resume(&mut self) -> Vec<(TaskKey, Option<Duration>)> {
        self.paused = false;
        due_at_once(self.streams.iter_mut())
    }

    /// The same of one framework's: it listens again.
    pub fn resume_framework(&mut self, framework_id: &str) -> Vec<(TaskKey, Option<Duration>)> {
        let streams = self.streams.range_mut(first_of(framework_id)..);
        due_at_once(streams.take_while(|(key, _)| key.framework_id == framework_id))
    }

    /// The oldest update of the task that is not acknowledged: what its scheduler was told last.
    pub fn head(&self, key: &TaskKey) -> Option<&TaskStatus> {
        let head = self.streams.get(key)?.pending.front();
        head.map(|status| &**status)
    }

    /// Whether the task has a stream.
    pub fn contains(&self, key: &TaskKey) -> bool {
        self.streams.contains_key(key)
    }

    /// Whether updates of the framework wait for acknowledgement.
    pub fn has_pending(&self, framework_id: &str) -> bool {
        self.of_framework(framework_id)
            .any(|(_, stream)| !stream.pending.is_empty())
    }

    /// Forgets all streams of a framework.
    pub fn remove_framework(&mut self, framework_id: &str) {
        let keys: Vec<_> = self
            .of_framework(framework_id)
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            self.streams.remove(&key);
        }
    }

    fn of_framework(&self, framework_id: &str) -> impl Iterator<Item = (&TaskKey, &Stream)> {
        let first = first_of(framework_id);
        let id = first.framework_id.clone();
        self.streams
            .range(first..)
            .take_while(move |(key, _)| key.framework_id == id)
    }
}

fn first_of(framework_id: &str) -> TaskKey {
    TaskKey {
        framework_id: framework_id.to_owned(),
        task_id: String::new(),
    }
}

fn due_at_once<'a>(
    streams: impl Iterator<Item = (&'a TaskKey, &'a mut Stream)>,
) -> Vec<(TaskKey, Option<Duration>)> {
    let waiting = streams.filter(|(_, stream)| !stream.pending.is_empty());
    let at_once = |(key, stream): (&TaskKey, &mut Stream)| {
        let again_at = stream.retry.take().map(|retry| retry.at);
        (key.clone(), again_at)
    };
    waiting.map(at_once).collect()
}

impl Stream {
    /// For one more that does not end the task.
    fn has_room(&self, status: &TaskStatus) -> bool {
        let bytes = || {
            self.pending
                .iter()
                .map(|it| protobuf::size(&**it))
                .sum::<usize>()
        };
        self.pending.len() < MAX_PENDING_UPDATES
            && (protobuf::size(status) <= SMALL_BYTES || bytes() <= MAX_PENDING_BYTES)
    }

    fn remember(&mut self, uuid: [u8; 16]) {
        if self.acknowledged.insert(uuid) {
            self.acknowledged_order.push_back(uuid);
        }
        if self.acknowledged_order.len() > MAX_REMEMBERED_UUIDS
            && let Some(oldest) = self.acknowledged_order.pop_front()
        {
            self.acknowledged.remove(&oldest);
        }
    }
}

/// The update's uuid, if it has one of 16 bytes.
pub fn uuid_of(status: &TaskStatus) -> Option<[u8; 16]> {
    status.uuid.as_ref()?.as_ref().try_into().ok()
}

#[cfg(test)]
#[path = "updates_tests.rs"]
mod tests;
