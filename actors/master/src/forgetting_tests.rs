use std::time::Duration;

use serde_json::json;
use tepui_protocol::v1::TaskState;

use crate::{
    core::{Forgetting, Input},
    stage::{Node, Scheduler, Stage},
};

const INTERVAL: Duration = Duration::from_mins(15);

fn master(max_age: Duration, max_agents: u64) -> Stage {
    let mut stage = Stage::new();
    stage.core.config.forgetting = Forgetting {
        interval: INTERVAL,
        max_age,
        max_agents,
    };
    stage
}

fn give_up(stage: &mut Stage, node: &Node) {
    stage.input(Input::AgentLost {
        peer: node.peer,
        silent: true,
    });
    stage.pass(Duration::from_secs(61));
    assert!(stage.core.unreachable_agents.contains_key(&node.id));
}

/// Of the master, which the registry must agree with.
fn remembered(stage: &Stage) -> Vec<String> {
    let registry = stage.registry.reader().copy();
    let known: Vec<String> = stage.core.unreachable_agents.keys().cloned().collect();
    assert_eq!(registry.unreachable.into_keys().collect::<Vec<_>>(), known);
    let gone = stage.core.gone_agents.keys().cloned();
    assert_eq!(
        registry.gone.into_keys().collect::<Vec<_>>(),
        gone.collect::<Vec<_>>()
    );
    known
}

fn answer(stage: &mut Stage, fw: &Scheduler, node: &Node) -> String {
    let about = json!({"task_id": {"value": "t"}, "agent_id": {"value": node.id}});
    stage.events_of(&fw.stream);
    stage.call(
        fw,
        json!({"type": "RECONCILE", "reconcile": {"tasks": [about]}}),
    );
    let events = stage.events_of(&fw.stream);
    let state = events[0]["update"]["status"]["state"].as_str();
    state.unwrap().to_owned()
}

fn aware() -> serde_json::Value {
    json!({"capabilities": [{"type": "PARTITION_AWARE"}], "failover_timeout": 1e6})
}

#[test]
fn the_oldest_unreachable_agents_beyond_the_number_are_forgotten() {
    let mut stage = master(Duration::from_hours(24), 1);
    let fw = stage.subscribe(aware());
    let old = stage.agent("cpus:4;mem:4096");
    let new = stage.agent("cpus:4;mem:4096");
    let _third = stage.agent("cpus:4;mem:4096");
    give_up(&mut stage, &old);
    give_up(&mut stage, &new);
    assert_eq!(answer(&mut stage, &fw, &old), "TASK_UNREACHABLE");
    stage.pass(INTERVAL);
    assert_eq!(remembered(&stage), [new.id.as_str()]);
    assert_eq!(answer(&mut stage, &fw, &old), "TASK_UNKNOWN");
    assert_eq!(answer(&mut stage, &fw, &new), "TASK_UNREACHABLE");
    // It may come back with its id all the same.
    let (back, registration) = stage.back(&old, vec![]);
    assert_eq!((registration.refusal, &back.id), (None, &old.id));
    assert_eq!(answer(&mut stage, &fw, &old), "TASK_GONE");
}

/// Many at once, and the next leader remembers no more.
#[test]
fn of_many_unreachable_agents_none_beyond_the_number_is_left() {
    let mut stage = master(Duration::from_hours(24), 0);
    let lost: Vec<_> = (0..20).map(|_| stage.agent("cpus:1;mem:64")).collect();
    let _stay: Vec<_> = (0..100).map(|_| stage.agent("cpus:1;mem:64")).collect();
    for node in &lost {
        stage.lose(node);
    }
    // The limit on how fast agents are given up takes its time.
    stage.pass(Duration::from_secs(600 + 5 * 60));
    stage.pass(INTERVAL);
    assert!(remembered(&stage).is_empty());
    stage.fail_over();
    assert!(remembered(&stage).is_empty());
}

#[test]
fn unreachable_and_gone_agents_are_forgotten_when_they_have_been_so_for_long() {
    let mut stage = master(Duration::from_hours(1), 10);
    let fw = stage.subscribe(aware());
    let old = stage.agent("cpus:4;mem:4096");
    let gone = stage.agent("cpus:4;mem:4096");
    let _third = stage.agent("cpus:4;mem:4096");
    stage.operator(
        json!({"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": gone.id}}}),
    );
    give_up(&mut stage, &old);
    stage.pass(Duration::from_mins(45));
    assert_eq!(remembered(&stage), [old.id.as_str()]);
    assert_eq!(answer(&mut stage, &fw, &gone), "TASK_GONE_BY_OPERATOR");
    stage.pass(Duration::from_mins(30));
    assert!(remembered(&stage).is_empty());
    assert_eq!(answer(&mut stage, &fw, &gone), "TASK_UNKNOWN");
    assert_eq!(answer(&mut stage, &fw, &old), "TASK_UNKNOWN");
}

/// The agent asks while the prune that would forget it is under way, and the other way round.
#[test]
fn an_agent_that_returns_while_it_is_forgotten_stays() {
    for prune_first in [true, false] {
        let mut stage = master(Duration::from_hours(24), 0);
        let fw = stage.subscribe(aware());
        let node = stage.agent("cpus:4;mem:4096");
        let _other = stage.agent("cpus:4;mem:4096");
        stage.run(&fw, &node, "t", "cpus:1;mem:32");
        stage.update(&node, &fw, "t", TaskState::TaskRunning, 1);
        let task = stage.task(&fw, "t");
        give_up(&mut stage, &node);
        stage.told(&fw);
        stage.hold_writes = true;
        let mut request = node.request.clone();
        request.tasks = vec![task];
        let peer = tepui_messages::master::PeerId(77);
        let token = if prune_first {
            stage.pass(INTERVAL);
            stage.begin_registration(peer, request)
        } else {
            let token = stage.begin_registration(peer, request);
            stage.pass(INTERVAL);
            token
        };
        stage.release_writes();
        let registration = stage.registration(token).unwrap();
        assert_eq!(registration.refusal, None);
        assert!(stage.core.agents.contains_key(&node.id));
        assert!(remembered(&stage).is_empty());
        assert_eq!(stage.state(&fw, "t"), Some(TaskState::TaskRunning));
        assert_eq!(
            stage.told(&fw),
            ["t TASK_RUNNING REASON_AGENT_REREGISTERED Unreachable agent re-reregistered"]
        );
    }
}
