//! `POST /api/v1`: what operators and tools ask of one agent (Mesos: docs/operator-http-api.md).

use std::{collections::BTreeSet, sync::Arc};

use tepui_containers::images::Reference;
use tepui_http::{Incoming, Reply, audit};
use tepui_messages::agent::{ExecutorState, NodeState};
use tepui_protocol::{
    acls::Subject,
    v1::{
        AgentInfo, ContainerId, Flag, Image, Metric, Task, TimeInfo,
        agent::{
            Call, Response, call,
            response::{self, get_containers, get_executors, get_frameworks},
        },
    },
    validate,
};

use super::{
    Api,
    access::{self, Caller},
    attach, containers, metrics, negotiation,
    state::{Measured, NANOS_PER_SECOND, whole_seconds},
};

/// Answers one call.
pub(super) async fn call(api: &Api, request: Incoming, caller: &Caller) -> Result<Reply, Reply> {
    let subject = &caller.subject;
    let node = api.node_state().await?;
    request.expect_method(&["POST"])?;
    let form = negotiation::of_request(&request.headers)?;
    let answer = negotiation::of_answer(&request.headers)?;
    let call: Call = form.message.decode(&request.body)?;
    validate::agent::call(&call).map_err(|reason| {
        Reply::bad_request(format!("Failed to validate agent::Call: {reason}"))
    })?;
    let kind = call.r#type();
    negotiation::check(kind, form, answer)?;
    caller.authorize(&call, &node)?;
    // What an executor does with its own containers is no operator's.
    let about = caller.claims.is_none().then(|| about(&call)).flatten();
    let answer = Box::pin(answered(api, call, (subject, node), answer)).await;
    if let Some(about) = about {
        audit::change(&request, kind.as_str_name(), &about, &answer);
    }
    answer
}

/// What a call is about that changes something; without its command, whose environment may hold secrets.
fn about(call: &Call) -> Option<String> {
    match call.r#type() {
        call::Type::SetLoggingLevel => {
            let set = call.set_logging_level.as_ref();
            set.map(|it| it.level.to_string())
        }
        call::Type::PruneImages => Some(String::new()),
        call::Type::LaunchContainer
        | call::Type::LaunchNestedContainer
        | call::Type::LaunchNestedContainerSession
        | call::Type::KillContainer
        | call::Type::KillNestedContainer
        | call::Type::RemoveContainer
        | call::Type::RemoveNestedContainer => access::container_of(call).map(dotted),
        _ => None,
    }
}

async fn answered(
    api: &Api,
    call: Call,
    (subject, node): (&Subject, Arc<NodeState>),
    answer: negotiation::Form,
) -> Result<Reply, Reply> {
    let (kind, media) = (call.r#type(), answer.message);
    if let Some(response) = of_node(kind, &access::seen(subject, Arc::clone(&node))) {
        return Ok(media.reply(&response));
    }
    match kind {
        call::Type::Unknown => Ok(Reply::bare(501)),
        call::Type::SetLoggingLevel => {
            let asked = call.set_logging_level.unwrap_or_default();
            let duration = u64::try_from(asked.duration.nanoseconds).unwrap_or(0);
            let duration = std::time::Duration::from_nanos(duration);
            api.logging.set(asked.level, duration);
            Ok(Reply::empty(200))
        }
        call::Type::PruneImages => {
            let excluded = call.prune_images.unwrap_or_default().excluded_images;
            prune(api, &excluded).await
        }
        call::Type::GetHealth
        | call::Type::GetFlags
        | call::Type::GetVersion
        | call::Type::GetMetrics
        | call::Type::GetLoggingLevel
        | call::Type::ListFiles
        | call::Type::ReadFile
        | call::Type::GetContainers => Ok(media.reply(&of_agent(api, subject, call, &node).await?)),
        call::Type::LaunchContainer
        | call::Type::LaunchNestedContainer
        | call::Type::WaitContainer
        | call::Type::WaitNestedContainer
        | call::Type::KillContainer
        | call::Type::KillNestedContainer
        | call::Type::RemoveContainer
        | call::Type::RemoveNestedContainer => containers::call(api, call, media).await,
        call::Type::AttachContainerOutput => attach::output(api, call, &node, answer).await,
        call::Type::LaunchNestedContainerSession => attach::session(api, call, answer).await,
        kind => Err(of_providers(kind)),
    }
}

/// Removes images that no container uses, but for those that are named; without names those of the agent's own flag stay.
async fn prune(api: &Api, excluded: &[Image]) -> Result<Reply, Reply> {
    let Some(images) = &api.images else {
        return Ok(Reply::empty(200));
    };
    let names = excluded.iter().filter_map(|it| it.docker.as_ref());
    let names = names.map(|docker| reference(&docker.name));
    let names: BTreeSet<String> = names.collect::<Result<_, _>>()?;
    let pruned = images.prune(Some(names).filter(|names| !names.is_empty()));
    pruned
        .await
        .map_err(|error| Reply::text(500, format!("Failed to prune images: {error}")))?;
    Ok(Reply::empty(200))
}

fn reference(name: &str) -> Result<String, Reply> {
    let parsed: Result<Reference, _> = name.parse();
    let parsed = parsed.map_err(|error| Reply::bad_request(error.to_string()))?;
    Ok(parsed.to_string())
}

/// Calls that the node's state answers.
fn of_node(kind: call::Type, node: &NodeState) -> Option<Response> {
    let response = match kind {
        call::Type::GetState => Response {
            r#type: Some(response::Type::GetState as i32),
            get_state: Some(response::GetState {
                get_tasks: Some(tasks(node)),
                get_executors: Some(executors(node)),
                get_frameworks: Some(frameworks(node)),
            }),
            ..Response::default()
        },
        call::Type::GetTasks => Response {
            r#type: Some(response::Type::GetTasks as i32),
            get_tasks: Some(tasks(node)),
            ..Response::default()
        },
        call::Type::GetExecutors => Response {
            r#type: Some(response::Type::GetExecutors as i32),
            get_executors: Some(executors(node)),
            ..Response::default()
        },
        call::Type::GetFrameworks => Response {
            r#type: Some(response::Type::GetFrameworks as i32),
            get_frameworks: Some(frameworks(node)),
            ..Response::default()
        },
        call::Type::GetOperations => Response {
            r#type: Some(response::Type::GetOperations as i32),
            get_operations: Some(response::GetOperations {
                operations: node.operations.iter().map(|it| (**it).clone()).collect(),
            }),
            ..Response::default()
        },
        call::Type::GetResourceProviders => Response {
            r#type: Some(response::Type::GetResourceProviders as i32),
            get_resource_providers: Some(response::GetResourceProviders::default()),
            ..Response::default()
        },
        call::Type::GetAgent => Response {
            r#type: Some(response::Type::GetAgent as i32),
            get_agent: Some(response::GetAgent {
                // Mesos' agent does not say of itself that it checkpoints; its master does.
                agent_info: Some(AgentInfo {
                    checkpoint: None,
                    ..(*node.info).clone()
                }),
                drain_config: node.draining.map(|it| it.config),
                estimated_drain_start_time: node.draining.map(|it| TimeInfo {
                    nanoseconds: whole_seconds(it.since) * NANOS_PER_SECOND,
                }),
            }),
            ..Response::default()
        },
        _ => return None,
    };
    Some(response)
}

fn tasks(node: &NodeState) -> response::GetTasks {
    let mut tasks = response::GetTasks::default();
    let live = node.frameworks.iter();
    for framework in live.chain(&node.completed_frameworks) {
        let executors = framework.executors.iter();
        for executor in executors.chain(&framework.completed_executors) {
            let copy = |list: &mut Vec<Task>, from: &[Arc<Task>]| {
                list.extend(from.iter().map(|task| (**task).clone()));
            };
            copy(&mut tasks.queued_tasks, &executor.queued_tasks);
            copy(&mut tasks.launched_tasks, &executor.launched_tasks);
            copy(&mut tasks.terminated_tasks, &executor.terminated_tasks);
            copy(&mut tasks.completed_tasks, &executor.completed_tasks);
        }
    }
    tasks
}

fn executors(node: &NodeState) -> response::GetExecutors {
    let shown = |executor: &ExecutorState| get_executors::Executor {
        executor_info: (*executor.info).clone(),
    };
    let live = node.frameworks.iter();
    let completed = live.clone().flat_map(|it| &it.completed_executors);
    let ended = node.completed_frameworks.iter();
    let ended = ended.flat_map(|it| it.executors.iter().chain(&it.completed_executors));
    response::GetExecutors {
        executors: live.flat_map(|it| &it.executors).map(shown).collect(),
        completed_executors: completed.chain(ended).map(shown).collect(),
    }
}

fn frameworks(node: &NodeState) -> response::GetFrameworks {
    let shown = |framework: &tepui_messages::agent::FrameworkState| get_frameworks::Framework {
        framework_info: (*framework.info).clone(),
    };
    response::GetFrameworks {
        frameworks: node.frameworks.iter().map(shown).collect(),
        completed_frameworks: node.completed_frameworks.iter().map(shown).collect(),
    }
}

/// Calls that others than the node answer.
async fn of_agent(
    api: &Api,
    subject: &Subject,
    call: Call,
    node: &NodeState,
) -> Result<Response, Reply> {
    let mut answer = Response::default();
    let kind = match call.r#type() {
        call::Type::GetHealth => {
            answer.get_health = Some(response::GetHealth { healthy: true });
            response::Type::GetHealth
        }
        call::Type::GetFlags => {
            let flags = api.facts.flags.iter().map(|(name, value)| Flag {
                name: name.clone(),
                value: Some(value.clone()),
            });
            answer.get_flags = Some(response::GetFlags {
                flags: flags.collect(),
            });
            response::Type::GetFlags
        }
        call::Type::GetVersion => {
            answer.get_version = Some(response::GetVersion {
                version_info: api.facts.version.clone(),
            });
            response::Type::GetVersion
        }
        call::Type::GetMetrics => {
            let numbers = metrics::all(api).await?;
            let numbers = numbers.into_iter().map(|(name, value)| Metric {
                name,
                value: value.as_f64(),
            });
            answer.get_metrics = Some(response::GetMetrics {
                metrics: numbers.collect(),
            });
            response::Type::GetMetrics
        }
        call::Type::GetLoggingLevel => {
            let level = api.logging.level();
            answer.get_logging_level = Some(response::GetLoggingLevel { level });
            response::Type::GetLoggingLevel
        }
        call::Type::ListFiles => {
            let path = call.list_files.unwrap_or_default().path;
            let file_infos = api.files.files_with(node).list_call(path).await?;
            answer.list_files = Some(response::ListFiles { file_infos });
            response::Type::ListFiles
        }
        call::Type::ReadFile => {
            let asked = call.read_file.unwrap_or_default();
            let files = api.files.files_with(node);
            let part = files.read_call(asked.path, asked.offset, asked.length);
            let part = part.await?;
            answer.read_file = Some(response::ReadFile {
                size: part.file_size,
                data: part.data.into(),
            });
            response::Type::ReadFile
        }
        _ => {
            let asked = call.get_containers.unwrap_or_default();
            let nested = asked.show_nested.unwrap_or(false);
            let containers = api.measured(subject, node).await?.into_iter();
            let alone = asked.show_standalone.unwrap_or(false);
            let containers =
                containers.filter(|it| (nested || !it.is_nested()) && (alone || !it.is_alone()));
            // Mesos leaves an empty list out; pymesos reads it without asking.
            answer.get_containers = Some(response::GetContainers {
                containers: containers.map(container).collect(),
            });
            response::Type::GetContainers
        }
    };
    answer.r#type = Some(kind as i32);
    Ok(answer)
}

fn container(measured: Measured) -> get_containers::Container {
    if measured.is_nested() || measured.is_alone() {
        return nested_container(measured);
    }
    let Measured { record, status } = measured;
    get_containers::Container {
        framework_id: Some(record.framework_id),
        executor_id: Some(record.info.executor_id.clone()),
        executor_name: Some(record.info.name().to_owned()),
        container_id: record.container_id,
        container_status: Some(status),
        resource_statistics: record.statistics,
    }
}

/// One within another one: Mesos names neither its executor nor, but in its status, the outer container.
fn nested_container(measured: Measured) -> get_containers::Container {
    let Measured { record, status } = measured;
    get_containers::Container {
        container_id: ContainerId {
            value: record.container_id.value,
            parent: None,
        },
        container_status: Some(status),
        resource_statistics: record.statistics,
        ..get_containers::Container::default()
    }
}

/// Calls about resource providers, of which there are none, and those that a later Mesos may have.
fn of_providers(kind: call::Type) -> Reply {
    match kind {
        call::Type::AddResourceProviderConfig
        | call::Type::UpdateResourceProviderConfig
        | call::Type::RemoveResourceProviderConfig => {
            Reply::text(500, "Missing required flag --resource_provider_config_dir")
        }
        kind => unsupported(kind.as_str_name()),
    }
}

/// As Mesos prints nested ids: `parent.child`.
pub(super) fn dotted(id: &ContainerId) -> String {
    match &id.parent {
        Some(parent) => format!("{}.{}", dotted(parent), id.value),
        None => id.value.clone(),
    }
}

fn unsupported(what: &str) -> Reply {
    Reply::text(
        501,
        format!("Not Implemented: this version of Tepui has no {what}"),
    )
}
