use std::time::Duration;

use serde_json::{Value, json};
use tepui_messages::{
    change::{Change, TaskKept},
    master::AgentMessage,
};
use tepui_protocol::{
    node,
    v1::{ExecutorId, TaskState},
};

use crate::{
    core::Input,
    frameworks::framework_id,
    removals::{RemovalRate, Removals},
    stage::{Node, Scheduler, Stage},
};

const PATIENCE: Duration = Duration::from_secs(600);

fn aware() -> Value {
    json!({"capabilities": [{"type": "PARTITION_AWARE"}], "failover_timeout": 6000.0, "checkpoint": true})
}

fn plain() -> Value {
    json!({"failover_timeout": 6000.0, "checkpoint": true})
}

/// A task that runs, on an agent that lists its framework when it returns.
fn running(info: Value) -> (Stage, Node, Scheduler) {
    let mut stage = Stage::new();
    let mut node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(info);
    stage.run(&fw, &node, "t", "cpus:1;mem:32");
    stage.update(&node, &fw, "t", TaskState::TaskRunning, 1);
    stage.acknowledge(&fw, &node, "t", 1);
    stage.told(&fw);
    stage.ordered(&node);
    node.request.frameworks = vec![stage.core.frameworks[&fw.id].info().clone()];
    (stage, node, fw)
}

/// Nothing was heard from the agent for too long.
fn give_up(stage: &mut Stage, node: &Node) {
    stage.input(Input::AgentLost {
        peer: node.peer,
        silent: true,
    });
    stage.pass(Duration::ZERO);
    assert!(stage.core.unreachable_agents.contains_key(&node.id));
}

fn reconcile(stage: &mut Stage, fw: &Scheduler, node: &Node) -> Value {
    let about = json!({"task_id": {"value": "t"}, "agent_id": {"value": node.id}});
    let call = json!({"type": "RECONCILE", "reconcile": {"tasks": [about]}});
    stage.events_of(&fw.stream);
    stage.call(fw, call);
    let mut events = stage.events_of(&fw.stream);
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)["update"]["status"].take()
}

#[test]
fn tasks_of_an_unreachable_agent_return_under_the_next_leader() {
    for info in [aware(), plain()] {
        let (mut stage, node, fw) = running(info.clone());
        let task = stage.task(&fw, "t");
        give_up(&mut stage, &node);
        stage.fail_over();
        let fw = stage.resubscribe(&fw.id, info);
        assert_eq!(stage.state(&fw, "t"), None);
        let (_, registration) = stage.back(&node, vec![task]);
        assert_eq!(registration.refusal, None);
        assert!(registration.shutdown_frameworks.is_empty());
        assert_eq!(
            stage.told(&fw),
            ["t TASK_RUNNING REASON_AGENT_REREGISTERED Unreachable agent re-reregistered"]
        );
        assert_eq!(stage.state(&fw, "t"), Some(TaskState::TaskRunning));
        assert!(stage.core.unreachable_agents.is_empty());
    }
}

#[test]
fn a_framework_that_ends_while_an_agent_is_unreachable_is_shut_down_on_its_return() {
    let (mut stage, node, fw) = running(aware());
    let task = stage.task(&fw, "t");
    give_up(&mut stage, &node);
    stage.call(&fw, json!({"type": "TEARDOWN"}));
    let (node, registration) = stage.back(&node, vec![task]);
    assert_eq!(registration.shutdown_frameworks, [framework_id(&fw.id)]);
    assert!(stage.core.frameworks.is_empty());
    assert_eq!(stage.ledger.free(&node.id), stage.ledger.totals[&node.id]);
}

#[test]
fn an_agent_that_was_given_up_is_not_heard_before_it_returns() {
    let (mut stage, node, fw) = running(plain());
    let task = stage.task(&fw, "t");
    give_up(&mut stage, &node);
    stage.told(&fw);
    stage.update(&node, &fw, "t", TaskState::TaskFinished, 2);
    let exited = node::ExecutorExited {
        framework_id: framework_id(&fw.id),
        executor_id: ExecutorId {
            value: "e".to_string(),
        },
        status: 9,
    };
    stage.says(&node, AgentMessage::ExecutorExited(exited));
    assert!(stage.told(&fw).is_empty());
    let (node, _) = stage.back(&node, vec![task]);
    stage.told(&fw);
    stage.update(&node, &fw, "t", TaskState::TaskFinished, 2);
    assert_eq!(stage.told(&fw), ["t TASK_FINISHED"]);
}

#[test]
fn a_task_that_ended_on_an_unreachable_agent_is_told_acknowledged_and_completed() {
    for (info, unknown) in [(aware(), "TASK_GONE"), (plain(), "TASK_LOST")] {
        let (mut stage, node, fw) = running(info);
        let mut task = stage.task(&fw, "t");
        give_up(&mut stage, &node);
        stage.told(&fw);
        task.state = TaskState::TaskFinished as i32;
        let (node, _) = stage.back(&node, vec![task]);
        assert_eq!(
            stage.told(&fw),
            ["t TASK_FINISHED REASON_AGENT_REREGISTERED Unreachable agent re-reregistered"]
        );
        assert_eq!(stage.ledger.free(&node.id), stage.ledger.totals[&node.id]);
        stage.update(&node, &fw, "t", TaskState::TaskFinished, 2);
        assert_eq!(stage.told(&fw), ["t TASK_FINISHED"]);
        stage.changes.clear();
        stage.acknowledge(&fw, &node, "t", 2);
        assert_eq!(stage.state(&fw, "t"), None);
        let completed = stage.changes.iter().any(|change| {
            matches!(change, Change::TaskRemoved { task_id, kept: TaskKept::Completed, .. }
                if task_id.value == "t")
        });
        assert!(completed, "{:?}", stage.changes);
        let answer = reconcile(&mut stage, &fw, &node);
        assert_eq!(answer["state"], unknown);
        assert_eq!(answer["reason"], "REASON_RECONCILIATION");
        assert_eq!(answer.get("unreachable_time"), None);
    }
}

#[test]
fn a_framework_that_was_away_learns_of_an_unreachable_agent_by_asking() {
    let (mut stage, node, fw) = running(plain());
    let task = stage.task(&fw, "t");
    stage.fail_over();
    let (node, _) = stage.back(&node, vec![task]);
    give_up(&mut stage, &node);
    let since = stage.now;
    let fw = stage.resubscribe(&fw.id, plain());
    assert!(stage.told(&fw).is_empty());
    let answer = reconcile(&mut stage, &fw, &node);
    assert_eq!(answer["state"], "TASK_LOST");
    assert_eq!(answer["reason"], "REASON_RECONCILIATION");
    assert_eq!(answer["unreachable_time"]["nanoseconds"], since);
}

#[test]
fn an_agent_is_given_up_once_however_long_the_write_takes() {
    let (mut stage, node, fw) = running(plain());
    stage.hold_writes = true;
    stage.lose(&node);
    stage.pass(PATIENCE);
    stage.input(Input::AgentLost {
        peer: node.peer,
        silent: true,
    });
    stage.pass(PATIENCE * 2);
    assert_eq!(stage.core.pending.len(), 1, "one write is under way");
    // Until it is written nothing is (Mesos: `MasterTest.EndpointsForHalfRemovedSlave`).
    assert!(stage.told(&fw).is_empty() && stage.core.agents.contains_key(&node.id));
    stage.release_writes();
    assert_eq!(
        stage.told(&fw),
        [
            "t TASK_LOST REASON_AGENT_REMOVED agent did not reregister within 10mins after disconnecting",
            "FAILURE"
        ]
    );
    assert!(!stage.core.agents.contains_key(&node.id));
}

#[test]
fn one_that_fell_silent_is_told_from_one_that_did_not_come_back() {
    let (mut stage, node, fw) = running(aware());
    stage.input(Input::AgentLost {
        peer: node.peer,
        silent: true,
    });
    stage.pass(PATIENCE);
    assert_eq!(
        stage.told(&fw)[0],
        "t TASK_UNREACHABLE REASON_AGENT_REMOVED health check timed out"
    );
}

#[test]
fn what_was_unreachable_on_an_agent_that_is_marked_gone_is_told_and_completed() {
    for (framework, expected) in [
        (
            aware(),
            "t TASK_GONE_BY_OPERATOR REASON_AGENT_REMOVED_BY_OPERATOR Agent has been marked gone",
        ),
        (
            plain(),
            "t TASK_LOST REASON_AGENT_REMOVED Agent has been marked gone",
        ),
    ] {
        let (mut stage, node, fw) = running(framework);
        give_up(&mut stage, &node);
        stage.told(&fw);
        stage.operator(gone(&node));
        // That the agent is lost was told before.
        assert_eq!(stage.told(&fw), [expected]);
        assert!(stage.core.frameworks[&fw.id].unreachable.is_empty());
        let is_told = |change: &Change| matches!(change, Change::TaskEndedAway { .. });
        assert!(stage.changes.iter().any(is_told));
    }
}

#[test]
fn what_is_unreachable_ends_with_its_framework() {
    let (mut stage, node, fw) = running(aware());
    give_up(&mut stage, &node);
    stage.call(&fw, json!({"type": "TEARDOWN"}));
    let killed = stage.changes.iter().any(|change| {
        matches!(change, Change::TaskEndedAway { task, .. } if task.state() == TaskState::TaskKilled)
    });
    assert!(killed);
}

#[test]
fn an_end_that_nobody_acknowledged_is_told_again_where_the_agent_will_not() {
    let (mut stage, node, fw) = running(aware());
    stage.update(&node, &fw, "t", TaskState::TaskFinished, 7);
    stage.told(&fw);
    stage.operator(gone(&node));
    assert_eq!(
        stage.told(&fw)[0],
        "t TASK_FINISHED REASON_AGENT_REMOVED_BY_OPERATOR Agent has been marked gone"
    );
}

fn gone(node: &Node) -> Value {
    json!({"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": node.id}}})
}

#[test]
fn a_task_that_an_agent_does_not_bring_back_is_nowhere() {
    let (mut stage, node, fw) = running(aware());
    give_up(&mut stage, &node);
    stage.told(&fw);
    let (node, _) = stage.back(&node, vec![]);
    assert!(stage.told(&fw).is_empty());
    assert!(stage.core.frameworks[&fw.id].unreachable.is_empty());
    assert_eq!(reconcile(&mut stage, &fw, &node)["state"], "TASK_GONE");
    // Its id can be used again.
    stage.run(&fw, &node, "t", "cpus:1;mem:32");
}

#[test]
fn a_task_that_ended_unacknowledged_is_unreachable_with_its_agent_and_completed_after() {
    let (mut stage, node, fw) = running(aware());
    stage.update(&node, &fw, "t", TaskState::TaskFinished, 2);
    stage.told(&fw);
    stage.changes.clear();
    let task = stage.task(&fw, "t");
    give_up(&mut stage, &node);
    // Its end stays what it was.
    assert_eq!(stage.told(&fw), ["FAILURE"]);
    let kept = |stage: &Stage, wanted: TaskKept| {
        let mut changes = stage.changes.iter();
        changes.any(|it| matches!(it, Change::TaskRemoved { kept, .. } if *kept == wanted))
    };
    assert!(kept(&stage, TaskKept::Unreachable) && !kept(&stage, TaskKept::Completed));
    assert_eq!(
        reconcile(&mut stage, &fw, &node)["state"],
        "TASK_UNREACHABLE"
    );
    let (node, _) = stage.back(&node, vec![task]);
    assert_eq!(stage.state(&fw, "t"), Some(TaskState::TaskFinished));
    stage.update(&node, &fw, "t", TaskState::TaskFinished, 2);
    stage.told(&fw);
    stage.acknowledge(&fw, &node, "t", 2);
    assert_eq!(stage.state(&fw, "t"), None);
    assert!(kept(&stage, TaskKept::Completed));
}

/// A task of a framework that has not found this leader yet.
#[test]
fn a_task_may_become_unreachable_before_its_framework_is_back() {
    let (mut stage, node, fw) = running(aware());
    let task = stage.task(&fw, "t");
    stage.fail_over();
    let (node, _) = stage.back(&node, vec![task]);
    give_up(&mut stage, &node);
    assert_eq!(stage.core.frameworks[&fw.id].unreachable.len(), 1);
    let fw = stage.resubscribe(&fw.id, aware());
    let status = reconcile(&mut stage, &fw, &node);
    assert_eq!(status["state"], "TASK_UNREACHABLE");
}

#[test]
fn what_ended_under_one_leader_is_remembered_by_the_next() {
    let (mut stage, mut node, fw) = running(aware());
    let other = stage.subscribe(plain());
    let mut completed = Vec::new();
    for fw in [&fw, &other] {
        let mut task = stage.core.frameworks[&fw.id].info().clone();
        task.name = "renamed since".to_owned();
        completed.push(node::CompletedTasks {
            framework_info: task,
            tasks: ["second", "first"]
                .map(|id| ended(&stage, &fw.id, &node, id))
                .to_vec(),
        });
    }
    let unknown = node::CompletedTasks {
        framework_info: json_framework("nobody"),
        tasks: vec![ended(&stage, "nobody", &node, "t")],
    };
    completed.push(unknown);
    node.request.completed = completed;
    stage.call(&other, json!({"type": "TEARDOWN"}));
    let task = stage.task(&fw, "t");
    stage.changes.clear();
    stage.fail_over();
    let recalled = stage.changes.iter().find_map(|change| match change {
        Change::FrameworkCompleted { record, at } => Some((record.info.id.clone(), *at)),
        _ => None,
    });
    let (id, at) = recalled.expect("the framework that ended");
    assert_eq!((id.unwrap().value, at), (other.id.clone(), stage.now));
    stage.changes.clear();
    let (node, registration) = stage.back(&node, vec![task.clone()]);
    assert_eq!(registration.refusal, None);
    let told = |stage: &Stage| {
        let changes = stage.changes.iter();
        let ended = changes.filter_map(|change| match change {
            Change::TaskCompleted(task) => {
                Some((task.framework_id.value.clone(), task.task_id.value.clone()))
            }
            _ => None,
        });
        ended.collect::<Vec<_>>()
    };
    let of = |id: &String, task: &str| (id.clone(), task.to_owned());
    assert_eq!(
        told(&stage),
        [
            of(&fw.id, "first"),
            of(&fw.id, "second"),
            of(&other.id, "first"),
            of(&other.id, "second")
        ]
    );
    assert_eq!(stage.state(&fw, "t"), Some(TaskState::TaskRunning));
    // This leader knows them now.
    stage.changes.clear();
    stage.lose(&node);
    stage.back(&node, vec![task]);
    assert!(told(&stage).is_empty());
}

fn json_framework(id: &str) -> tepui_protocol::v1::FrameworkInfo {
    crate::stage::decode(&json!({"user": "root", "name": "test", "id": {"value": id}}))
}

fn ended(stage: &Stage, framework: &str, node: &Node, id: &str) -> tepui_protocol::v1::Task {
    let task = crate::stage::task(id, node, "cpus:1;mem:32");
    assert!(stage.core.agents.contains_key(&node.id));
    crate::stage::decode(&json!({
        "name": id, "task_id": task["task_id"], "agent_id": task["agent_id"],
        "framework_id": {"value": framework}, "state": "TASK_FINISHED", "resources": task["resources"],
    }))
}

#[test]
fn an_agent_that_leaves_while_it_is_given_up_is_told_of_once() {
    let (mut stage, node, fw) = running(plain());
    stage.hold_writes = true;
    stage.lose(&node);
    stage.pass(PATIENCE);
    // What it said before its connection ended comes late.
    stage.says(&node, AgentMessage::Leaves(node::AgentLeaves::default()));
    stage.release_writes();
    assert_eq!(
        stage.told(&fw),
        [
            "t TASK_LOST REASON_AGENT_REMOVED agent did not reregister within 10mins after disconnecting",
            "FAILURE"
        ]
    );
    assert!(stage.core.agents.is_empty() && stage.core.pending.is_empty());
}

#[test]
fn an_agent_that_is_lost_while_it_leaves_is_told_of_once() {
    let (mut stage, node, fw) = running(plain());
    stage.hold_writes = true;
    stage.says(&node, AgentMessage::Leaves(node::AgentLeaves::default()));
    stage.lose(&node);
    stage.pass(PATIENCE * 2);
    stage.release_writes();
    let told = stage.told(&fw);
    let ends = told.iter().filter(|it| it.starts_with("t TASK_LOST"));
    assert_eq!(ends.count(), 1, "{told:?}");
    let failures = told.iter().filter(|it| *it == "FAILURE");
    assert_eq!(failures.count(), 1, "{told:?}");
    assert!(stage.core.agents.is_empty() && stage.core.pending.is_empty());
    assert!(!stage.core.unreachable_agents.contains_key(&node.id));
}

#[test]
fn an_agent_that_the_registry_keeps_is_neither_removed_nor_lost_for_ever() {
    let (mut stage, node, _) = running(plain());
    stage.refuses = |_| true;
    stage.says(&node, AgentMessage::Leaves(node::AgentLeaves::default()));
    assert!(stage.core.agents.contains_key(&node.id));
    stage.lose(&node);
    stage.pass(PATIENCE * 2);
    assert!(!stage.core.unreachable_agents.contains_key(&node.id));
    stage.refuses = |_| false;
    stage.pass(Duration::from_secs(11));
    assert!(stage.core.unreachable_agents.contains_key(&node.id));
}

#[test]
fn an_agent_whose_return_is_being_written_when_its_time_ends_is_given_up_if_that_fails() {
    let (mut stage, mut node, _) = running(plain());
    stage.fail_over();
    stage.hold_writes = true;
    stage.refuses = |_| true;
    node.request.agent_info.hostname = "renamed".to_string();
    let peer = tepui_messages::master::PeerId(stage.next());
    stage.begin_registration(peer, node.request.clone());
    stage.pass(PATIENCE + Duration::from_secs(1));
    stage.refuses = |_| false;
    stage.release_writes();
    stage.pass(Duration::from_secs(11));
    assert!(stage.core.unreachable_agents.contains_key(&node.id));
}

#[test]
fn a_task_whose_agent_does_not_come_to_the_next_leader_is_lost_since_then_and_may_return() {
    let (mut stage, node, fw) = running(plain());
    let task = stage.task(&fw, "t");
    stage.fail_over();
    let fw = stage.resubscribe(&fw.id, plain());
    stage.pass(PATIENCE);
    let since = stage.now;
    let answer = reconcile(&mut stage, &fw, &node);
    assert_eq!(answer["state"], "TASK_LOST");
    assert_eq!(answer["unreachable_time"]["nanoseconds"], since);
    stage.back(&node, vec![task]);
    let told = stage.told(&fw);
    assert!(told[0].starts_with("t TASK_RUNNING"), "{told:?}");
}

#[test]
fn agents_that_do_not_come_to_the_next_leader_are_given_up_at_the_rate() {
    let mut stage = Stage::new();
    for _ in 0..2 {
        stage.agent("cpus:1;mem:32");
    }
    stage.fail_over();
    let (agents, within) = (1, Duration::from_secs(60));
    stage.core.removals = Removals::new(Some(RemovalRate { agents, within }));
    stage.pass(PATIENCE + Duration::from_secs(59));
    assert_eq!(stage.core.unreachable_agents.len(), 1);
    stage.pass(Duration::from_secs(2));
    assert_eq!(stage.core.unreachable_agents.len(), 2);
}
