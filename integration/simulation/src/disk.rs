//! A member's disk: the engine's twin in memory, as one life of a process sees it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tepui_engine::{
    Batch, Counters, Durability, Engine, EngineError, Family, KeyRange, MemoryEngine, Operation,
    Visit, keys::RAFT_META,
};

use crate::{history::History, planted::Planted};

/// The key of the hard state in `raft_meta`, for the bug that forgets it.
const HARD_STATE: &[u8] = b"h";

pub struct Disk {
    pub engine: MemoryEngine,
    /// A dead process writes nothing more.
    pub alive: Arc<AtomicBool>,
    pub history: History,
    pub planted: Option<Planted>,
    pub member: u64,
    pub life: u64,
}

impl Disk {
    fn kept(&self, batch: &Batch) -> Batch {
        let mut kept = Batch::new();
        for operation in batch.operations() {
            match operation {
                Operation::Put { family, key, value } => {
                    if *family != RAFT_META || key != HARD_STATE {
                        kept.put(*family, key.clone(), value.clone());
                    }
                }
                Operation::Delete { family, key } => kept.delete(*family, key.clone()),
                Operation::DeleteRange { family, range } => {
                    kept.delete_range(*family, range.clone());
                }
            }
        }
        kept
    }
}

impl Engine for Disk {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.engine.get(family, key)
    }

    fn scan(
        &self,
        family: Family,
        range: &KeyRange,
        visit: &mut Visit<'_>,
    ) -> Result<(), EngineError> {
        self.engine.scan(family, range, visit)
    }

    fn write(&self, batch: &Batch, durability: Durability) -> Result<(), EngineError> {
        if !self.alive.load(Ordering::Relaxed) {
            let reason = "the process is dead".to_owned();
            return Err(EngineError::Poisoned { reason });
        }
        let written = match self.planted {
            Some(Planted::SkipSync) => self.engine.write(batch, Durability::Buffered),
            Some(Planted::ForgetVote) => self.engine.write(&self.kept(batch), durability),
            _ => self.engine.write(batch, durability),
        };
        if let Err(error) = &written {
            self.history
                .note(format!("disk of master {}: {error}", self.member));
            self.history.observe(|seen| {
                seen.fail_stop.failed(self.member, self.life);
                Ok(())
            });
        }
        match self.planted {
            Some(Planted::GoOnAfterFailedSync) => Ok(()),
            _ => written,
        }
    }

    fn counters(&self) -> Counters {
        self.engine.counters()
    }
}
