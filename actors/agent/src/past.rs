//! What has ended and is remembered, also by an agent that is started anew: frameworks, executors and tasks, each bounded
//! (`--max_completed_frameworks` and its likes). Mesos reads the same from its checkpoints (`Slave::recoverFramework`).

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use tepui_messages::agent::ExecutorPhase;
use tepui_protocol::{redact, v1::Task};

use crate::{
    core::{NodeCore, Turn},
    effect::{Keep, KeptContainer, Past},
    recovery::is_generated,
    tables::{Executor, Framework, Stage, beyond},
};

/// By framework and container.
type Tasks = BTreeMap<[String; 2], VecDeque<Arc<Task>>>;

impl Turn<'_> {
    fn keep_past(&mut self, past: Past) {
        self.keep(Keep::Past(self.now.unix_nanos, past));
    }

    fn keep_past_task(&mut self, framework_id: &str, container_id: &str, task: &Arc<Task>) {
        self.keep_past(Past::Task {
            framework_id: framework_id.to_owned(),
            container_id: container_id.to_owned(),
            task: Arc::clone(task),
        });
    }
}

impl Executor {
    /// One of its tasks has ended, and nobody needs to be told any more.
    pub(crate) fn complete(
        &mut self,
        turn: &mut Turn<'_>,
        framework_id: &str,
        task: Arc<Task>,
        bound: usize,
    ) {
        turn.keep_past_task(framework_id, &self.container_id, &task);
        self.completed.push_back(task);
        self.forget_completed(turn, framework_id, bound);
    }

    fn forget_completed(&mut self, turn: &mut Turn<'_>, framework_id: &str, bound: usize) {
        for gone in beyond(&mut self.completed, bound) {
            let id = &gone.task_id;
            // A later task of the same id has its record.
            if !self.completed.iter().any(|task| task.task_id == *id) {
                let path = [framework_id, &self.container_id, &id.value];
                turn.keep(Keep::ForgetPast(path.map(str::to_owned).into()));
            }
        }
    }
}

impl Framework {
    /// One of its executors has ended, and its tasks.
    pub(crate) fn complete(
        &mut self,
        turn: &mut Turn<'_>,
        framework_id: &str,
        executor: Executor,
        bound: usize,
    ) {
        let kept = executor.kept(framework_id);
        turn.keep_past(Past::Executor(KeptContainer {
            info: redact::executor(&kept.info),
            ..kept
        }));
        // What is left of a framework that was shut down.
        for entry in executor.at(Stage::Terminated) {
            turn.keep_past_task(framework_id, &executor.container_id, &entry.task);
        }
        self.completed.push_back(executor);
        self.forget_completed(turn, framework_id, bound);
    }

    fn forget_completed(&mut self, turn: &mut Turn<'_>, framework_id: &str, bound: usize) {
        for gone in beyond(&mut self.completed, bound) {
            let path = vec![framework_id.to_owned(), gone.container_id];
            turn.keep(Keep::ForgetPast(path));
        }
    }
}

impl NodeCore {
    /// A framework has nothing here any more.
    pub(crate) fn complete_framework(&mut self, turn: &mut Turn<'_>, framework: Framework) {
        turn.keep_past(Past::Framework(Arc::clone(&framework.info)));
        self.completed_frameworks.push_back(framework);
        self.forget_completed(turn);
    }

    fn forget_completed(&mut self, turn: &mut Turn<'_>) {
        let bound = self.config.max_completed_frameworks;
        for gone in beyond(&mut self.completed_frameworks, bound) {
            turn.keep(Keep::ForgetPast(Past::Framework(gone.info).path()));
        }
    }

    /// What ended in earlier lives, the oldest first, once frameworks and executors that go on are known. Where the record of a
    /// framework or executor was damaged, what was within it is forgotten.
    pub(crate) fn restore_past(&mut self, turn: &mut Turn<'_>, past: Vec<Past>) {
        let mut tasks = Tasks::new();
        let mut executors = Vec::new();
        for past in past {
            match past {
                Past::Framework(info) => {
                    let framework = Framework::new((*info).clone());
                    self.completed_frameworks.push_back(framework);
                }
                Past::Executor(kept) => executors.push(kept),
                Past::Task {
                    framework_id,
                    container_id,
                    task,
                } => {
                    let within = tasks.entry([framework_id, container_id]).or_default();
                    within.push_back(task);
                }
            }
        }
        self.restore_completed(turn, executors, &mut tasks);
        for (path, _) in tasks {
            turn.keep(Keep::ForgetPast(path.into()));
        }
        self.forget_completed(turn);
    }

    fn restore_completed(
        &mut self,
        turn: &mut Turn<'_>,
        executors: Vec<KeptContainer>,
        tasks: &mut Tasks,
    ) {
        let bound = self.config.max_completed_executors_per_framework;
        let bound_tasks = self.config.max_completed_tasks_per_executor;
        let completed = self.completed_frameworks.iter_mut();
        let all = self.frameworks.values_mut().chain(completed);
        let named = all.filter_map(|it| Some((it.info.id.clone()?.value, it)));
        let mut frameworks: BTreeMap<_, _> = named.collect();
        for kept in executors {
            let path = [kept.framework_id.clone(), kept.container_id.clone()];
            let Some(framework) = frameworks.get_mut(&path[0]) else {
                turn.keep(Keep::ForgetPast(path.into()));
                continue;
            };
            framework.completed.push_back(ended(kept));
        }
        for (framework_id, framework) in frameworks {
            let live = framework.executors.values_mut();
            for executor in live.chain(&mut framework.completed) {
                let path = [framework_id.clone(), executor.container_id.clone()];
                executor.completed = tasks.remove(&path).unwrap_or_default();
                executor.forget_completed(turn, &framework_id, bound_tasks);
            }
            framework.forget_completed(turn, &framework_id, bound);
        }
    }
}

fn ended(kept: KeptContainer) -> Executor {
    let command_task = is_generated(&kept.info);
    let info = (*kept.info).clone();
    let mut executor = Executor::new(info, command_task, kept.container_id, kept.sandbox, 0);
    executor.phase = ExecutorPhase::Terminated;
    executor
}

#[cfg(test)]
#[path = "past_tests.rs"]
mod tests;
