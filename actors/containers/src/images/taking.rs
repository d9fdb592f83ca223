//! Owns what is known of one image on its way into the store: the layers that are held for it.

use crate::images::holds::{Hold, Holds};
use crate::images::reference::Digest;
use std::collections::BTreeSet;

/// One image that is being taken. Its layers stay until this is dropped.
#[derive(Debug, Default)]
pub struct Taking {
    held: Vec<Hold>,
}

impl Taking {
    /// Holds layers, before it is looked whether they are there. Blocks for a moment.
    pub(crate) fn hold<'a>(&mut self, holds: &Holds, layers: impl IntoIterator<Item = &'a Digest>) {
        let digits: BTreeSet<String> = layers.into_iter().map(|it| it.hex().to_owned()).collect();
        self.held.push(holds.hold(digits));
    }

    /// As [`Taking::hold`], from where nothing may block.
    pub(crate) async fn hold_later(&mut self, holds: &Holds, layers: &[Digest]) {
        let digits: BTreeSet<String> = layers.iter().map(|it| it.hex().to_owned()).collect();
        let holds = holds.clone();
        // It fails only while the runtime shuts down.
        if let Ok(held) = tokio::task::spawn_blocking(move || holds.hold(digits)).await {
            self.held.push(held);
        }
    }
}
