use serde_json::json;
use tepui_messages::master::Answer;

use super::*;
use crate::stage::Stage;

/// Four agents, under a leader that has just begun; with quota or without.
fn elected(quota: bool) -> (Stage, Vec<crate::stage::Node>) {
    let mut stage = Stage::new();
    let nodes = (0..4).map(|_| stage.agent("cpus:4;mem:1024")).collect();
    if quota {
        let config = json!({"role": "a", "guarantees": {"cpus": {"value": 1.0}}});
        let update = json!({"type": "UPDATE_QUOTA", "update_quota": {"quota_configs": [config]}});
        assert_eq!(stage.operator(update), Answer::OK);
    }
    stage.world.clear();
    stage.fail_over();
    (stage, nodes)
}

/// Whether offers were held back or let go since last asked, in order.
fn told(stage: &mut Stage) -> Vec<bool> {
    let told = stage.world.drain(..).filter_map(|change| match change {
        WorldChange::Paused(paused) => Some(paused),
        _ => None,
    });
    told.collect()
}

#[test]
fn with_quota_offers_wait_for_eight_of_ten_agents() {
    let (mut stage, nodes) = elected(true);
    assert_eq!(told(&mut stage), [true]);
    for node in &nodes[..2] {
        stage.back(node, vec![]);
    }
    assert_eq!(told(&mut stage), [] as [bool; 0]);
    stage.back(&nodes[2], vec![]);
    assert_eq!(told(&mut stage), [false]);
    stage.back(&nodes[3], vec![]);
    stage.pass(MAX_HOLD);
    assert_eq!(told(&mut stage), [] as [bool; 0]);
}

#[test]
fn with_quota_offers_wait_ten_minutes_at_most() {
    let (mut stage, _) = elected(true);
    told(&mut stage);
    stage.pass(MAX_HOLD - Duration::from_secs(1));
    assert_eq!(told(&mut stage), [] as [bool; 0]);
    stage.pass(Duration::from_secs(1));
    assert_eq!(told(&mut stage), [false]);
}

#[test]
fn without_quota_offers_do_not_wait() {
    let (mut stage, _) = elected(false);
    assert_eq!(told(&mut stage), [] as [bool; 0]);
}
