//! The audit has to find what is planted.

use super::*;

fn agent() -> AgentId {
    AgentId {
        value: "agent".to_string(),
    }
}

/// A ledger with one task of this kind, told these states.
fn ledger(kind: Kind, states: &[TaskState]) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.launched("one", kind, agent(), Instant::now());
    for state in states {
        ledger.told("one", *state);
    }
    ledger
}

fn process(pid: u32) -> Process {
    Process { pid, began: 7 }
}

/// A machine on which the task left these marks, and on which these of them live.
fn machine(marks: &[u32], alive: &[u32]) -> Machine {
    let marks = marks.iter().map(|pid| process(*pid)).collect();
    Machine {
        marks: BTreeMap::from([("one".to_string(), marks)]),
        alive: alive.iter().map(|pid| process(*pid)).collect(),
    }
}

#[track_caller]
fn finds(ledger: &Ledger, machine: &Machine, fault: &str) {
    let faults = ledger.audit(machine).join("\n");
    assert!(
        faults.contains(fault),
        "found {faults:?}, expected {fault:?}"
    );
}

use TaskState::{TaskFailed, TaskFinished, TaskKilled, TaskLost, TaskRunning, TaskStarting};

#[test]
fn a_task_that_runs_once_is_in_order() {
    let one = ledger(Kind::Long, &[TaskStarting, TaskRunning, TaskRunning]);
    assert_eq!(one.audit(&machine(&[10], &[10])), Vec::<String>::new());
    assert_eq!(one.count().running, 1);
}

#[test]
fn a_task_that_was_started_twice_is_found() {
    let one = ledger(Kind::Long, &[TaskRunning]);
    finds(&one, &machine(&[10, 11], &[10, 11]), "started 2 times");
}

#[test]
fn a_task_that_is_gone_is_found() {
    let one = ledger(Kind::Long, &[TaskRunning]);
    finds(&one, &machine(&[10], &[]), "is gone");
}

#[test]
fn another_process_with_its_pid_is_not_the_task() {
    let mut later = machine(&[10], &[]);
    later.alive.insert(Process { pid: 10, began: 8 });
    let one = ledger(Kind::Long, &[TaskRunning]);
    finds(&one, &later, "is gone");
    let ended = ledger(Kind::Short, &[TaskFinished]);
    assert_eq!(ended.audit(&later), Vec::<String>::new());
}

#[test]
fn a_task_that_runs_and_is_told_to_be_lost_is_found() {
    let one = ledger(Kind::Long, &[TaskLost]);
    finds(&one, &machine(&[10], &[10]), "lives");
    let never = ledger(Kind::Long, &[TaskLost]);
    assert_eq!(never.audit(&Machine::default()), Vec::<String>::new());
    assert_eq!(never.count().never_began, 1);
}

#[test]
fn a_long_task_that_ends_without_being_killed_is_found() {
    for state in [TaskFinished, TaskKilled] {
        let one = ledger(Kind::Long, &[TaskRunning, state]);
        finds(&one, &machine(&[10], &[]), "and started as");
    }
    let mut one = ledger(Kind::Long, &[TaskRunning]);
    assert_eq!(one.surplus(0).len(), 1);
    assert!(!one.unsettled().is_empty(), "its end is still to be told");
    one.told("one", TaskKilled);
    finds(&one, &machine(&[10], &[10]), "lives");
    assert_eq!(one.audit(&machine(&[10], &[])), Vec::<String>::new());
}

#[test]
fn an_end_that_is_taken_back_is_found() {
    let mut one = ledger(Kind::Short, &[TaskFinished, TaskFinished]);
    assert_eq!(one.audit(&machine(&[10], &[])), Vec::<String>::new());
    one.told("one", TaskRunning);
    finds(&one, &machine(&[10], &[10]), "which is final");
}

#[test]
fn silence_and_strangers_are_found() {
    finds(
        &ledger(Kind::Long, &[]),
        &Machine::default(),
        "nothing was ever told",
    );
    finds(
        &Ledger::default(),
        &machine(&[10], &[10]),
        "one runs and was never launched",
    );
    let mut none = Ledger::default();
    none.told("two", TaskRunning);
    finds(&none, &Machine::default(), "two was never launched");
}

#[test]
fn a_refused_launch_must_have_no_effect() {
    let mut one = ledger(Kind::Long, &[]);
    one.refused("one");
    assert_eq!(one.audit(&Machine::default()), Vec::<String>::new());
    assert_eq!(one.unsettled(), Vec::<String>::new());
    finds(&one, &machine(&[10], &[10]), "refused, and started");
}

#[test]
fn a_launch_that_failed_is_right_only_if_its_agent_was_killed_meanwhile() {
    let mut one = ledger(Kind::Long, &[]);
    one.agent_killed();
    one.told("one", TaskFailed);
    assert_eq!(one.audit(&Machine::default()), Vec::<String>::new());
    assert_eq!(one.count().never_began, 1);
    finds(&one, &machine(&[10], &[]), "and started as");

    let never = ledger(Kind::Long, &[TaskFailed]);
    finds(&never, &Machine::default(), "it never started");
    let mut later = ledger(Kind::Long, &[TaskRunning]);
    later.agent_killed();
    later.told("one", TaskFailed);
    finds(&later, &Machine::default(), "it never started");
}

#[test]
fn reconciliation_asks_for_all_whose_end_is_unknown_and_wants_an_answer() {
    let mut both = ledger(Kind::Long, &[TaskRunning]);
    both.launched("two", Kind::Short, agent(), Instant::now());
    both.told("two", TaskFinished);
    assert_eq!(both.unsettled(), Vec::<String>::new());
    assert_eq!(both.reconcile(), [("one".to_string(), agent())]);
    assert_eq!(both.unsettled().len(), 1);
    both.told("one", TaskRunning);
    assert_eq!(both.unsettled(), Vec::<String>::new());
}
