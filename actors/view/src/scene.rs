//! Changes for tests: those behind the recorded runs, taken from the recordings, and hand-made ones.

use std::sync::Arc;

use serde_json::Value;
use tepui_messages::change::{AgentRecord, Change, FrameworkRecord, MasterRecord, TaskKept};
use tepui_protocol::v1::{
    FrameworkInfo, Offer, Resource, Task, TaskState, TaskStatus, TimeInfo,
    framework_info::{Capability, capability::Type},
    master::{
        event,
        response::{get_agents, get_frameworks},
    },
};

use crate::{ViewConfig, World, golden};

/// What a recorded `/state` says of the build.
pub(crate) fn config(state: &Value) -> ViewConfig {
    let text = |key: &str| state[key].as_str().unwrap().to_owned();
    let some = |key: &str| {
        state
            .get(key)
            .map(|value| value.as_str().unwrap().to_owned())
    };
    let flags = state["flags"].as_object().unwrap().iter();
    ViewConfig {
        version: text("version"),
        git_sha: some("git_sha"),
        git_branch: some("git_branch"),
        git_tag: some("git_tag"),
        build_date: text("build_date"),
        build_time: state["build_time"].as_f64().unwrap(),
        build_user: text("build_user"),
        pid: text("pid"),
        hostname: text("hostname"),
        log_dir: some("log_dir"),
        external_log_file: some("external_log_file"),
        flags: flags
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect(),
    }
}

fn nanos(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64 * 1000
}

/// The master of a recorded GET_MASTER.
pub(crate) fn elected(number: &str) -> Change {
    let master = golden::response(number).get_master.unwrap();
    Change::Elected(Arc::new(MasterRecord {
        info: master.master_info.unwrap(),
        cluster: Some("golden".into()),
        started_at: nanos(master.start_time.unwrap()),
        elected_at: nanos(master.elected_time.unwrap()),
        roles: None,
        kept: Default::default(),
    }))
}

fn at(time: Option<TimeInfo>) -> i64 {
    time.map_or(0, |time| time.nanoseconds)
}

pub(crate) fn agent_added(agent: &get_agents::Agent) -> Change {
    Change::AgentAdded(Arc::new(AgentRecord {
        shortcoming: None,
        info: agent.agent_info.clone().into(),
        pid: agent.pid.clone().unwrap(),
        version: agent.version.clone(),
        capabilities: agent.capabilities.clone(),
        connected: true,
        active: agent.active,
        deactivated: agent.deactivated.unwrap(),
        registered_at: at(agent.registered_time),
        reregistered_at: agent.reregistered_time.map(|time| time.nanoseconds),
        total: agent.total_resources.clone(),
        drain_info: agent.drain_info,
        drain_started_at: agent
            .estimated_drain_start_time
            .map(|time| time.nanoseconds),
    }))
}

pub(crate) fn framework_record(framework: &get_frameworks::Framework) -> Arc<FrameworkRecord> {
    let again = at(framework.reregistered_time);
    let first = at(framework.registered_time);
    Arc::new(FrameworkRecord {
        info: framework.framework_info.clone(),
        active: framework.active,
        connected: framework.connected,
        recovered: framework.recovered,
        registered_at: first,
        reregistered_at: (again != first).then_some(again),
        suppressed_roles: Vec::new(),
        offer_constraints: None,
    })
}

/// The changes behind a recorded event of the operator stream, as the master makes them.
pub(crate) fn changes_behind(event: event::Type, record: &[u8], world: &World) -> Vec<Change> {
    let message = golden::event(record);
    match event {
        event::Type::Subscribed => {
            let state = message.subscribed.unwrap().get_state.unwrap();
            let agents = state.get_agents.unwrap().agents;
            agents.iter().map(agent_added).collect()
        }
        event::Type::FrameworkAdded => {
            let framework = message.framework_added.unwrap().framework;
            vec![Change::FrameworkAdded(framework_record(&framework))]
        }
        event::Type::FrameworkUpdated => {
            let framework = message.framework_updated.unwrap().framework;
            vec![Change::FrameworkUpdated(framework_record(&framework))]
        }
        event::Type::FrameworkRemoved => {
            let ended = golden::response("485").get_frameworks.unwrap();
            vec![Change::FrameworkRemoved {
                framework_id: message
                    .framework_removed
                    .unwrap()
                    .framework_info
                    .id
                    .unwrap(),
                at: at(ended.completed_frameworks[0].unregistered_time),
            }]
        }
        event::Type::TaskAdded => vec![Change::TaskAdded(Arc::new(
            message.task_added.unwrap().task,
        ))],
        event::Type::TaskUpdated => {
            let update = message.task_updated.unwrap();
            let framework = &world.frameworks[&update.framework_id.value];
            let mut task = (*framework.tasks[&update.status.task_id.value]).clone();
            updated(&mut task, &update.status);
            let (task_id, state) = (task.task_id.clone(), task.state());
            let mut changes = vec![Change::TaskUpdated {
                task: Arc::new(task),
                status: Arc::new(update.status),
                is_news: true,
            }];
            // The scheduler of the recording acknowledged each update at once.
            if is_over(state) {
                changes.push(Change::TaskRemoved {
                    framework_id: update.framework_id,
                    task_id,
                    kept: TaskKept::Completed,
                });
            }
            changes
        }
        _ => Vec::new(),
    }
}

fn is_over(state: TaskState) -> bool {
    use TaskState::{TaskFailed, TaskFinished, TaskKilled};
    [TaskFailed, TaskFinished, TaskKilled].contains(&state)
}

fn updated(task: &mut Task, status: &TaskStatus) {
    task.state = status.state;
    task.status_update_state = Some(status.state);
    task.status_update_uuid = status.uuid.clone();
    if task
        .statuses
        .last()
        .is_some_and(|last| last.state == status.state)
    {
        task.statuses.pop();
    }
    task.statuses.push(status.clone());
}

/// A framework, a task and an offer that account for what a recorded agent has allocated and offered.
pub(crate) fn usage_of(agent: &get_agents::Agent, number: usize) -> Vec<Change> {
    let agent_id = agent.agent_info.id.clone().unwrap();
    let mut changes = vec![Change::FrameworkAdded(framework("someone", &["dev"]))];
    if !agent.allocated_resources.is_empty() {
        changes.push(Change::TaskAdded(Arc::new(Task {
            task_id: tepui_protocol::v1::TaskId {
                value: format!("task-{number}"),
            },
            framework_id: id("someone"),
            agent_id: agent_id.clone(),
            state: TaskState::TaskRunning as i32,
            resources: agent.allocated_resources.clone(),
            ..Task::default()
        })));
    }
    if !agent.offered_resources.is_empty() {
        changes.push(offer(number, agent_id, agent.offered_resources.clone()));
    }
    changes
}

fn offer(number: usize, agent_id: tepui_protocol::v1::AgentId, resources: Vec<Resource>) -> Change {
    offer_added(Offer {
        id: tepui_protocol::v1::OfferId {
            value: format!("offer-{number}"),
        },
        framework_id: id("someone"),
        agent_id,
        resources,
        ..Offer::default()
    })
}

/// Made at the first moment.
pub(crate) fn offer_added(offer: Offer) -> Change {
    Change::OfferAdded {
        offer: Arc::new(offer),
        at: 1,
    }
}

fn id(value: &str) -> tepui_protocol::v1::FrameworkId {
    tepui_protocol::v1::FrameworkId {
        value: value.to_owned(),
    }
}

/// A framework of several roles.
pub(crate) fn framework(name: &str, roles: &[&str]) -> Arc<FrameworkRecord> {
    Arc::new(FrameworkRecord {
        info: FrameworkInfo {
            user: "root".into(),
            name: name.to_owned(),
            id: Some(id(name)),
            roles: roles.iter().map(ToString::to_string).collect(),
            capabilities: vec![Capability {
                r#type: Some(Type::MultiRole as i32),
            }],
            ..FrameworkInfo::default()
        },
        active: true,
        connected: true,
        recovered: false,
        registered_at: 1_000_000_000,
        reregistered_at: None,
        suppressed_roles: Vec::new(),
        offer_constraints: None,
    })
}

/// A world after these changes; all sums hold after each.
pub(crate) fn world(changes: impl IntoIterator<Item = Change>) -> World {
    let mut world = World::default();
    for change in changes {
        world.apply(&change);
        world.check().unwrap();
    }
    world
}
