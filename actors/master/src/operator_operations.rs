//! Reservations and volumes by operators (Mesos: `Http::_operation`): what is offered meanwhile is taken back, as far as
//! needed; what is used stays.

use tepui_messages::master::Answer;
use tepui_protocol::{
    resources::{self, Conversion, Resources},
    v1::{
        AgentId,
        master::{Call, call::Type},
        offer::{self, operation},
    },
    validate::operation as rules,
};

use crate::{
    conversions::free_on,
    core::{MasterCore, Token, Turn},
    offers::refusal,
    operations::{By, resources_of, shown, well_formed},
};

impl MasterCore {
    pub(crate) fn operate(
        &mut self,
        token: Token,
        principal: Option<&str>,
        agent_id: &AgentId,
        operation: offer::Operation,
        turn: &mut Turn<'_>,
    ) {
        let answer = match self.try_operate(principal, agent_id, operation, turn) {
            Ok(()) => Answer::ACCEPTED,
            Err(refused) => refused,
        };
        turn.answer(token, answer);
    }

    fn try_operate(
        &mut self,
        principal: Option<&str>,
        agent_id: &AgentId,
        mut operation: offer::Operation,
        turn: &mut Turn<'_>,
    ) -> Result<(), Answer> {
        let id = agent_id.value.as_str();
        let agent = self.agents.get(id);
        let agent =
            agent.ok_or_else(|| Answer::refused(400, "No agent found with specified ID"))?;
        let named = shown(agent);
        let invalid = |reason: String| {
            let kind = operation.r#type();
            let name = kind.as_str_name();
            Answer::refused(
                400,
                match kind {
                    // As Mesos has it.
                    operation::Type::Destroy | operation::Type::Unreserve => {
                        format!("Invalid {name} operation: {reason}")
                    }
                    _ => format!("Invalid {name} operation on agent {named}: {reason}"),
                },
            )
        };
        let mut checked = operation.clone();
        for resource in resources_of(&mut checked) {
            resources::validate_all(std::slice::from_ref(resource))
                .map_err(|error| Answer::refused(400, error.to_string()))?;
        }
        let asker = rules::Asker::Operator;
        let conversions = well_formed(&mut checked, agent, asker)
            .and_then(|()| self.check_rules(By::Operator(principal), &checked, agent))
            .and_then(|()| resources::conversions(&checked).map_err(|error| error.to_string()))
            .map_err(invalid)?;
        operation = checked;
        self.authorize_operator_operation(principal, &operation)?;
        if agent.peer.is_none() {
            let text = format!("Agent {named} is not connected; try again when it is back");
            return Err(Answer::refused(409, text));
        }
        let conflict = |text: String| Answer::refused(409, text);
        self.rescind_destroyed(id, &conversions, turn);
        self.rescind_for(id, &conversions, turn);
        let agent = &self.agents[id];
        let free = free_on(agent, &self.used_on(agent), &self.offered_on(agent));
        let applied = free.apply_all(&conversions);
        applied.map_err(|error| conflict(error.to_string()))?;
        let total = self.converted_total(id, &conversions).map_err(conflict)?;
        self.replace_total(id, &total, turn);
        self.order_operation(agent_id, None, operation, turn);
        Ok(())
    }

    /// Takes back offers that hold something of what is needed, until there is enough.
    fn rescind_for(&mut self, id: &str, conversions: &[Conversion], turn: &mut Turn<'_>) {
        let mut needed: Resources = conversions
            .iter()
            .map(|conversion| &conversion.consumed)
            .sum();
        let mut taken = Resources::new();
        for number in self.agents[id].offers.clone() {
            let offered = Resources::from_proto_unchecked(&self.offers[&number].resources);
            let left = &needed - &offered;
            if left == needed {
                continue;
            }
            needed = left;
            taken += &offered;
            self.rescind_offer_for(number, Some(refusal(None)), turn);
            if taken.apply_all(conversions).is_ok() {
                return;
            }
        }
    }

    fn offered_on(&self, agent: &crate::tables::Agent) -> Resources {
        let offers = agent.offers.iter();
        let offers = offers.filter_map(|number| self.offers.get(number));
        let offered: Vec<_> = offers
            .map(|offer| Resources::from_proto_unchecked(&offer.resources))
            .collect();
        offered.iter().sum()
    }
}

/// The operation a call asks for, and of which agent; `None` for other calls.
pub(crate) fn operation_of(kind: Type, call: Call) -> Option<(AgentId, offer::Operation)> {
    let of = |kind: operation::Type| offer::Operation {
        r#type: Some(kind as i32),
        ..Default::default()
    };
    Some(match kind {
        Type::ReserveResources => {
            let body = call.reserve_resources?;
            let mut operation = of(operation::Type::Reserve);
            operation.reserve = Some(operation::Reserve {
                source: body.source,
                resources: body.resources,
            });
            (body.agent_id, operation)
        }
        Type::UnreserveResources => {
            let body = call.unreserve_resources?;
            let mut operation = of(operation::Type::Unreserve);
            operation.unreserve = Some(operation::Unreserve {
                resources: body.resources,
            });
            (body.agent_id, operation)
        }
        Type::CreateVolumes => {
            let body = call.create_volumes?;
            let mut operation = of(operation::Type::Create);
            operation.create = Some(operation::Create {
                volumes: body.volumes,
            });
            (body.agent_id, operation)
        }
        Type::DestroyVolumes => {
            let body = call.destroy_volumes?;
            let mut operation = of(operation::Type::Destroy);
            operation.destroy = Some(operation::Destroy {
                volumes: body.volumes,
            });
            (body.agent_id, operation)
        }
        Type::GrowVolume => {
            let body = call.grow_volume?;
            let mut operation = of(operation::Type::GrowVolume);
            operation.grow_volume = Some(operation::GrowVolume {
                volume: body.volume,
                addition: body.addition,
            });
            (body.agent_id?, operation)
        }
        Type::ShrinkVolume => {
            let body = call.shrink_volume?;
            let mut operation = of(operation::Type::ShrinkVolume);
            operation.shrink_volume = Some(operation::ShrinkVolume {
                volume: body.volume,
                subtract: body.subtract,
            });
            (body.agent_id?, operation)
        }
        _ => return None,
    })
}

#[cfg(test)]
#[path = "operator_operations_tests.rs"]
mod tests;
