//! I5: an offer is used at most once, only while it stands, and only with the master that made it.

use std::collections::BTreeMap;

use crate::history::{Check, ensure};

#[derive(Default)]
pub struct Offers {
    /// The offer a scheduler named when it asked for a task.
    named: BTreeMap<String, String>,
    /// When an offer was used: the reign, and its batch of changes.
    used: BTreeMap<String, (u64, u64)>,
}

/// The offers of one reign, kept from its change stream.
#[derive(Default)]
pub struct Standing {
    pub reign: u64,
    batch: u64,
    /// With the batch in which it ended.
    offers: BTreeMap<String, Option<u64>>,
}

impl Standing {
    pub fn next_batch(&mut self) {
        self.batch += 1;
    }

    pub fn added(&mut self, offer: &str) {
        self.offers.insert(offer.to_owned(), None);
    }

    pub fn removed(&mut self, offer: &str) {
        let batch = self.batch;
        if let Some(end) = self.offers.get_mut(offer) {
            end.get_or_insert(batch);
        }
    }
}

impl Offers {
    /// A scheduler accepts `offer` to run `task`.
    pub fn named(&mut self, task: &str, offer: &str) {
        self.named.insert(task.to_owned(), offer.to_owned());
    }

    /// A master orders `task`. The offer's end is published with the decision, just before the order leaves.
    pub fn launches(&mut self, task: &str, standing: &Standing) -> Check {
        let Some(offer) = self.named.get(task) else {
            return ensure("I5", false, || format!("nobody asked for {task}"));
        };
        let end = standing.offers.get(offer);
        ensure("I5", end.is_some(), || {
            format!("{task} is launched on {offer}, which this master never made")
        })?;
        let over = end
            .copied()
            .flatten()
            .is_some_and(|end| end < standing.batch);
        ensure("I5", !over, || {
            format!("{task} is launched on {offer}, which stands no more")
        })?;
        let now = (standing.reign, standing.batch);
        let first = *self.used.entry(offer.clone()).or_insert(now);
        ensure("I5", first == now, || {
            format!("{offer} is used twice, by {task} too")
        })
    }
}
