//! What an agent must not forget: who it is, what it was told to run, and which status updates nobody has
//! acknowledged yet. Owns the format of these records; never decides what they mean or when they are written.
//!
//! Every effect of the agent is one atomic [`Checkpoint::commit`] before it is made. After a restart
//! [`Checkpoint::open`] gives everything back; a damaged record is named and left out, it never hides the rest.
//! Protocol messages are kept as the bytes their sender encoded.

mod change;
mod keys;
mod records;
mod recovered;
mod streams;

use std::sync::{Mutex, PoisonError};

use tepui_engine::{Batch, Durability, EngineError, SharedEngine};

pub use change::Change;
pub use records::{
    AgentRecord, ContainerRecord, Ended, FrameworkRecord, KillRecord, PastRecord, ShimRecord,
    StreamKey, TaskRecord, Uuid,
};
pub use recovered::{Damaged, Kind, Recovered, RecoveredUpdate};
use streams::Streams;

/// An error of the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The engine refused; what was committed is unknown only if the error says so.
    #[error("the agent's checkpoint failed: {0}")]
    Engine(#[from] EngineError),
}

/// The checkpoint of one agent, over an engine opened with `AGENT_FAMILIES`. Calls block on the disk.
pub struct Checkpoint {
    engine: SharedEngine,
    streams: Mutex<Streams>,
}

impl Checkpoint {
    /// Reads everything that was kept. Of each stream `max_acknowledged` UUIDs stay, to tell a repeated update from a new
    /// one. Fails only if the engine cannot be read at all.
    pub fn open(
        engine: SharedEngine,
        max_acknowledged: usize,
    ) -> Result<(Self, Recovered), CheckpointError> {
        let (recovered, sequences) = recovered::load(engine.as_ref())?;
        let checkpoint = Self {
            engine,
            streams: Mutex::new(Streams::new(&recovered, sequences, max_acknowledged)),
        };
        Ok((checkpoint, recovered))
    }

    /// Applies `changes` in order, all or none. With [`Durability::Synced`] they and all earlier ones are on
    /// disk when this returns. Launches need no sync, since their tasks die with the kernel.
    pub fn commit(
        &self,
        changes: &[Change],
        durability: Durability,
    ) -> Result<(), CheckpointError> {
        let mut batch = Batch::new();
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            change.write(&mut batch, &mut streams);
        }
        self.engine.write(&batch, durability)?;
        Ok(())
    }

    /// Reads everything again, as [`Self::open`] does. For inspection and tests.
    pub fn load(&self) -> Result<Recovered, CheckpointError> {
        Ok(recovered::load(self.engine.as_ref())?.0)
    }
}

#[cfg(test)]
#[path = "lib_tests.rs"]
mod tests;
