//! What a simulated agent says of itself and of its tasks, as large as what a real one says of command tasks.

use std::{net::Ipv4Addr, time::Instant};

use anyhow::Context;
use tepui_protocol::{
    codec::{Limits, msgpack},
    node::RegisterAgent,
    v1::{
        AgentId, AgentInfo, Attribute, ContainerId, ContainerStatus, FrameworkInfo, Label, Labels,
        NetworkInfo, Resource, Task, TaskId, TaskState, TaskStatus, agent_info,
        agent_info::capability::Type as Capability, network_info::IpAddress,
        resource::AllocationInfo, task_status::Source, value,
    },
};

/// Addresses of one subnet of loopback that agents have, from .1 on.
const ADDRESSES: usize = 250;

/// Each agent has an address of its own, as on machines of their own: the ports of one would not do for many.
pub(crate) fn address(agent: usize) -> Ipv4Addr {
    let (subnet, host) = (agent / ADDRESSES, agent % ADDRESSES + 1);
    Ipv4Addr::new(
        127,
        1 + (subnet / 256) as u8,
        (subnet % 256) as u8,
        host as u8,
    )
}

/// A first registration where it has no id, else a return with `tasks`, dealt to the frameworks in turns.
pub(crate) fn registration(
    agent: usize,
    id: Option<AgentId>,
    tasks: usize,
    frameworks: &[FrameworkInfo],
) -> RegisterAgent {
    let running = match (&id, frameworks.len()) {
        (Some(id), count) if count > 0 => (0..tasks)
            .map(|number| task(agent, number, id, &frameworks[number % count]))
            .collect(),
        _ => Vec::new(),
    };
    let told = running.len().min(frameworks.len());
    RegisterAgent {
        agent_info: info(agent, id),
        version: env!("CARGO_PKG_VERSION").into(),
        capabilities: capabilities(),
        pid: format!("slave(1)@{}:5051", address(agent)),
        tasks: running,
        frameworks: frameworks[..told].to_vec(),
        ..Default::default()
    }
}

fn info(agent: usize, id: Option<AgentId>) -> AgentInfo {
    AgentInfo {
        hostname: format!("agent-{agent:05}.bench"),
        port: Some(5051),
        resources: vec![
            scalar("cpus", 16.0),
            scalar("mem", 65_536.0),
            scalar("disk", 1_000_000.0),
            ports(),
        ],
        attributes: vec![Attribute {
            name: "rack".into(),
            r#type: value::Type::Text as i32,
            text: Some(value::Text {
                value: format!("rack-{}", agent / 40),
            }),
            ..Default::default()
        }],
        id,
        checkpoint: Some(true),
        ..Default::default()
    }
}

fn task(agent: usize, number: usize, id: &AgentId, framework: &FrameworkInfo) -> Task {
    let name = format!("service-{number}");
    let task_id = TaskId {
        value: format!("{name}.{agent:05}"),
    };
    let role = framework.roles.first().cloned().unwrap_or_default();
    let allocated = |name: &str, amount: f64| Resource {
        allocation_info: Some(AllocationInfo {
            role: Some(role.clone()),
        }),
        ..scalar(name, amount)
    };
    let label = |key: &str, value: String| Label {
        key: key.into(),
        value: Some(value),
    };
    Task {
        name,
        task_id: task_id.clone(),
        framework_id: framework.id.clone().unwrap_or_default(),
        agent_id: id.clone(),
        state: TaskState::TaskRunning as i32,
        resources: vec![allocated("cpus", 0.5), allocated("mem", 1_024.0)],
        statuses: vec![running(agent, task_id, id)],
        status_update_state: Some(TaskState::TaskRunning as i32),
        status_update_uuid: Some(uuid(agent)),
        labels: Some(Labels {
            labels: vec![
                label("service", format!("shop-{number}")),
                label("version", "2026-11-27".into()),
            ],
        }),
        user: Some("root".into()),
        ..Default::default()
    }
}

fn running(agent: usize, task_id: TaskId, id: &AgentId) -> TaskStatus {
    let container = format!("{}-{agent:012}", task_id.value);
    TaskStatus {
        task_id,
        state: TaskState::TaskRunning as i32,
        source: Some(Source::Executor as i32),
        agent_id: Some(id.clone()),
        timestamp: Some(1_795_000_000.0 + agent as f64),
        uuid: Some(uuid(agent)),
        container_status: Some(ContainerStatus {
            container_id: Some(ContainerId {
                value: container,
                parent: None,
            }),
            network_infos: vec![NetworkInfo {
                ip_addresses: vec![IpAddress {
                    ip_address: Some(address(agent).to_string()),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            executor_pid: Some(10_000),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn uuid(agent: usize) -> bytes::Bytes {
    (agent as u128).to_be_bytes().to_vec().into()
}

fn scalar(name: &str, value: f64) -> Resource {
    Resource {
        name: name.into(),
        r#type: value::Type::Scalar as i32,
        scalar: Some(value::Scalar { value }),
        ..Default::default()
    }
}

fn ports() -> Resource {
    let range = value::Range {
        begin: 31_000,
        end: 32_000,
    };
    Resource {
        name: "ports".into(),
        r#type: value::Type::Ranges as i32,
        ranges: Some(value::Ranges { range: vec![range] }),
        ..Default::default()
    }
}

fn capabilities() -> Vec<agent_info::Capability> {
    let types = [
        Capability::MultiRole,
        Capability::HierarchicalRole,
        Capability::ReservationRefinement,
        Capability::ResourceProvider,
        Capability::ResizeVolume,
        Capability::AgentOperationFeedback,
        Capability::AgentDraining,
        Capability::TaskResourceLimits,
    ];
    let named = types.into_iter().map(|kind| agent_info::Capability {
        r#type: Some(kind as i32),
    });
    named.collect()
}

/// What a loop does that reads the same messages from memory, and keeps them in plain maps.
pub(crate) struct Bare {
    pub(crate) seconds: f64,
    /// Of all messages together.
    pub(crate) bytes: usize,
}

pub(crate) fn bare_loop(
    agents: usize,
    tasks: usize,
    frameworks: &[FrameworkInfo],
) -> anyhow::Result<Bare> {
    let mut messages = Vec::with_capacity(agents);
    for agent in 0..agents {
        let id = AgentId {
            value: format!("6f7b1b3a-2c4e-4f0a-9d57-0d7d3f2a9c11-S{agent}"),
        };
        let request = registration(agent, Some(id), tasks, frameworks);
        messages.push(msgpack::encode(&request)?);
    }
    let bytes = messages.iter().map(Vec::len).sum();
    let begin = Instant::now();
    let mut known = std::collections::HashMap::new();
    let mut running = std::collections::HashMap::new();
    for message in messages {
        let request: RegisterAgent = msgpack::decode(&message, &Limits::BRIDGE)?;
        let id = request.agent_info.id.clone().context("it has an id")?;
        for task in request.tasks {
            let key = (task.framework_id.value.clone(), task.task_id.value.clone());
            running.insert(key, task);
        }
        known.insert(id.value, request.agent_info);
    }
    let seconds = begin.elapsed().as_secs_f64();
    anyhow::ensure!(
        known.len() == agents && running.len() == agents * tasks,
        "the bare loop has {} agents and {} tasks",
        known.len(),
        running.len()
    );
    Ok(Bare { seconds, bytes })
}

#[cfg(test)]
mod tests {
    use tepui_protocol::v1::FrameworkId;

    use super::*;

    #[test]
    fn every_agent_has_an_address_of_its_own_on_loopback() {
        let mut all: Vec<Ipv4Addr> = (0..70_000).map(address).collect();
        assert!(all.iter().all(Ipv4Addr::is_loopback));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 70_000);
    }

    #[test]
    fn what_agents_say_is_taken_by_a_master() {
        let frameworks = [FrameworkInfo {
            id: Some(FrameworkId {
                value: "shop".into(),
            }),
            ..super::super::frameworks::info(0)
        }];
        let id = AgentId { value: "S1".into() };
        for id in [None, Some(id)] {
            let tasks = if id.is_some() { 10 } else { 0 };
            let request = registration(7, id, 10, &frameworks);
            assert_eq!(request.tasks.len(), tasks);
            tepui_protocol::validate::registration::registration(&request).unwrap();
        }
        bare_loop(20, 10, &frameworks).unwrap();
    }
}
