//! What of an agent a client may be offered, policy aside: capabilities, reservations, constraints,
//! quota, the least worth offering, and refusals.
//!
//! Owns these rules for every policy. Never orders clients. Source: Mesos `hierarchical.cpp`,
//! `isCapableOfReceivingAgent`, `stripIncapableResources`, `allocatable` and `isFiltered`;
//! quota is in [`crate::standing`].

use std::borrow::Cow;

use crate::{
    bundle::Bundle,
    kinds::Kind,
    standing::Standing,
    world::{Agent, AgentIx, Capabilities, Client, ClientIx, Framework, World},
};

/// The part of `remaining`, free on the agent, that the client may be offered now, if any. `standing` is
/// told of each grant, so that together they stay within quota.
pub fn offer<'a>(
    world: &World,
    standing: &Standing<'_>,
    agent: AgentIx,
    client: ClientIx,
    remaining: &'a Bundle,
) -> Option<Cow<'a, Bundle>> {
    let (place, taker) = (&world.agents[agent], &world.clients[client]);
    if !taker.active || !place.is_open() {
        return None;
    }
    // Looked up only where it matters: mostly it does not, and memory far away costs more than all the rest.
    let framework = || &world.frameworks[taker.framework];
    let mut offer = Cow::Borrowed(remaining);
    if !place.is_plain {
        if is_hidden(place, framework()) {
            return None;
        }
        offer = usable(world, place, taker, framework(), remaining);
    }
    let offer = standing.shrink(client, offer);
    let worth_it = world.is_worth_offering(taker, &offer);
    let refused = || {
        world.filters.block(client, agent, &offer)
            || world.holds.block(taker.framework, agent, &offer)
    };
    let excluded = || taker.is_constrained && is_excluded(place, taker, framework());
    if !worth_it || refused() || excluded() {
        return None;
    }
    Some(offer)
}

/// Whether the framework cannot handle anything of this agent: GPU machines are kept for those who can
/// use GPUs, other regions for those who know that there are regions.
fn is_hidden(agent: &Agent, framework: &Framework) -> bool {
    keeps_gpus_from(agent, framework) || is_too_far_for(agent, framework)
}

pub(crate) fn keeps_gpus_from(agent: &Agent, framework: &Framework) -> bool {
    agent.has_gpus && !framework.capabilities.gpus
}

pub(crate) fn is_too_far_for(agent: &Agent, framework: &Framework) -> bool {
    agent.is_remote && !framework.capabilities.region_aware
}

pub(crate) fn is_excluded(agent: &Agent, client: &Client, framework: &Framework) -> bool {
    framework
        .constraints
        .as_ref()
        .is_some_and(|constraints| constraints.exclude(&client.role, &agent.info))
}

/// What of `remaining` the framework can handle and is not reserved for others.
pub(crate) fn usable<'a>(
    world: &World,
    agent: &Agent,
    client: &Client,
    framework: &Framework,
    remaining: &'a Bundle,
) -> Cow<'a, Bundle> {
    let can = framework.capabilities;
    let fits = |kind| {
        let kind = world.kinds.get(kind);
        kind.is_plain || (kind.is_open_to(&client.role) && lacks(kind, can).is_none())
    };
    if agent.is_plain || remaining.kinds().all(fits) {
        return Cow::Borrowed(remaining);
    }
    let mut usable = remaining.clone();
    usable.retain(fits);
    Cow::Owned(usable)
}

/// The capability without which a framework cannot handle resources of this kind, if it lacks one.
pub(crate) fn lacks(kind: &Kind, can: Capabilities) -> Option<&'static str> {
    let needs = [
        ("REVOCABLE_RESOURCES", kind.is_revocable && !can.revocable),
        ("SHARED_RESOURCES", kind.is_shared && !can.shared),
        (
            "RESERVATION_REFINEMENT",
            kind.is_refined && !can.refined_reservations,
        ),
    ];
    needs
        .into_iter()
        .find(|(_, lacks)| *lacks)
        .map(|(name, _)| name)
}
