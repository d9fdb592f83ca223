//! Tasks: live, unreachable, completed.

use std::sync::Arc;
pub(super) use tepui_protocol::task::is_terminal;

use tepui_messages::change::TaskKept;
use tepui_protocol::{
    resources::Resources,
    v1::{Task, TaskState},
};

use super::{
    World,
    agents::{tally, untally},
};

/// Whether a live task in this state uses its resources.
pub(super) fn holds_resources(state: TaskState) -> bool {
    !is_terminal(state) && state != TaskState::TaskUnreachable
}

impl World {
    pub(super) fn add_task(&mut self, task: &Arc<Task>) -> bool {
        let framework = task.framework_id.value.as_str();
        if !self.frameworks.contains_key(framework) {
            return false;
        }
        // It replaces whatever stood under its id; a task that came back is no longer unreachable.
        self.remove_task(framework, &task.task_id.value, TaskKept::No);
        self.forget_unreachable(framework, &task.task_id.value);
        self.count(framework, &task.agent_id.value, task.state());
        if holds_resources(task.state()) {
            self.take(task);
        }
        if let Some(entry) = self.frameworks.get_mut(framework) {
            let id = task.task_id.value.clone();
            entry.tasks.insert(id, Arc::clone(task));
        }
        true
    }

    pub(super) fn update_task(&mut self, task: &Arc<Task>) -> bool {
        let framework = task.framework_id.value.as_str();
        let Some(entry) = self.frameworks.get_mut(framework) else {
            return false;
        };
        let Some(slot) = entry.tasks.get_mut(&task.task_id.value) else {
            return false;
        };
        let before = std::mem::replace(slot, Arc::clone(task));
        if is_terminal(task.state()) && !is_terminal(before.state()) {
            entry.ended.add(task.state());
            self.counters.ended.add(task.state());
        }
        self.discount(framework, &before.agent_id.value, before.state());
        self.count(framework, &task.agent_id.value, task.state());
        let (held, holds) = (
            holds_resources(before.state()),
            holds_resources(task.state()),
        );
        let same = before.agent_id == task.agent_id && before.resources == task.resources;
        if held && !(holds && same) {
            self.release(&before);
        }
        if holds && !(held && same) {
            self.take(task);
        }
        true
    }

    pub(super) fn remove_task(&mut self, framework: &str, id: &str, kept: TaskKept) -> bool {
        let most = self.kept();
        let Some(entry) = self.frameworks.get_mut(framework) else {
            return false;
        };
        let Some(task) = entry.tasks.remove(id) else {
            return kept == TaskKept::No && self.forget_unreachable(framework, id);
        };
        let mut forgotten = None;
        match kept {
            TaskKept::Completed => forgotten = entry.complete(&task, most.tasks),
            TaskKept::Unreachable => {
                entry.unreachable.insert(id.to_owned(), Arc::clone(&task));
                if entry.unreachable.len() > most.unreachable_tasks {
                    let oldest = entry.unreachable.shift_remove_index(0);
                    forgotten = oldest.map(|(_, task)| task);
                }
            }
            TaskKept::No => forgotten = Some(Arc::clone(&task)),
        }
        if let Some(task) = forgotten {
            self.discount(framework, &task.agent_id.value, task.state());
        }
        if holds_resources(task.state()) {
            self.release(&task);
        }
        true
    }

    /// One that ended under an earlier leader.
    pub(super) fn recall_task(&mut self, task: &Arc<Task>) -> bool {
        let id = task.framework_id.value.as_str();
        let most = self.kept().tasks;
        if let Some(entry) = self.frameworks.get_mut(id) {
            let forgotten = entry.complete(task, most);
            self.count(id, &task.agent_id.value, task.state());
            if let Some(task) = forgotten {
                self.discount(id, &task.agent_id.value, task.state());
            }
            return true;
        }
        let Some(entry) = self.completed.iter_mut().rev().find(|it| it.id() == id) else {
            return false;
        };
        entry.counts.add(task.state());
        *tally(&mut entry.agents, &task.agent_id.value) += 1;
        if let Some(task) = entry.complete(task, most) {
            entry.counts.remove(task.state());
            untally(&mut entry.agents, &task.agent_id.value);
        }
        true
    }

    /// Its agent or its framework will not come back: it moves to the completed ones.
    pub(super) fn end_unreachable(&mut self, task: &Arc<Task>) -> bool {
        let most = self.kept().tasks;
        let (framework, id) = (&task.framework_id.value, &task.task_id.value);
        let entry = self.frameworks.get_mut(framework);
        let Some(before) = entry.and_then(|entry| entry.unreachable.shift_remove(id)) else {
            return false;
        };
        self.discount(framework, &before.agent_id.value, before.state());
        self.count(framework, &task.agent_id.value, task.state());
        let Some(entry) = self.frameworks.get_mut(framework) else {
            return false;
        };
        // Among all it was counted when it became unreachable (Mesos: `Master::updateTask`).
        if !is_terminal(before.state()) {
            entry.ended.add(task.state());
        }
        if let Some(task) = entry.complete(task, most) {
            self.discount(framework, &task.agent_id.value, task.state());
        }
        true
    }

    pub(super) fn forget_completed(&mut self, framework: &str, id: &str) -> bool {
        let Some(entry) = self.frameworks.get_mut(framework) else {
            return false;
        };
        let is_it = |task: &Arc<Task>| task.task_id.value == id;
        let forgotten: Vec<_> = entry
            .completed
            .iter()
            .filter(|it| is_it(it))
            .cloned()
            .collect();
        entry.completed.retain(|it| !is_it(it));
        for task in &forgotten {
            self.discount(framework, &task.agent_id.value, task.state());
        }
        !forgotten.is_empty()
    }

    fn forget_unreachable(&mut self, framework: &str, id: &str) -> bool {
        let entry = self.frameworks.get_mut(framework);
        let Some(task) = entry.and_then(|entry| entry.unreachable.shift_remove(id)) else {
            return false;
        };
        self.discount(framework, &task.agent_id.value, task.state());
        true
    }

    /// The task begins to use its resources.
    fn take(&mut self, task: &Task) {
        let resources = Resources::from_proto_unchecked(&task.resources);
        if let Some(entry) = self.frameworks.get_mut(&task.framework_id.value) {
            entry.used.add(&task.agent_id.value, &resources);
        }
        self.change_used(&task.agent_id.value, |used| *used += &resources);
    }

    /// The task no longer uses its resources.
    fn release(&mut self, task: &Task) {
        let resources = Resources::from_proto_unchecked(&task.resources);
        if let Some(entry) = self.frameworks.get_mut(&task.framework_id.value) {
            entry.used.subtract(&task.agent_id.value, &resources);
        }
        self.change_used(&task.agent_id.value, |used| *used -= &resources);
    }
}
