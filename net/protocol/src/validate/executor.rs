//! Calls of executors (Mesos: `common/validation.cpp`, `validateExecutorCall`).

use super::{Reason, call_type, checks, id, present};
use crate::v1::{self, TaskState, executor::Call, executor::call::Type, task_status::Source};

/// # Errors
/// The reason, to be prefixed with `Failed to validate Executor::Call: ` (sic, with a capital E).
pub fn call(call: &Call) -> Reason {
    match call_type(call.r#type)? {
        Type::Subscribe => present(&call.subscribe, "subscribe").map(|_| ()),
        Type::Update => {
            let status = &present(&call.update, "update")?.status;
            update(call, status)
        }
        Type::Message => present(&call.message, "message").map(|_| ()),
        Type::Heartbeat | Type::Unknown => Ok(()),
    }
}

fn update(call: &Call, status: &v1::TaskStatus) -> Reason {
    id::uuid(present(&status.uuid, "uuid")?)?;
    let (executor, framework) = (&call.executor_id.value, &call.framework_id.value);
    if let Some(other) = &status.executor_id
        && other.value != *executor
    {
        return Err(format!(
            "ExecutorID in Call: {executor} does not match ExecutorID in TaskStatus: {}",
            other.value
        ));
    }
    if status.source.is_none() || status.source() != Source::Executor {
        return Err(format!(
            "Received Call from executor {executor} of framework {framework} with invalid source, expecting 'SOURCE_EXECUTOR'"
        ));
    }
    if status.state() == TaskState::TaskStaging {
        return Err(format!(
            "Received TASK_STAGING from executor {executor} of framework {framework} which is not allowed"
        ));
    }
    status.check_status.as_ref().map_or(Ok(()), checks::status)
}

#[cfg(test)]
#[path = "executor_tests.rs"]
mod tests;
