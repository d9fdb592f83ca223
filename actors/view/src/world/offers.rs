//! Offers: those that stand, what became of the last ones, and each framework's habits with them.

use std::sync::Arc;

use tepui_messages::{UnixNanos, change::OfferEnd};
use tepui_protocol::{resources::Resources, v1::Offer};

use super::World;

/// Ended offers remembered, of all frameworks together.
pub const MAX_ENDED_OFFERS: usize = 1000;

/// An offer that stands.
#[derive(Debug, Clone)]
pub struct OpenOffer {
    pub offer: Arc<Offer>,
    pub since: UnixNanos,
}

/// An offer that was, and what became of it.
#[derive(Debug, Clone)]
pub struct EndedOffer {
    pub offer: Arc<Offer>,
    pub since: UnixNanos,
    pub until: UnixNanos,
    pub end: OfferEnd,
}

/// What a framework made of its offers since it is known here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OfferHabits {
    pub accepted: u64,
    pub declined: u64,
    pub rescinded: u64,
    pub lost: u64,
    /// All the time for which it held those that ended.
    pub held_nanos: u64,
}

impl OfferHabits {
    pub fn ended(&self) -> u64 {
        self.accepted + self.declined + self.rescinded + self.lost
    }

    fn count(&mut self, end: OfferEnd, held_nanos: u64) {
        let count = match end {
            OfferEnd::Accepted => &mut self.accepted,
            OfferEnd::Declined { .. } => &mut self.declined,
            OfferEnd::Rescinded => &mut self.rescinded,
            OfferEnd::Lost => &mut self.lost,
        };
        *count += 1;
        self.held_nanos = self.held_nanos.saturating_add(held_nanos);
    }
}

impl World {
    pub(super) fn add_offer(&mut self, offer: &Arc<Offer>, at: UnixNanos) -> bool {
        // An id is given once; one that came again would else be counted twice.
        self.end_offer(
            &offer.framework_id.value,
            &offer.id.value,
            OfferEnd::Lost,
            at,
        );
        let Some(entry) = self.frameworks.get_mut(&offer.framework_id.value) else {
            return false;
        };
        let resources = Resources::from_proto_unchecked(&offer.resources);
        let open = OpenOffer {
            offer: Arc::clone(offer),
            since: at,
        };
        entry.offers.insert(offer.id.value.clone(), open);
        entry.offers_sent += 1;
        entry.offered.add(&offer.agent_id.value, &resources);
        self.totals.offers += 1;
        self.change_offered(&offer.agent_id.value, |offered| *offered += &resources);
        true
    }

    pub(super) fn end_offer(
        &mut self,
        framework: &str,
        id: &str,
        end: OfferEnd,
        at: UnixNanos,
    ) -> bool {
        let Some(entry) = self.frameworks.get_mut(framework) else {
            return false;
        };
        let Some(OpenOffer { offer, since }) = entry.offers.remove(id) else {
            return false;
        };
        let held = u64::try_from(at.saturating_sub(since)).unwrap_or(0);
        entry.habits.count(end, held);
        let resources = Resources::from_proto_unchecked(&offer.resources);
        entry.offered.subtract(&offer.agent_id.value, &resources);
        self.totals.offers -= 1;
        self.change_offered(&offer.agent_id.value, |offered| *offered -= &resources);
        if self.ended_offers.len() == MAX_ENDED_OFFERS {
            self.ended_offers.pop_front();
        }
        self.ended_offers.push_back(EndedOffer {
            offer,
            since,
            until: at,
            end,
        });
        true
    }
}
