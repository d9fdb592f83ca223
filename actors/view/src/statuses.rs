//! What was said of one task, for people: also why.

use serde_json::{Value, json};
use tepui_protocol::v1::TaskStatus;

use crate::world::World;

/// Oldest first; empty where the task is not known.
pub(crate) fn told(world: &World, framework_id: &str, task_id: &str) -> Value {
    let mut frameworks = world.all_frameworks();
    let framework = frameworks.find(|framework| framework.id() == framework_id);
    let task = framework.and_then(|framework| {
        let mut ended = framework.completed.iter().rev();
        let live = framework.tasks.get(task_id);
        live.or_else(|| framework.unreachable.get(task_id))
            .or_else(|| ended.find(|task| task.task_id.value == task_id))
    });
    let statuses = task.map_or(&[][..], |task| &task.statuses);
    statuses.iter().map(status).collect()
}

fn status(status: &TaskStatus) -> Value {
    json!({
        "state": status.state().as_str_name(),
        "timestamp": status.timestamp,
        "message": status.message,
        "reason": status.reason.map(|_| status.reason().as_str_name()),
        "source": status.source.map(|_| status.source().as_str_name()),
        "healthy": status.healthy,
    })
}
