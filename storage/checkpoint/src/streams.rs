//! Which records of update streams are on disk, so that those nobody needs any more are deleted: a task that tells of
//! itself once a second for weeks leaves no more than a bounded number.

use std::collections::{BTreeMap, VecDeque};

use tepui_engine::Batch;
use tepui_engine::keys::CHECKPOINT;

use crate::keys;
use crate::records::{StreamKey, Uuid};
use crate::recovered::Recovered;

/// The streams, and the number of the next update of any of them.
#[derive(Debug)]
pub(crate) struct Streams {
    streams: BTreeMap<StreamKey, Stream>,
    next_sequence: u64,
    /// Acknowledged uuids that a stream keeps.
    max_acknowledged: usize,
}

#[derive(Debug, Default)]
struct Stream {
    /// The update records, by uuid.
    sequences: BTreeMap<Uuid, u64>,
    /// The acknowledgement records of updates that are gone, oldest first.
    acknowledged: VecDeque<Uuid>,
    /// What was acknowledged and is still there, oldest first: by it the task's history is shown.
    told: VecDeque<Uuid>,
}

/// Acknowledged updates that a stream keeps: the first, which tells when the task began, and the latest.
pub(crate) const MAX_TOLD: usize = 32;

impl Streams {
    /// `sequences`: of all update records found.
    pub(crate) fn new(
        recovered: &Recovered,
        sequences: BTreeMap<StreamKey, BTreeMap<Uuid, u64>>,
        max_acknowledged: usize,
    ) -> Self {
        let last = sequences.values().flat_map(BTreeMap::values).max();
        let mut streams = Self {
            streams: BTreeMap::new(),
            next_sequence: last.map_or(0, |last| last + 1),
            max_acknowledged,
        };
        for (key, uuids) in &recovered.acknowledged {
            let stream = streams.streams.entry(key.clone()).or_default();
            stream.acknowledged.extend(uuids);
        }
        for (key, sequences) in sequences {
            streams.streams.entry(key).or_default().sequences = sequences;
        }
        for (key, updates) in &recovered.streams {
            let stream = streams.streams.entry(key.clone()).or_default();
            let acknowledged = updates.iter().filter(|update| update.acknowledged);
            stream.told.extend(acknowledged.map(|update| update.uuid));
        }
        streams
    }

    /// The number of a new update; `None` if the stream has it.
    pub(crate) fn append(&mut self, key: &StreamKey, uuid: Uuid) -> Option<u64> {
        let stream = self.streams.entry(key.clone()).or_default();
        if stream.sequences.contains_key(&uuid) {
            return None;
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        stream.sequences.insert(uuid, sequence);
        Some(sequence)
    }

    /// The number of the update that was acknowledged. Deletes what is not needed any more.
    pub(crate) fn acknowledge(
        &mut self,
        batch: &mut Batch,
        key: &StreamKey,
        uuid: Uuid,
        replaces: bool,
    ) -> u64 {
        let stream = self.streams.entry(key.clone()).or_default();
        let sequence = stream.sequences.get(&uuid).copied().unwrap_or_default();
        if stream.told.contains(&uuid) {
            return sequence;
        }
        let replaced = if replaces {
            stream.told.pop_back()
        } else {
            None
        };
        stream.told.push_back(uuid);
        let beyond = stream.told.len().saturating_sub(MAX_TOLD);
        let beyond: Vec<Uuid> = stream.told.drain(1..=beyond).collect();
        for gone in replaced.into_iter().chain(beyond) {
            if let Some(sequence) = stream.sequences.remove(&gone) {
                batch.delete(CHECKPOINT, keys::update(key, sequence));
            }
            stream.acknowledged.push_back(gone);
        }
        let kept = stream.acknowledged.len() + stream.told.len();
        let surplus = kept.saturating_sub(self.max_acknowledged);
        let surplus = surplus.min(stream.acknowledged.len());
        for old in stream.acknowledged.drain(..surplus) {
            batch.delete(CHECKPOINT, keys::acknowledged(key, &old));
        }
        sequence
    }

    pub(crate) fn remove(&mut self, key: &StreamKey) {
        self.streams.remove(key);
    }

    pub(crate) fn remove_framework(&mut self, framework_id: &str) {
        let first = StreamKey {
            framework_id: framework_id.to_owned(),
            task_id: String::new(),
        };
        let of_it = self.streams.range(first..).map(|(key, _)| key);
        let of_it = of_it.take_while(|key| key.framework_id == framework_id);
        for key in of_it.cloned().collect::<Vec<_>>() {
            self.streams.remove(&key);
        }
    }
}
