use std::time::Duration;

use serde_json::{Value, json};
use tepui_messages::master::Answer;
use tepui_protocol::v1::{DrainState, TaskState};
use tepui_registry::Command;

use crate::stage::{Node, Stage};

fn drain(node: &Node, mark_gone: bool) -> Value {
    json!({"type": "DRAIN_AGENT", "drain_agent": {"agent_id": {"value": node.id},
        "max_grace_period": {"seconds": 2}, "mark_gone": mark_gone}})
}

fn reactivate(node: &Node) -> Value {
    json!({"type": "REACTIVATE_AGENT", "reactivate_agent": {"agent_id": {"value": node.id}}})
}

fn state(stage: &Stage, node: &Node) -> Option<DrainState> {
    let info = stage.core.agents[&node.id].record.drain_info?;
    Some(info.state())
}

#[test]
fn an_agent_is_drained_when_its_last_task_is_acknowledged_and_comes_back_by_reactivation() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({"failover_timeout": 600.0}));
    stage.run(&fw, &node, "t", "cpus:1;mem:32");
    let offer = stage.offer(&fw, &node, "cpus:1");
    stage.told(&fw);
    stage.ordered(&node);
    assert_eq!(stage.operator(drain(&node, false)), Answer::OK);
    assert_eq!(stage.told(&fw), [format!("RESCIND {offer}")]);
    assert_eq!(stage.ordered(&node), ["drain"]);
    let record = &stage.core.agents[&node.id].record;
    assert!(record.deactivated && !record.active && record.drain_started_at.is_some());
    assert_eq!(state(&stage, &node), Some(DrainState::Draining));
    let refused = stage.operator(reactivate(&node));
    assert_eq!(
        refused,
        Answer::refused(400, "Agent is still in the DRAINING state")
    );
    stage.update(&node, &fw, "t", TaskState::TaskKilled, 7);
    assert_eq!(state(&stage, &node), Some(DrainState::Draining));
    stage.acknowledge(&fw, &node, "t", 7);
    assert_eq!(state(&stage, &node), Some(DrainState::Drained));
    stage.fail_over();
    let (node, _) = stage.back(&node, Vec::new());
    assert_eq!(state(&stage, &node), Some(DrainState::Drained));
    assert_eq!(stage.ordered(&node), Vec::<String>::new());
    assert_eq!(stage.operator(reactivate(&node)), Answer::OK);
    let record = &stage.core.agents[&node.id].record;
    assert!(record.active && record.drain_info.is_none() && record.drain_started_at.is_none());
}

#[test]
fn what_ends_a_drain_is_written_again_where_the_registry_took_it_not() {
    for mark_gone in [false, true] {
        let mut stage = Stage::new();
        let node = stage.agent("cpus:4;mem:4096");
        let ends = |command: &Command| {
            matches!(
                command,
                Command::MarkDrained { .. } | Command::MarkGone { .. }
            )
        };
        stage.refuses = ends;
        assert_eq!(stage.operator(drain(&node, mark_gone)), Answer::OK);
        stage.pass(Duration::from_secs(11));
        assert_eq!(state(&stage, &node), Some(DrainState::Draining));
        stage.refuses = |_| false;
        stage.pass(Duration::from_secs(11));
        match mark_gone {
            false => assert_eq!(state(&stage, &node), Some(DrainState::Drained)),
            true => assert!(!stage.core.agents.contains_key(&node.id)),
        }
    }
}

/// Nobody removed the agent: whoever asked may ask again.
#[test]
fn an_order_to_drain_that_the_registry_does_not_take_now_is_told_as_that() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    stage.refuses = |_| true;
    let deactivate =
        json!({"type": "DEACTIVATE_AGENT", "deactivate_agent": {"agent_id": {"value": node.id}}});
    for call in [drain(&node, false), deactivate] {
        let refused = Answer::refused(503, "too much is under way");
        assert_eq!(stage.operator(call), refused);
    }
}

#[test]
fn an_agent_that_returns_while_it_drains_is_told_again_whoever_leads() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({"failover_timeout": 600.0}));
    stage.run(&fw, &node, "t", "cpus:1;mem:32");
    stage.operator(drain(&node, false));
    let task = stage.task(&fw, "t");
    stage.fail_over();
    let (node, _) = stage.back(&node, vec![task.clone()]);
    assert_eq!(stage.ordered(&node), ["drain"]);
    stage.lose(&node);
    let (node, _) = stage.back(&node, vec![task]);
    assert_eq!(stage.ordered(&node), ["drain"]);
    assert_eq!(state(&stage, &node), Some(DrainState::Draining));
    // One that is away can be told to drain too.
    stage.lose(&node);
    assert_eq!(stage.operator(drain(&node, false)), Answer::OK);
}

#[test]
fn an_agent_that_is_lost_while_it_drains_goes_on_when_it_is_back() {
    for mark_gone in [false, true] {
        let mut stage = Stage::new();
        let node = stage.agent("cpus:4;mem:4096");
        let fw = stage.subscribe(json!({"failover_timeout": 600.0, "checkpoint": true}));
        stage.run(&fw, &node, "t", "cpus:1;mem:32");
        let task = stage.task(&fw, "t");
        stage.operator(drain(&node, mark_gone));
        stage.lose(&node);
        stage.pass(Duration::from_secs(601));
        assert!(stage.core.unreachable_agents.contains_key(&node.id));
        assert!(!stage.core.gone_agents.contains_key(&node.id));
        let (node, _) = stage.back(&node, vec![task]);
        assert_eq!(state(&stage, &node), Some(DrainState::Draining));
        assert_eq!(stage.ordered(&node).first().unwrap(), "drain");
    }
}

#[test]
fn what_is_being_written_is_neither_called_off_nor_overtaken() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4");
    stage.operator(
        json!({"type": "DEACTIVATE_AGENT", "deactivate_agent": {"agent_id": {"value": node.id}}}),
    );
    stage.hold_writes = true;
    let first = stage.operator_asks(drain(&node, false));
    let off = stage.operator_asks(reactivate(&node));
    let refused = Answer::refused(400, "Agent is still in the DRAINING state");
    assert_eq!(stage.answer(off), Some(refused));
    stage.finish_write();
    assert_eq!(stage.answer(first), Some(Answer::OK));
    // It is drained at once, and that is being written.
    let gone = stage.operator_asks(drain(&node, true));
    stage.release_writes();
    assert_eq!(stage.answer(gone), Some(Answer::OK));
    assert!(stage.core.gone_agents.contains_key(&node.id));
}

#[test]
fn with_mark_gone_it_is_gone_when_it_is_drained() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    assert_eq!(stage.operator(drain(&node, true)), Answer::OK);
    assert!(stage.core.gone_agents.contains_key(&node.id));
    assert!(stage.core.draining.is_empty());
    stage.pass(Duration::from_secs(1));
}

#[test]
fn refusals_say_why() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4");
    let mut unknown = drain(&node, false);
    unknown["drain_agent"]["agent_id"]["value"] = json!("nope");
    assert_eq!(
        stage.operator(unknown),
        Answer::refused(400, "Unknown agent")
    );
    let mut negative = drain(&node, false);
    negative["drain_agent"]["max_grace_period"] = json!({"seconds": -1});
    assert_eq!(stage.operator(negative).status, 400);
    let mut huge = drain(&node, false);
    huge["drain_agent"]["max_grace_period"] = json!({"seconds": i64::MAX});
    assert_eq!(stage.operator(huge).status, 400);
    let mut request = node.request;
    request.capabilities.clear();
    let (node, _) = stage.register(request);
    let text = format!("Agent {} is not capable of draining", node.id);
    assert_eq!(
        stage.operator(drain(&node, false)),
        Answer::refused(400, text)
    );
    assert!(stage.core.draining.is_empty());
}

#[test]
fn an_idle_agent_that_is_away_is_drained_when_it_is_back_and_only_then() {
    for lost_for in [Duration::from_secs(1), Duration::from_secs(601)] {
        let mut stage = Stage::new();
        let node = stage.agent("cpus:4;mem:4096");
        let fw = stage.subscribe(json!({"failover_timeout": 600.0}));
        stage.lose(&node);
        stage.pass(lost_for);
        assert_eq!(stage.operator(drain(&node, false)), Answer::OK);
        let (node, _) = stage.back(&node, Vec::new());
        assert_eq!(
            state(&stage, &node),
            Some(DrainState::Drained),
            "{lost_for:?}"
        );
        assert!(!stage.core.agents[&node.id].record.active);
        stage.told(&fw);
        assert_eq!(stage.operator(reactivate(&node)), Answer::OK);
        stage.offer(&fw, &node, "cpus:1");
    }
}

#[test]
fn an_agent_that_is_away_with_its_tasks_drains_when_it_is_back() {
    for lost_for in [Duration::from_secs(1), Duration::from_secs(601)] {
        let mut stage = Stage::new();
        let node = stage.agent("cpus:4;mem:4096");
        let fw = stage.subscribe(json!({"failover_timeout": 600.0}));
        stage.run(&fw, &node, "t", "cpus:1;mem:32");
        let task = stage.task(&fw, "t");
        stage.lose(&node);
        stage.pass(lost_for);
        assert_eq!(stage.operator(drain(&node, false)), Answer::OK);
        let (node, _) = stage.back(&node, vec![task]);
        assert_eq!(
            state(&stage, &node),
            Some(DrainState::Draining),
            "{lost_for:?}"
        );
        assert_eq!(stage.ordered(&node).first().unwrap(), "drain");
    }
}

#[test]
fn one_that_is_reactivated_while_it_is_away_is_offered_when_it_is_back() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({"failover_timeout": 600.0}));
    assert_eq!(stage.operator(drain(&node, false)), Answer::OK);
    stage.lose(&node);
    stage.told(&fw);
    assert_eq!(stage.operator(reactivate(&node)), Answer::OK);
    assert!(stage.told(&fw).is_empty(), "nobody can run anything on it");
    let (node, _) = stage.back(&node, Vec::new());
    assert!(stage.core.agents[&node.id].record.active);
    stage.run(&fw, &node, "t", "cpus:1;mem:32");
}
