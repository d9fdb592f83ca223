//! What always holds, as functions: called by property tests, simulations and `debug_assert!`.
//!
//! Owns these sentences and nothing else. They look at everything, so no production path calls them.

use std::collections::BTreeMap;

use crate::{
    amounts::Amounts,
    bundle::Bundle,
    eligible,
    places::PlaceSet,
    policy::Grant,
    slots::Place,
    standing::Standing,
    world::{AgentIx, Client, World},
};

/// On this agent, what is free and what is held make up the total, and nothing is both; shared resources
/// are always free. If more is held than there is (the total shrank), nothing of that is free.
pub fn agent_balances(world: &World, agent: AgentIx) -> bool {
    let agent = &world.agents[agent];
    let is_shared = |kind| world.kinds.get(kind).is_shared;
    let mut expected_free = agent.total.clone();
    for (_, bundle) in &agent.held {
        let mut exclusive = bundle.clone();
        exclusive.retain(|kind| !is_shared(kind));
        expected_free.subtract(&exclusive);
    }
    agent.free == expected_free
        && agent.held.iter().all(|(_, bundle)| !bundle.is_empty())
        && agent.held.is_sorted_by_key(|(client, _)| *client)
}

/// Offered or used, plus free, is the total, on each agent and for each resource; and what clients and
/// cluster are counted with is the sum over agents.
pub fn ledger_balances(world: &World) -> bool {
    let mut held: BTreeMap<_, Amounts> = BTreeMap::new();
    let mut places: BTreeMap<_, PlaceSet<AgentIx>> = BTreeMap::new();
    let mut totals = Amounts::default();
    for (place, agent) in world.agents.iter() {
        totals.count(world.kinds.quantities(&agent.total), 1);
        for (client, bundle) in &agent.held {
            places.entry(*client).or_default().insert(place);
            for (name, amount) in world.kinds.shares(bundle, &agent.total) {
                *held.entry(*client).or_default().at(name) += amount;
            }
        }
    }
    let mut clients = world.clients.iter();
    world
        .agents
        .iter()
        .all(|(agent, _)| agent_balances(world, agent))
        && totals == world.totals
        && doubles_are_known(world)
        && clients.all(|(place, client)| {
            let held = held.remove(&place).unwrap_or_default();
            held == client.allocated && places.remove(&place).unwrap_or_default() == client.agents
        })
        && held.is_empty()
}

/// Whoever holds what another holds too is known, and nobody else.
fn doubles_are_known(world: &World) -> bool {
    let found = world.agents.iter().flat_map(|(agent, _)| {
        let doubles = world.doubles_on(agent).into_iter();
        doubles.map(move |(client, doubles)| ((agent, client), doubles))
    });
    found.eq(world.doubles.clone())
}

/// The agents one can make offers of are the active ones with enough free, and clients are active if
/// they are subscribed, not suppressed, and their framework is there.
pub fn offers_are_possible_where_they_should_be(world: &World) -> bool {
    let mut agents = world.agents.iter();
    let mut clients = world.clients.iter();
    agents.all(|(place, agent)| {
        let listed = agent.listed == world.lists(&agent.info);
        let possible = agent.is_open() && world.may_be_offered(&agent.free);
        listed && world.offerable.contains(place) == possible
    }) && clients.all(|(place, client)| {
        let framework = &world.frameworks[client.framework];
        let there = framework.known && framework.active;
        client.active == (there && client.subscribed && !client.suppressed)
            && client.active == world.active.contains(place)
            && (client.subscribed || !client.agents.is_empty())
            && client.minimums.is_some() == world.choosy.contains(place)
            && (!client.subscribed || client.is_constrained == is_constrained(world, client))
    })
}

fn is_constrained(world: &World, client: &Client) -> bool {
    let constraints = world.frameworks[client.framework].constraints.as_ref();
    constraints.is_some_and(|it| it.concern(&client.role))
}

/// What is consumed of quota, required and available is what comes about by counting everything.
pub fn quota_balances(world: &World) -> bool {
    let mut counted = world.quotas.emptied();
    world.count_all(&mut counted);
    let mut clients = world.clients.iter();
    counted.says_the_same(&world.quotas)
        && clients.all(|(place, client)| {
            let mut chain = world.quotas.chain(client.quota);
            client.quota == world.quotas.of(&client.role)
                && chain.all(|role| world.quotas.roles[role.index()].clients.contains(place))
        })
}

/// No grant goes to somebody inactive or suppressed, or from an inactive agent; none is blocked by a
/// refusal; none holds what its client may not have; and together they are no more than what is free.
/// To be asked before the grants are booked.
pub fn grants_are_allowed(world: &World, grants: &[Grant]) -> bool {
    let mut remaining: BTreeMap<AgentIx, Bundle> = BTreeMap::new();
    let mut standing = Standing::new(world);
    grants.iter().all(|grant| {
        let free = || world.agents[grant.agent].free.clone();
        let remaining = remaining.entry(grant.agent).or_insert_with(free);
        let offer = eligible::offer(world, &standing, grant.agent, grant.client, remaining);
        let allowed = offer.is_some_and(|offer| *offer == grant.resources);
        let mut exclusive = grant.resources.clone();
        exclusive.retain(|kind| !world.kinds.get(kind).is_shared);
        remaining.subtract(&exclusive);
        standing.grant(grant.client, &grant.resources);
        allowed
    })
}

/// Right after a run of a policy that offers all it can: nobody could be offered anything more. This is
/// what makes it right to look only at what changed.
pub fn nothing_is_overlooked(world: &World) -> bool {
    let standing = Standing::new(world);
    let mut agents = world.agents.iter();
    agents.all(|(place, agent)| {
        let mut clients = world.clients.iter();
        clients.all(|(client, _)| {
            eligible::offer(world, &standing, place, client, &agent.free).is_none()
        })
    })
}
