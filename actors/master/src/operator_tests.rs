use serde_json::{Value, json};
use tepui_messages::{allocator::WorldChange, master::Answer};

use crate::stage::Stage;

fn weights(infos: Value) -> Value {
    json!({"type": "UPDATE_WEIGHTS", "update_weights": {"weight_infos": infos}})
}

fn refused(stage: &mut Stage, call: Value) -> String {
    let before = stage.changes.len();
    let answer = stage.operator(call.clone());
    assert_eq!(answer.status, 400, "{call}: {answer:?}");
    assert_eq!(stage.changes.len(), before, "nothing changed");
    answer.text
}

#[test]
fn weights_are_positive_and_of_valid_roles() {
    let mut stage = Stage::new();
    let prefix = "Failed to validate update weights request JSON";
    let table = [
        (
            json!({"role": "a", "weight": 0.0}),
            format!("{prefix} for role 'a': Invalid weight '0': Weights must be positive"),
        ),
        (
            json!({"role": "a", "weight": -1.5}),
            format!("{prefix} for role 'a': Invalid weight '-1.5': Weights must be positive"),
        ),
        (
            json!({"role": "/a", "weight": 1.0}),
            format!("{prefix}: Invalid role '/a': Role '/a' cannot start with a slash"),
        ),
        (
            json!({"weight": 3.2}),
            format!("{prefix}: Invalid role '': Role names cannot be the empty string"),
        ),
        (
            json!({"role": " ", "weight": 2.0}),
            format!(
                "{prefix}: Invalid role ' ': Role component ' ' is invalid because it contains backspace or whitespace"
            ),
        ),
    ];
    for (info, text) in table {
        assert_eq!(
            refused(
                &mut stage,
                weights(json!([{"role": "ok", "weight": 2.0}, info]))
            ),
            text
        );
    }
}

#[test]
fn weights_add_up_also_when_their_writes_overlap() {
    let mut stage = Stage::new();
    stage.hold_writes = true;
    let first = stage.operator_asks(weights(json!([{"role": "a", "weight": 2.0}])));
    let second = stage.operator_asks(weights(json!([{"role": "b", "weight": 3.0}])));
    assert_eq!(stage.answer(first), None, "not before it is written");
    stage.release_writes();
    assert_eq!(stage.answer(first), Some(Answer::OK));
    assert_eq!(stage.answer(second), Some(Answer::OK));
    let expected = [("a".to_string(), 2.0), ("b".to_string(), 3.0)].into();
    assert_eq!(stage.core.weights, expected);
    let Some(WorldChange::Weights(told)) = stage.world.last() else {
        panic!("{:?}", stage.world);
    };
    assert_eq!(**told, expected);
    stage.fail_over();
    assert_eq!(stage.core.weights, expected);
}

#[test]
fn weights_that_were_refused_do_not_come_with_later_ones() {
    let mut stage = Stage::new();
    stage.hold_writes = true;
    let first = stage.operator_asks(weights(json!([{"role": "a", "weight": 2.0}])));
    let second = stage.operator_asks(weights(json!([{"role": "b", "weight": 3.0}])));
    stage.refuse_write("the disk is nearly full");
    stage.release_writes();
    assert_eq!(stage.answer(first).unwrap().status, 503);
    assert_eq!(stage.answer(second), Some(Answer::OK));
    assert_eq!(stage.core.weights, [("b".to_string(), 3.0)].into());
}

#[test]
fn offers_are_made_anew_by_the_new_weights_of_roles_that_have_frameworks() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({"roles": ["a/b"], "capabilities": [{"type": "MULTI_ROLE"}]}));
    let other = stage.subscribe(json!({}));
    let offer = stage.offer_as(&fw, "a/b", &node, "cpus:1");
    let theirs = stage.offer(&other, &node, "cpus:1");
    stage.told(&fw);
    stage.told(&other);
    assert_eq!(
        stage.operator(weights(json!([{"role": "nobody", "weight": 2.0}]))),
        Answer::OK
    );
    assert!(stage.told(&fw).is_empty());
    let call = weights(json!([{"role": "a", "weight": 2.0}]));
    assert_eq!(stage.operator(call.clone()), Answer::OK);
    assert_eq!(stage.told(&fw), [format!("RESCIND {offer}")]);
    assert_eq!(stage.told(&other), [format!("RESCIND {theirs}")]);
    // The allocator hears of the weights before anything is free again.
    let told = stage.world.iter().rev().take(3);
    let told: Vec<_> = told
        .map(|change| matches!(change, WorldChange::Weights(_)))
        .collect();
    assert_eq!(told, [false, false, true]);
    stage.offer_as(&fw, "a/b", &node, "cpus:1");
    stage.told(&fw);
    assert_eq!(stage.operator(call), Answer::OK);
    assert!(stage.told(&fw).is_empty(), "nothing changed");
}

#[test]
fn weights_and_quota_are_for_roles_that_the_operator_allows() {
    let mut stage = Stage::new();
    stage.agent("cpus:8");
    stage.core.config.roles = Some(["dev".to_string()].into());
    let scalar = json!({"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.0}});
    let quota = |role: &str| {
        json!({"type": "UPDATE_QUOTA", "update_quota": {"quota_configs": [
            {"role": role, "guarantees": {"cpus": {"value": 1.0}}}]}})
    };
    let set = |role: &str| {
        json!({"type": "SET_QUOTA", "set_quota": {"quota_request": {
            "role": role, "guarantee": [scalar]}}})
    };
    let prefix = "Failed to validate update weights request JSON";
    let table = [
        (
            weights(json!([{"role": "x", "weight": 2.0}])),
            format!("{prefix}: Unknown role 'x'"),
        ),
        (
            quota("x"),
            "Invalid QuotaConfig: 'x' is not on the roles whitelist".to_string(),
        ),
        (
            set("x"),
            "Failed to validate set quota request: Unknown role 'x'".to_string(),
        ),
    ];
    for (call, text) in table {
        assert_eq!(refused(&mut stage, call), text);
    }
    for call in [
        weights(json!([{"role": "dev", "weight": 2.0}])),
        quota("dev"),
        set("*"),
    ] {
        assert_eq!(stage.operator(call.clone()), Answer::OK, "{call}");
    }
}
