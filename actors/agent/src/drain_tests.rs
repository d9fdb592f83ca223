use tepui_protocol::{
    node,
    signal::SIGTERM,
    v1::{DrainConfig, DurationInfo, TaskInfo, TaskState, task_status::Reason},
};

use crate::{
    effect::{Effect, Order},
    testing::{Node, executor, executor_task, policy, task},
};

fn drain(grace_s: Option<i64>, mark_gone: bool) -> Order {
    Order::DrainAgent(node::DrainAgent {
        config: DrainConfig {
            max_grace_period: grace_s.map(|seconds| DurationInfo {
                nanoseconds: seconds * 1_000_000_000,
            }),
            mark_gone: Some(mark_gone),
        },
        term: 3,
    })
}

fn patient(id: &str, seconds: u64) -> TaskInfo {
    TaskInfo {
        kill_policy: Some(policy(seconds)),
        ..task(id)
    }
}

#[test]
fn what_runs_is_killed_and_nothing_new_is_run_until_all_is_gone() {
    let mut node = Node::running();
    node.run(task("t"));
    let container = node.start();
    node.drain();
    node.order(drain(None, false));
    assert!(node.core.state().draining.is_some());
    let told = node.drain();
    assert_eq!(told[0].state(), TaskState::TaskKilling);
    assert_eq!(told[0].reason(), Reason::AgentDraining);
    node.run(task("late"));
    let told = node.drain();
    assert_eq!(told[0].state(), TaskState::TaskDropped);
    assert_eq!(told[0].reason(), Reason::AgentDraining);
    node.exit(&container, SIGTERM);
    let told = node.drain();
    assert_eq!(told[0].state(), TaskState::TaskKilled);
    assert_eq!(told[0].reason(), Reason::AgentDraining);
    // All is told and acknowledged.
    assert_eq!(node.core.state().draining, None);
    node.run(task("next"));
    node.start();
}

#[test]
fn of_an_agent_that_is_to_be_gone_tasks_end_as_gone() {
    let mut node = Node::running();
    node.run(task("t"));
    let container = node.start();
    node.drain();
    node.order(drain(None, true));
    assert_eq!(node.states(), [TaskState::TaskKilling]);
    node.exit(&container, SIGTERM);
    assert_eq!(node.states(), [TaskState::TaskGoneByOperator]);
}

#[test]
fn the_shorter_grace_holds() {
    for (own, most, expected) in [(600, Some(2), 2), (1, Some(60), 1), (5, None, 5)] {
        let mut node = Node::running();
        node.run(patient("t", own));
        node.start();
        node.drain();
        node.order(drain(most, false));
        node.sleep(std::time::Duration::from_millis(expected * 1000 - 1));
        let destroyed = |node: &Node| {
            let mut said = node.said.iter();
            said.any(|it| matches!(it, Effect::Destroy { .. }))
        };
        assert!(!destroyed(&node), "{own} {most:?}");
        node.sleep(std::time::Duration::from_millis(2));
        assert!(destroyed(&node), "{own} {most:?}");
    }
}

#[test]
fn an_idle_agent_has_drained_already() {
    let mut node = Node::running();
    node.order(drain(None, false));
    assert_eq!(node.core.state().draining, None);
}

#[test]
fn what_waits_is_killed_too() {
    // A task whose executor has not come yet, and one whose files are being fetched.
    let waiting = [crate::testing::executor_task("t"), task("t")];
    let endings = [
        (false, TaskState::TaskKilled),
        (true, TaskState::TaskGoneByOperator),
    ];
    for (waiting, (is_gone, ending)) in waiting
        .iter()
        .flat_map(|it| endings.map(|ending| (it, ending)))
    {
        let mut node = Node::running();
        node.run(waiting.clone());
        let container = node.launched().order.container_id;
        node.order(drain(None, is_gone));
        assert!(node.core.state().draining.is_some());
        assert!(node.said.contains(&Effect::Destroy {
            container_id: container.clone()
        }));
        let told = node.drain();
        assert_eq!(told[0].state(), ending);
        assert_eq!(told[0].reason(), Reason::AgentDraining);
        node.exit(&container, 9);
        assert_eq!(node.core.state().draining, None);
    }
}

#[test]
fn what_drained_before_a_restart_is_killed_after_it() {
    let mut node = Node::running();
    node.run(patient("t", 600));
    let container = node.start();
    node.drain();
    node.order(drain(Some(2), false));
    node.drain();
    let mut again = node.restart("boot");
    again.on(crate::effect::Input::ContainerRecovered {
        container_id: container.clone(),
        fate: crate::effect::Fate::Running {
            shim: crate::testing::mark(),
            pid: 42,
        },
    });
    again.connect();
    // The master tells each agent again that returns while it drains.
    again.order(drain(Some(2), false));
    let killed = |node: &Node| {
        let mut said = node.said.iter();
        said.any(|it| matches!(it, Effect::Destroy { .. }))
    };
    again.sleep(std::time::Duration::from_secs(2));
    assert!(killed(&again));
    again.exit(&container, 9);
    let last = again.drain().pop().unwrap();
    assert_eq!(
        (last.state(), last.reason()),
        (TaskState::TaskKilled, Reason::AgentDraining)
    );
}

#[test]
fn what_ends_between_a_restart_and_a_master_is_told_as_drained() {
    for (is_gone, ended) in [
        (false, TaskState::TaskKilled),
        (true, TaskState::TaskGoneByOperator),
    ] {
        let mut node = Node::running();
        node.run(task("t"));
        let container = node.start();
        node.order(drain(None, is_gone));
        node.drain();
        let mut again = node.restart("boot");
        assert_eq!(again.core.state().draining, node.core.state().draining);
        again.found_running(&container);
        again.exit(&container, SIGTERM);
        again.connect();
        let last = again.drain().pop().unwrap();
        assert_eq!(
            (last.state(), last.reason()),
            (ended, Reason::AgentDraining)
        );
        assert_eq!(again.kept.drain, None);
        assert_eq!(again.restart("boot").core.state().draining, None);
    }
}

#[test]
fn an_executor_that_comes_back_is_told_to_kill_before_any_master_is_there() {
    let mut node = Node::running();
    node.run(executor_task("t"));
    let container = node.start();
    node.subscribe(1, Vec::new());
    node.executor_says(1, TaskState::TaskRunning);
    node.drain();
    node.order(drain(None, false));
    let mut again = node.restart("boot");
    again.found_running(&container);
    again.subscribe(2, Vec::new());
    assert!(again.events().contains(&executor::event::Type::Kill));
}

#[test]
fn a_start_that_is_refused_forgets_no_drain() {
    let mut node = Node::running();
    node.run(task("t"));
    node.start();
    node.order(drain(None, true));
    let refused = node.restart_with(|config| config.info.hostname = "another".to_owned());
    let last = refused.said.last();
    assert!(matches!(last, Some(Effect::Exit(_))), "{last:?}");
    assert_eq!(refused.kept.drain, node.kept.drain);
    assert!(refused.kept.drain.is_some());
}
