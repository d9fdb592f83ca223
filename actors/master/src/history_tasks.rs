//! Offers, tasks and executors in the [`World`] of histories.

use serde_json::{Value, json};
use tepui_messages::master::AgentMessage;
use tepui_protocol::{
    node,
    resources::Resources,
    v1::{ExecutorId, ExecutorInfo, Task, TaskState},
};

use crate::{
    history::World,
    stage::{Scheduler, accept, parse, task, to_json},
};

/// A proposal of the allocator that the master has not seen.
pub(crate) struct Proposed {
    pub(crate) framework: String,
    pub(crate) role: String,
    pub(crate) agent: String,
    /// How often the agent had been added.
    pub(crate) time: Option<u64>,
    pub(crate) resources: Resources,
}

impl World {
    pub(crate) fn propose(&mut self, framework: usize, agent: usize, part: u8) {
        let Some((_, node)) = self.node(agent) else {
            return;
        };
        let Some((scheduler, info)) = self
            .schedulers
            .get(framework % self.schedulers.len().max(1))
        else {
            return;
        };
        let time = self.stage.ledger.times.get(&node.id).copied();
        let mut free = self.stage.ledger.free(&node.id);
        for late in &self.on_their_way {
            if late.agent == node.id && late.time == time {
                free -= &late.resources;
            }
        }
        let size = if part.is_multiple_of(3) {
            "cpus:2;mem:512"
        } else {
            "cpus:1;mem:64"
        };
        let everything = part.is_multiple_of(2) && part > 128;
        let resources = match everything {
            true => free.clone(),
            false => Resources::from_proto_unchecked(&parse(size)),
        };
        // As an allocator, it proposes no more than what is free.
        if free.contains(&resources) {
            self.on_their_way.push(Proposed {
                framework: scheduler.id.clone(),
                role: info["role"].as_str().unwrap_or("*").to_string(),
                agent: node.id,
                time,
                resources,
            });
        }
    }

    pub(crate) fn deliver(&mut self) {
        for late in std::mem::take(&mut self.on_their_way) {
            // What it proposed of an agent that was removed and added since is not counted any more.
            let time = self.stage.ledger.times.get(&late.agent).copied();
            let known = self.stage.ledger.totals.contains_key(&late.agent);
            if time == late.time || !known {
                self.stage.propose_resources(
                    &late.framework,
                    &late.role,
                    &late.agent,
                    late.resources.to_proto(),
                );
            }
        }
    }

    /// Offers as `(id, agent)`.
    pub(crate) fn offers_of(&self, scheduler: &Scheduler) -> Vec<(String, String)> {
        let offers = self.stage.core.offers.values();
        offers
            .filter(|offer| offer.framework_id == scheduler.id)
            .map(|offer| (offer.offer.id.value.clone(), offer.agent_id.clone()))
            .collect()
    }

    pub(crate) fn accept(&mut self, framework: usize, some: u8, tasks: u8, with_executor: bool) {
        let Some(scheduler) = self.scheduler(framework) else {
            return;
        };
        let offers = self.offers_of(&scheduler);
        let Some((_, agent)) = offers.first().cloned() else {
            return;
        };
        let Some(node) = self.nodes.iter().find(|node| node.id == agent).cloned() else {
            return;
        };
        // Now and then an offer of another agent or a stale one is among them, which poisons the call.
        let mut ids: Vec<&str> = offers
            .iter()
            .filter(|(_, on)| *on == agent || some.is_multiple_of(16))
            .map(|(id, _)| id.as_str())
            .collect();
        if some.is_multiple_of(11) {
            ids.push("M1-O0");
        }
        let infos: Vec<Value> = (0..tasks)
            .map(|number| {
                // Ids come back now and then.
                self.next_task += u64::from(!some.is_multiple_of(7));
                let mut info = task(&format!("t{}", self.next_task), &node, "cpus:0.5;mem:32");
                if with_executor && number == 0 {
                    info.as_object_mut().unwrap().remove("command");
                    info["executor"] = json!({"executor_id": {"value": "e"}, "command": {"value": "run"},
                        "resources": to_json(&parse("cpus:0.1;mem:32"))});
                }
                info
            })
            .collect();
        let launch = json!([{"type": "LAUNCH", "launch": {"task_infos": infos}}]);
        self.stage.call(&scheduler, accept(&ids, launch));
        self.agents_take_what_is_booked(&agent, &scheduler.id);
    }

    /// Orders arrive: the agent knows what the master has booked on it.
    pub(crate) fn agents_take_what_is_booked(&mut self, agent: &str, framework: &str) {
        let Some(known) = self.stage.core.frameworks.get(framework) else {
            return;
        };
        for entry in known.tasks.values() {
            let same = |(id, task): &(String, Task)| {
                id == agent
                    && task.task_id == entry.task.task_id
                    && task.framework_id == entry.task.framework_id
            };
            if entry.task.agent_id.value == agent && !self.ran.iter().any(same) {
                self.ran.push((agent.to_string(), (*entry.task).clone()));
            }
        }
        for ((on, id), executor) in &known.executors {
            let same = |(agent, other): &(String, ExecutorInfo)| {
                agent == on
                    && other.executor_id.value == *id
                    && other.framework_id == executor.framework_id
            };
            if on == agent && !self.executors.iter().any(same) {
                self.executors
                    .push((agent.to_string(), (**executor).clone()));
            }
        }
    }

    pub(crate) fn ran_task(&self, index: usize) -> Option<(String, Task)> {
        self.ran.get(index % self.ran.len().max(1)).cloned()
    }

    pub(crate) fn subscribed(&self, framework: &str) -> Option<Scheduler> {
        let stream = self
            .stage
            .core
            .frameworks
            .get(framework)?
            .stream_id
            .clone()?;
        Some(Scheduler {
            id: framework.to_string(),
            stream,
        })
    }

    pub(crate) fn status(&mut self, index: usize, state: u8, behind: bool) {
        if self.ran.is_empty() {
            return;
        }
        let index = index % self.ran.len();
        let (agent, task) = self.ran[index].clone();
        let Some(node) = self.nodes.iter().find(|node| node.id == agent).cloned() else {
            return;
        };
        let states = [
            TaskState::TaskStarting,
            TaskState::TaskRunning,
            TaskState::TaskKilling,
            TaskState::TaskFinished,
            TaskState::TaskFailed,
            TaskState::TaskKilled,
        ];
        let state = states[usize::from(state) % states.len()];
        let latest = if behind {
            TaskState::TaskFinished
        } else {
            state
        };
        self.ran[index].1.state = latest as i32;
        self.next_uuid = self.next_uuid.wrapping_add(1);
        let scheduler = Scheduler {
            id: task.framework_id.value,
            stream: String::new(),
        };
        let id = task.task_id.value;
        let uuid = self.next_uuid;
        self.stage
            .update_behind(&node, &scheduler, &id, state, uuid, latest);
    }

    /// Of the update that was sent last, if the master remembers one.
    pub(crate) fn acknowledge(&mut self, index: usize) {
        let Some((agent, task)) = self.ran_task(index) else {
            return;
        };
        let framework = &task.framework_id.value;
        let (Some(scheduler), Some(node)) = (
            self.subscribed(framework),
            self.nodes.iter().find(|node| node.id == agent).cloned(),
        ) else {
            return;
        };
        let id = task.task_id.value;
        let known = self.stage.core.frameworks[framework].tasks.get(&id);
        let uuid = known.and_then(|entry| entry.task.status_update_uuid.as_ref()?.first().copied());
        self.stage
            .acknowledge(&scheduler, &node, &id, uuid.unwrap_or(0));
    }

    pub(crate) fn executor_exits(&mut self, index: usize) {
        if self.executors.is_empty() {
            return;
        }
        let (agent, executor) = self.executors.remove(index % self.executors.len());
        if let Some(node) = self.nodes.iter().find(|node| node.id == agent).cloned() {
            let exited = node::ExecutorExited {
                framework_id: executor.framework_id.unwrap_or_default(),
                executor_id: ExecutorId {
                    value: executor.executor_id.value,
                },
                status: 0,
            };
            self.stage.says(&node, AgentMessage::ExecutorExited(exited));
        }
    }
}
