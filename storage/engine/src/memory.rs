//! The twin of RocksDB in memory. It promises what the disk promises and no more: after [`MemoryEngine::crash`]
//! only synced writes are sure to be there. Faults are injected at points the test chooses, and nothing else is left
//! to chance: the same calls give the same history.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::Visit;
use crate::{Batch, Counters, Durability, Engine, EngineError, Family, KeyRange, Operation};

/// Above this many unsynced batches the oldest becomes durable, as an operating system would write it back.
const MAX_UNSYNCED_BATCHES: usize = 65_536;
/// What a batch takes beside its keys and values, about as in RocksDB's log.
const BATCH_OVERHEAD_BYTES: u64 = 19;

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
    room_bytes: Option<u64>,
    sync_duration: Duration,
    stalled: Duration,
    poisoned: Option<String>,
    /// Synced writes are gone: the store cannot be opened any more.
    damaged: Option<String>,
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

    /// A copy of what is synced: the directory as a backup of files would have it. The two share nothing.
    #[must_use]
    pub fn copy(&self) -> Self {
        let durable = self.lock().durable.clone();
        let inner = Inner {
            visible: durable.clone(),
            durable,
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

    /// Leaves room for this many more bytes; the write that does not fit is refused, and all behind it. Only more
    /// room helps, not a restart. `None` is as much as is asked for.
    pub fn leave_room(&self, bytes: Option<u64>) {
        self.lock().room_bytes = bytes;
    }

    /// Lets each sync take this long, by the count of [`Self::take_stall`]: the twin reads no clock and sleeps not.
    pub fn slow_syncs(&self, duration: Duration) {
        self.lock().sync_duration = duration;
    }

    /// How long the syncs since the last call have taken. The test lets that time pass.
    pub fn take_stall(&self) -> Duration {
        std::mem::take(&mut self.lock().stalled)
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

    /// The machine dies with all it wrote on disk, except that the last `bytes` of its log are torn off. A batch of
    /// which a byte is missing is lost whole. Unsynced ones are then lost as they may be; where a synced one is
    /// torn, everything is refused as [`EngineError::Damaged`] from now on.
    pub fn crash_tearing(&self, bytes: u64) {
        let mut keep = 0;
        let mut torn = bytes;
        {
            let mut inner = self.lock();
            for (at, batch) in inner.unsynced.iter().enumerate().rev() {
                if torn == 0 {
                    keep = at + 1;
                    break;
                }
                torn = torn.saturating_sub(size(batch));
            }
            if torn > 0 {
                inner.damaged = Some(format!(
                    "the log ends {torn} bytes before what was synced, injected"
                ));
            }
        }
        self.crash_keeping(keep);
    }

    /// Flips a bit of a value that `choice` picks among all stored ones. Gives its family and key.
    pub fn damage_any(&self, choice: u64) -> Option<(Family, Vec<u8>)> {
        let (family, key) = {
            let inner = self.lock();
            let keys = inner.visible.iter();
            let mut keys: Vec<(Family, &Vec<u8>)> = keys
                .flat_map(|(family, table)| table.keys().map(|key| (*family, key)))
                .collect();
            if keys.is_empty() {
                return None;
            }
            let at = usize::try_from(choice).unwrap_or(usize::MAX) % keys.len();
            let (family, key) = keys.swap_remove(at);
            (family, key.clone())
        };
        let at = usize::try_from(choice >> 16).unwrap_or(usize::MAX);
        self.damage(family, &key, Damage::Flip(at));
        Some((family, key))
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
        if let Some(reason) = &self.damaged {
            return Err(EngineError::Damaged {
                reason: reason.clone(),
            });
        }
        self.visible
            .get(&family)
            .ok_or_else(|| EngineError::UnknownFamily {
                family: family.name(),
            })
    }

    fn health(&self) -> Result<(), EngineError> {
        match self.poisoned.clone() {
            Some(reason) => Err(EngineError::Poisoned { reason }),
            None => Ok(()),
        }
    }

    fn check_writable(&mut self, batch: &Batch) -> Result<(), EngineError> {
        self.health()?;
        for operation in batch.operations() {
            self.table(family_of(operation))?;
        }
        let bytes = size(batch);
        let full = self.disk_full_after == Some(0) || self.room_bytes.is_some_and(|it| it < bytes);
        if full {
            let reason = "injected".to_owned();
            self.poisoned = Some(format!("no space left on device, {reason}"));
            return Err(EngineError::DiskFull { reason });
        }
        self.disk_full_after = self.disk_full_after.map(|writes| writes - 1);
        self.room_bytes = self.room_bytes.map(|room| room - bytes);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), EngineError> {
        self.stalled += self.sync_duration;
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

    fn health(&self) -> Result<(), EngineError> {
        self.lock().health()
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

fn size(batch: &Batch) -> u64 {
    let operations = batch.operations().iter();
    let bytes = operations.map(|operation| match operation {
        Operation::Put { key, value, .. } => key.len() + value.len(),
        Operation::Delete { key, .. } => key.len(),
        Operation::DeleteRange { range, .. } => range.start().len() + range.end().len(),
    });
    BATCH_OVERHEAD_BYTES + bytes.sum::<usize>() as u64
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
