use serde_json::{Value, json};
use tepui_messages::master::Answer;

use tepui_protocol::v1::quota::QuotaConfig;

use super::check_hierarchy;
use crate::stage::{Stage, parse, task, to_json};

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
    // Of a cluster without agents, too, quota can be removed.
    assert_eq!(stage.operator(remove("a")), Answer::OK);
    assert_eq!(roles(&stage), ["b"]);
}

#[test]
fn quotas_of_writes_that_overlap_add_up() {
    let mut stage = Stage::new();
    stage.agent("cpus:8");
    stage.hold_writes = true;
    stage.operator_asks(update(json!([guarantee("a", 1.0)])));
    stage.operator_asks(update(json!([guarantee("b", 1.0)])));
    stage.operator_asks(remove("a"));
    // Whoever comes second is told so.
    assert_eq!(stage.operator(remove("a")).status, 400);
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

#[test]
fn quota_that_was_refused_does_not_come_with_later_ones() {
    let mut stage = Stage::new();
    stage.agent("cpus:8");
    stage.hold_writes = true;
    let first = stage.operator_asks(update(json!([guarantee("a", 1.0)])));
    let second = stage.operator_asks(update(json!([guarantee("b", 1.0)])));
    stage.refuse_write("the disk is nearly full");
    stage.release_writes();
    assert_eq!(stage.answer(first).unwrap().status, 503);
    assert_eq!(stage.answer(second), Some(Answer::OK));
    assert_eq!(roles(&stage), ["b"]);
}

#[test]
fn the_same_quota_again_does_not_rely_on_a_write_that_was_refused() {
    let mut stage = Stage::new();
    stage.agent("cpus:8");
    stage.hold_writes = true;
    stage.operator_asks(update(json!([guarantee("a", 1.0)])));
    let again = stage.operator_asks(update(json!([guarantee("a", 1.0), {"role": "b"}])));
    stage.refuse_write("the disk is nearly full");
    stage.release_writes();
    assert_eq!(stage.answer(again), Some(Answer::OK));
    assert_eq!(roles(&stage), ["a"]);
}

fn limit(role: &str, cpus: f64) -> Value {
    json!({"role": role, "limits": {"cpus": {"value": cpus}}})
}

#[test]
fn a_limit_below_what_the_role_and_those_below_it_consume_must_be_forced() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:8;mem:1024;cpus(a/c):1");
    let scheduler = stage.subscribe(json!({
        "roles": ["a", "a/b"], "capabilities": [{"type": "MULTI_ROLE"}]}));
    let offer = stage.offer_as(&scheduler, "a/b", &node, "cpus:2;mem:256");
    stage.accept(&scheduler, &[&offer], &[task("t", &node, "cpus:2;mem:256")]);
    let answer = stage.operator(update(json!([limit("a", 2.5)])));
    assert_eq!(
        answer,
        Answer::refused(
            400,
            "Invalid QuotaConfig: Role 'a' is already consuming 'cpus:3; mem:256'; this is more than \
             the requested limits 'cpus:2.5' (use 'force' flag to bypass this check)"
        )
    );
    assert_eq!(stage.operator(update(json!([limit("a", 3.0)]))), Answer::OK);
    assert_eq!(stage.operator(forced(json!([limit("a", 1.0)]))), Answer::OK);
    assert_eq!(stage.operator(update(json!([limit("b", 0.0)]))), Answer::OK);
}

#[test]
fn offers_beyond_a_new_limit_are_taken_back() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:8");
    let (mine, other) = (subscribe(&mut stage, "a"), subscribe(&mut stage, "b"));
    stage.offer_as(&mine, "a", &node, "cpus:2");
    stage.offer_as(&mine, "a", &node, "cpus:1");
    stage.offer_as(&other, "b", &node, "cpus:4");
    stage.told(&mine);
    stage.told(&other);
    assert_eq!(stage.operator(update(json!([limit("a", 1.0)]))), Answer::OK);
    assert_eq!(stage.told(&mine), ["RESCIND M1-O0"]);
    assert!(stage.told(&other).is_empty());
    assert_eq!(stage.core.offers.len(), 2);
}

#[test]
fn offers_of_others_are_taken_back_until_a_guarantee_can_be_met() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:8;mem:1000");
    let (mine, other) = (subscribe(&mut stage, "a"), subscribe(&mut stage, "b"));
    stage.offer_as(&mine, "a", &node, "cpus:1");
    for _ in 0..3 {
        stage.offer_as(&other, "b", &node, "cpus:2");
    }
    stage.told(&mine);
    stage.told(&other);
    assert_eq!(
        stage.operator(update(json!([guarantee("a", 3.0)]))),
        Answer::OK
    );
    assert_eq!(
        stage.told(&other),
        ["RESCIND M1-O1"],
        "two more than the one it is offered are enough"
    );
    assert!(stage.told(&mine).is_empty());
    assert_eq!(stage.operator(set("c", "mem:1")), Answer::OK);
    assert_eq!(
        stage.core.offers.len(),
        0,
        "no offer had memory, but each might come with it"
    );
}

fn subscribe(stage: &mut Stage, role: &str) -> crate::stage::Scheduler {
    stage.subscribe(json!({"roles": [role], "capabilities": [{"type": "MULTI_ROLE"}]}))
}

#[test]
fn what_is_guaranteed_below_a_role_is_part_of_its_own() {
    let config = |role: &str, guarantee: f64, limit: f64| -> QuotaConfig {
        crate::stage::decode(&json!({"role": role,
            "guarantees": {"cpus": {"value": guarantee}}, "limits": {"cpus": {"value": limit}}}))
    };
    let check = |configs: &[QuotaConfig]| check_hierarchy(configs);
    let both = [config("a/b", 1.0, 4.0), config("a/c", 2.0, 4.0)];
    assert_eq!(
        check(&[&both[..], &[config("a", 3.0, 4.0)]].concat()),
        Ok(())
    );
    assert_eq!(
        check(&[&both[..], &[config("a", 2.0, 4.0)]].concat()),
        Err("Invalid quota configuration. Parent role 'a' with guarantees (cpus:2) does not contain \
             the sum of its children's guarantees (cpus:3)".to_string())
    );
    assert!(
        check(&both)
            .unwrap_err()
            .contains("'a' with guarantees ({})")
    );
    let limits = check(&[config("a/b", 1.0, 5.0), config("a", 3.0, 4.0)]);
    assert!(
        limits
            .unwrap_err()
            .contains("Role 'a/b' with limits (cpus:5)")
    );
}

#[test]
fn capacity_is_what_all_registered_agents_have_reserved_or_away() {
    let mut stage = Stage::new();
    let away = stage.agent("cpus:2;cpus(other):1");
    stage.agent("cpus:2");
    stage.lose(&away);
    let answer = stage.operator(update(json!([guarantee("a", 6.0)])));
    let text = "Invalid QuotaConfig: total quota guarantees 'cpus:6' exceed cluster capacity 'cpus:5' (use 'force' \
                flag to bypass this check)";
    assert_eq!(answer, Answer::refused(400, text));
    assert_eq!(stage.operator(set("a", "cpus:6")).status, 409);
    // More than any agent has alone.
    assert_eq!(stage.operator(set("a", "cpus:5")), Answer::OK);
    assert_eq!(stage.operator(remove("a")), Answer::OK);
    assert_eq!(
        stage.operator(update(json!([guarantee("a", 5.0)]))),
        Answer::OK
    );
    assert_eq!(
        stage.operator(forced(json!([guarantee("a", 6.0)]))),
        Answer::OK
    );
}

#[test]
fn a_guarantee_of_the_deprecated_form_is_of_plain_amounts() {
    let mut stage = Stage::new();
    stage.agent("cpus:8;disk:100");
    let cpus = || to_json(&parse("cpus:1"))[0].clone();
    let with = |field: &str, value: Value| {
        let mut resource = cpus();
        resource[field] = value;
        json!([resource])
    };
    let reserved = "must not contain any ReservationInfo";
    let table = [
        (
            to_json(&parse("cpus:1;ports:[1-2]")),
            "must not include non-scalar resources",
        ),
        (to_json(&parse("cpus(x):1")), reserved),
        (with("role", json!("x")), reserved),
        (with("reservation", json!({"principal": "p"})), reserved),
        (
            with("revocable", json!({})),
            "must not contain RevocableInfo",
        ),
        (
            with(
                "disk",
                json!({"persistence": {"id": "v"}, "volume": {"container_path": "v", "mode": "RW"}}),
            ),
            "must not contain DiskInfo",
        ),
        (
            json!([cpus(), cpus()]),
            "contains duplicate resource name 'cpus'",
        ),
    ];
    for (resources, text) in table {
        let call = json!({"type": "SET_QUOTA", "set_quota": {"quota_request": {
            "role": "a", "guarantee": resources}}});
        let text = format!("Failed to validate set quota request: QuotaInfo {text}");
        assert_eq!(stage.operator(call), Answer::refused(400, text));
    }
    assert!(stage.core.quota.is_empty());
}
