//! Calls of operators to the master.

// Deprecated calls are answered like the others.
#![allow(deprecated)]

use super::{Reason, call_type, present};
use crate::resources;
use crate::v1::master::{Call, call::Type};

/// # Errors
/// The reason, to be prefixed with `Failed to validate master::Call: `.
pub fn call(call: &Call) -> Reason {
    match call_type(call.r#type)? {
        Type::GetMetrics => present(&call.get_metrics, "get_metrics").map(|_| ()),
        Type::SetLoggingLevel => present(&call.set_logging_level, "set_logging_level").map(|_| ()),
        Type::ListFiles => present(&call.list_files, "list_files").map(|_| ()),
        Type::ReadFile => present(&call.read_file, "read_file").map(|_| ()),
        Type::UpdateWeights => present(&call.update_weights, "update_weights").map(|_| ()),
        Type::ReserveResources => {
            let body = present(&call.reserve_resources, "reserve_resources")?;
            resources::validate_all(&body.resources).map_err(|error| error.to_string())
        }
        Type::UnreserveResources => {
            let body = present(&call.unreserve_resources, "unreserve_resources")?;
            resources::validate_all(&body.resources).map_err(|error| error.to_string())
        }
        Type::CreateVolumes => present(&call.create_volumes, "create_volumes").map(|_| ()),
        Type::DestroyVolumes => present(&call.destroy_volumes, "destroy_volumes").map(|_| ()),
        Type::GrowVolume => agent(
            present(&call.grow_volume, "grow_volume")?
                .agent_id
                .is_some(),
        ),
        Type::ShrinkVolume => agent(
            present(&call.shrink_volume, "shrink_volume")?
                .agent_id
                .is_some(),
        ),
        Type::UpdateMaintenanceSchedule => present(
            &call.update_maintenance_schedule,
            "update_maintenance_schedule",
        )
        .map(|_| ()),
        Type::StartMaintenance => present(&call.start_maintenance, "start_maintenance").map(|_| ()),
        Type::StopMaintenance => present(&call.stop_maintenance, "stop_maintenance").map(|_| ()),
        Type::DrainAgent => present(&call.drain_agent, "drain_agent").map(|_| ()),
        Type::DeactivateAgent => present(&call.deactivate_agent, "deactivate_agent").map(|_| ()),
        Type::ReactivateAgent => present(&call.reactivate_agent, "reactivate_agent").map(|_| ()),
        Type::UpdateQuota => present(&call.update_quota, "update_quota").map(|_| ()),
        Type::SetQuota => present(&call.set_quota, "set_quota").map(|_| ()),
        Type::RemoveQuota => present(&call.remove_quota, "remove_quota").map(|_| ()),
        Type::Teardown => present(&call.teardown, "teardown").map(|_| ()),
        Type::MarkAgentGone => present(&call.mark_agent_gone, "mark_agent_gone").map(|_| ()),
        Type::Unknown
        | Type::GetHealth
        | Type::GetFlags
        | Type::GetVersion
        | Type::GetLoggingLevel
        | Type::GetState
        | Type::GetAgents
        | Type::GetFrameworks
        | Type::GetExecutors
        | Type::GetOperations
        | Type::GetTasks
        | Type::GetRoles
        | Type::GetWeights
        | Type::GetMaster
        | Type::Subscribe
        | Type::GetMaintenanceStatus
        | Type::GetMaintenanceSchedule
        | Type::GetQuota => Ok(()),
    }
}

fn agent(is_set: bool) -> Reason {
    if is_set {
        Ok(())
    } else {
        Err("Expecting 'agent_id' to be present; only agent default resources are supported right now".into())
    }
}

#[cfg(test)]
#[path = "master_tests.rs"]
mod tests;
