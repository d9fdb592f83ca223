//! Calls about single containers: LAUNCH, WAIT, KILL and REMOVE, in the forms for nested ones and for all
//! (Mesos: docs/operator-http-api.md). What they ask, the node answers.

use std::collections::BTreeMap;

use tepui_http::{MediaType, Reply};
use tepui_messages::agent::{
    Answer, ContainerEnd, LaunchGuest, RemoveGuest, SignalContainer, WaitGuest,
};
use tepui_protocol::signal::SIGKILL;
use tepui_protocol::v1::{
    ContainerId, TaskResourceLimitation, TaskState,
    agent::{
        Call, Response, call,
        response::{self, Type},
    },
};

use super::{Api, calls::dotted};

/// Answers one of them; its parts are there, as its validation saw.
pub(super) async fn call(api: &Api, call: Call, media: MediaType) -> Result<Reply, Reply> {
    match call.r#type() {
        call::Type::LaunchContainer => {
            let message = ordered(call.launch_container.unwrap_or_default());
            Ok(plain(api.ask(message).await?))
        }
        call::Type::LaunchNestedContainer => {
            let asked = call.launch_nested_container.unwrap_or_default();
            let message = LaunchGuest {
                container_id: dotted(&asked.container_id),
                command: asked.command,
                container: asked.container,
                resources: Vec::new(),
                limits: BTreeMap::new(),
                is_session: false,
            };
            Ok(plain(api.ask(message).await?))
        }
        call::Type::KillContainer => {
            let asked = call.kill_container.unwrap_or_default();
            kill(api, &asked.container_id, asked.signal).await
        }
        call::Type::KillNestedContainer => {
            let asked = call.kill_nested_container.unwrap_or_default();
            kill(api, &asked.container_id, asked.signal).await
        }
        call::Type::RemoveContainer => {
            remove(api, &call.remove_container.unwrap_or_default().container_id).await
        }
        call::Type::RemoveNestedContainer => {
            let asked = call.remove_nested_container.unwrap_or_default();
            remove(api, &asked.container_id).await
        }
        call::Type::WaitContainer => {
            let id = call.wait_container.unwrap_or_default().container_id;
            let end = wait(api, &id).await?;
            Ok(media.reply(&Response {
                r#type: Some(Type::WaitContainer as i32),
                wait_container: Some(response::WaitContainer {
                    exit_status: end.status,
                    state: state(&end),
                    reason: end.reason.map(|reason| reason as i32),
                    limitation: limitation(&end),
                    message: end.message,
                }),
                ..Response::default()
            }))
        }
        _ => {
            let id = call.wait_nested_container.unwrap_or_default().container_id;
            let end = wait(api, &id).await?;
            Ok(media.reply(&Response {
                r#type: Some(Type::WaitNestedContainer as i32),
                wait_nested_container: Some(response::WaitNestedContainer {
                    exit_status: end.status,
                    state: state(&end),
                    reason: end.reason.map(|reason| reason as i32),
                    limitation: limitation(&end),
                    message: end.message,
                }),
                ..Response::default()
            }))
        }
    }
}

fn ordered(asked: call::LaunchContainer) -> LaunchGuest {
    LaunchGuest {
        container_id: dotted(&asked.container_id),
        command: asked.command,
        container: asked.container,
        resources: asked.resources,
        limits: asked.limits,
        is_session: false,
    }
}

async fn kill(api: &Api, id: &ContainerId, signal: Option<i32>) -> Result<Reply, Reply> {
    let message = SignalContainer {
        container_id: dotted(id),
        signal: signal.unwrap_or(SIGKILL),
    };
    Ok(plain(api.ask(message).await?))
}

async fn remove(api: &Api, id: &ContainerId) -> Result<Reply, Reply> {
    let container_id = dotted(id);
    Ok(plain(api.ask(RemoveGuest { container_id }).await?))
}

/// Takes as long as the container does: the client ends it by leaving.
async fn wait(api: &Api, id: &ContainerId) -> Result<ContainerEnd, Reply> {
    let container_id = dotted(id);
    let missing = format!("Container {container_id} cannot be found");
    let ended = api.node.ask(WaitGuest { container_id }).await;
    let ended = ended.map_err(|error| Reply::text(503, format!("Service Unavailable: {error}")))?;
    ended.ok_or_else(|| Reply::text(404, missing))
}

fn plain(answer: Answer) -> Reply {
    if answer.text.is_empty() {
        Reply::empty(answer.status)
    } else {
        Reply::text(answer.status, answer.text)
    }
}

/// Told where a limit ended it, as Mesos does.
fn state(end: &ContainerEnd) -> Option<i32> {
    end.reason.map(|_| TaskState::TaskFailed as i32)
}

fn limitation(end: &ContainerEnd) -> Option<TaskResourceLimitation> {
    end.reason.map(|_| TaskResourceLimitation {
        resources: end.resources.clone(),
    })
}

#[cfg(test)]
#[path = "containers_tests.rs"]
mod tests;
