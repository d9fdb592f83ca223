//! The trait both engines implement, and the reads built on it.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::{Batch, EngineError, Family, KeyRange};

/// When a write may be reported as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// It is in the log of the operating system: it survives the process, not the kernel.
    Buffered,
    /// It and every earlier write is on disk.
    Synced,
}

/// How often the engine was written since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Batches written, synced ones included.
    pub writes: u64,
    /// Batches that waited for the disk.
    pub syncs: u64,
}

/// What a scan shows for each record: key and value. `Break` ends it.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// An ordered key-value store with column families. All calls block; none may be made from an async worker
/// whose latency matters.
pub trait Engine: Send + Sync + 'static {
    /// The value of `key`, or `None`.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// Shows the records of `range` in key order, as they were at the moment of the call. Writes made
    /// meanwhile are not seen.
    fn scan(
        &self,
        family: Family,
        range: &KeyRange,
        visit: &mut Visit<'_>,
    ) -> Result<(), EngineError>;

    /// Applies `batch` atomically. After a failure of a synced write the engine refuses all further writes with
    /// [`EngineError::Poisoned`]: whether the batch lasted is unknown until the store is opened again.
    fn write(&self, batch: &Batch, durability: Durability) -> Result<(), EngineError>;

    /// Whether it can still be written: [`EngineError::Poisoned`] once a write has failed, whoever made it. Costs next to
    /// nothing.
    fn health(&self) -> Result<(), EngineError>;

    /// Counts of writes and syncs.
    fn counters(&self) -> Counters;

    /// The values of `keys`, in their order.
    fn get_many(
        &self,
        family: Family,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Vec<u8>>>, EngineError> {
        keys.iter().map(|key| self.get(family, key)).collect()
    }
}

/// An engine shared by the crates of one process.
pub type SharedEngine = Arc<dyn Engine>;

/// One record: key and value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// At most `limit` records of `range`. If there may be more, the second part is the range that is left.
pub fn page(
    engine: &dyn Engine,
    family: Family,
    range: &KeyRange,
    limit: usize,
) -> Result<(Vec<Pair>, Option<KeyRange>), EngineError> {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut rest = None;
    engine.scan(family, range, &mut |key, value| {
        if pairs.len() == limit {
            rest = Some(KeyRange::between(key, range.end()));
            return ControlFlow::Break(());
        }
        pairs.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })?;
    Ok((pairs, rest))
}

/// All records of `range`. Only for ranges whose size something else bounds.
pub fn collect(
    engine: &dyn Engine,
    family: Family,
    range: &KeyRange,
) -> Result<Vec<Pair>, EngineError> {
    page(engine, family, range, usize::MAX).map(|(pairs, _)| pairs)
}
