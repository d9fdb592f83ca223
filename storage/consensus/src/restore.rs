//! A new group of one from a kept state, while no member runs.

use tepui_engine::{Batch, Durability, SharedEngine};

use crate::store::{Position, begin};
use crate::{ConsensusError, Identity, StateMachine};

/// Writes `state` and a log that begins behind `index` and `term` into a directory that has no owner, all or
/// nothing. `identity` is its only member. Elections come in higher terms than `term`.
///
/// # Errors
/// [`ConsensusError::Options`] for a directory that has an owner, [`ConsensusError::State`] for a state that the
/// machine does not take, and what writing gives.
pub fn restore<S: StateMachine>(
    engine: &SharedEngine,
    identity: &Identity,
    machine: &mut S,
    state: &[u8],
    index: u64,
    term: u64,
) -> Result<(), ConsensusError> {
    if Identity::is_owned(engine)? {
        return Err(ConsensusError::Options(
            "the directory has an owner; a backup is restored into an empty one".to_owned(),
        ));
    }
    let mut batch = Batch::new();
    machine.restore(state, &mut batch)?;
    identity.put(&mut batch);
    let position = Position { index, term };
    begin(identity.node_id, &[identity.node_id], position, &mut batch);
    engine.write(&batch, Durability::Synced)?;
    Ok(())
}

#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;
