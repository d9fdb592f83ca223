use tepui_messages::containers::Patience;

use crate::testing::*;

const AWAY: Duration = Duration::from_mins(20);
const SHUTDOWN: Duration = Duration::from_secs(8);

fn node() -> Node {
    let mut node = Node::running();
    node.core.config.recovery_timeout = AWAY;
    node.core.config.executor_shutdown_grace = SHUTDOWN;
    node
}

fn with_grace(id: &str, seconds: u64) -> TaskInfo {
    TaskInfo {
        kill_policy: Some(policy(seconds)),
        ..task(id)
    }
}

fn patience(timeout: Duration, grace: u64) -> Option<Patience> {
    let grace = Duration::from_secs(grace);
    Some(Patience { timeout, grace })
}

#[test]
fn a_command_outlives_its_agent_by_the_recovery_timeout() {
    for (task, grace) in [(task("t"), 6), (with_grace("t", 30), 30)] {
        let mut node = node();
        node.run(task);
        assert_eq!(node.launched().order.patience, patience(AWAY, grace));
    }
}

#[test]
fn a_framework_without_checkpoints_has_no_time_at_all() {
    let mut node = node();
    node.order(careless_order());
    assert_eq!(node.launched().order.patience, patience(Duration::ZERO, 6));
}

#[test]
fn what_a_framework_executes_itself_decides_itself() {
    let mut node = node();
    node.run(executor_task("t"));
    assert_eq!(node.launched().order.patience, None);
}

#[test]
fn tasks_of_a_group_end_before_what_is_around_them() {
    let mut node = node();
    node.order(group_order(
        pod(),
        vec![task("g1"), with_grace("g2", 1), with_grace("g3", 30)],
        true,
    ));
    let outer = node.launched().order;
    assert_eq!(outer.patience, patience(AWAY, 8));
    node.on(started(&outer.container_id, 42));
    let graces = [3, 1, 6];
    let ordered: Vec<_> = (0..3).map(|_| node.launched().order.patience).collect();
    assert_eq!(ordered, graces.map(|grace| patience(AWAY, grace)));
}
