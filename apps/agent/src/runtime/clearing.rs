//! Deletes what was volumes. They may hold much: nobody waits for it, not even the agent's end, and the next agent goes on with
//! it. One thread works at a disk, however often volumes are taken away there, and a disk that hangs holds up no other.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tepui_containers::volumes;

use super::told;

/// The directories, one a disk, at which somebody works.
#[derive(Debug, Default)]
pub(super) struct Clearing(Mutex<Busy>);

/// With whether more came meanwhile. Pure.
#[derive(Debug, Default)]
struct Busy(BTreeMap<PathBuf, bool>);

impl Busy {
    /// Whether nobody works at it yet.
    fn begin(&mut self, removed: &Path) -> bool {
        if let Some(came) = self.0.get_mut(removed) {
            *came = true;
            return false;
        }
        self.0.insert(removed.to_owned(), false);
        true
    }

    /// Who has gone through it asks whether to do so again.
    fn goes_on(&mut self, removed: &Path) -> bool {
        let came = self.0.get_mut(removed).is_some_and(std::mem::take);
        if !came {
            self.0.remove(removed);
        }
        came
    }
}

impl Clearing {
    /// Deletes, in the background, all in these directories.
    pub(super) fn clear(self: &Arc<Self>, mut removed: BTreeSet<PathBuf>) {
        removed.retain(|it| std::fs::read_dir(it).is_ok_and(|mut all| all.next().is_some()));
        removed.retain(|it| self.busy().begin(it));
        for removed in removed {
            let (clearing, at) = (Arc::clone(self), removed.clone());
            let thread = std::thread::Builder::new().name("old-volumes".to_owned());
            if let Err(error) = thread.spawn(move || clearing.work(&at)) {
                self.busy().0.remove(&removed);
                tracing::warn!(%error, "old volumes are not deleted yet");
            }
        }
    }

    fn work(&self, removed: &Path) {
        loop {
            for error in volumes::clear_removed(removed) {
                tracing::warn!("{}", told(&error));
            }
            if !self.busy().goes_on(removed) {
                return;
            }
        }
    }

    fn busy(&self) -> MutexGuard<'_, Busy> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "clearing_tests.rs"]
mod tests;
