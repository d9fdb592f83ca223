//! Packs: clients are asked in fair order, and agents are given away fullest first. What is begun fills up before what
//! is empty is broken into, so that large requests find whole machines and idle ones can be switched off.
//!
//! A framework that takes the first offer that will do packs by itself: its offers come in this order.

use tepui_kit::Random;

use crate::{
    amounts::Amounts,
    drf::Drf,
    policy::Policy,
    sorter::Sorter,
    world::{AgentIx, World},
};

pub(crate) fn make() -> Box<dyn Policy> {
    Box::new(Drf::with("best-fit", Sorter::default(), fullest_first))
}

/// By the largest part of the agent itself that is free; equals in random order.
fn fullest_first(world: &World, agents: &mut [AgentIx], random: &mut Random) {
    random.shuffle(agents);
    agents.sort_by_cached_key(|agent| {
        let place = &world.agents[*agent];
        let mut totals = Amounts::default();
        totals.count(world.kinds.quantities(&place.total), 1);
        let free = world.kinds.quantities(&place.free).iter();
        let shares = free.map(|(name, amount)| {
            let total = totals.get(*name).max(1);
            *amount as f64 / total as f64
        });
        // Numbers at or above zero order like their bits.
        shares.fold(0.0, f64::max).to_bits()
    });
}

#[cfg(test)]
#[path = "best_fit_tests.rs"]
mod tests;
