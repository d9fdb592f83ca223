use tepui_messages::agent::{ExecutorState, FrameworkState};

use crate::testing::{
    TaskState::{TaskFinished, TaskRunning},
    *,
};

/// One after the other.
fn ends(node: &mut Node, names: &[&str]) {
    for name in names {
        node.run(task(name));
        let container_id = node.start();
        node.exit(&container_id, 0);
        node.drain();
        node.sleep(Duration::from_secs(1));
    }
}

/// Executors with their completed tasks.
fn shown(executors: &[ExecutorState]) -> Vec<(String, Vec<String>)> {
    let executors = executors.iter();
    let shown = executors.map(|executor| {
        let tasks = executor.completed_tasks.iter();
        let tasks = tasks.map(|task| task.task_id.value.clone());
        (executor.info.executor_id.value.clone(), tasks.collect())
    });
    shown.collect()
}

fn of(names: &[&str]) -> Vec<(String, Vec<String>)> {
    let names = names.iter();
    let of = names.map(|it| ((*it).to_owned(), vec![(*it).to_owned()]));
    of.collect()
}

fn completed(node: &Node) -> Vec<FrameworkState> {
    node.core.state().completed_frameworks
}

#[test]
fn what_has_ended_is_known_after_a_restart_as_before() {
    let mut node = Node::running();
    ends(&mut node, &["t3", "t1", "t2"]);
    let before = completed(&node);
    assert_eq!(
        shown(&before[0].completed_executors),
        of(&["t3", "t1", "t2"])
    );
    let again = node.restart("boot");
    // Also by one that finds all its containers gone.
    for node in [&again, &again.restart("another")] {
        let after = completed(node);
        assert_eq!(format!("{after:?}"), format!("{before:?}"));
    }
    let task = &before[0].completed_executors[0].completed_tasks[0];
    assert_eq!((task.state(), task.statuses.len()), (TaskFinished, 3));
}

#[test]
fn a_new_master_is_told_of_it() {
    let mut node = Node::running();
    ends(&mut node, &["t"]);
    let mut node = node.restart("boot");
    node.on(Input::MasterConnected { connection: 1 });
    let told = node.said.iter().find_map(|it| match it {
        Effect::Register { request, .. } => Some(request.completed.clone()),
        _ => None,
    });
    let told = told.expect("a registration");
    assert_eq!(told[0].tasks[0].task_id.value, "t");
}

#[test]
fn so_much_is_remembered_and_no_more() {
    let mut node = Node::running();
    node.core.config.max_completed_executors_per_framework = 2;
    ends(&mut node, &["t1", "t2", "t3"]);
    // The framework, two executors, and a task of each.
    assert_eq!(node.kept.past.len(), 5);
    let again = node.restart("boot");
    let executors = |node: &Node| shown(&completed(node)[0].completed_executors);
    assert_eq!(executors(&again), of(&["t2", "t3"]));
    let fewer = |most| node.restart_with(|it| it.max_completed_executors_per_framework = most);
    assert_eq!(executors(&fewer(1)), of(&["t3"]));
    assert_eq!(fewer(1).kept.past.len(), 3);
    let none = node.restart_with(|it| it.max_completed_frameworks = 0);
    assert!(completed(&none).is_empty() && none.kept.past.is_empty());
    let none = node.restart_with(|it| it.max_completed_tasks_per_executor = 0);
    let bare = ["t1", "t2", "t3"].map(|it| (it.to_owned(), Vec::new()));
    assert_eq!(executors(&none), bare[1..]);
    assert_eq!(none.kept.past.len(), 3);
}

#[test]
fn a_framework_that_comes_back_has_its_past() {
    let mut node = Node::running();
    ends(&mut node, &["t1"]);
    let mut node = node.restart("boot");
    node.connect();
    node.run(task("t2"));
    node.start();
    let node = node.restart("boot");
    let state = node.core.state();
    assert!(state.completed_frameworks.is_empty());
    assert_eq!(shown(&state.frameworks[0].completed_executors), of(&["t1"]));
}

#[test]
fn an_executor_that_goes_on_has_the_tasks_that_ended() {
    let mut node = Node::running();
    node.run(executor_task("t"));
    let container_id = node.start();
    node.subscribe(1, Vec::new());
    node.executor_says(1, TaskRunning);
    node.drain();
    // An id that is used again is of the later task.
    for number in [2, 4] {
        node.executor_says(number, TaskFinished);
        node.drain();
        node.order(Order::RunTask(Box::new(node::RunTask {
            framework_info: framework(),
            launch_executor: false,
            task: executor_task("t"),
            term: 3,
        })));
        node.sleep(Duration::from_secs(1));
        node.executor_says(number + 1, TaskRunning);
        node.drain();
    }
    assert_eq!(node.kept.past.len(), 1);
    let mut node = node.restart("boot");
    node.found_running(&container_id);
    let state = node.core.state();
    let executor = &state.frameworks[0].executors[0];
    let tasks = executor.completed_tasks.iter();
    let tasks: Vec<_> = tasks.map(|task| task.task_id.value.as_str()).collect();
    assert_eq!(tasks, ["t"]);
    assert_eq!(executor.launched_tasks.len(), 1);
}

#[test]
fn a_task_that_nobody_acknowledged_is_part_of_it_as_it_ended() {
    let mut node = Node::running();
    node.run(task("t"));
    let container_id = node.start();
    node.drain();
    node.shut_down_framework();
    node.exit(&container_id, 9);
    let node = node.restart("boot");
    let known = completed(&node);
    let task = &known[0].completed_executors[0].completed_tasks[0];
    assert_eq!(task.state(), TaskRunning);
}

#[test]
fn what_was_within_a_damaged_record_is_forgotten() {
    let mut node = Node::running();
    ends(&mut node, &["t1", "t2"]);
    let (framework, executor): (Vec<_>, Vec<_>) = {
        let paths = node.kept.past.keys().cloned();
        let paths: Vec<_> = paths.filter(|path| path.len() < 3).collect();
        paths.into_iter().partition(|path| path.len() == 1)
    };
    let mut without = node.restart("boot");
    without.kept.past.clone_from(&node.kept.past);
    without.kept.past.remove(&executor[0]);
    let without = without.restart("boot");
    assert_eq!(completed(&without)[0].completed_executors.len(), 1);
    assert_eq!(without.kept.past.len(), 3);
    node.kept.past.remove(&framework[0]);
    let without = node.restart("boot");
    assert!(completed(&without).is_empty() && without.kept.past.is_empty());
}
