//! What of an agent a client may be offered, policy aside: capabilities, reservations, constraints,
//! quota, the least worth offering, and refusals.
//!
//! Owns these rules for every policy. Never orders clients. Source: Mesos `hierarchical.cpp`,
//! `isCapableOfReceivingAgent`, `stripIncapableResources`, `allocatable` and `isFiltered`;
//! quota is in [`crate::standing`].

use std::borrow::Cow;

use crate::{
    bundle::Bundle,
    constraints,
    standing::Standing,
    world::{Agent, AgentIx, Client, ClientIx, Framework, World},
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
    if !taker.active || !place.active {
        return None;
    }
    let framework = &world.frameworks[taker.framework];
    if is_hidden(place, framework) {
        return None;
    }
    let offer = usable(world, place, taker, framework, remaining);
    let offer = standing.shrink(client, offer);
    let worth_it = world.is_allocatable(&offer);
    let refused = || world.filters.block(client, agent, &offer);
    if !worth_it || refused() || is_excluded(place, taker, framework) {
        return None;
    }
    Some(offer)
}

/// Whether the framework cannot handle anything of this agent: GPU machines are kept for those who can
/// use GPUs, other regions for those who know that there are regions.
fn is_hidden(agent: &Agent, framework: &Framework) -> bool {
    let can = framework.capabilities;
    (agent.has_gpus && !can.gpus) || (agent.is_remote && !can.region_aware)
}

fn is_excluded(agent: &Agent, client: &Client, framework: &Framework) -> bool {
    framework.constraints.as_ref().is_some_and(|constraints| {
        constraints::excluded_by_constraints(constraints, &client.role, &agent.info)
    })
}

/// What of `remaining` the framework can handle and is not reserved for others.
fn usable<'a>(
    world: &World,
    agent: &Agent,
    client: &Client,
    framework: &Framework,
    remaining: &'a Bundle,
) -> Cow<'a, Bundle> {
    let can = framework.capabilities;
    let fits = |kind| {
        let kind = world.kinds.get(kind);
        kind.is_plain
            || (kind.is_open_to(&client.role)
                && (can.revocable || !kind.is_revocable)
                && (can.shared || !kind.is_shared)
                && (can.refined_reservations || !kind.is_refined))
    };
    if agent.is_plain || remaining.kinds().all(fits) {
        return Cow::Borrowed(remaining);
    }
    let mut usable = remaining.clone();
    usable.retain(fits);
    Cow::Owned(usable)
}
