use std::time::Duration;

use serde_json::json;
use tepui_messages::{allocator::WorldChange, change::Change, master::Answer};
use tepui_protocol::v1::TaskState;
use tepui_registry::Command;

use crate::stage::Stage;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn teardown() -> serde_json::Value {
    json!({"type": "TEARDOWN"})
}

#[test]
fn ids_count_under_the_masters_id() {
    let mut stage = Stage::new();
    assert_eq!(stage.subscribe(json!({})).id, "M1-0000");
    assert_eq!(stage.subscribe(json!({"id": {"value": ""}})).id, "M1-0001");
    assert_eq!(stage.resubscribe("made-up", json!({})).id, "made-up");
}

#[test]
fn subscribed_names_master_and_heartbeats() {
    let mut stage = Stage::new();
    let stream = stage.open(json!({}), &[]);
    let events = stage.events_of(&stream);
    assert_eq!(
        events,
        [json!({"type": "SUBSCRIBED", "subscribed": {
            "framework_id": {"value": "M1-0000"},
            "heartbeat_interval_seconds": 15.0,
            "master_info": {"id": "M1", "ip": 0, "port": 5050},
        }})]
    );
}

#[test]
fn the_operator_says_which_roles_and_users_there_are() {
    let mut stage = Stage::new();
    stage.core.config.roles = Some(["dev".to_string()].into());
    stage.core.config.root_submissions = false;
    let multi = json!([{"type": "MULTI_ROLE"}]);
    let refused = [
        (
            json!({"role": "ops", "user": "root"}),
            "Roles { ops } are not present in the master's --roles",
        ),
        (
            json!({"roles": ["dev", "ops", "a", "*"], "capabilities": multi}),
            "Roles { a, ops } are not present in the master's --roles",
        ),
        (
            json!({"role": "dev", "user": "root"}),
            "User 'root' is not allowed to run frameworks without --root_submissions set",
        ),
        // Its commands would run as the agent does.
        (
            json!({"role": "dev", "user": ""}),
            "User 'root' is not allowed to run frameworks without --root_submissions set",
        ),
    ];
    for (info, reason) in refused {
        assert_eq!(stage.refusal(info, &[]), reason);
    }
    stage.subscribe(json!({"role": "*", "user": "alice"}));
    stage.subscribe(json!({"roles": ["*", "dev"], "user": "alice", "capabilities": multi}));
}

#[test]
fn refusals_are_events_that_end_the_stream() {
    let mut stage = Stage::new();
    let gone = stage.subscribe(json!({}));
    stage.call(&gone, teardown());
    let multi = json!([{"type": "MULTI_ROLE"}]);
    let table = [
        (
            json!({"id": {"value": gone.id}}),
            "Framework has been removed",
        ),
        (
            json!({"failover_timeout": 1e300}),
            "The framework failover_timeout (1e+300) is invalid",
        ),
        (
            json!({"role": "/a"}),
            "'FrameworkInfo.role' is not a valid role: Role '/a' cannot start with a slash",
        ),
        (
            json!({"roles": ["a"]}),
            "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable",
        ),
        (
            json!({"role": "a", "capabilities": multi}),
            "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable",
        ),
    ];
    for (info, reason) in table {
        assert_eq!(stage.refusal(info, &[]), reason);
    }
    let one_role = json!({"roles": ["a"], "capabilities": multi});
    assert_eq!(
        stage.refusal(one_role, &["zz"]),
        "Suppressed role 'zz' is not contained in the list of roles"
    );
}

#[test]
fn a_second_subscription_takes_over_and_the_first_hears_why() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let first = stage.subscribe(json!({}));
    stage.offer(&first, &node, "cpus:4;mem:4096");
    stage.told(&first);
    let second = stage.resubscribe(&first.id, json!({}));
    assert_eq!(stage.told(&first), ["ERROR Framework failed over"]);
    assert!(stage.ended(&first.stream));
    assert!(stage.core.offers.is_empty(), "offers are forgotten");
    assert!(stage.told(&second).is_empty(), "without RESCIND");
    // What the old connection's end brings about must not hurt.
    stage.lose_stream(&first.stream);
    stage.pass(seconds(3600));
    assert_eq!(
        stage.call(&second, json!({"type": "REVIVE"})),
        Answer::ACCEPTED
    );
}

#[test]
fn user_and_checkpoint_stay_what_they_were_at_the_first_subscription() {
    let mut stage = Stage::new();
    let fw = stage.subscribe(json!({"principal": "p", "checkpoint": true}));
    stage.resubscribe(
        &fw.id,
        json!({"user": "other", "name": "new", "principal": "p"}),
    );
    let info = stage.core.frameworks[&fw.id].info();
    assert_eq!((info.user.as_str(), info.checkpoint), ("root", Some(true)));
    assert_eq!(info.name, "new");
    let changed = json!({"id": {"value": fw.id}, "principal": "q"});
    assert_eq!(
        stage.refusal(changed, &[]),
        "Changing framework's principal is not allowed."
    );
}

#[test]
fn a_framework_without_failover_time_ends_with_its_stream() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({}));
    stage.run(&fw, &node, "t", "cpus:1;mem:32");
    stage.ordered(&node);
    stage.lose_stream(&fw.stream);
    stage.pass(Duration::ZERO);
    assert!(!stage.core.frameworks.contains_key(&fw.id));
    assert_eq!(stage.ordered(&node), ["shutdown framework"]);
    assert_eq!(
        stage.refusal(json!({"id": {"value": fw.id}}), &[]),
        "Framework has been removed"
    );
}

#[test]
fn a_framework_has_its_failover_time_and_no_more() {
    let mut stage = Stage::new();
    let fw = stage.subscribe(json!({"failover_timeout": 60.0}));
    stage.lose_stream(&fw.stream);
    stage.pass(seconds(59));
    assert!(stage.core.frameworks.contains_key(&fw.id));
    stage.pass(seconds(1));
    assert!(!stage.core.frameworks.contains_key(&fw.id));
}

#[test]
fn a_timer_of_an_earlier_disconnection_never_ends_a_framework() {
    let mut stage = Stage::new();
    let info = json!({"failover_timeout": 60.0});
    let fw = stage.subscribe(info.clone());
    stage.lose_stream(&fw.stream);
    stage.pass(seconds(30));
    let fw = stage.resubscribe(&fw.id, info.clone());
    stage.pass(seconds(300));
    assert!(stage.core.frameworks.contains_key(&fw.id));
    stage.lose_stream(&fw.stream);
    stage.pass(seconds(59));
    assert!(stage.core.frameworks.contains_key(&fw.id));
    stage.resubscribe(&fw.id, info);
}

#[test]
fn a_subscription_under_way_when_the_failover_time_ends_comes_in_time() {
    let mut stage = Stage::new();
    let info = json!({"failover_timeout": 60.0});
    let fw = stage.subscribe(info.clone());
    stage.lose_stream(&fw.stream);
    stage.pass(seconds(59));
    stage.hold_writes = true;
    let mut again = info;
    again["id"] = json!({"value": fw.id});
    let stream = stage.open(again, &[]);
    stage.pass(seconds(2));
    stage.release_writes();
    stage.pass(seconds(10));
    assert_eq!(stage.events_of(&stream)[0]["type"], "SUBSCRIBED");
    assert!(stage.core.frameworks[&fw.id].record.connected);
}

#[test]
fn a_stream_lost_before_its_admission_is_written_leaves_a_disconnected_framework() {
    let mut stage = Stage::new();
    stage.hold_writes = true;
    let stream = stage.open(json!({"failover_timeout": 60.0}), &[]);
    stage.lose_stream(&stream);
    stage.release_writes();
    let framework = &stage.core.frameworks["M1-0000"];
    assert!(!framework.record.connected);
    stage.pass(seconds(61));
    assert!(stage.core.frameworks.is_empty());
}

/// Mesos: `MasterAuthorizationTest.FrameworkRemovedBeforeReregistration`.
#[test]
fn a_subscription_under_way_when_its_framework_is_torn_down_is_refused() {
    let mut stage = Stage::new();
    let fw = stage.subscribe(json!({"failover_timeout": 60.0}));
    stage.hold_writes = true;
    let info = json!({"failover_timeout": 60.0, "id": {"value": fw.id}});
    stage.call(&fw, teardown());
    let stream = stage.open(info, &[]);
    stage.release_writes();
    assert_eq!(
        stage.events_of(&stream)[0]["error"]["message"],
        "Framework has been removed"
    );
    assert!(stage.ended(&stream) && stage.core.frameworks.is_empty());
}

#[test]
fn two_subscriptions_under_one_unknown_id_the_later_one_wins() {
    let mut stage = Stage::new();
    stage.hold_writes = true;
    let info = json!({"id": {"value": "made-up"}});
    let first = stage.open(info.clone(), &[]);
    let second = stage.open(info, &[]);
    stage.release_writes();
    assert!(stage.ended(&first));
    assert_eq!(stage.events_of(&second)[0]["type"], "SUBSCRIBED");
    assert_eq!(
        stage.core.frameworks["made-up"].stream_id.as_deref(),
        Some(second.as_str())
    );
}

#[test]
fn teardown_ends_tasks_executors_offers_and_the_stream() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let idle = stage.agent("cpus:1;mem:128");
    let fw = stage.subscribe(json!({}));
    stage.run(&fw, &node, "t", "cpus:1;mem:32");
    stage.offer(&fw, &node, "cpus:1");
    stage.told(&fw);
    stage.ordered(&node);
    stage.changes.clear();
    assert_eq!(stage.call(&fw, teardown()), Answer::ACCEPTED);
    assert!(stage.told(&fw).is_empty(), "no event before the end");
    assert!(stage.ended(&fw.stream));
    for node in [&node, &idle] {
        assert_eq!(stage.ordered(node), ["shutdown framework"]);
    }
    let killed = stage.changes.iter().any(|change| {
        matches!(change, Change::TaskUpdated { task, status, .. }
            if task.state() == TaskState::TaskKilled
                && status.reason() == tepui_protocol::v1::task_status::Reason::FrameworkRemoved)
    });
    assert!(killed);
    assert!(stage.core.frameworks.is_empty() && stage.core.offers.is_empty());
    assert_eq!(
        stage.call(&fw, teardown()),
        Answer::refused(400, "Framework cannot be found")
    );
}

#[test]
fn an_operator_tears_down_a_framework_that_exists() {
    let mut stage = Stage::new();
    let fw = stage.subscribe(json!({}));
    let call = |id: &str| json!({"type": "TEARDOWN", "teardown": {"framework_id": {"value": id}}});
    assert_eq!(
        stage.operator(call("nobody")),
        Answer::refused(400, "No framework found with specified ID")
    );
    stage.hold_writes = true;
    let first = stage.operator_asks(call(&fw.id));
    let second = stage.operator_asks(call(&fw.id));
    assert_eq!(stage.answer(first), None, "not before it is written");
    stage.release_writes();
    assert_eq!(stage.answer(first), Some(Answer::OK));
    assert_eq!(stage.answer(second), Some(Answer::OK));
    assert!(stage.ended(&fw.stream));
    let recovered = stage.subscribe(json!({}));
    stage.fail_over();
    assert_eq!(stage.operator(call(&recovered.id)), Answer::OK);
    assert!(stage.core.frameworks.is_empty());
}

#[test]
fn a_description_larger_than_masters_keep_is_refused() {
    let mut stage = Stage::new();
    let labelled =
        |bytes: usize| json!({"labels": {"labels": [{"key": "k", "value": "v".repeat(bytes)}]}});
    stage.subscribe(labelled(250 << 10));
    let text = stage.refusal(labelled(256 << 10), &[]);
    assert!(text.contains("at most 262144 are kept"), "{text}");
}

/// The next leader would bring it back.
#[test]
fn a_framework_that_the_registry_keeps_is_not_torn_down() {
    let mut stage = Stage::new();
    let fw = stage.subscribe(json!({"failover_timeout": 60.0}));
    let call = json!({"type": "TEARDOWN", "teardown": {"framework_id": {"value": fw.id}}});
    stage.refuses = |_| true;
    let answer = stage.operator(call);
    assert_eq!(answer.status, 503);
    assert!(
        format!("{answer:?}").contains("too much is under way"),
        "{answer:?}"
    );
    assert!(!stage.ended(&fw.stream) && stage.core.frameworks.contains_key(&fw.id));
    // Nor when its time is over: it is tried again.
    stage.lose_stream(&fw.stream);
    stage.pass(seconds(65));
    assert!(stage.core.frameworks.contains_key(&fw.id));
    stage.refuses = |_| false;
    stage.pass(seconds(11));
    assert!(stage.core.frameworks.is_empty());
}

#[test]
fn a_framework_that_returns_changed_waits_until_that_is_written() {
    let mut stage = Stage::new();
    let fw = stage.subscribe(json!({"failover_timeout": 60.0}));
    // It is large, and all else is small.
    stage.refuses = |command| matches!(command, Command::UpdateFramework { .. });
    let again = json!({"id": {"value": fw.id}, "failover_timeout": 6000.0});
    let stream = stage.open(again, &[]);
    // No ERROR: it would give up.
    assert_eq!(stage.events_of(&stream), Vec::<serde_json::Value>::new());
    assert!(stage.ended(&stream));
    let info = stage.core.frameworks[&fw.id].info();
    assert_eq!(info.failover_timeout, Some(60.0));
}

#[test]
fn a_framework_found_on_an_agent_alone_is_not_waited_for_for_ever() {
    let mut stage = Stage::new();
    let fw = stage.subscribe(json!({"failover_timeout": 5.0}));
    let mut node = stage.agent("cpus:4;mem:4096");
    stage.run(&fw, &node, "t", "cpus:1;mem:32");
    node.request.frameworks = vec![stage.core.frameworks[&fw.id].info().clone()];
    let task = stage.task(&fw, "t");
    // A cluster made anew, in whose registry neither is.
    let mut stage = Stage::new();
    stage.back(&node, vec![task]);
    assert!(stage.core.frameworks.contains_key(&fw.id));
    stage.pass(seconds(599));
    assert!(stage.core.frameworks.contains_key(&fw.id));
    stage.pass(seconds(2));
    assert!(stage.core.frameworks.is_empty());
}

#[test]
fn completed_ids_are_refused_while_they_are_among_the_newest() {
    let mut stage = Stage::new();
    let mut ids = Vec::new();
    for _ in 0..=stage.core.config.kept.frameworks {
        let fw = stage.subscribe(json!({}));
        stage.call(&fw, teardown());
        ids.push(fw.id);
    }
    assert_eq!(
        stage.refusal(json!({"id": {"value": ids[1]}}), &[]),
        "Framework has been removed"
    );
    assert_eq!(stage.resubscribe(&ids[0], json!({})).id, ids[0]);
}

#[test]
fn after_a_change_of_leaders_ids_deadlines_and_refusals_go_on() {
    let mut stage = Stage::new();
    let connected = stage.subscribe(json!({"failover_timeout": 3600.0}));
    let away = stage.subscribe(json!({"failover_timeout": 200.0}));
    let gone = stage.subscribe(json!({}));
    stage.call(&gone, teardown());
    stage.lose_stream(&away.stream);
    stage.pass(seconds(100));
    stage.fail_over();
    let record = &stage.core.frameworks[&connected.id].record;
    assert!(record.recovered && !record.connected);
    assert_eq!(
        stage.call(&connected, json!({"type": "REVIVE"})).status,
        403
    );
    assert_eq!(
        stage.refusal(json!({"id": {"value": gone.id}}), &[]),
        "Framework has been removed"
    );
    stage.pass(seconds(99));
    assert!(stage.core.frameworks.contains_key(&away.id));
    // Counted time is written every few seconds.
    stage.pass(seconds(5));
    assert!(!stage.core.frameworks.contains_key(&away.id));
    let again = stage.resubscribe(&connected.id, json!({}));
    assert_eq!(again.id, connected.id);
    assert_eq!(stage.subscribe(json!({})).id, "M2-0000");
}

#[test]
fn a_framework_known_from_an_agent_only_may_subscribe() {
    let mut stage = Stage::new();
    let fw = stage.subscribe(json!({}));
    let mut node = stage.agent("cpus:4;mem:4096");
    stage.run(&fw, &node, "t", "cpus:1;mem:32");
    node.request.frameworks = vec![stage.core.frameworks[&fw.id].info().clone()];
    let task = stage.task(&fw, "t");
    let mut forgotten = Stage::new();
    let (node, _) = forgotten.back(&node, vec![task]);
    let record = &forgotten.core.frameworks[&fw.id].record;
    assert!(record.recovered && !record.connected);
    forgotten.pass(seconds(599));
    let fw = forgotten.resubscribe(&fw.id, json!({}));
    assert_eq!(forgotten.ordered(&node), ["update framework"]);
    assert_eq!(forgotten.state(&fw, "t"), Some(TaskState::TaskStaging));
}

#[test]
fn update_framework_answers_at_once_and_never_changes_user_checkpoint_or_principal() {
    let mut stage = Stage::new();
    let capabilities = json!([{"type": "MULTI_ROLE"}]);
    let fw = stage
        .subscribe(json!({"roles": ["a", "b"], "capabilities": capabilities, "principal": "p"}));
    let node = stage.agent("cpus:4;mem:4096");
    let in_a = stage.offer_as(&fw, "a", &node, "cpus:1");
    let in_b = stage.offer_as(&fw, "b", &node, "cpus:1");
    stage.told(&fw);
    let update = |user: &str, checkpoint: bool, principal: &str, roles: &[&str]| {
        json!({"type": "UPDATE_FRAMEWORK", "update_framework": {"framework_info": {
            "id": {"value": fw.id}, "user": user, "name": "renamed", "checkpoint": checkpoint,
            "principal": principal, "roles": roles, "capabilities": capabilities}}})
    };
    let prefix = "FrameworkInfo update is not valid: ";
    let table = [
        (
            update("other", false, "p", &["a"]),
            format!(
                "{prefix}Updating 'FrameworkInfo.user' is unsupported; attempted to update from 'root' to 'other'"
            ),
        ),
        (
            update("root", true, "p", &["a"]),
            format!(
                "{prefix}Updating 'FrameworkInfo.checkpoint' is unsupported; attempted to update from 'false' to 'true'"
            ),
        ),
        (
            update("root", false, "q", &["a"]),
            format!("{prefix}Changing framework's principal is not allowed."),
        ),
    ];
    for (call, text) in table {
        assert_eq!(stage.call(&fw, call), Answer::refused(400, text));
    }
    let bad = stage.call(&fw, update("root", false, "p", &["a", "/b"]));
    assert!(
        bad.text
            .starts_with("Supplied FrameworkInfo is not valid: "),
        "{bad:?}"
    );

    assert_eq!(
        stage.call(&fw, update("root", false, "p", &["a", "c"])),
        Answer::OK
    );
    assert_eq!(stage.told(&fw), [format!("RESCIND {in_b}")]);
    let left: Vec<_> = stage
        .core
        .offers
        .values()
        .map(|o| &o.offer.id.value)
        .collect();
    assert_eq!(left, [&in_a]);
    assert_eq!(stage.core.frameworks[&fw.id].info().name, "renamed");
    let before = stage.core.next_offer;
    stage.propose(&fw.id, "b", &node.id, "cpus:1");
    assert_eq!(
        stage.core.next_offer, before,
        "a role it has left meanwhile"
    );
}

fn one_role(role: &str) -> serde_json::Value {
    json!({"role": role, "failover_timeout": 604_800.0})
}

fn many_roles(roles: &[&str]) -> serde_json::Value {
    json!({"roles": roles, "capabilities": [{"type": "MULTI_ROLE"}], "failover_timeout": 604_800.0})
}

/// Roles may change with every subscription, and so may the way they are named.
#[test]
fn a_framework_may_come_back_with_other_roles() {
    for (before, after, roles) in [
        (one_role("r"), many_roles(&["r"]), &["r"][..]),
        (many_roles(&["r", "s"]), one_role("r"), &["r"]),
        (many_roles(&["r"]), many_roles(&["r", "s"]), &["r", "s"]),
        (one_role("r"), many_roles(&["s"]), &["s"]),
    ] {
        let mut stage = Stage::new();
        let fw = stage.subscribe(before);
        stage.lose_stream(&fw.stream);
        stage.world.clear();
        let again = stage.resubscribe(&fw.id, after);
        assert_eq!(again.id, fw.id);
        assert_eq!(stage.core.frameworks[&fw.id].roles(), roles);
        let allocator = stage.world.iter().find_map(|change| match change {
            WorldChange::FrameworkUpdated { info, .. } => Some(info.clone()),
            _ => None,
        });
        let info = allocator.expect("the allocator was told");
        let told: Vec<&str> = tepui_protocol::validate::framework::roles(&info)
            .into_iter()
            .collect();
        assert_eq!(told, roles);
    }
}

#[test]
fn roles_change_over_a_failover_though_agents_bring_the_old_ones() {
    let mut stage = Stage::new();
    let mut node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(one_role("r"));
    let offer = stage.offer_as(&fw, "r", &node, "cpus:1;mem:32");
    let tasks = [crate::stage::task("t", &node, "cpus:1;mem:32")];
    stage.accept(&fw, &[&offer], &tasks);
    let task = stage.task(&fw, "t");
    node.request.frameworks = vec![stage.core.frameworks[&fw.id].info().clone()];
    // One leader knows the framework from the registry, another one from the agent alone.
    for mut next in [stage, Stage::new()] {
        next.fail_over();
        let (node, registration) = next.back(&node, vec![task.clone()]);
        assert_eq!(registration.refusal, None);
        assert_eq!(next.core.frameworks[&fw.id].roles(), ["r"]);
        let fw = next.resubscribe(&fw.id, many_roles(&["s"]));
        assert_eq!(next.core.frameworks[&fw.id].roles(), ["s"]);
        assert_eq!(next.state(&fw, "t"), Some(TaskState::TaskStaging));
        assert_eq!(next.ordered(&node), ["update framework"]);
        next.offer_as(&fw, "s", &node, "cpus:1;mem:32");
        assert_eq!(next.told(&fw), ["OFFERS"]);
    }
}

#[test]
fn a_second_subscription_brings_new_offers_and_says_when_it_was() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({"failover_timeout": 60.0}));
    let first = stage.now;
    let old = stage.offer(&fw, &node, "cpus:1;mem:32");
    assert_eq!(stage.core.frameworks[&fw.id].record.reregistered_at, None);
    stage.pass(seconds(10));
    stage.lose_stream(&fw.stream);
    stage.pass(seconds(10));
    stage.world.clear();
    let fw = stage.resubscribe(&fw.id, json!({"failover_timeout": 60.0}));
    let record = &stage.core.frameworks[&fw.id].record;
    assert_eq!(
        (record.registered_at, record.reregistered_at),
        (first, Some(stage.now))
    );
    let active = stage
        .world
        .iter()
        .any(|change| matches!(change, WorldChange::FrameworkActive { active: true, .. }));
    assert!(active, "{:?}", stage.world);
    let new = stage.offer(&fw, &node, "cpus:1;mem:32");
    assert_ne!(new, old);
    assert_eq!(stage.told(&fw), ["OFFERS"]);
}
