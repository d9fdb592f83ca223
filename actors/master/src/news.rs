//! What the log says of the changes that the view follows, so that whoever reads it knows what became of agents,
//! frameworks and tasks. What a change does not tell, such as a connection that broke, is said where it is decided.

use tepui_messages::change::{AgentEnd, AgentRecord, Change};
use tepui_protocol::v1::{Task, TaskState, TaskStatus};

/// Of a task's message; the rest is in its statuses.
const MAX_MESSAGE_CHARS: usize = 256;

pub(crate) fn tell(change: &Change) {
    match change {
        Change::AgentAdded(record) => agent_added(record),
        Change::AgentRemoved { agent_id, end, .. } => {
            let agent = &agent_id.value;
            match end {
                AgentEnd::Unreachable => tracing::warn!(agent, "the agent is unreachable"),
                AgentEnd::Gone => tracing::info!(agent, "the agent is gone for ever"),
                // Whoever removes it says why.
                AgentEnd::Removed => {}
            }
        }
        Change::FrameworkAdded(record) => {
            let info = &record.info;
            let framework = info.id.as_ref().map_or("", |id| &id.value);
            match record.connected {
                true => tracing::info!(framework, name = info.name, "a framework has subscribed"),
                false => tracing::info!(framework, name = info.name, "a framework is awaited"),
            }
        }
        Change::FrameworkRemoved { framework_id, .. } => {
            tracing::info!(framework = framework_id.value, "the framework is removed");
        }
        Change::TaskAdded(task) => tracing::debug!(
            task = task.task_id.value,
            framework = task.framework_id.value,
            agent = task.agent_id.value,
            "a task is launched"
        ),
        Change::TaskUpdated {
            task,
            status,
            is_news: true,
        } => task_updated(task, status),
        _ => {}
    }
}

fn agent_added(record: &AgentRecord) {
    let agent = record.info.id.as_ref().map_or("", |id| &id.value);
    let (hostname, pid) = (&record.info.hostname, &record.pid);
    match record.reregistered_at {
        None => tracing::info!(agent, hostname, pid, "an agent has registered"),
        Some(_) => tracing::info!(agent, hostname, pid, "an agent has come back"),
    }
}

fn task_updated(task: &Task, status: &TaskStatus) {
    use TaskState as S;
    let state = status.state();
    let (task, framework, agent) = (
        &task.task_id.value,
        &task.framework_id.value,
        &task.agent_id.value,
    );
    match state {
        S::TaskFailed | S::TaskError | S::TaskLost | S::TaskDropped | S::TaskGone => {
            let message: String = status.message().chars().take(MAX_MESSAGE_CHARS).collect();
            tracing::info!(task, framework, agent, message, "{}", state.as_str_name());
        }
        _ => tracing::debug!(task, framework, agent, "{}", state.as_str_name()),
    }
}
