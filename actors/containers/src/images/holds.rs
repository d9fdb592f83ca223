//! Owns which layers are about to be used: from before it is looked whether they are there until a root names them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Keeps layers from being removed until it is dropped, which takes no lock: a prune looks at holds before it looks at
/// roots, so it sees a layer in one of the two.
#[derive(Debug)]
pub struct Hold {
    _digits: Arc<BTreeSet<String>>,
}

/// All that is held. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Holds(Arc<Mutex<Vec<Weak<BTreeSet<String>>>>>);

/// Nothing new is held while this lives.
pub(crate) struct Closed<'a>(MutexGuard<'a, Vec<Weak<BTreeSet<String>>>>);

impl Holds {
    /// Holds the layers of these digits. Waits while a prune decides what it removes.
    pub fn hold(&self, digits: BTreeSet<String>) -> Hold {
        let digits = Arc::new(digits);
        let mut held = self.lock();
        held.retain(|hold| hold.strong_count() > 0);
        held.push(Arc::downgrade(&digits));
        Hold { _digits: digits }
    }

    pub(crate) fn close(&self) -> Closed<'_> {
        Closed(self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<BTreeSet<String>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Closed<'_> {
    /// The digits of all layers that are held.
    pub(crate) fn digits(&self) -> BTreeSet<String> {
        let held = self.0.iter().filter_map(Weak::upgrade);
        held.flat_map(|digits| digits.iter().cloned().collect::<Vec<_>>())
            .collect()
    }
}
