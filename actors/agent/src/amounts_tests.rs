use super::{Most, most, most_within};
use crate::{config::Machine, effect::ExecutorKey, testing::*};

fn limited(id: &str, limit: Option<f64>) -> TaskInfo {
    let limits = limit.map(|value| ("cpus".to_owned(), value::Scalar { value }));
    TaskInfo {
        resources: vec![scalar("cpus", 1.0)],
        limits: limits.into_iter().collect(),
        ..task(id)
    }
}

const MACHINE: Machine = Machine {
    cpus: 16,
    memory_bytes: 64 << 30,
};

fn of(node: &Node, executor_id: &str) -> Option<f64> {
    most_of(node, executor_id).cpus
}

fn most_of(node: &Node, executor_id: &str) -> Most {
    let key = ExecutorKey {
        framework_id: "f".to_owned(),
        executor_id: executor_id.to_owned(),
    };
    let executor = node.core.executor(&key).expect("it runs");
    most(&node.core.config, executor)
}

#[test]
fn a_limit_of_cpus_is_what_a_task_asks_for_or_what_all_are_bound_to() {
    for (by_flag, asked, told) in [
        (false, None, None),
        (false, Some(2.0), Some(2.1)),
        (false, Some(f64::INFINITY), Some(16.0)),
        (true, None, Some(1.1)),
        (true, Some(2.0), Some(2.1)),
    ] {
        let mut node = Node::running();
        node.core.config.limit_cpus = by_flag;
        node.core.config.machine = MACHINE;
        node.run(limited("t", asked));
        assert_eq!(of(&node, "t"), told, "{by_flag} {asked:?}");
        let own = asked.map(|it| if it.is_finite() { it } else { 16.0 });
        let own = own.or_else(|| by_flag.then_some(1.0));
        let task = limited("t", asked);
        assert_eq!(most_within(&node.core.config, &task).cpus, own);
    }
}

#[test]
fn a_group_is_bound_together() {
    let mut node = Node::running();
    let tasks = vec![limited("a", Some(2.0)), limited("b", None)];
    node.order(group_order(pod(), tasks, true));
    node.start();
    assert_eq!(of(&node, "e"), Some(3.1));
}

#[test]
fn a_limit_of_memory_is_told_whatever_keeps_a_container_to_it() {
    for (asked, told, within) in [
        (None, None, None),
        (Some(100.0), Some(132 << 20), Some(100 << 20)),
        (
            Some(f64::INFINITY),
            Some(MACHINE.memory_bytes),
            Some(MACHINE.memory_bytes),
        ),
    ] {
        let mut node = Node::running();
        node.core.config.machine = MACHINE;
        let limits = asked.map(|value| ("mem".to_owned(), value::Scalar { value }));
        let task = TaskInfo {
            resources: vec![scalar("mem", 50.0)],
            limits: limits.into_iter().collect(),
            ..task("t")
        };
        node.run(task.clone());
        assert_eq!(most_of(&node, "t").memory_bytes, told);
        let found = most_within(&node.core.config, &task);
        assert_eq!(found.memory_bytes, within);
    }
}
