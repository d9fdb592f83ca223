//! The account of every task: what the scheduler asked for, what it was told, and what ran. Pure: processes and
//! marks are handed in.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use tepui_protocol::v1::{AgentId, TaskState};

/// What a task's command does after it has left its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Runs until it is killed.
    Long,
    /// Ends by itself, with 0.
    Short,
}

/// A process is its pid and when it began, in clock ticks since boot: pids come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) began: u64,
}

/// What the machine shows: as which process each task says it was started, and which of these live.
#[derive(Debug, Clone, Default)]
pub(crate) struct Machine {
    pub(crate) marks: BTreeMap<String, Vec<Process>>,
    pub(crate) alive: BTreeSet<Process>,
}

#[derive(Debug, Clone)]
struct Task {
    kind: Kind,
    agent_id: AgentId,
    launched: Instant,
    /// The launch was refused, so nothing may come of it.
    refused: bool,
    kill_asked: bool,
    /// An agent was killed that may have been at its launch.
    cut: bool,
    /// As told last.
    state: Option<TaskState>,
    /// Told anything since the last reconciliation began.
    answered: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    tasks: BTreeMap<String, Task>,
    /// What was told and must not have been.
    faults: Vec<String>,
}

/// How many tasks there are of each sort.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) running: usize,
    pub(crate) finished: usize,
    pub(crate) killed: usize,
    /// Launched, and told that it never ran.
    pub(crate) never_began: usize,
}

pub(crate) fn is_terminal(state: TaskState) -> bool {
    !matches!(
        state,
        TaskState::TaskStaging
            | TaskState::TaskStarting
            | TaskState::TaskRunning
            | TaskState::TaskKilling
            | TaskState::TaskUnreachable
    )
}

/// A task of which this was told has not run, and will not.
fn says_never_began(state: TaskState) -> bool {
    matches!(state, TaskState::TaskLost | TaskState::TaskDropped)
}

impl Ledger {
    pub(crate) fn launched(&mut self, id: &str, kind: Kind, agent_id: AgentId, now: Instant) {
        let task = Task {
            kind,
            agent_id,
            launched: now,
            refused: false,
            kill_asked: false,
            cut: false,
            state: None,
            answered: false,
        };
        self.tasks.insert(id.to_string(), task);
    }

    /// The call that launched it was refused.
    pub(crate) fn refused(&mut self, id: &str) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.refused = true;
        }
    }

    /// An agent was killed. What it was launching may have come to nothing, which it tells when it is back.
    pub(crate) fn agent_killed(&mut self) {
        for task in self.tasks.values_mut() {
            task.cut |= matches!(
                task.state,
                None | Some(TaskState::TaskStaging | TaskState::TaskStarting)
            );
        }
    }

    /// When it was launched, if this is the first that is heard of its running.
    pub(crate) fn told(&mut self, id: &str, state: TaskState) -> Option<Instant> {
        let Some(task) = self.tasks.get_mut(id) else {
            let name = state.as_str_name();
            self.faults
                .push(format!("{id} was never launched and is told to be {name}"));
            return None;
        };
        task.answered = true;
        let before = task.state.replace(state);
        if let Some(before) = before.filter(|it| is_terminal(*it) && *it != state) {
            let (before, now) = (before.as_str_name(), state.as_str_name());
            self.faults.push(format!(
                "{id} was told to be {before}, which is final, and then {now}"
            ));
        }
        let news = state == TaskState::TaskRunning && before != Some(state);
        news.then_some(task.launched)
    }

    fn open(&self) -> impl Iterator<Item = (&String, &Task)> {
        let open = |task: &Task| !task.refused && !task.state.is_some_and(is_terminal);
        self.tasks.iter().filter(move |(_, task)| open(task))
    }

    /// The tasks whose end is not known; each has to be told of again.
    pub(crate) fn reconcile(&mut self) -> Vec<(String, AgentId)> {
        let asked: Vec<_> = self
            .open()
            .map(|(id, task)| (id.clone(), task.agent_id.clone()))
            .collect();
        for (id, _) in &asked {
            self.tasks
                .entry(id.clone())
                .and_modify(|task| task.answered = false);
        }
        asked
    }

    /// What is not yet as it has to be once all is quiet: every task has ended, or runs until it is killed.
    pub(crate) fn unsettled(&self) -> Vec<String> {
        let settled = |task: &Task| {
            let runs = task.state == Some(TaskState::TaskRunning) && task.kind == Kind::Long;
            task.answered && runs && !task.kill_asked
        };
        let unsettled = self.open().filter(|(_, task)| !settled(task));
        unsettled
            .map(|(id, task)| {
                let state = task.state.map_or("nothing", |it| it.as_str_name());
                format!("{id} ({:?}, told {state})", task.kind)
            })
            .collect()
    }

    /// All but `keep` of those that run until they are killed, oldest first, to be killed now.
    pub(crate) fn surplus(&mut self, keep: usize) -> Vec<(String, AgentId)> {
        let mut running: Vec<_> = self
            .open()
            .map(|(id, task)| (task.launched, id.clone(), task.agent_id.clone()))
            .collect();
        running.sort_by_key(|(launched, ..)| *launched);
        running.truncate(running.len().saturating_sub(keep));
        for (_, id, _) in &running {
            self.tasks
                .entry(id.clone())
                .and_modify(|task| task.kill_asked = true);
        }
        running
            .into_iter()
            .map(|(_, id, agent_id)| (id, agent_id))
            .collect()
    }

    pub(crate) fn open_ids(&self) -> BTreeSet<String> {
        self.open().map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn count(&self) -> Count {
        let mut count = Count::default();
        for task in self.tasks.values() {
            match task.state {
                Some(TaskState::TaskRunning) => count.running += 1,
                Some(TaskState::TaskFinished) => count.finished += 1,
                Some(TaskState::TaskKilled) => count.killed += 1,
                Some(TaskState::TaskFailed) => count.never_began += 1,
                Some(state) if says_never_began(state) => count.never_began += 1,
                _ => {}
            }
        }
        count
    }

    /// What is wrong with the account now that all is quiet; nothing, if no task is lost or doubled.
    pub(crate) fn audit(&self, machine: &Machine) -> Vec<String> {
        let mut faults = self.faults.clone();
        for (id, task) in &self.tasks {
            let marks = machine.marks.get(id).map_or(&[][..], Vec::as_slice);
            if let Err(fault) = audit_one(task, marks, machine) {
                faults.push(format!("{id} ({:?}): {fault}", task.kind));
            }
        }
        let strange = machine
            .marks
            .keys()
            .filter(|id| !self.tasks.contains_key(*id));
        faults.extend(strange.map(|id| format!("{id} runs and was never launched")));
        faults
    }
}

fn audit_one(task: &Task, marks: &[Process], machine: &Machine) -> Result<(), String> {
    let told = task.state.map_or("nothing", |it| it.as_str_name());
    if marks.len() > 1 {
        return Err(format!("started {} times, as {marks:?}", marks.len()));
    }
    let lives = marks.iter().any(|it| machine.alive.contains(it));
    match (task.state, marks.first()) {
        (None, Some(process)) if task.refused => {
            Err(format!("refused, and started as {process:?}"))
        }
        (Some(_), _) if task.refused => Err(format!("refused, and told to be {told}")),
        (None, None) if task.refused => Ok(()),
        (None, _) => Err("nothing was ever told of it".to_string()),
        (Some(TaskState::TaskRunning), Some(_)) if lives => Ok(()),
        (Some(TaskState::TaskRunning), Some(process)) => {
            Err(format!("told to be running, and {process:?} is gone"))
        }
        (Some(TaskState::TaskFinished), Some(_)) if task.kind == Kind::Short && !lives => Ok(()),
        (Some(TaskState::TaskKilled), Some(_)) if task.kill_asked && !lives => Ok(()),
        (Some(state), None) if says_never_began(state) => Ok(()),
        (Some(TaskState::TaskFailed), None) if task.cut => Ok(()),
        (Some(_), Some(process)) if lives => {
            Err(format!("told to be {told}, and {process:?} lives"))
        }
        (Some(_), Some(process)) => Err(format!("told to be {told}, and started as {process:?}")),
        (Some(_), None) => Err(format!("told to be {told}, and it never started")),
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
