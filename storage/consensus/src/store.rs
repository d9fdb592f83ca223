//! Raft's log and metadata in the engine, and raft's view of them. Owns the families `raft_log` and `raft_meta`;
//! it puts changes into batches and never writes by itself, except once when a group is founded.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::ControlFlow;

use bytes::Bytes;
use protobuf::Message as _;
use raft::prelude::{ConfState, Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, StorageError};
use tepui_engine::keys::{RAFT_LOG, RAFT_META};
use tepui_engine::{Batch, Durability, Key, KeyRange, SharedEngine};

use crate::ConsensusError;
use crate::ending::give_up;
use crate::stored::{damaged, get, meta_key, number, parse, put, require, seal_message, unseal};

const ENTRY: u8 = b'e';
const HARD_STATE: u8 = b'h';
const CONF_STATE: u8 = b'c';
const APPLIED: u8 = b'a';
const TRUNCATED: u8 = b't';
const IDENTITY: u8 = b'i';

/// Every founder starts with this index and term, so that their logs agree before the first election.
const FOUNDING_INDEX: u64 = 1;
const FOUNDING_TERM: u64 = 1;

/// Entries kept in memory behind the last one; few in tests, so that they read from the disk too.
const MAX_CACHED_ENTRIES: usize = if cfg!(test) { 8 } else { 4_096 };
/// The same, in bytes.
const MAX_CACHED_BYTES: usize = 8 << 20;

/// An index and the term of the entry there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) index: u64,
    pub(crate) term: u64,
}

pub(crate) struct LogStore {
    engine: SharedEngine,
    hard_state: HardState,
    conf_state: ConfState,
    applied: u64,
    /// The entry before the first one that is kept.
    truncated: Position,
    last: Position,
    /// The newest entries, without holes, up to `last`.
    cache: VecDeque<Entry>,
    cached_bytes: usize,
    snapshot: RefCell<Option<Snapshot>>,
    snapshot_wanted: Cell<bool>,
}

impl LogStore {
    /// Reads what is there; founds the group if nothing is and `founders` says so.
    pub(crate) fn open(
        engine: SharedEngine,
        node_id: u64,
        founders: &[u64],
    ) -> Result<Self, ConsensusError> {
        match stored_member_id(&engine)? {
            Some(found) => {
                if found != node_id {
                    return Err(ConsensusError::WrongMember {
                        found,
                        expected: node_id,
                    });
                }
            }
            None => found(&engine, node_id, founders)?,
        }
        let truncated = require(&engine, TRUNCATED, "the start of the log")?;
        let (index, term) = truncated.split_at_checked(8).unwrap_or((&[], &[]));
        let truncated = Position {
            index: number(index, "the start of the log")?,
            term: number(term, "the start of the log")?,
        };
        let mut store = Self {
            hard_state: message(&engine, HARD_STATE, "the hard state")?,
            conf_state: message(&engine, CONF_STATE, "the membership")?,
            applied: number(
                &require(&engine, APPLIED, "the applied index")?,
                "the applied index",
            )?,
            engine,
            truncated,
            last: truncated,
            cache: VecDeque::new(),
            cached_bytes: 0,
            snapshot: RefCell::new(None),
            snapshot_wanted: Cell::new(false),
        };
        store.read_log()?;
        store.check()?;
        Ok(store)
    }

    /// Walks the log once: it must continue where it was cut, without holes.
    fn read_log(&mut self) -> Result<(), ConsensusError> {
        let engine = self.engine.clone();
        let mut failure = None;
        engine.scan(RAFT_LOG, &KeyRange::all(), &mut |key, sealed| {
            let expected = self.last.index + 1;
            let read = unseal(sealed).and_then(parse::<Entry>);
            match read {
                Ok(entry)
                    if entry.index == expected
                        && key == entry_key(expected).as_bytes()
                        && entry.term >= self.last.term =>
                {
                    self.remember(entry);
                    ControlFlow::Continue(())
                }
                Ok(_) => {
                    failure = Some(hole(key, expected));
                    ControlFlow::Break(())
                }
                Err(error) => {
                    failure = Some(damaged(RAFT_LOG, key, &error));
                    ControlFlow::Break(())
                }
            }
        })?;
        failure.map_or(Ok(()), Err)
    }

    fn check(&mut self) -> Result<(), ConsensusError> {
        // The commit index is written lazily; what was applied was committed.
        self.hard_state.commit = self.hard_state.commit.max(self.applied);
        if self.hard_state.commit > self.last.index || self.applied < self.truncated.index {
            return Err(ConsensusError::Damaged(format!(
                "entries {} to {} are stored, {} was committed and {} applied: synced entries are missing",
                self.truncated.index + 1,
                self.last.index,
                self.hard_state.commit,
                self.applied
            )));
        }
        Ok(())
    }

    pub(crate) fn applied(&self) -> u64 {
        self.applied
    }

    pub(crate) fn first(&self) -> u64 {
        self.truncated.index + 1
    }

    pub(crate) fn last(&self) -> u64 {
        self.last.index
    }

    pub(crate) fn conf_state(&self) -> &ConfState {
        &self.conf_state
    }

    /// Puts entries behind the log, replacing what conflicts with them.
    pub(crate) fn append(&mut self, entries: Vec<Entry>, batch: &mut Batch) {
        let Some(first) = entries.first().map(|entry| entry.index) else {
            return;
        };
        assert!(
            self.truncated.index < first && first <= self.last.index + 1,
            "entries from {first} leave a hole or overwrite compacted ones: the log is {} to {}",
            self.truncated.index + 1,
            self.last.index
        );
        if first <= self.last.index {
            let stale = KeyRange::between(
                entry_key(first).as_bytes(),
                entry_key(self.last.index + 1).as_bytes(),
            );
            batch.delete_range(RAFT_LOG, stale);
            while self.cache.back().is_some_and(|entry| entry.index >= first) {
                if let Some(entry) = self.cache.pop_back() {
                    self.cached_bytes -= size(&entry);
                }
            }
        }
        for entry in entries {
            batch.put(RAFT_LOG, entry_key(entry.index), seal_message(&entry));
            self.remember(entry);
        }
    }

    fn remember(&mut self, entry: Entry) {
        self.last = Position {
            index: entry.index,
            term: entry.term,
        };
        self.cached_bytes += size(&entry);
        self.cache.push_back(entry);
        while self.cache.len() > MAX_CACHED_ENTRIES
            || (self.cached_bytes > MAX_CACHED_BYTES && self.cache.len() > 1)
        {
            if let Some(oldest) = self.cache.pop_front() {
                self.cached_bytes -= size(&oldest);
            }
        }
    }

    pub(crate) fn set_hard_state(&mut self, hard_state: HardState, batch: &mut Batch) {
        batch.put(RAFT_META, meta_key(HARD_STATE), seal_message(&hard_state));
        self.hard_state = hard_state;
    }

    pub(crate) fn set_commit(&mut self, commit: u64, batch: &mut Batch) {
        let mut hard_state = self.hard_state.clone();
        hard_state.commit = commit;
        self.set_hard_state(hard_state, batch);
    }

    pub(crate) fn set_conf_state(&mut self, conf_state: ConfState, batch: &mut Batch) {
        batch.put(RAFT_META, meta_key(CONF_STATE), seal_message(&conf_state));
        self.conf_state = conf_state;
        // A new member refuses a snapshot that does not name it.
        self.snapshot.replace(None);
    }

    pub(crate) fn set_applied(&mut self, applied: u64, batch: &mut Batch) {
        debug_assert!(self.applied <= applied && applied <= self.last.index);
        put(batch, APPLIED, &applied.to_be_bytes());
        self.applied = applied;
    }

    /// Replaces the log by a snapshot. The state itself is restored by the caller, into the same batch.
    pub(crate) fn install_snapshot(&mut self, snapshot: &Snapshot, batch: &mut Batch) {
        let metadata = snapshot.get_metadata();
        batch.delete_range(RAFT_LOG, KeyRange::all());
        self.cache.clear();
        self.cached_bytes = 0;
        let position = Position {
            index: metadata.index,
            term: metadata.term,
        };
        self.last = position;
        self.set_truncated(position, batch);
        self.set_conf_state(metadata.get_conf_state().clone(), batch);
        self.set_applied(metadata.index, batch);
    }

    /// Forgets entries up to `index`, which must have been applied.
    pub(crate) fn compact(&mut self, index: u64, batch: &mut Batch) -> raft::Result<()> {
        debug_assert!(self.truncated.index <= index && index <= self.applied);
        let term = raft::Storage::term(self, index)?;
        let forgotten = KeyRange::between(entry_key(0).as_bytes(), entry_key(index + 1).as_bytes());
        batch.delete_range(RAFT_LOG, forgotten);
        self.set_truncated(Position { index, term }, batch);
        while self.cache.front().is_some_and(|entry| entry.index <= index) {
            if let Some(entry) = self.cache.pop_front() {
                self.cached_bytes -= size(&entry);
            }
        }
        // A snapshot older than the log is of no use any more.
        self.snapshot.replace(None);
        Ok(())
    }

    fn set_truncated(&mut self, position: Position, batch: &mut Batch) {
        let value = [position.index.to_be_bytes(), position.term.to_be_bytes()].concat();
        put(batch, TRUNCATED, &value);
        self.truncated = position;
    }

    /// Whether raft asked for a snapshot since the last call.
    pub(crate) fn take_snapshot_wish(&self) -> bool {
        self.snapshot_wanted.take()
    }

    /// Keeps a snapshot of the state at the applied index, for raft to send when it asks again.
    pub(crate) fn offer_snapshot(&self, state: Bytes) -> raft::Result<()> {
        let mut snapshot = Snapshot::default();
        snapshot.set_data(state);
        let metadata = snapshot.mut_metadata();
        metadata.index = self.applied;
        metadata.term = raft::Storage::term(self, self.applied)?;
        metadata.set_conf_state(self.conf_state.clone());
        self.snapshot.replace(Some(snapshot));
        Ok(())
    }

    fn read_entries(&self, low: u64, high: u64, limit: u64) -> Result<Vec<Entry>, ConsensusError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        let mut failure = None;
        let range = KeyRange::between(entry_key(low).as_bytes(), entry_key(high).as_bytes());
        self.engine.scan(RAFT_LOG, &range, &mut |key, sealed| {
            let expected = low + entries.len() as u64;
            match unseal(sealed).and_then(parse::<Entry>) {
                Ok(entry) if entry.index == expected => {
                    bytes += size(&entry) as u64;
                    if !entries.is_empty() && bytes > limit {
                        return ControlFlow::Break(());
                    }
                    entries.push(entry);
                    return ControlFlow::Continue(());
                }
                Ok(_) => failure = Some(hole(key, expected)),
                Err(error) => failure = Some(damaged(RAFT_LOG, key, &error)),
            }
            ControlFlow::Break(())
        })?;
        if failure.is_none() && entries.is_empty() && low < high {
            failure = Some(hole(entry_key(low).as_bytes(), low));
        }
        failure.map_or(Ok(entries), Err)
    }

    fn cached(&self, index: u64) -> Option<usize> {
        let first = self.cache.front()?.index;
        usize::try_from(index.checked_sub(first)?)
            .ok()
            .filter(|at| *at < self.cache.len())
    }
}

impl raft::Storage for LogStore {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(
            self.hard_state.clone(),
            self.conf_state.clone(),
        ))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.truncated.index {
            return Err(StorageError::Compacted.into());
        }
        if high > self.last.index + 1 {
            return Err(StorageError::Unavailable.into());
        }
        let limit = max_size.into().unwrap_or(u64::MAX);
        let Some(at) = self.cached(low) else {
            let read = self.read_entries(low, high, limit);
            return Ok(read.unwrap_or_else(|error| give_up(error)));
        };
        let mut bytes = 0;
        let mut entries = Vec::new();
        for entry in self.cache.iter().skip(at) {
            bytes += size(entry) as u64;
            if entry.index >= high || (!entries.is_empty() && bytes > limit) {
                break;
            }
            entries.push(entry.clone());
        }
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.truncated.index {
            return Ok(self.truncated.term);
        }
        if index < self.truncated.index {
            return Err(StorageError::Compacted.into());
        }
        if index > self.last.index {
            return Err(StorageError::Unavailable.into());
        }
        if let Some(entry) = self.cached(index).and_then(|at| self.cache.get(at)) {
            return Ok(entry.term);
        }
        let read = self.read_entries(index, index + 1, u64::MAX);
        let entries = read.unwrap_or_else(|error| give_up(error));
        let entry = entries.first().ok_or(StorageError::Unavailable)?;
        Ok(entry.term)
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.first())
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last.index)
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        if let Some(snapshot) = self.snapshot.borrow().as_ref() {
            let index = snapshot.get_metadata().index;
            if index >= request_index && index >= self.truncated.index {
                return Ok(snapshot.clone());
            }
        }
        // Made by the loop, from the state machine, once raft has finished its turn.
        self.snapshot_wanted.set(true);
        Err(StorageError::SnapshotTemporarilyUnavailable.into())
    }
}

/// The id of the member that owns the directory, if one does.
pub(crate) fn stored_member_id(engine: &SharedEngine) -> Result<Option<u64>, ConsensusError> {
    let identity = get(engine, IDENTITY)?;
    identity
        .map(|identity| number(&identity, "the member id"))
        .transpose()
}

fn found(engine: &SharedEngine, node_id: u64, founders: &[u64]) -> Result<(), ConsensusError> {
    let mut batch = Batch::new();
    let position = if founders.is_empty() {
        Position::default()
    } else {
        Position {
            index: FOUNDING_INDEX,
            term: FOUNDING_TERM,
        }
    };
    begin(node_id, founders, position, &mut batch);
    engine.write(&batch, Durability::Synced)?;
    Ok(())
}

/// Puts a log that begins behind `position`, with these voters.
pub(crate) fn begin(node_id: u64, voters: &[u64], position: Position, batch: &mut Batch) {
    let mut hard_state = HardState::default();
    let mut conf_state = ConfState::default();
    if !voters.is_empty() {
        hard_state.term = position.term;
        hard_state.commit = position.index;
        conf_state.voters = voters.to_vec();
        conf_state.voters.sort_unstable();
        conf_state.voters.dedup();
    }
    let truncated = [position.index.to_be_bytes(), position.term.to_be_bytes()].concat();
    put(batch, IDENTITY, &node_id.to_be_bytes());
    put(batch, APPLIED, &position.index.to_be_bytes());
    put(batch, TRUNCATED, &truncated);
    batch.put(RAFT_META, meta_key(HARD_STATE), seal_message(&hard_state));
    batch.put(RAFT_META, meta_key(CONF_STATE), seal_message(&conf_state));
}

fn entry_key(index: u64) -> Key {
    Key::new(ENTRY).number(index)
}

fn message<M: protobuf::Message>(
    engine: &SharedEngine,
    prefix: u8,
    what: &str,
) -> Result<M, ConsensusError> {
    let payload = require(engine, prefix, what)?;
    parse(&payload).map_err(|error| damaged(RAFT_META, meta_key(prefix).as_bytes(), &error))
}

fn hole(key: &[u8], expected: u64) -> ConsensusError {
    damaged(
        RAFT_LOG,
        key,
        &format!("the log has a hole: entry {expected} was expected here"),
    )
}

fn size(entry: &Entry) -> usize {
    entry.compute_size() as usize
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
