//! What an agent says of itself and of what runs on it when it registers (Mesos: `registerSlave` and
//! `reregisterSlave` in `src/master/validation.cpp`).
//!
//! Mesos also refuses an agent with a task or executor of a framework it does not list. Here the master lets
//! those be: it believes no task of a framework it does not know.

use std::collections::BTreeSet;

use super::{Reason, framework, id, task};
use crate::{node::RegisterAgent, resources::validate_all, v1::AgentInfo};

/// # Errors
/// The reason of the refusal: nothing of the message is believed.
pub fn registration(request: &RegisterAgent) -> Reason {
    agent(&request.agent_info)?;
    frameworks(request)?;
    executors(request)?;
    tasks(request)
}

fn agent(info: &AgentInfo) -> Reason {
    validate_all(&info.resources).map_err(|error| format!("invalid resources: {error}"))?;
    info.id
        .as_ref()
        .map_or(Ok(()), |id| id::validate(&id.value))
}

fn frameworks(request: &RegisterAgent) -> Reason {
    let mut seen = BTreeSet::new();
    for info in &request.frameworks {
        framework::validate(info)?;
        let id = info.id.as_ref().map_or("", |id| id.value.as_str());
        if !seen.insert(id) {
            return Err(format!("Framework has a duplicate FrameworkID: '{id}'"));
        }
    }
    Ok(())
}

fn executors(request: &RegisterAgent) -> Reason {
    let mut seen = BTreeSet::new();
    for info in &request.executors {
        task::executor(info)?;
        validate_all(&info.resources).map_err(|error| error.to_string())?;
        let framework = info.framework_id.as_ref();
        let framework = framework.map_or("", |id| id.value.as_str());
        let executor = info.executor_id.value.as_str();
        if !seen.insert((framework, executor)) {
            return Err(format!(
                "Framework '{framework}' has a duplicate ExecutorID '{executor}'"
            ));
        }
    }
    Ok(())
}

fn tasks(request: &RegisterAgent) -> Reason {
    for task in &request.tasks {
        id::validate(&task.task_id.value)
            .map_err(|reason| format!("Task has an invalid TaskID: {reason}"))?;
        if request.agent_info.id.as_ref() != Some(&task.agent_id) {
            return Err(format!(
                "Task has an invalid SlaveID '{}'",
                task.agent_id.value
            ));
        }
        validate_all(&task.resources)
            .map_err(|error| format!("Task uses invalid resources: {error}"))?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "registration_tests.rs"]
mod tests;
