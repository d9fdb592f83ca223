//! Maintenance: which machines are scheduled or down, and what that means for their agents
//! (Mesos: docs/maintenance.md; `master/maintenance.cpp`).
//!
//! A machine names the agents whose hostname, in any case, and ip are both its own. What frameworks are told of it is
//! in [`crate::inverse`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tepui_messages::{
    change::{Change, MaintenanceRecord},
    master::Answer,
};
use tepui_protocol::{
    codec::json,
    v1::{MachineId, MachineInfo, Unavailability, machine_info::Mode, maintenance::Schedule},
};

use crate::{
    agents::ip_of,
    commands,
    core::{MasterCore, Pending, Token, Turn},
    losses::Leaving,
    tables::Agent,
};

/// A machine as it is compared: hostname in lower case, and ip.
type Key = (String, String);

/// The machines of the schedule by what names them.
#[derive(Debug, Default)]
pub(crate) struct Machines(BTreeMap<Key, (Mode, Option<Unavailability>)>);

impl Machines {
    fn of(record: &MaintenanceRecord) -> Machines {
        let machines = record.machines.iter();
        let machines = machines.map(|it| (key(&it.id), (it.mode(), it.unavailability)));
        Machines(machines.collect())
    }

    fn mode(&self, id: &MachineId) -> Option<Mode> {
        self.0.get(&key(id)).map(|(mode, _)| *mode)
    }

    fn with(&self, hostname: &str, pid: &str) -> Option<&(Mode, Option<Unavailability>)> {
        if self.0.is_empty() {
            return None;
        }
        let key = (hostname.to_ascii_lowercase(), ip_of(pid).to_string());
        self.0.get(&key)
    }

    /// Whether it is in the DOWN mode.
    pub(crate) fn is_down(&self, hostname: &str, pid: &str) -> bool {
        let machine = self.with(hostname, pid);
        machine.is_some_and(|(mode, _)| *mode == Mode::Down)
    }

    /// When it is not there, if that is known.
    pub(crate) fn unavailability(&self, hostname: &str, pid: &str) -> Option<Unavailability> {
        let (mode, unavailability) = self.with(hostname, pid)?;
        unavailability.filter(|_| *mode != Mode::Up)
    }
}

impl MasterCore {
    pub(crate) fn update_schedule(
        &mut self,
        token: Token,
        schedule: Schedule,
        turn: &mut Turn<'_>,
    ) {
        let planned = Machines::of(self.planned_maintenance());
        if let Err(reason) = self.check_schedule(&schedule) {
            return turn.answer(token, Answer::refused(400, reason));
        }
        let windows = schedule.windows.iter();
        let machines = windows.flat_map(|window| {
            let machines = window.machine_ids.iter();
            machines.map(|id| MachineInfo {
                id: id.clone(),
                mode: Some(scheduled(planned.mode(id)) as i32),
                unavailability: Some(window.unavailability),
            })
        });
        let machines = machines.collect();
        let planned = MaintenanceRecord { schedule, machines };
        self.write_maintenance(token, Mode::Draining, planned, turn);
    }

    fn check_schedule(&self, schedule: &Schedule) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for window in &schedule.windows {
            if window.machine_ids.is_empty() {
                return Err("List of machines in the maintenance window is empty".to_string());
            }
            let duration = window.unavailability.duration;
            if duration.is_some_and(|duration| duration.nanoseconds < 0) {
                return Err("Unavailability 'duration' is negative".to_string());
            }
            for id in &window.machine_ids {
                check_machine(id)?;
                if !seen.insert(key(id)) {
                    return Err(repeated(id));
                }
            }
        }
        for machine in &self.planned_maintenance().machines {
            if machine.mode() == Mode::Down && !seen.contains(&key(&machine.id)) {
                return Err(format!(
                    "Machine '{}' is deactivated and cannot be removed from the schedule",
                    show(&machine.id)
                ));
            }
        }
        Ok(())
    }

    /// START_MAINTENANCE (to DOWN) and STOP_MAINTENANCE (to UP, which also leaves the schedule).
    pub(crate) fn move_machines(
        &mut self,
        token: Token,
        machines: &[MachineId],
        to: Mode,
        turn: &mut Turn<'_>,
    ) {
        let (from, text) = match to {
            Mode::Down => (
                Mode::Draining,
                "is not in DRAINING mode and cannot be brought down",
            ),
            _ => (Mode::Down, "is not in DOWN mode and cannot be brought up"),
        };
        let moved = match self.check_move(machines, from, text) {
            Ok(moved) => moved,
            Err(reason) => return turn.answer(token, Answer::refused(400, reason)),
        };
        let mut maintenance = self.planned_maintenance().clone();
        for machine in &mut maintenance.machines {
            if moved.contains(&key(&machine.id)) {
                machine.mode = Some(to as i32);
            }
        }
        if to == Mode::Up {
            let windows = &mut maintenance.schedule.windows;
            for window in &mut *windows {
                window.machine_ids.retain(|id| !moved.contains(&key(id)));
            }
            windows.retain(|window| !window.machine_ids.is_empty());
        }
        self.write_maintenance(token, to, maintenance, turn);
    }

    /// The machines, if all may be moved.
    fn check_move(
        &self,
        machines: &[MachineId],
        from: Mode,
        text: &str,
    ) -> Result<BTreeSet<Key>, String> {
        if machines.is_empty() {
            return Err("List of machines is empty".to_string());
        }
        let planned = Machines::of(self.planned_maintenance());
        let mut moved = BTreeSet::new();
        for id in machines {
            check_machine(id)?;
            if !moved.insert(key(id)) {
                return Err(repeated(id));
            }
            match planned.mode(id) {
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
        Ok(moved)
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
        to: Mode,
        maintenance: MaintenanceRecord,
        turn: &mut Turn<'_>,
    ) {
        let command = commands::change_maintenance(to, &maintenance);
        self.write(turn, command, Pending::Maintenance { token, maintenance });
    }

    /// The agents of machines that are down end; they are told so.
    pub(crate) fn end_agents_that_are_down(&mut self, turn: &mut Turn<'_>) {
        let is_down = |agent: &Agent| {
            let record = &agent.record;
            self.machines.is_down(&record.info.hostname, &record.pid)
        };
        let down = self.agents.iter().filter(|(_, agent)| is_down(agent));
        let down: Vec<String> = down.map(|(id, _)| id.clone()).collect();
        for id in down {
            self.end_agent_that_is_down(&id, turn);
        }
    }

    /// Also where it was admitted, or came back, while that its machine is down was being written.
    pub(crate) fn end_agent_that_is_down(&mut self, id: &str, turn: &mut Turn<'_>) {
        self.shutdown_agent(id, "Operator initiated 'Machine DOWN'", turn);
        self.leave(id, Leaving::MachineDown, turn);
    }

    /// What is written is true: agents whose time of unavailability changed are offered anew, and asked for anew.
    pub(crate) fn set_maintenance(&mut self, maintenance: MaintenanceRecord, turn: &mut Turn<'_>) {
        if self.maintenance == maintenance {
            return;
        }
        self.machines = Machines::of(&maintenance);
        self.maintenance = maintenance.clone();
        self.change(turn, Change::Maintenance(Arc::new(maintenance)));
        let agents = self.agents.iter().map(|(id, agent)| {
            let record = &agent.record;
            let found = self
                .machines
                .unavailability(&record.info.hostname, &record.pid);
            (id, found)
        });
        let changed = agents.filter(|(id, found)| *found != self.inverse.unavailability(id));
        let changed: Vec<_> = changed.map(|(id, found)| (id.clone(), found)).collect();
        for (id, unavailability) in changed {
            self.rescind_offers_of_agent(&id, turn);
            self.end_inverse_offers_of_agent(&id, turn);
            self.schedule_agent(&id, unavailability, turn);
        }
    }

    /// The machine of an agent, as texts show it, if there is maintenance planned for it.
    pub(crate) fn scheduled_machine_of(&self, id: &str) -> Option<String> {
        let record = &self.agents.get(id)?.record;
        let hostname = &record.info.hostname;
        self.machines.unavailability(hostname, &record.pid)?;
        Some(show(&MachineId {
            hostname: Some(hostname.clone()),
            ip: Some(ip_of(&record.pid).to_owned()),
        }))
    }

    /// An agent that is new here may be on a machine of the schedule.
    pub(crate) fn look_up_schedule(&mut self, id: &str, turn: &mut Turn<'_>) {
        let record = &self.agents[id].record;
        let found = self
            .machines
            .unavailability(&record.info.hostname, &record.pid);
        if found.is_some() {
            self.schedule_agent(id, found, turn);
        }
    }
}

/// A machine that enters the schedule drains; one that is down stays so.
fn scheduled(mode: Option<Mode>) -> Mode {
    match mode {
        Some(Mode::Down) => Mode::Down,
        _ => Mode::Draining,
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

fn repeated(id: &MachineId) -> String {
    format!(
        "Machine '{}' appears more than once in the schedule",
        show(id)
    )
}

fn key(id: &MachineId) -> Key {
    (id.hostname().to_ascii_lowercase(), id.ip().to_string())
}

#[cfg(test)]
#[path = "maintenance_tests.rs"]
pub(crate) mod tests;
