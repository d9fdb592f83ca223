//! Operator calls that change something: written to the registry first (Mesos: docs/operator-http-api.md).

use std::{collections::BTreeMap, sync::Arc};

use tepui_messages::{allocator::WorldChange, change::Change, master::Answer};
use tepui_protocol::{
    roles,
    v1::{
        WeightInfo, machine_info,
        master::{Call, call, call::Type},
    },
};
use tepui_registry::Command;

use crate::{
    core::{MasterCore, Pending, Token, Turn},
    operator_operations::operation_of,
};

impl MasterCore {
    pub(crate) fn operator_call(
        &mut self,
        token: Token,
        principal: Option<&str>,
        call: Call,
        turn: &mut Turn<'_>,
    ) {
        let kind = call
            .r#type
            .and_then(|kind| Type::try_from(kind).ok())
            .unwrap_or(Type::Unknown);
        if let Err(forbidden) = self.authorize_operator(principal, kind, &call) {
            return turn.answer(token, forbidden);
        }
        match kind {
            Type::Teardown => {
                self.operator_teardown(token, &call.teardown.unwrap_or_default(), turn)
            }
            Type::MarkAgentGone => {
                let id = call.mark_agent_gone.unwrap_or_default().agent_id.value;
                self.mark_gone(token, &id, turn);
            }
            Type::UpdateWeights => self.update_weights(
                token,
                call.update_weights.unwrap_or_default().weight_infos,
                turn,
            ),
            Type::UpdateQuota => {
                self.update_quota(token, call.update_quota.unwrap_or_default(), turn)
            }
            Type::SetQuota => {
                self.set_quota_request(token, call.set_quota.unwrap_or_default(), turn)
            }
            Type::RemoveQuota => {
                self.remove_quota(token, &call.remove_quota.unwrap_or_default().role, turn)
            }
            Type::UpdateMaintenanceSchedule => {
                let schedule = call
                    .update_maintenance_schedule
                    .unwrap_or_default()
                    .schedule;
                self.update_schedule(token, schedule, turn);
            }
            Type::StartMaintenance => {
                let machines = call.start_maintenance.unwrap_or_default().machines;
                self.move_machines(token, &machines, machine_info::Mode::Down, turn);
            }
            Type::StopMaintenance => {
                let machines = call.stop_maintenance.unwrap_or_default().machines;
                self.move_machines(token, &machines, machine_info::Mode::Up, turn);
            }
            Type::DeactivateAgent => {
                let id = call.deactivate_agent.unwrap_or_default().agent_id.value;
                self.deactivate_agent(token, &id, turn);
            }
            Type::DrainAgent => {
                self.drain_agent(token, call.drain_agent.unwrap_or_default(), turn);
            }
            Type::ReactivateAgent => {
                let id = call.reactivate_agent.unwrap_or_default().agent_id.value;
                self.reactivate_agent(token, &id, turn);
            }
            kind => match operation_of(kind, call) {
                Some((agent_id, operation)) => {
                    self.operate(token, principal, &agent_id, operation, turn);
                }
                None => Self::not_built(token, kind, turn),
            },
        }
    }

    fn not_built(token: Token, kind: Type, turn: &mut Turn<'_>) {
        let text = match kind {
            Type::Unknown => "501 Not Implemented.".to_owned(),
            _ => format!(
                "{} is not supported by this version of Tepui",
                kind.as_str_name()
            ),
        };
        turn.answer(token, Answer::refused(501, text));
    }

    fn operator_teardown(&mut self, token: Token, teardown: &call::Teardown, turn: &mut Turn<'_>) {
        let id = teardown.framework_id.value.as_str();
        if !self.frameworks.contains_key(id) {
            return turn.answer(
                token,
                Answer::refused(400, "No framework found with specified ID"),
            );
        }
        self.end_framework(id, Some((token, Answer::OK)), turn);
    }

    fn update_weights(&mut self, token: Token, infos: Vec<WeightInfo>, turn: &mut Turn<'_>) {
        let mut changed = BTreeMap::new();
        for info in infos {
            let role = info.role.clone().unwrap_or_default();
            if let Err(reason) = roles::validate(&role) {
                let text = format!(
                    "Failed to validate update weights request JSON: Invalid role '{role}': {reason}"
                );
                return turn.answer(token, Answer::refused(400, text));
            }
            if !self.allows_role(&role) {
                let text = format!(
                    "Failed to validate update weights request JSON: Unknown role '{role}'"
                );
                return turn.answer(token, Answer::refused(400, text));
            }
            if info.weight.is_nan() || info.weight <= 0.0 {
                let text = format!(
                    "Failed to validate update weights request JSON for role '{role}': Invalid weight '{}': Weights must be positive",
                    info.weight
                );
                return turn.answer(token, Answer::refused(400, text));
            }
            changed.insert(role, info.weight);
        }
        self.write(
            turn,
            Command::UpdateWeights {
                weights: changed.clone().into_iter().collect(),
            },
            Pending::Weights { token, changed },
        );
    }

    /// What is written is true. Where it concerns frameworks that are here all offers are taken back, so that the
    /// next ones are by the new weights.
    pub(crate) fn weights_changed(&mut self, changed: &BTreeMap<String, f64>, turn: &mut Turn<'_>) {
        let mut weights = self.weights.clone();
        weights.extend(changed.iter().map(|(role, weight)| (role.clone(), *weight)));
        let differs = |role: &String| weights.get(role) != self.weights.get(role);
        let concerns = |role: &String| {
            let mut frameworks = self.frameworks.values();
            frameworks.any(|framework| {
                let mut roles = framework.roles().into_iter();
                roles.any(|own| own == *role || roles::is_strict_subrole_of(&own, role))
            })
        };
        let rebalances = changed.keys().any(|role| differs(role) && concerns(role));
        self.set_weights(weights, turn);
        if rebalances {
            for number in self.offers.keys().copied().collect::<Vec<_>>() {
                self.rescind_offer(number, turn);
            }
        }
    }

    pub(crate) fn set_weights(&mut self, weights: BTreeMap<String, f64>, turn: &mut Turn<'_>) {
        if self.weights != weights {
            self.weights = weights;
            let weights = Arc::new(self.weights.clone());
            turn.allocator(WorldChange::Weights(Arc::clone(&weights)));
            self.change(turn, Change::Weights(weights));
        }
    }
}

#[cfg(test)]
#[path = "operator_tests.rs"]
mod tests;
