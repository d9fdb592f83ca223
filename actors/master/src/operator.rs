//! Operator calls that change something: written to the registry first (OPERATOR_API B, B.3, B.4).

use std::{collections::BTreeMap, sync::Arc};

use tepui_messages::{
    allocator::WorldChange,
    change::{Change, MaintenanceRecord},
    master::Answer,
};
use tepui_protocol::{
    codec::json,
    roles,
    v1::{
        MachineId, MachineInfo, WeightInfo, machine_info,
        maintenance::Schedule,
        master::{Call, call, call::Type},
    },
};
use tepui_registry::Command;

use crate::{
    agents::ip_of,
    commands,
    core::{MasterCore, Pending, Token, Turn},
    operator_operations::operation_of,
};

impl MasterCore {
    pub(crate) fn operator_call(&mut self, token: Token, call: Call, turn: &mut Turn<'_>) {
        let kind = call
            .r#type
            .and_then(|kind| Type::try_from(kind).ok())
            .unwrap_or(Type::Unknown);
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
            kind => match operation_of(kind, call.clone()) {
                Some((agent_id, operation)) => self.operate(token, &agent_id, operation, turn),
                None => self.not_built(token, kind, &call, turn),
            },
        }
    }

    /// After the checks that say more than "not built": which agent, which state.
    fn not_built(&self, token: Token, kind: Type, call: &Call, turn: &mut Turn<'_>) {
        let target = target_agent(kind, call);
        let refused = match (kind, target) {
            (Type::DrainAgent | Type::DeactivateAgent, Some(id))
                if !self.agents.contains_key(id) =>
            {
                Answer::refused(400, "Unknown agent")
            }
            (Type::ReactivateAgent, _) => Answer::refused(400, "Agent is not deactivated"),
            (_, Some(id)) if !self.agents.contains_key(id) => {
                Answer::refused(400, "No agent found with specified ID")
            }
            (Type::Unknown, _) => Answer::refused(501, "501 Not Implemented."),
            _ => Answer::refused(
                501,
                format!(
                    "{} is not supported by this version of Tepui",
                    kind.as_str_name()
                ),
            ),
        };
        turn.answer(token, refused);
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

    pub(crate) fn set_weights(&mut self, weights: BTreeMap<String, f64>, turn: &mut Turn<'_>) {
        if self.weights != weights {
            self.weights = weights;
            let weights = Arc::new(self.weights.clone());
            turn.allocator(WorldChange::Weights(Arc::clone(&weights)));
            self.change(turn, Change::Weights(weights));
        }
    }

    fn update_schedule(&mut self, token: Token, schedule: Schedule, turn: &mut Turn<'_>) {
        if let Err(reason) = self.check_schedule(&schedule) {
            return turn.answer(token, Answer::refused(400, reason));
        }
        let machines = schedule
            .windows
            .iter()
            .flat_map(|window| {
                window
                    .machine_ids
                    .iter()
                    .map(|id| (id, window.unavailability))
            })
            .map(|(id, unavailability)| MachineInfo {
                id: id.clone(),
                mode: Some(scheduled(self.mode(id)) as i32),
                unavailability: Some(unavailability),
            })
            .collect();
        self.write_maintenance(token, MaintenanceRecord { schedule, machines }, turn);
    }

    fn check_schedule(&self, schedule: &Schedule) -> Result<(), String> {
        let mut seen: Vec<&MachineId> = Vec::new();
        for window in &schedule.windows {
            if window.machine_ids.is_empty() {
                return Err("List of machines in the maintenance window is empty".to_string());
            }
            if window
                .unavailability
                .duration
                .is_some_and(|duration| duration.nanoseconds < 0)
            {
                return Err("Unavailability 'duration' is negative".to_string());
            }
            for id in &window.machine_ids {
                check_machine(id)?;
                if seen.contains(&id) {
                    return Err(format!(
                        "Machine '{}' appears more than once in the schedule",
                        show(id)
                    ));
                }
                seen.push(id);
            }
        }
        for machine in &self.planned_maintenance().machines {
            if machine.mode() == machine_info::Mode::Down && !seen.contains(&&machine.id) {
                return Err(format!(
                    "Machine '{}' is deactivated and cannot be removed from the schedule",
                    show(&machine.id)
                ));
            }
        }
        Ok(())
    }

    /// START_MAINTENANCE (to DOWN) and STOP_MAINTENANCE (to UP, which also leaves the schedule).
    fn move_machines(
        &mut self,
        token: Token,
        machines: &[MachineId],
        to: machine_info::Mode,
        turn: &mut Turn<'_>,
    ) {
        let (from, text) = match to {
            machine_info::Mode::Down => (
                machine_info::Mode::Draining,
                "is not in DRAINING mode and cannot be brought down",
            ),
            _ => (
                machine_info::Mode::Down,
                "is not in DOWN mode and cannot be brought up",
            ),
        };
        if let Err(reason) = self.check_move(machines, from, text) {
            return turn.answer(token, Answer::refused(400, reason));
        }
        let mut maintenance = self.planned_maintenance().clone();
        for machine in &mut maintenance.machines {
            if machines.contains(&machine.id) {
                machine.mode = Some(to as i32);
            }
        }
        if to == machine_info::Mode::Up {
            for window in &mut maintenance.schedule.windows {
                window.machine_ids.retain(|id| !machines.contains(id));
            }
            maintenance
                .schedule
                .windows
                .retain(|window| !window.machine_ids.is_empty());
        }
        self.write_maintenance(token, maintenance, turn);
    }

    fn check_move(
        &self,
        machines: &[MachineId],
        from: machine_info::Mode,
        text: &str,
    ) -> Result<(), String> {
        if machines.is_empty() {
            return Err("List of machines is empty".to_string());
        }
        for (index, id) in machines.iter().enumerate() {
            check_machine(id)?;
            if machines[..index].contains(id) {
                return Err(format!(
                    "Machine '{}' appears more than once in the schedule",
                    show(id)
                ));
            }
            match self.mode(id) {
                None => {
                    return Err(format!(
                        "Machine '{}' is not part of a maintenance schedule",
                        show(id)
                    ));
                }
                Some(mode) if mode != from => return Err(format!("Machine '{}' {text}", show(id))),
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn mode(&self, id: &MachineId) -> Option<machine_info::Mode> {
        self.planned_maintenance()
            .machines
            .iter()
            .find(|machine| machine.id == *id)
            .map(MachineInfo::mode)
    }

    fn planned_maintenance(&self) -> &MaintenanceRecord {
        let planned = self.planned(|pending| match pending {
            Pending::Maintenance { maintenance, .. } => Some(maintenance),
            _ => None,
        });
        planned.unwrap_or(&self.maintenance)
    }

    fn write_maintenance(
        &mut self,
        token: Token,
        maintenance: MaintenanceRecord,
        turn: &mut Turn<'_>,
    ) {
        let command = commands::change_maintenance(&maintenance);
        self.write(turn, command, Pending::Maintenance { token, maintenance });
    }

    /// Whether the agent's machine is in the DOWN mode: hostname (in any case) and ip must both be given and equal.
    pub(crate) fn is_down(&self, hostname: &str, pid: &str) -> bool {
        let mut machines = self.maintenance.machines.iter();
        machines.any(|machine| {
            machine.mode() == machine_info::Mode::Down
                && machine.id.hostname().eq_ignore_ascii_case(hostname)
                && machine.id.ip() == ip_of(pid)
        })
    }

    /// The agents of machines that are down end; they are told so.
    pub(crate) fn end_agents_that_are_down(&mut self, turn: &mut Turn<'_>) {
        let agents = self.agents.iter();
        let down: Vec<String> = agents
            .filter(|(_, agent)| self.is_down(&agent.record.info.hostname, &agent.record.pid))
            .map(|(id, _)| id.clone())
            .collect();
        for id in down {
            self.shutdown_agent(&id, "Operator initiated 'Machine DOWN'", turn);
            self.leave(&id, "its machine is down for maintenance", turn);
        }
    }

    pub(crate) fn set_maintenance(&mut self, maintenance: MaintenanceRecord, turn: &mut Turn<'_>) {
        if self.maintenance != maintenance {
            self.maintenance = maintenance.clone();
            self.change(turn, Change::Maintenance(Arc::new(maintenance)));
        }
    }
}

fn target_agent(kind: Type, call: &Call) -> Option<&str> {
    let id = match kind {
        Type::DrainAgent => &call.drain_agent.as_ref()?.agent_id,
        Type::DeactivateAgent => &call.deactivate_agent.as_ref()?.agent_id,
        _ => return None,
    };
    Some(&id.value)
}

/// A machine that enters the schedule drains; one that is down stays so.
fn scheduled(mode: Option<machine_info::Mode>) -> machine_info::Mode {
    match mode {
        Some(machine_info::Mode::Down) => machine_info::Mode::Down,
        _ => machine_info::Mode::Draining,
    }
}

fn check_machine(id: &MachineId) -> Result<(), String> {
    if id.hostname().is_empty() && id.ip().is_empty() {
        return Err("Both 'hostname' and 'ip' for a machine are empty".to_string());
    }
    if !id.ip().is_empty() && id.ip().parse::<std::net::IpAddr>().is_err() {
        return Err(format!("Failed to parse '{}' as an IP address", id.ip()));
    }
    Ok(())
}

/// A machine as Mesos shows it in texts: `{"hostname":"x","ip":"10.0.0.1"}`.
fn show(id: &MachineId) -> String {
    json::encode(id)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
#[path = "operator_tests.rs"]
mod tests;
