//! A member's disk: the engine's twin in memory, as one life of a process sees it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tepui_engine::{
    Batch, Counters, Durability, Engine, EngineError, Family, KeyRange, MemoryEngine, Operation,
    Visit,
    keys::{RAFT_LOG, RAFT_META},
};

use crate::{
    history::History,
    planted::{Bug, Planted},
};

/// Keys in `raft_meta`, for the bugs that forget what stands there.
const HARD_STATE: &[u8] = b"h";
const MEMBERSHIP: &[u8] = b"c";

pub struct Disk {
    pub engine: MemoryEngine,
    /// A dead process writes nothing more.
    pub alive: Arc<AtomicBool>,
    pub history: History,
    pub planted: Planted,
    pub member: u64,
    pub life: u64,
}

impl Disk {
    fn is_forgotten(&self, key: &[u8], batch: &Batch) -> bool {
        let installs = || {
            let whole = KeyRange::all();
            batch.operations().iter().any(|operation| {
                matches!(operation, Operation::DeleteRange { family, range }
                    if *family == RAFT_LOG && *range == whole)
            })
        };
        key == HARD_STATE && self.planted.is(Bug::ForgetVote)
            || key == MEMBERSHIP && self.planted.is(Bug::ForgetMembership) && installs()
    }

    fn kept(&self, batch: &Batch) -> Batch {
        let mut kept = Batch::new();
        for operation in batch.operations() {
            match operation {
                Operation::Put { family, key, value } => {
                    if *family != RAFT_META || !self.is_forgotten(key, batch) {
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

    fn carry_out(&self, batch: &Batch, durability: Durability) -> Result<(), EngineError> {
        if self.planted.is(Bug::SkipSync) {
            return self.engine.write(batch, Durability::Buffered);
        }
        if self.planted.is(Bug::ForgetVote) || self.planted.is(Bug::ForgetMembership) {
            return self.engine.write(&self.kept(batch), durability);
        }
        self.engine.write(batch, durability)
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
        let written = self.carry_out(batch, durability);
        if let Err(error) = &written {
            self.history
                .note(format!("disk of master {}: {error}", self.member));
            let now = self.history.now();
            self.history.observe(|seen| {
                seen.fail_stop.failed(self.member, self.life, now);
                Ok(())
            });
        }
        if self.planted.is(Bug::GoOnAfterFailedSync) {
            return Ok(());
        }
        written
    }

    fn health(&self) -> Result<(), EngineError> {
        if self.planted.is(Bug::GoOnAfterFailedSync) {
            return Ok(());
        }
        self.engine.health()
    }

    fn counters(&self) -> Counters {
        self.engine.counters()
    }
}
