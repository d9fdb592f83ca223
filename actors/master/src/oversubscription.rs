//! What agents lend: revocable resources that come and go beside those they are configured with (Mesos
//! `Master::updateSlave`). Who holds offers of the old amount loses them; what runs is the agent's to preempt.

use tepui_protocol::{node, resources::Resources};

use crate::core::{MasterCore, Turn};

/// Kinds of resources one agent can lend.
const MAX_LENT: usize = 1_000;

/// What an agent says it lends, if that can be.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn lent(told: &[tepui_protocol::v1::Resource]) -> Result<Resources, String> {
    if told.len() > MAX_LENT {
        let count = told.len();
        return Err(format!("{count} resources, expected at most {MAX_LENT}"));
    }
    let lent = Resources::from_proto(told).map_err(|error| error.to_string())?;
    let kept = |entry: &&tepui_protocol::resources::Entry| !entry.is_revocable();
    if let Some(entry) = lent.iter().find(kept) {
        return Err(format!("{entry} is not revocable"));
    }
    Ok(lent.unallocated())
}

/// As [`lent`], for an agent that registers: one that says nonsense lends nothing, and is admitted.
pub(crate) fn lent_by(request: &node::RegisterAgent) -> Resources {
    lent(&request.oversubscribed_resources).unwrap_or_else(|reason| {
        tracing::warn!(reason, "what an agent says it lends is not believed");
        Resources::new()
    })
}

impl MasterCore {
    pub(crate) fn oversubscribed(
        &mut self,
        agent_id: &str,
        told: &node::OversubscribedResources,
        turn: &mut Turn<'_>,
    ) {
        let lent = match lent(&told.resources) {
            Ok(lent) => lent,
            Err(reason) => {
                tracing::warn!(
                    agent = agent_id,
                    reason,
                    "what the agent says it lends is not believed"
                );
                return;
            }
        };
        let agent = self.agents.get_mut(agent_id).expect("its peer is known");
        if agent.lent == lent {
            return;
        }
        agent.lent = lent.clone();
        let total = Resources::from_proto_unchecked(&agent.record.total);
        let total = total.non_revocable() + lent;
        self.rescind_revocable_offers(agent_id, turn);
        self.replace_total(agent_id, &total, turn);
    }

    fn rescind_revocable_offers(&mut self, agent_id: &str, turn: &mut Turn<'_>) {
        let offers = self.agents[agent_id].offers.iter().copied();
        let revocable = offers.filter(|number| {
            let resources = self.offers[number].offer.resources.iter();
            resources.into_iter().any(|it| it.revocable.is_some())
        });
        for number in revocable.collect::<Vec<u64>>() {
            self.rescind_offer(number, turn);
        }
    }
}

#[cfg(test)]
#[path = "oversubscription_tests.rs"]
mod tests;
