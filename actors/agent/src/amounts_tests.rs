use super::{cpus_limit, cpus_limit_within};
use crate::{effect::ExecutorKey, testing::*};

fn limited(id: &str, limit: Option<f64>) -> TaskInfo {
    let limits = limit.map(|value| ("cpus".to_owned(), value::Scalar { value }));
    TaskInfo {
        resources: vec![scalar("cpus", 1.0)],
        limits: limits.into_iter().collect(),
        ..task(id)
    }
}

fn of(node: &Node, executor_id: &str) -> Option<f64> {
    let key = ExecutorKey {
        framework_id: "f".to_owned(),
        executor_id: executor_id.to_owned(),
    };
    let executor = node.core.executor(&key).expect("it runs");
    cpus_limit(&node.core.config, executor)
}

#[test]
fn a_limit_of_cpus_is_what_a_task_asks_for_or_what_all_are_bound_to() {
    for (by_flag, asked, told) in [
        (false, None, None),
        (false, Some(2.0), Some(2.1)),
        (false, Some(f64::INFINITY), None),
        (true, None, Some(1.1)),
        (true, Some(2.0), Some(2.1)),
    ] {
        let mut node = Node::running();
        node.core.config.limit_cpus = by_flag;
        node.run(limited("t", asked));
        assert_eq!(of(&node, "t"), told, "{by_flag} {asked:?}");
        let own = asked.filter(|it| it.is_finite());
        let own = own.or_else(|| (by_flag && asked.is_none()).then_some(1.0));
        let task = limited("t", asked);
        assert_eq!(cpus_limit_within(&node.core.config, &task), own);
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
