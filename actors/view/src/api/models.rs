//! Agents, frameworks and executors as messages of the operator API.

use tepui_messages::UnixNanos;
use tepui_protocol::v1::{
    AgentId, InverseOffer, Offer, TimeInfo,
    master::response::{
        GetAgents, GetExecutors, GetFrameworks, get_agents, get_executors, get_frameworks,
    },
};

use crate::world::{Agent, Framework, Usage, World};

/// Draining is estimated to whole seconds.
const SECOND: UnixNanos = 1_000_000_000;

pub(crate) fn agents(world: &World) -> GetAgents {
    let agents = world.agents.iter();
    GetAgents {
        agents: agents
            .map(|(id, entry)| agent(entry, world.usage_of(id)))
            .collect(),
        recovered_agents: world
            .recovered
            .values()
            .map(|info| (**info).clone())
            .collect(),
    }
}

pub(crate) fn agent(agent: &Agent, usage: &Usage) -> get_agents::Agent {
    let record = &*agent.record;
    let draining = record.drain_started_at;
    get_agents::Agent {
        agent_info: (*record.info).clone(),
        active: record.active,
        deactivated: Some(record.deactivated),
        version: record.version.clone(),
        pid: Some(record.pid.clone()),
        registered_time: Some(time(record.registered_at)),
        reregistered_time: record.reregistered_at.map(time),
        total_resources: agent.total.to_endpoint(),
        allocated_resources: usage.used.to_endpoint(),
        offered_resources: usage.offered.to_endpoint(),
        capabilities: record.capabilities.clone(),
        resource_providers: Vec::new(),
        drain_info: record.drain_info,
        estimated_drain_start_time: draining.map(|at| time(at - at.rem_euclid(SECOND))),
    }
}

pub(crate) fn frameworks(world: &World) -> GetFrameworks {
    GetFrameworks {
        frameworks: world.frameworks.values().map(shown).collect(),
        completed_frameworks: world.completed.iter().map(shown).collect(),
        ..GetFrameworks::default()
    }
}

/// As GET_FRAMEWORKS shows it: offer constraints even if there are none.
fn shown(entry: &Framework) -> get_frameworks::Framework {
    let mut message = framework(entry);
    message.offer_constraints.get_or_insert_default();
    let ended = entry.unregistered_at;
    message.unregistered_time = (ended != 0).then(|| time(ended));
    message
}

/// As events show it: an end even if it has none.
pub(crate) fn framework(framework: &Framework) -> get_frameworks::Framework {
    let record = &*framework.record;
    let offers = framework.offers.values().map(|open| &open.offer);
    let inverse = framework.inverse_offers.values();
    get_frameworks::Framework {
        framework_info: record.info.clone(),
        active: record.active,
        connected: record.connected,
        recovered: record.recovered,
        registered_time: Some(time(record.registered_at)),
        reregistered_time: Some(time(record.reregistered_at.unwrap_or(record.registered_at))),
        unregistered_time: Some(time(framework.unregistered_at)),
        offers: offers.map(|offer| Offer::clone(offer)).collect(),
        inverse_offers: inverse.map(|offer| InverseOffer::clone(offer)).collect(),
        allocated_resources: framework.used.sum().to_endpoint(),
        offered_resources: framework.offered.sum().to_endpoint(),
        offer_constraints: record.offer_constraints.clone(),
    }
}

pub(crate) fn executors(world: &World) -> GetExecutors {
    let frameworks = world.frameworks.values();
    let executors = frameworks.flat_map(|framework| &framework.executors);
    GetExecutors {
        executors: executors
            .map(|((agent, _), info)| get_executors::Executor {
                executor_info: (**info).clone(),
                agent_id: AgentId {
                    value: agent.clone(),
                },
            })
            .collect(),
        ..GetExecutors::default()
    }
}

fn time(nanoseconds: UnixNanos) -> TimeInfo {
    TimeInfo { nanoseconds }
}
