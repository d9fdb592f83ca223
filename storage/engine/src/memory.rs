//! The twin of RocksDB in memory. It promises what the disk promises and no more: after [`MemoryEngine::crash`]
//! only synced writes are sure to be there. Faults are injected at points the test chooses.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::Visit;
use crate::{Batch, Counters, Durability, Engine, EngineError, Family, KeyRange, Operation};

/// Above this many unsynced batches the oldest becomes durable, as an operating system would write it back.
const MAX_UNSYNCED_BATCHES: usize = 65_536;

type Table = BTreeMap<Vec<u8>, Vec<u8>>;

/// How [`MemoryEngine::damage`] harms a stored value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Flips the lowest bit of this byte (counted modulo the length).
    Flip(usize),
    /// Keeps only this many bytes.
    Truncate(usize),
}

#[derive(Debug, Default)]
struct Inner {
    durable: BTreeMap<Family, Table>,
    visible: BTreeMap<Family, Table>,
    unsynced: VecDeque<Batch>,
    counters: Counters,
    fail_sync_after: Option<u64>,
    disk_full_after: Option<u64>,
    poisoned: Option<String>,
}

/// An engine in memory. Clones share the same data: keep one to "restart" from.
#[derive(Debug, Clone)]
pub struct MemoryEngine {
    inner: Arc<Mutex<Inner>>,
}

impl MemoryEngine {
    /// An empty store with these families.
    pub fn new(families: &[Family]) -> Self {
        let tables: BTreeMap<Family, Table> = families
            .iter()
            .map(|family| (*family, Table::new()))
            .collect();
        let inner = Inner {
            durable: tables.clone(),
            visible: tables,
            ..Inner::default()
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// Lets `syncs` more synced writes succeed, then one fails: its batch may or may not last.
    pub fn fail_sync_after(&self, syncs: u64) {
        self.lock().fail_sync_after = Some(syncs);
    }

    /// Lets `writes` more writes succeed, then refuses all as a full disk does. `None` makes room again.
    pub fn disk_full_after(&self, writes: Option<u64>) {
        self.lock().disk_full_after = writes;
    }

    /// The machine dies: all unsynced writes are lost, and the store can be opened again.
    pub fn crash(&self) {
        self.crash_keeping(0);
    }

    /// The machine dies, but the oldest `batches` unsynced writes had reached the disk. A torn batch counts as
    /// lost, since the log's checksum drops it whole.
    pub fn crash_keeping(&self, batches: usize) {
        let mut inner = self.lock();
        let keep = batches.min(inner.unsynced.len());
        let kept: Vec<Batch> = inner.unsynced.drain(..keep).collect();
        for batch in &kept {
            apply(&mut inner.durable, batch);
        }
        inner.unsynced.clear();
        inner.visible = inner.durable.clone();
        inner.poisoned = None;
        inner.fail_sync_after = None;
    }

    /// How many writes a crash would lose.
    pub fn unsynced(&self) -> usize {
        self.lock().unsynced.len()
    }

    /// Harms a stored value, durably. Returns whether the key was there.
    pub fn damage(&self, family: Family, key: &[u8], damage: Damage) -> bool {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let mut found = false;
        for tables in [&mut inner.durable, &mut inner.visible] {
            if let Some(value) = tables.get_mut(&family).and_then(|table| table.get_mut(key)) {
                found = true;
                match damage {
                    Damage::Truncate(length) => value.truncate(length),
                    Damage::Flip(at) if !value.is_empty() => {
                        let at = at % value.len();
                        value[at] ^= 1;
                    }
                    Damage::Flip(_) => {}
                }
            }
        }
        found
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panicking test thread leaves whole values behind: every change below is one assignment or insert.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn table(&self, family: Family) -> Result<&Table, EngineError> {
        self.visible
            .get(&family)
            .ok_or_else(|| EngineError::UnknownFamily {
                family: family.name(),
            })
    }

    fn check_writable(&mut self, batch: &Batch) -> Result<(), EngineError> {
        if let Some(reason) = &self.poisoned {
            return Err(EngineError::Poisoned {
                reason: reason.clone(),
            });
        }
        for operation in batch.operations() {
            self.table(family_of(operation))?;
        }
        match &mut self.disk_full_after {
            Some(0) => {
                let reason = "injected".to_owned();
                self.poisoned = Some(format!("no space left on device, {reason}"));
                Err(EngineError::DiskFull { reason })
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn sync(&mut self) -> Result<(), EngineError> {
        match &mut self.fail_sync_after {
            Some(0) => {
                let reason = "fsync failed, injected".to_owned();
                self.fail_sync_after = None;
                self.poisoned = Some(reason.clone());
                return Err(EngineError::Io { reason });
            }
            Some(left) => *left -= 1,
            None => {}
        }
        self.counters.syncs += 1;
        for batch in std::mem::take(&mut self.unsynced) {
            apply(&mut self.durable, &batch);
        }
        Ok(())
    }
}

impl Engine for MemoryEngine {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.lock().table(family)?.get(key).cloned())
    }

    fn scan(
        &self,
        family: Family,
        range: &KeyRange,
        visit: &mut Visit<'_>,
    ) -> Result<(), EngineError> {
        // Copied first: the caller may write from within, and must not see that.
        let pairs: Vec<(Vec<u8>, Vec<u8>)> = {
            let inner = self.lock();
            let table = inner.table(family)?;
            if range.is_empty() {
                return Ok(());
            }
            table
                .range(range.start().to_vec()..range.end().to_vec())
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        for (key, value) in pairs {
            if visit(&key, &value) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, batch: &Batch, durability: Durability) -> Result<(), EngineError> {
        let mut inner = self.lock();
        inner.check_writable(batch)?;
        apply(&mut inner.visible, batch);
        inner.unsynced.push_back(batch.clone());
        inner.counters.writes += 1;
        if durability == Durability::Synced {
            return inner.sync();
        }
        if inner.unsynced.len() > MAX_UNSYNCED_BATCHES
            && let Some(oldest) = inner.unsynced.pop_front()
        {
            apply(&mut inner.durable, &oldest);
        }
        Ok(())
    }

    fn counters(&self) -> Counters {
        self.lock().counters
    }
}

fn family_of(operation: &Operation) -> Family {
    match operation {
        Operation::Put { family, .. }
        | Operation::Delete { family, .. }
        | Operation::DeleteRange { family, .. } => *family,
    }
}

fn apply(tables: &mut BTreeMap<Family, Table>, batch: &Batch) {
    for operation in batch.operations() {
        let table = tables
            .get_mut(&family_of(operation))
            .expect("families are checked before a batch is accepted");
        match operation {
            Operation::Put { key, value, .. } => {
                table.insert(key.clone(), value.clone());
            }
            Operation::Delete { key, .. } => {
                table.remove(key);
            }
            Operation::DeleteRange { range, .. } => table.retain(|key, _| !range.contains(key)),
        }
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
