//! The events of the operator stream, and which change makes which.

use std::time::Duration;

use bytes::Bytes;
use tepui_messages::{
    change::{Change, FrameworkRecord},
    view::Encoding,
};
use tepui_protocol::v1::master::{Event, event, response::get_frameworks};

use super::{encode, models, snapshot};
use crate::world::World;

/// Between two heartbeats; the first follows SUBSCRIBED at once.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// SUBSCRIBED, with all there is.
///
/// # Errors
/// Only what serde_json cannot write, which no type of the schema is.
pub fn subscribed(world: &World, encoding: Encoding) -> Result<Bytes, serde_json::Error> {
    snapshot::subscribed_event(world, HEARTBEAT_INTERVAL.as_secs_f64(), encoding)
}

/// HEARTBEAT.
///
/// # Errors
/// Only what serde_json cannot write, which no type of the schema is.
pub fn heartbeat(encoding: Encoding) -> Result<Bytes, serde_json::Error> {
    encode(&of_type(event::Type::Heartbeat), encoding)
}

/// What watchers hear of a change that `world` has just taken in; `None` if it makes no event.
pub fn event(world: &World, change: &Change) -> Option<Event> {
    let event = match change {
        Change::TaskAdded(task) => Event {
            task_added: Some(event::TaskAdded {
                task: (**task).clone(),
            }),
            ..of_type(event::Type::TaskAdded)
        },
        Change::TaskUpdated { task, status } => Event {
            task_updated: Some(event::TaskUpdated {
                framework_id: task.framework_id.clone(),
                status: (**status).clone(),
                state: task.state,
            }),
            ..of_type(event::Type::TaskUpdated)
        },
        Change::AgentAdded(record) => {
            let id = record.info.id.as_ref()?;
            let agent = world.agents.get(&id.value)?;
            Event {
                agent_added: Some(event::AgentAdded {
                    agent: models::agent(agent, world.usage_of(&id.value)),
                }),
                ..of_type(event::Type::AgentAdded)
            }
        }
        Change::AgentRemoved { agent_id, .. } => Event {
            agent_removed: Some(event::AgentRemoved {
                agent_id: agent_id.clone(),
            }),
            ..of_type(event::Type::AgentRemoved)
        },
        Change::FrameworkAdded(record) => Event {
            framework_added: Some(event::FrameworkAdded {
                framework: framework(world, record)?,
            }),
            ..of_type(event::Type::FrameworkAdded)
        },
        Change::FrameworkUpdated(record) => Event {
            framework_updated: Some(event::FrameworkUpdated {
                framework: framework(world, record)?,
            }),
            ..of_type(event::Type::FrameworkUpdated)
        },
        Change::FrameworkRemoved { .. } => Event {
            framework_removed: Some(event::FrameworkRemoved {
                framework_info: world.completed.back()?.record.info.clone(),
            }),
            ..of_type(event::Type::FrameworkRemoved)
        },
        _ => return None,
    };
    Some(event)
}

fn framework(world: &World, record: &FrameworkRecord) -> Option<get_frameworks::Framework> {
    let id = record.info.id.as_ref()?;
    world.frameworks.get(&id.value).map(models::framework)
}

fn of_type(kind: event::Type) -> Event {
    Event {
        r#type: Some(kind as i32),
        ..Event::default()
    }
}
