use serde_json::{Value, json};
use tepui_messages::{allocator::WorldChange, change::Change, master::Answer};

use crate::stage::{Stage, accept};

fn revive() -> Value {
    json!({"type": "REVIVE"})
}

#[test]
fn who_may_call_is_decided_in_mesos_order() {
    let mut stage = Stage::new();
    let fw = stage.subscribe(json!({"failover_timeout": 60.0}));
    let stream = Some(fw.stream.as_str());
    let refused = |status, text: &str| Answer::refused(status, text);

    let answer = stage.call_on(stream, "nobody", revive());
    assert_eq!(answer, refused(400, "Framework cannot be found"));
    let answer = stage.call_on(None, &fw.id, revive());
    assert_eq!(
        answer,
        refused(
            400,
            "All non-subscribe calls should include the 'Mesos-Stream-Id' header"
        )
    );
    let answer = stage.call_on(Some("other"), &fw.id, revive());
    assert_eq!(
        answer,
        refused(
            400,
            &format!(
                "The stream ID 'other' included in this request didn't match the stream ID currently associated with framework ID {}",
                fw.id
            )
        )
    );
    assert_eq!(stage.call(&fw, revive()), Answer::ACCEPTED);
    assert_eq!(
        stage.call(&fw, json!({"type": "UNKNOWN"})),
        refused(501, "501 Not Implemented.")
    );

    stage.lose_stream(&fw.stream);
    let forbidden = refused(403, "Framework is not subscribed");
    assert_eq!(stage.call(&fw, revive()), forbidden);
    let answer = stage.call_on(None, &fw.id, revive());
    assert_eq!(answer, forbidden, "before any look at the stream id");
}

#[test]
fn every_call_that_writes_nothing_first_is_accepted_at_once() {
    let mut stage = Stage::new();
    let fw = stage.subscribe(json!({}));
    let id = json!({"value": "x"});
    let calls = [
        accept(&[], json!([])),
        json!({"type": "DECLINE", "decline": {"offer_ids": [id]}}),
        json!({"type": "REVIVE"}),
        json!({"type": "SUPPRESS"}),
        json!({"type": "KILL", "kill": {"task_id": id}}),
        json!({"type": "SHUTDOWN", "shutdown": {"executor_id": id, "agent_id": id}}),
        json!({"type": "RECONCILE", "reconcile": {}}),
        json!({"type": "RECONCILE_OPERATIONS", "reconcile_operations": {}}),
        json!({"type": "MESSAGE", "message": {"agent_id": id, "executor_id": id, "data": "aGk="}}),
        json!({"type": "REQUEST", "request": {}}),
        json!({"type": "ACCEPT_INVERSE_OFFERS", "accept_inverse_offers": {"inverse_offer_ids": [id]}}),
        json!({"type": "DECLINE_INVERSE_OFFERS", "decline_inverse_offers": {"inverse_offer_ids": [id]}}),
    ];
    for call in calls {
        assert_eq!(stage.call(&fw, call.clone()), Answer::ACCEPTED, "{call}");
    }
    // Answered once the registry has it: whoever reads next finds the framework gone.
    assert_eq!(
        stage.call(&fw, json!({"type": "TEARDOWN"})),
        Answer::ACCEPTED
    );
    assert!(stage.core.frameworks.is_empty());
}

#[test]
fn revive_and_suppress_name_subscribed_roles_or_are_dropped_whole() {
    let mut stage = Stage::new();
    let fw =
        stage.subscribe(json!({"roles": ["a", "b"], "capabilities": [{"type": "MULTI_ROLE"}]}));
    let changes = |stage: &mut Stage, kind: &str, roles: &[&str]| -> Vec<String> {
        stage.world.clear();
        let body = json!({"type": kind, kind.to_lowercase(): {"roles": roles}});
        assert_eq!(stage.call(&fw, body), Answer::ACCEPTED);
        let roles = stage.world.drain(..).map(|change| match change {
            WorldChange::Revive { roles, .. } => format!("revive {roles:?}"),
            WorldChange::Suppress { roles, .. } => format!("suppress {roles:?}"),
            other => format!("{other:?}"),
        });
        roles.collect()
    };
    assert_eq!(
        changes(&mut stage, "SUPPRESS", &["a"]),
        ["suppress [\"a\"]"]
    );
    assert_eq!(stage.core.frameworks[&fw.id].record.suppressed_roles, ["a"]);
    assert_eq!(changes(&mut stage, "SUPPRESS", &[]), ["suppress []"]);
    let suppressed = &stage.core.frameworks[&fw.id].record.suppressed_roles;
    assert_eq!(*suppressed, ["a", "b"]);
    assert_eq!(changes(&mut stage, "REVIVE", &["b"]), ["revive [\"b\"]"]);
    assert_eq!(stage.core.frameworks[&fw.id].record.suppressed_roles, ["a"]);
    for bad in [&["a", "other"][..], &["a", "/bad"], &[""]] {
        assert!(changes(&mut stage, "REVIVE", bad).is_empty(), "{bad:?}");
        assert!(changes(&mut stage, "SUPPRESS", bad).is_empty(), "{bad:?}");
    }
}

#[test]
fn messages_and_executor_shutdowns_go_to_connected_agents_only() {
    let mut stage = Stage::new();
    let fw = stage.subscribe(json!({}));
    let node = stage.agent("cpus:1;mem:128");
    let executor = json!({"value": "e"});
    let message = |agent: &str| json!({"type": "MESSAGE", "message": {"agent_id": {"value": agent}, "executor_id": executor, "data": "aGk="}});
    let shutdown = |agent: &str| json!({"type": "SHUTDOWN", "shutdown": {"agent_id": {"value": agent}, "executor_id": executor}});
    stage.call(&fw, message(&node.id));
    stage.call(&fw, shutdown(&node.id));
    stage.call(&fw, message("no such agent"));
    stage.call(&fw, shutdown("no such agent"));
    assert_eq!(stage.ordered(&node), ["message e", "shutdown executor e"]);
    stage.lose(&node);
    stage.call(&fw, message(&node.id));
    stage.call(&fw, shutdown(&node.id));
    assert!(stage.ordered(&node).is_empty());
}

#[test]
fn an_update_that_changes_nothing_is_told_to_nobody_and_one_of_constraints_to_the_allocator() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let info = json!({"roles": ["r"], "capabilities": [{"type": "MULTI_ROLE"}]});
    let fw = stage.subscribe(info);
    let offer = stage.offer_as(&fw, "r", &node, "cpus:1");
    stage.accept(&fw, &[&offer], &[crate::stage::task("t", &node, "cpus:1")]);
    stage.ordered(&node);
    let known = stage.core.frameworks[&fw.id].info().clone();
    let known: Value =
        serde_json::from_slice(&tepui_protocol::codec::json::encode(&known).unwrap()).unwrap();
    let update = |info: &Value, constraints: Option<Value>| {
        let mut update = json!({"framework_info": info});
        if let Some(constraints) = constraints {
            update["offer_constraints"] = constraints;
        }
        json!({"type": "UPDATE_FRAMEWORK", "update_framework": update})
    };
    let told = |stage: &mut Stage| {
        let world = std::mem::take(&mut stage.world).into_iter();
        let updates = world.filter_map(|change| match change {
            WorldChange::FrameworkUpdated {
                info,
                offer_constraints,
                ..
            } => Some((info.name.clone(), offer_constraints.is_some())),
            _ => None,
        });
        updates.collect::<Vec<(String, bool)>>()
    };
    told(&mut stage);
    assert_eq!(stage.call(&fw, update(&known, None)), Answer::OK);
    assert!(told(&mut stage).is_empty());
    assert!(stage.ordered(&node).is_empty());

    let constraints = json!({"role_constraints": {"r": {"groups": [{"attribute_constraints": [
        {"selector": {"attribute_name": "a"}, "predicate": {"exists": {}}}]}]}}});
    let constrained = update(&known, Some(constraints));
    assert_eq!(stage.call(&fw, constrained.clone()), Answer::OK);
    let name = known["name"].as_str().unwrap().to_owned();
    assert_eq!(told(&mut stage), [(name.clone(), true)]);
    assert_eq!(stage.call(&fw, constrained), Answer::OK);
    assert!(told(&mut stage).is_empty());
    assert_eq!(stage.call(&fw, update(&known, None)), Answer::OK);
    assert_eq!(told(&mut stage), [(name, false)]);

    let mut renamed = known;
    renamed["name"] = json!("renamed");
    stage.ordered(&node);
    assert_eq!(stage.call(&fw, update(&renamed, None)), Answer::OK);
    assert_eq!(told(&mut stage), [("renamed".to_owned(), false)]);
    assert_eq!(stage.ordered(&node), ["update framework"]);
}

/// Or the next leader offers under other roles than this one.
#[test]
fn suppressing_while_an_update_is_being_written_leaves_registry_and_master_with_the_same() {
    let mut stage = Stage::new();
    let info = |roles: &[&str], seconds: f64| json!({"user": "u", "name": "n", "roles": roles, "capabilities": [{"type": "MULTI_ROLE"}], "failover_timeout": seconds});
    let fw = stage.subscribe(info(&["a", "b"], 60.0));
    stage.hold_writes = true;
    let mut updated = info(&["b", "c"], 6000.0);
    updated["id"] = json!({"value": fw.id});
    stage.call(
        &fw,
        json!({"type": "UPDATE_FRAMEWORK", "update_framework": {"framework_info": updated}}),
    );
    stage.call(&fw, json!({"type": "SUPPRESS"}));
    stage.release_writes();
    let now = |stage: &Stage| {
        let record = &stage.core.frameworks[&fw.id].record;
        let timeout = record.info.failover_timeout;
        (
            record.info.roles.clone(),
            timeout,
            record.suppressed_roles.clone(),
        )
    };
    let before = now(&stage);
    assert_eq!(before.0, ["b", "c"]);
    assert_eq!(before.2, ["b"], "it subscribed to that when it called");
    stage.fail_over();
    assert_eq!(now(&stage), before);
}

#[test]
fn reviving_what_is_not_suppressed_writes_nothing() {
    let mut stage = Stage::new();
    let fw = stage.subscribe(json!({}));
    let before = stage.writes();
    for kind in ["REVIVE", "SUPPRESS", "SUPPRESS", "REVIVE", "REVIVE"] {
        stage.call(&fw, json!({"type": kind}));
    }
    assert_eq!(stage.writes() - before, 2);
}

/// Mesos sends FRAMEWORK_UPDATED only of a new subscription and of UPDATE_FRAMEWORK.
#[test]
fn suppression_and_the_end_of_a_stream_are_known_to_the_view_without_an_event() {
    let mut stage = Stage::new();
    let fw = stage.subscribe(json!({"failover_timeout": 60.0}));
    stage.changes.clear();
    let mut marked = |act: &mut dyn FnMut(&mut Stage)| {
        act(&mut stage);
        let changes = std::mem::take(&mut stage.changes);
        let told: Vec<_> = changes
            .into_iter()
            .map(|change| match change {
                Change::FrameworkMarked(record) => {
                    (record.suppressed_roles.clone(), record.connected)
                }
                other => panic!("{other:?}"),
            })
            .collect();
        told
    };
    let suppressed = vec!["*".to_string()];
    let mut suppress = |stage: &mut Stage| {
        stage.call(&fw, json!({"type": "SUPPRESS"}));
    };
    assert_eq!(marked(&mut suppress), [(suppressed, true)]);
    assert_eq!(marked(&mut suppress), [], "it is suppressed already");
    let mut revive = |stage: &mut Stage| {
        stage.call(&fw, revive());
    };
    assert_eq!(marked(&mut revive), [(Vec::new(), true)]);
    // Nor of an update that asks for nothing else.
    let mut update = |stage: &mut Stage| {
        let info = stage.core.frameworks[&fw.id].info().clone();
        let call = json!({"type": "UPDATE_FRAMEWORK", "update_framework": {
            "framework_info": info, "suppressed_roles": ["*"]}});
        assert_eq!(stage.call(&fw, call), Answer::OK);
    };
    assert_eq!(marked(&mut update), [(vec!["*".to_string()], true)]);
    assert_eq!(marked(&mut revive), [(Vec::new(), true)]);
    let mut lose = |stage: &mut Stage| stage.lose_stream(&fw.stream);
    assert_eq!(marked(&mut lose), [(Vec::new(), false)]);
}
