use serde_json::{Value, json};
use tepui_messages::master::Answer;

use crate::stage::{Stage, parse, to_json};

fn update(configs: Value) -> Value {
    json!({"type": "UPDATE_QUOTA", "update_quota": {"quota_configs": configs}})
}

fn forced(configs: Value) -> Value {
    let mut call = update(configs);
    call["update_quota"]["force"] = json!(true);
    call
}

fn guarantee(role: &str, cpus: f64) -> Value {
    json!({"role": role, "guarantees": {"cpus": {"value": cpus}}, "limits": {"cpus": {"value": cpus}}})
}

fn set(role: &str, resources: &str) -> Value {
    json!({"type": "SET_QUOTA", "set_quota": {"quota_request": {
        "role": role, "guarantee": to_json(&parse(resources))}}})
}

fn remove(role: &str) -> Value {
    json!({"type": "REMOVE_QUOTA", "remove_quota": {"role": role}})
}

fn roles(stage: &Stage) -> Vec<&str> {
    stage
        .core
        .quota
        .iter()
        .map(|config| config.role.as_str())
        .collect()
}

#[test]
fn quota_is_checked_and_the_list_is_all_or_nothing() {
    let mut stage = Stage::new();
    stage.agent("cpus:8;disk:20480;mem:8192");
    let table = [
        (
            json!({"role": "a/b"}),
            "Updating quota on nested role 'a/b' is not supported yet",
        ),
        (
            json!({"role": "/bad role"}),
            "Updating quota on nested role '/bad role' is not supported yet",
        ),
        (
            json!({"role": "a", "guarantees": {"cpus": {"value": 5}}, "limits": {"cpus": {"value": 1}}}),
            "Invalid QuotaConfig: 'QuotaConfig.guarantees' { cpus: 5 } is not contained within the 'QuotaConfig.limits' { cpus: 1 }",
        ),
        (
            guarantee("a", 4999.0),
            "Invalid QuotaConfig: total quota guarantees 'cpus:5000' exceed cluster capacity 'cpus:8; disk:20480; mem:8192' (use 'force' flag to bypass this check)",
        ),
    ];
    for (config, text) in table {
        let answer = stage.operator(update(json!([guarantee("ok", 1.0), config])));
        assert_eq!(answer, Answer::refused(400, text));
        assert!(stage.core.quota.is_empty());
    }
    for value in [json!(-1.0), json!("Infinity"), json!(2e12)] {
        let answer = stage.operator(update(
            json!([{"role": "a", "limits": {"cpus": {"value": value}}}]),
        ));
        assert_eq!(answer.status, 400, "{value}");
    }
}

#[test]
fn quota_is_set_forced_removed_and_outlives_the_leader() {
    let mut stage = Stage::new();
    stage.agent("cpus:8");
    assert_eq!(
        stage.operator(update(json!([guarantee("a", 2.0), guarantee("*", 2.0)]))),
        Answer::OK
    );
    assert_eq!(
        stage.operator(forced(json!([guarantee("b", 100.0)]))),
        Answer::OK
    );
    assert_eq!(roles(&stage), ["a", "*", "b"]);
    assert_eq!(stage.operator(forced(json!([{"role": "*"}]))), Answer::OK);
    assert_eq!(
        roles(&stage),
        ["a", "b"],
        "empty guarantees and limits remove it"
    );
    stage.fail_over();
    assert_eq!(roles(&stage), ["a", "b"]);
}

#[test]
fn quotas_of_writes_that_overlap_add_up() {
    let mut stage = Stage::new();
    stage.agent("cpus:8");
    stage.hold_writes = true;
    stage.operator_asks(update(json!([guarantee("a", 1.0)])));
    stage.operator_asks(update(json!([guarantee("b", 1.0)])));
    stage.operator_asks(remove("a"));
    stage.release_writes();
    assert_eq!(roles(&stage), ["b"]);
    stage.fail_over();
    assert_eq!(roles(&stage), ["b"]);
}

#[test]
fn the_deprecated_calls_have_their_own_words() {
    let mut stage = Stage::new();
    stage.agent("cpus:8");
    assert_eq!(
        stage.operator(remove("a")),
        Answer::refused(400, "Failed to remove quota: Role 'a' has no quota set")
    );
    assert_eq!(stage.operator(set("a", "cpus:1")), Answer::OK);
    let prefix = "Failed to validate set quota request: ";
    let table = [
        (set("a", "cpus:1"), 400, format!("{prefix}Cannot set quota for role 'a' which already has quota")),
        (set("b", ""), 400, format!("{prefix}QuotaInfo with empty 'guarantee'")),
        (set("c/d", "cpus:1"), 400, "Setting quota on nested role 'c/d' is not supported yet".to_string()),
        (
            set("b", "cpus:8"),
            409,
            "Quota guarantees overcommit the cluster (use 'force' to bypass this check): Total quota guarantees 'cpus:9' exceed cluster capacity 'cpus:8'".to_string(),
        ),
    ];
    for (call, status, text) in table {
        assert_eq!(stage.operator(call), Answer::refused(status, text));
    }
    assert_eq!(stage.operator(remove("a")), Answer::OK);
    assert!(stage.core.quota.is_empty());
}
