//! Agents that are not registered and may come back, for people: Mesos only counts those it gave up.

use serde_json::{Value, json};

use crate::{
    offers::seconds,
    world::{Unreachable, World},
};

/// `recovered`: known to the registry when this master began to lead, and not back since; `unreachable`: given up. At
/// most `most` of each, the last ones that were given up first; the numbers are of all.
pub(crate) fn told(world: &World, most: usize) -> Value {
    let mut unreachable: Vec<(&String, &Unreachable)> = world.unreachable.iter().collect();
    unreachable.sort_by_key(|(_, agent)| std::cmp::Reverse(agent.since));
    let unreachable = unreachable.into_iter().take(most).map(
        |(id, agent)| json!({"id": id, "hostname": agent.hostname, "since": seconds(agent.since)}),
    );
    let recovered = world.recovered.iter().take(most);
    let recovered = recovered
        .map(|(id, info)| json!({"id": id, "hostname": info.hostname, "port": info.port()}));
    json!({
        "recovered": recovered.collect::<Vec<_>>(),
        "recovered_total": world.recovered.len(),
        "unreachable": unreachable.collect::<Vec<_>>(),
        "unreachable_total": world.unreachable.len(),
    })
}
