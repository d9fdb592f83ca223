//! Between the master's tables and the registry, which keeps protocol messages as their bytes.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use tepui_messages::change::MaintenanceRecord;
use tepui_protocol::v1::{AgentInfo, FrameworkInfo, MachineInfo, machine_info, quota::QuotaConfig};
use tepui_registry::{Command, MachineMode, MachineRecord, Maintenance};

fn bytes(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}

pub(crate) fn admit_framework(info: &FrameworkInfo, suppressed: Vec<String>) -> Command {
    Command::AdmitFramework {
        id: framework_id(info),
        info: bytes(info),
        suppressed,
    }
}

pub(crate) fn update_framework(info: &FrameworkInfo, suppressed: Vec<String>) -> Command {
    Command::UpdateFramework {
        id: framework_id(info),
        info: bytes(info),
        suppressed,
    }
}

fn framework_id(info: &FrameworkInfo) -> String {
    info.id.clone().unwrap_or_default().value
}

fn agent_id(info: &AgentInfo) -> String {
    info.id.clone().unwrap_or_default().value
}

pub(crate) fn admit_agent(info: &AgentInfo) -> Command {
    Command::AdmitAgent {
        id: agent_id(info),
        info: bytes(info),
    }
}

pub(crate) fn update_agent(info: &AgentInfo) -> Command {
    Command::UpdateAgent {
        id: agent_id(info),
        info: bytes(info),
    }
}

pub(crate) fn mark_reachable(info: &AgentInfo) -> Command {
    Command::MarkReachable {
        id: agent_id(info),
        info: bytes(info),
    }
}

/// Sets these; one without guarantees and limits is removed.
pub(crate) fn change_quota(changed: &[QuotaConfig]) -> Command {
    // Of several for one role the last holds.
    let last: BTreeMap<&str, &QuotaConfig> = changed
        .iter()
        .map(|config| (config.role.as_str(), config))
        .collect();
    let (set, remove): (Vec<_>, Vec<_>) = last
        .into_values()
        .partition(|config| !config.guarantees.is_empty() || !config.limits.is_empty());
    Command::UpdateQuota {
        set: set
            .into_iter()
            .map(|config| (config.role.clone(), bytes(config)))
            .collect(),
        remove: remove
            .into_iter()
            .map(|config| config.role.clone())
            .collect(),
    }
}

/// The whole of it, as the command for machines that are planned to drain, go down or come up: the last two must go on
/// while disks are nearly full, too.
pub(crate) fn change_maintenance(to: machine_info::Mode, record: &MaintenanceRecord) -> Command {
    let machines = record.machines.iter().map(|machine| {
        let name = format!("{}/{}", machine.id.hostname(), machine.id.ip());
        (
            name,
            MachineRecord {
                mode: mode(machine),
                info: bytes(machine),
            },
        )
    });
    let maintenance = Maintenance {
        schedule: (!record.schedule.windows.is_empty()).then(|| bytes(&record.schedule)),
        machines: machines.collect(),
    };
    match to {
        machine_info::Mode::Draining => Command::UpdateSchedule { maintenance },
        machine_info::Mode::Down => Command::StartMaintenance { maintenance },
        machine_info::Mode::Up => Command::StopMaintenance { maintenance },
    }
}

fn mode(machine: &MachineInfo) -> MachineMode {
    match machine.mode() {
        machine_info::Mode::Up => MachineMode::Up,
        machine_info::Mode::Draining => MachineMode::Draining,
        machine_info::Mode::Down => MachineMode::Down,
    }
}
