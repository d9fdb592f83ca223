//! What the allocator explained, for people: with names, hosts, and since when what is held is offered.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tepui_messages::{
    UnixNanos,
    why::{
        AgentExplanation, Bar, Cause, Explanation, Holder, QuotaRule, RoleExplanation, Thousandths,
    },
};
use tepui_protocol::{resources::Quantity, v1::Unavailability};

use crate::world::{World, machine_key_of};

pub(crate) fn told(world: &World, now: UnixNanos, explanation: &Explanation) -> Value {
    let id = &explanation.question.framework_id;
    let roles = explanation.roles.iter();
    json!({
        "framework_id": id,
        "framework": world.frameworks.get(id).map(|it| it.record.info.name.clone()),
        "policy": explanation.policy,
        "need": amounts(&explanation.question.need),
        "roles": roles.map(|role| role_told(world, now, role)).collect::<Vec<_>>(),
        // Their agents are not let in, so that the allocator knows none of them.
        "machines_down": world.machines_down().take(explanation.question.most).collect::<Vec<_>>(),
    })
}

fn role_told(world: &World, now: UnixNanos, role: &RoleExplanation) -> Value {
    let scheduled = world.unavailability_by_machine();
    let agents = role.agents.iter().map(|agent| {
        let mut told = agent_told(world, now, agent);
        let known = world.agents.get(&agent.agent_id);
        let away = known.and_then(|known| scheduled.get(&machine_key_of(&known.record)));
        if let Some(away) = away {
            told["maintenance"] = maintenance_told(now, away);
        }
        told
    });
    json!({
        "role": role.role,
        "bars": role.bars.iter().map(|bar| bar_name(*bar)).collect::<Vec<_>>(),
        "takers": role.takers,
        "ahead": role.ahead,
        "open_agents": role.open,
        "agents_by_cause": role.counts,
        "agents": agents.collect::<Vec<_>>(),
    })
}

/// In how many seconds the agent's machine will be away, below zero if it should be by now, and for how long.
fn maintenance_told(now: UnixNanos, away: &Unavailability) -> Value {
    let seconds = |nanos: i64| nanos as f64 / 1e9;
    json!({
        "begins_in_secs": seconds(away.start.nanoseconds.saturating_sub(now)),
        "lasts_secs": away.duration.as_ref().map(|duration| seconds(duration.nanoseconds)),
    })
}

fn bar_name(bar: Bar) -> &'static str {
    match bar {
        Bar::Paused => "PAUSED",
        Bar::Inactive => "FRAMEWORK_INACTIVE",
        Bar::NotSubscribed => "NOT_SUBSCRIBED",
        Bar::Suppressed => "SUPPRESSED",
    }
}

fn agent_told(world: &World, now: UnixNanos, agent: &AgentExplanation) -> Value {
    let causes = agent.causes.iter();
    let causes = causes.map(|cause| cause_told(world, now, &agent.agent_id, cause));
    json!({
        "agent_id": agent.agent_id,
        "hostname": agent.hostname,
        "free": amounts(&agent.free),
        "causes": causes.collect::<Vec<_>>(),
    })
}

fn cause_told(world: &World, now: UnixNanos, agent: &str, cause: &Cause) -> Value {
    let mut told = json!({ "cause": cause.name() });
    match cause {
        Cause::AgentInactive
        | Cause::NotWhitelisted
        | Cause::GpusKept
        | Cause::OtherRegion
        | Cause::Constraint => {}
        Cause::TooSmall { missing } => told["missing"] = json!(amounts(missing)),
        Cause::Reserved { by_role } => {
            let by_role = by_role.iter();
            let by_role = by_role.map(|(role, held)| (role.as_str(), amounts(held)));
            told["by_role"] = json!(by_role.collect::<BTreeMap<_, _>>());
        }
        Cause::Capability { name, amounts: of } => {
            told["capability"] = json!(name);
            told["amounts"] = json!(amounts(of));
        }
        Cause::Held { missing, holders } => {
            let holders = holders.iter();
            let holders = holders.map(|holder| holder_told(world, now, agent, holder));
            told["missing"] = json!(amounts(missing));
            told["holders"] = holders.collect();
        }
        Cause::Quota { missing, rules } => {
            let rules = rules.iter();
            let rules = rules.map(|(name, rule)| (name.as_str(), rule_told(rule)));
            told["missing"] = json!(amounts(missing));
            told["rules"] = json!(rules.collect::<BTreeMap<_, _>>());
        }
        Cause::Refused { lasts, refused } => {
            told["lasts_secs"] = json!(lasts.as_secs_f64());
            told["refused"] = json!(amounts(refused));
        }
    }
    told
}

fn rule_told(rule: &QuotaRule) -> Value {
    match rule {
        QuotaRule::Limit(role) => json!({ "rule": "LIMIT", "role": role }),
        QuotaRule::Headroom => json!({ "rule": "HEADROOM" }),
    }
}

/// Who holds what; and how long the oldest of its offers there has stood, where it has one.
fn holder_told(world: &World, now: UnixNanos, agent: &str, holder: &Holder) -> Value {
    let framework = world.frameworks.get(&holder.framework_id);
    let offers = framework.into_iter().flat_map(|it| it.offers.values());
    let here = offers.filter(|open| open.offer.agent_id.value == agent);
    let oldest = here.min_by_key(|open| open.since);
    let age = |since: UnixNanos| now.saturating_sub(since).max(0) as f64 / 1e9;
    json!({
        "framework_id": holder.framework_id,
        "framework": framework.map(|it| it.record.info.name.clone()),
        "role": holder.role,
        "amounts": amounts(&holder.amounts),
        "offer_id": oldest.map(|open| open.offer.id.value.clone()),
        "offered_secs": oldest.map(|open| age(open.since)),
    })
}

fn amounts(thousandths: &Thousandths) -> BTreeMap<&str, f64> {
    let amounts = thousandths.iter();
    amounts
        .map(|(name, amount)| (name.as_str(), Quantity(*amount).to_f64()))
        .collect()
}
