//! The ledger of offers for people: which stand, which ended and how, and who holds most for longest.
//!
//! Mesos shows no ages and forgets what ended, so nobody sees a scheduler that sits on its offers.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tepui_messages::{UnixNanos, change::OfferEnd};
use tepui_protocol::{
    resources::{Quantity, Resources},
    v1::Offer,
};

use crate::world::{EndedOffer, Framework, OpenOffer, Sums, World};

/// See the module; at most `most` in each list.
pub(crate) fn ledger(world: &World, now: UnixNanos, most: usize) -> Value {
    let mut open: Vec<&OpenOffer> = open_offers(world).collect();
    open.sort_by_key(|open| open.since);
    let oldest = open.into_iter().take(most);
    let ended = world.ended_offers.iter().rev().take(most);
    json!({
        "offers": oldest.map(|open| shown_open(world, open, now)).collect::<Vec<_>>(),
        "ended": ended.map(|ended| shown_ended(world, ended)).collect::<Vec<_>>(),
        "holders": holders(world, now, most),
        "standing": world.totals.offers,
    })
}

fn open_offers(world: &World) -> impl Iterator<Item = &OpenOffer> {
    let frameworks = world.frameworks.values();
    frameworks.flat_map(|framework| framework.offers.values())
}

fn shown_open(world: &World, open: &OpenOffer, now: UnixNanos) -> Value {
    let mut shown = shown(world, &open.offer);
    shown["since"] = seconds(open.since).into();
    shown["age_secs"] = seconds(now.saturating_sub(open.since).max(0)).into();
    shown
}

fn shown_ended(world: &World, ended: &EndedOffer) -> Value {
    let mut shown = shown(world, &ended.offer);
    let (end, refused_for) = match ended.end {
        OfferEnd::Accepted => ("ACCEPTED", None),
        OfferEnd::Declined { refused_for } => ("DECLINED", Some(refused_for)),
        OfferEnd::Rescinded => ("RESCINDED", None),
        OfferEnd::Lost => ("LOST", None),
    };
    shown["since"] = seconds(ended.since).into();
    shown["held_secs"] = seconds(ended.until.saturating_sub(ended.since).max(0)).into();
    shown["end"] = end.into();
    if let Some(refused_for) = refused_for {
        shown["refused_secs"] = refused_for.as_secs_f64().into();
    }
    shown
}

fn shown(world: &World, offer: &Offer) -> Value {
    let framework = world.all_frameworks();
    let mut framework = framework.filter(|framework| framework.id() == offer.framework_id.value);
    let name = framework.next().map(|it| it.record.info.name.clone());
    json!({
        "id": offer.id.value,
        "framework_id": offer.framework_id.value,
        "framework": name,
        "role": offer.allocation_info.as_ref().and_then(|info| info.role.clone()),
        "agent_id": offer.agent_id.value,
        "hostname": offer.hostname,
        "resources": amounts(offer),
    })
}

/// Frameworks by the part of the cluster that lies in their offers, times how long it has lain there.
fn holders(world: &World, now: UnixNanos, most: usize) -> Vec<Value> {
    let sent = |framework: &&Framework| framework.offers_sent > 0;
    let frameworks = world.frameworks.values().filter(sent);
    let mut ranked: Vec<(f64, &Framework)> = frameworks
        .map(|framework| (held_share_secs(world, framework, now), framework))
        .collect();
    ranked.sort_by(|(left, _), (right, _)| right.total_cmp(left));
    let ranked = ranked.into_iter().take(most);
    ranked
        .map(|(held, framework)| {
            let (habits, open) = (framework.habits, framework.offers.values());
            let oldest = open.map(|open| open.since).min();
            let mean = habits.held_nanos.checked_div(habits.ended());
            json!({
                "framework_id": framework.id(),
                "framework": framework.record.info.name,
                "standing": framework.offers.len(),
                "share_secs": held,
                "oldest_secs": oldest.map(|since| seconds(now.saturating_sub(since).max(0))),
                "sent": framework.offers_sent,
                "accepted": habits.accepted,
                "declined": habits.declined,
                "rescinded": habits.rescinded,
                "lost": habits.lost,
                "mean_held_secs": mean.map(|nanos| nanos as f64 / 1e9),
            })
        })
        .collect()
}

fn held_share_secs(world: &World, framework: &Framework, now: UnixNanos) -> f64 {
    let open = framework.offers.values();
    let held = open.map(|open| {
        let age = seconds(now.saturating_sub(open.since).max(0));
        dominant_share(world, &open.offer) * age
    });
    // A sum of nothing would be below zero in print.
    held.fold(0.0, |sum, held| sum + held)
}

fn dominant_share(world: &World, offer: &Offer) -> f64 {
    let amounts = amounts(offer);
    let totals = Sums::NAMES.iter().zip(world.totals.total.firm);
    let shares = totals.filter_map(|(name, total)| {
        let amount = amounts.get(*name)?;
        (!total.is_zero()).then(|| amount / total.to_f64())
    });
    shares.fold(0.0, f64::max)
}

fn amounts(offer: &Offer) -> BTreeMap<String, f64> {
    let resources = Resources::from_proto_unchecked(&offer.resources);
    let scalars = resources.scalars().quantities().into_iter();
    scalars
        .map(|(name, amount)| (name.to_string(), Quantity::to_f64(amount)))
        .collect()
}

pub(crate) fn seconds(nanos: UnixNanos) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
#[path = "offers_tests.rs"]
mod tests;
