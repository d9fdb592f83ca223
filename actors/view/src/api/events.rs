//! The events of the operator stream, and which change makes which.

use std::time::Duration;

use bytes::Bytes;
use tepui_messages::{
    change::{Change, FrameworkRecord},
    view::Encoding,
};
use tepui_protocol::{
    acls::Subject,
    v1::{
        Task,
        master::{Event, event, response::get_frameworks},
    },
};

use super::{encode, models, snapshot};
use crate::world::{Sight, World};

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
        Change::TaskUpdated { is_news: false, .. } => return None,
        Change::TaskUpdated { task, status, .. } | Change::TaskEndedAway { task, status } => {
            Event {
                task_updated: Some(event::TaskUpdated {
                    framework_id: task.framework_id.clone(),
                    status: (**status).clone(),
                    state: task.state,
                }),
                ..of_type(event::Type::TaskUpdated)
            }
        }
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

/// The same for a viewer from whom something must be kept; `None` too if they may not hear of it.
pub fn event_for(viewer: &Subject, world: &World, change: &Change) -> Option<Event> {
    let sight = Sight(viewer);
    let task_of = |task: &Task| {
        let framework = world.frameworks.get(&task.framework_id.value)?;
        let info = &framework.record.info;
        (sight.framework(info) && sight.task(task, info)).then_some(())
    };
    match change {
        Change::TaskAdded(task)
        | Change::TaskUpdated { task, .. }
        | Change::TaskEndedAway { task, .. } => task_of(task)?,
        Change::FrameworkRemoved { .. } => {
            let removed = &world.completed.back()?.record.info;
            sight.framework(removed).then_some(())?;
        }
        _ => {}
    }
    let mut event = event(world, change)?;
    if let Some(added) = &mut event.agent_added {
        let id = added.agent.agent_info.id.clone().unwrap_or_default().value;
        let agent = sight.agent(world.agents.get(&id)?);
        let usage = sight.usage(world.usage_of(&id));
        added.agent = models::agent(&agent, &usage);
    }
    let added = event.framework_added.as_mut().map(|it| &mut it.framework);
    let updated = event.framework_updated.as_mut().map(|it| &mut it.framework);
    if let Some(framework) = added.or(updated) {
        let id = framework
            .framework_info
            .id
            .clone()
            .unwrap_or_default()
            .value;
        let seen = sight.of_framework(world.frameworks.get(&id)?)?;
        *framework = models::framework(&seen);
    }
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
