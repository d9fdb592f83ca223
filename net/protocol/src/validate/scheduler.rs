//! Calls of schedulers (Mesos: `master/validation.cpp`, `scheduler::call::validate`).

use super::{Reason, call_type, id, present};
use crate::v1::scheduler::{Call, call::Type};

/// `principal` is the authenticated one.
///
/// # Errors
/// The reason, to be prefixed with `Failed to validate scheduler::Call: `.
pub fn call(call: &Call, principal: Option<&str>) -> Reason {
    let kind: Type = call_type(call.r#type)?;
    if kind == Type::Subscribe {
        return subscribe(call, principal);
    }
    present(&call.framework_id, "framework_id")?;
    match kind {
        Type::Accept => present(&call.accept, "accept").map(|_| ()),
        Type::Decline => present(&call.decline, "decline").map(|_| ()),
        Type::AcceptInverseOffers => {
            present(&call.accept_inverse_offers, "accept_inverse_offers").map(|_| ())
        }
        Type::DeclineInverseOffers => {
            present(&call.decline_inverse_offers, "decline_inverse_offers").map(|_| ())
        }
        Type::Kill => present(&call.kill, "kill").map(|_| ()),
        Type::Shutdown => present(&call.shutdown, "shutdown").map(|_| ()),
        Type::Acknowledge => {
            let body = present(&call.acknowledge, "acknowledge")?;
            id::uuid(&body.uuid).map(|_| ())
        }
        Type::AcknowledgeOperationStatus => {
            let body = present(
                &call.acknowledge_operation_status,
                "acknowledge_operation_status",
            )?;
            id::uuid(&body.uuid)?;
            present(&body.agent_id, "agent_id").map(|_| ())
        }
        Type::Reconcile => present(&call.reconcile, "reconcile").map(|_| ()),
        Type::ReconcileOperations => {
            present(&call.reconcile_operations, "reconcile_operations").map(|_| ())
        }
        Type::Message => present(&call.message, "message").map(|_| ()),
        Type::Request => present(&call.request, "request").map(|_| ()),
        Type::UpdateFramework => {
            let body = present(&call.update_framework, "update_framework")?;
            same_id(call, body.framework_info.id.as_ref(), "update_framework")
        }
        Type::Subscribe | Type::Teardown | Type::Revive | Type::Suppress | Type::Unknown => Ok(()),
    }
}

fn subscribe(call: &Call, principal: Option<&str>) -> Reason {
    let info = &present(&call.subscribe, "subscribe")?.framework_info;
    same_id(call, info.id.as_ref(), "subscribe")?;
    match (principal, &info.principal) {
        (Some(authenticated), Some(claimed)) if authenticated != claimed => Err(format!(
            "Authenticated principal '{authenticated}' does not match principal '{claimed}' set in `FrameworkInfo`"
        )),
        _ => Ok(()),
    }
}

/// No id and an empty id are the same.
fn same_id(call: &Call, id: Option<&crate::v1::FrameworkId>, body: &str) -> Reason {
    let text =
        |id: Option<&crate::v1::FrameworkId>| id.map(|id| id.value.clone()).unwrap_or_default();
    if text(call.framework_id.as_ref()) == text(id) {
        Ok(())
    } else {
        Err(format!(
            "'framework_id' differs from '{body}.framework_info.id'"
        ))
    }
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
