use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use tepui_messages::master::Answer;
use tepui_protocol::{
    acls::{Acls, Action},
    v1::{
        Resource,
        agent_info::capability::Type as Ability,
        master::call::Type,
        offer::operation,
        resource::{ReservationInfo, reservation_info},
    },
};

use super::{Need, of_reserve};
use crate::{
    stage::{Node, Scheduler, Stage, accept, task},
    stage_operations::{
        able, create, destroy, framework, named, reserve, reserved, unreserve, volume, with_agent,
    },
};

#[path = "authorization_operator_tests.rs"]
mod operators;

fn any() -> Value {
    json!({"type": "ANY"})
}

fn none() -> Value {
    json!({"type": "NONE"})
}

fn some(values: &[&str]) -> Value {
    json!({ "values": values })
}

fn set(stage: &mut Stage, acls: Value) {
    let acls = Acls::from_json(&acls.to_string()).unwrap();
    stage.core.config.acls = Arc::new(acls);
}

/// A cluster where `p` may do what the list says, and nobody else.
fn only(stage: &mut Stage, list: &str, key: &str, objects: &[&str]) {
    let mut rules = json!([{"principals": some(&["p"])}, {"principals": any()}]);
    rules[0][key] = some(objects);
    rules[1][key] = none();
    let mut acls = json!({});
    acls[list] = rules;
    set(stage, acls);
}

fn forbidden() -> Answer {
    Answer::refused(403, "")
}

// --- frameworks ---------------------------------------------------------------------------------------------------

#[test]
fn a_framework_may_have_only_roles_it_is_allowed() {
    let mut stage = Stage::new();
    only(&mut stage, "register_frameworks", "roles", &["r", "a/%"]);
    let with = |roles: &[&str]| {
        let mut info = framework();
        info["roles"] = json!(roles);
        info
    };
    let fw = stage.subscribe(with(&["r", "a/b"]));
    let refused = stage.refusal(with(&["a", "r"]), &[]);
    assert_eq!(
        refused,
        "Not authorized to register framework  with roles { a, r }"
    );
    let mut other = with(&["r"]);
    other["principal"] = json!("q");
    let refused = stage.refusal(other, &[]);
    assert_eq!(
        refused,
        "Not authorized to register framework  with roles { r }"
    );

    let mut info = with(&["r", "prod"]);
    info["id"] = json!({"value": fw.id});
    let refused = stage.refusal(info.clone(), &[]);
    let expected = format!(
        "Not authorized to register framework {} with roles {{ prod, r }}",
        fw.id
    );
    assert_eq!(refused, expected);
    for (field, value) in [("user", "root"), ("name", "test")] {
        info[field] = json!(value);
    }
    let update = json!({"type": "UPDATE_FRAMEWORK", "update_framework": {"framework_info": info}});
    assert_eq!(stage.call(&fw, update), Answer::refused(403, expected));
}

#[test]
fn calls_come_from_the_principal_that_subscribed() {
    let (mut stage, _, fw) = able();
    let revive = || json!({"type": "REVIVE"});
    stage.caller = Some("q".to_string());
    let text = "Authenticated principal 'q' does not match principal 'p' set in `FrameworkInfo`";
    // Whoever stole the id of the stream, or has none.
    for stream in [Some(fw.stream.clone()), None] {
        let refused = stage.call_on(stream.as_deref(), &fw.id, revive());
        assert_eq!(refused, Answer::refused(400, text));
    }
    let unknown = stage.call_on(Some(&fw.stream), "nobody", revive());
    assert_eq!(unknown, Answer::refused(400, "Framework cannot be found"));
    stage.caller = Some("p".to_string());
    assert_eq!(stage.call(&fw, revive()), Answer::ACCEPTED);
    stage.caller = None;
    assert_eq!(
        stage.call(&fw, revive()),
        Answer::ACCEPTED,
        "where nobody is asked"
    );

    let mut info = framework();
    info["principal"] = json!("q");
    info["id"] = json!({"value": fw.id});
    let refused = stage.refusal(info, &[]);
    assert_eq!(refused, "Changing framework's principal is not allowed.");
    assert!(stage.is_open(&fw.stream));
}

#[test]
fn a_framework_without_a_principal_is_nobody_s_own() {
    let mut stage = Stage::new();
    let fw = stage.subscribe(json!({}));
    stage.caller = Some("q".to_string());
    let refused = stage.call(&fw, json!({"type": "REVIVE"}));
    let text = "Authenticated principal 'q' does not match principal '' set in `FrameworkInfo`";
    assert_eq!(refused, Answer::refused(400, text));
}

fn as_user(mut task: Value, user: &str) -> Value {
    task["command"]["user"] = json!(user);
    task
}

#[test]
fn tasks_run_only_as_users_that_are_allowed() {
    let (mut stage, node, fw) = able();
    only(&mut stage, "run_tasks", "users", &["web"]);
    let offer = stage.offer_as(&fw, "r", &node, "cpus:2;mem:128");
    let tasks = [
        as_user(task("1", &node, "cpus:0.5;mem:32"), "web"),
        task("2", &node, "cpus:0.5;mem:32"),
        as_user(task("3", &node, "cpus:0.5;mem:32"), "db"),
        as_user(task("4", &node, "cpus:0.25;mem:16"), ""),
    ];
    stage.told(&fw);
    stage.accept(&fw, &[&offer], &tasks);
    let refused = |id: &str, user: &str| {
        let text = "TASK_ERROR REASON_TASK_UNAUTHORIZED Principal 'p' no authorized to launch task";
        format!(
            "{id} {text} {id} of framework {} under user '{user}'",
            fw.id
        )
    };
    let told = [
        refused("2", "root"),
        refused("3", "db"),
        refused("4", "root"),
    ];
    assert_eq!(stage.told(&fw), told);
    assert_eq!(stage.ordered(&node).len(), 1);
    assert!(stage.state(&fw, "1").is_some());
    assert!(stage.state(&fw, "2").is_none());
}

#[test]
fn one_task_that_may_not_run_ends_its_group() {
    let (mut stage, node, fw) = able();
    only(&mut stage, "run_tasks", "users", &["web"]);
    let offer = stage.offer_as(&fw, "r", &node, "cpus:4;mem:2048;disk:512");
    let tasks = json!([
        as_user(task("1", &node, "cpus:0.5;mem:32"), "web"),
        task("2", &node, "cpus:0.5;mem:32")
    ]);
    let executor = json!({"type": "DEFAULT", "executor_id": {"value": "pod"}, "framework_id": {"value": fw.id}});
    let group = json!([{"type": "LAUNCH_GROUP", "launch_group": {"executor": executor, "task_group": {"tasks": tasks}}}]);
    stage.told(&fw);
    stage.call(&fw, accept(&[&offer], group));
    let told = stage.told(&fw);
    assert_eq!(told.len(), 2, "{told:?}");
    for (id, update) in ["1", "2"].iter().zip(&told) {
        let expected = format!(
            "{id} TASK_ERROR REASON_TASK_GROUP_UNAUTHORIZED Task '2' is not authorized tolaunch task 2 of framework {}",
            fw.id
        );
        assert!(update.starts_with(&expected), "{update}");
    }
    assert!(stage.ordered(&node).is_empty());
}

#[test]
fn an_executor_of_a_group_runs_only_as_a_user_that_is_allowed() {
    let (mut stage, node, fw) = able();
    only(&mut stage, "run_tasks", "users", &["web"]);
    let offer = stage.offer_as(&fw, "r", &node, "cpus:4;mem:2048;disk:512");
    let tasks = json!([as_user(task("1", &node, "cpus:0.5;mem:32"), "web")]);
    let executor = json!({"type": "CUSTOM", "executor_id": {"value": "pod"}, "framework_id": {"value": fw.id},
        "command": {"value": "id", "user": "root"}});
    let group = json!([{"type": "LAUNCH_GROUP", "launch_group": {"executor": executor, "task_group": {"tasks": tasks}}}]);
    stage.told(&fw);
    stage.call(&fw, accept(&[&offer], group));
    let told = stage.told(&fw);
    assert!(
        told[0].contains("REASON_TASK_GROUP_UNAUTHORIZED"),
        "{told:?}"
    );
    assert!(told[0].ends_with("under user 'root'"), "{told:?}");
    assert!(stage.ordered(&node).is_empty());
}

fn grow(by: f64) -> Value {
    let addition = json!({"name": "disk", "type": "SCALAR", "scalar": {"value": by},
        "reservations": [{"type": "STATIC", "role": "r"}]});
    json!({"type": "GROW_VOLUME", "grow_volume": {"volume": volume(64.0), "addition": addition}})
}

fn shrink(by: f64) -> Value {
    json!({"type": "SHRINK_VOLUME", "shrink_volume": {"volume": volume(64.0), "subtract": {"value": by}}})
}

/// What the framework's operation came to: nothing, or the refusal.
fn tried(stage: &mut Stage, fw: &Scheduler, node: &Node, operation: Value) -> Vec<String> {
    stage.operate(fw, node, json!([named(operation, "o")]));
    let told = stage.operations_told(fw);
    stage.finish_operations(node);
    stage.operations_told(fw);
    told.into_iter().map(|(shown, _)| shown).collect()
}

#[test]
fn operations_of_a_framework_need_their_own_lists() {
    for (list, key, object, before, operation) in [
        (
            "reserve_resources",
            "roles",
            "r",
            None,
            reserve(reserved("cpus", 1.0)),
        ),
        (
            "unreserve_resources",
            "reserver_principals",
            "p",
            Some(reserve(reserved("cpus", 1.0))),
            unreserve(reserved("cpus", 1.0)),
        ),
        ("create_volumes", "roles", "r", None, create(volume(64.0))),
        (
            "destroy_volumes",
            "creator_principals",
            "p",
            Some(create(volume(64.0))),
            destroy(volume(64.0)),
        ),
        (
            "resize_volumes",
            "roles",
            "r",
            Some(create(volume(64.0))),
            grow(8.0),
        ),
        (
            "resize_volumes",
            "roles",
            "r",
            Some(create(volume(64.0))),
            shrink(8.0),
        ),
    ] {
        let (mut stage, node, fw) = able();
        if let Some(before) = before {
            assert_eq!(tried(&mut stage, &fw, &node, before), [""; 0]);
        }
        let total = stage.total(&node);
        only(&mut stage, list, key, &["other"]);
        let told = tried(&mut stage, &fw, &node, operation.clone());
        let expected =
            format!("o OPERATION_ERROR Principal 'p' is not authorized to {list} on '{object}'");
        assert_eq!(told, [expected]);
        assert_eq!(stage.total(&node), total);
        only(&mut stage, list, key, &[object]);
        assert_eq!(tried(&mut stage, &fw, &node, operation), [""; 0], "{list}");
        assert_ne!(stage.total(&node), total, "{list}");
    }
}

/// Resources with one reservation on another, of principals that are named like the roles.
fn stacked(roles: &[&str]) -> Vec<Resource> {
    let reservations = roles.iter().map(|role| ReservationInfo {
        r#type: Some(reservation_info::Type::Dynamic.into()),
        role: Some((*role).to_owned()),
        principal: Some(format!("of {role}")),
        ..ReservationInfo::default()
    });
    vec![Resource {
        reservations: reservations.collect(),
        ..Resource::default()
    }]
}

#[test]
fn to_reserve_anew_needs_what_differs_from_the_reservations_in_common() {
    type Case = (
        &'static [&'static str],
        &'static [&'static str],
        &'static [&'static str],
        &'static [&'static str],
    );
    // From, to; then whose reservations go and for which roles there are new ones.
    let cases: [Case; 7] = [
        (&["foo"], &["foo"], &[], &[]),
        (&["foo"], &[], &["foo"], &[]),
        (&["foo", "foo/bar"], &[], &["foo", "foo/bar"], &[]),
        (&["foo", "foo/bar"], &["foo"], &["foo/bar"], &[]),
        (&["foo"], &["foo", "foo/bar"], &[], &["foo/bar"]),
        (
            &["foo", "foo/bar"],
            &["foo", "foo/baz"],
            &["foo/bar"],
            &["foo/baz"],
        ),
        (&["foo"], &["bar", "bar/baz"], &["foo"], &["bar", "bar/baz"]),
    ];
    for (source, target, popped, pushed) in cases {
        let body = operation::Reserve {
            source: stacked(source),
            resources: stacked(target),
        };
        let popped = popped.iter().map(|role| {
            let principal = Some(format!("of {role}"));
            (Action::UnreserveResources, principal)
        });
        let pushed = pushed.iter().map(|role| {
            let role = Some((*role).to_owned());
            (Action::ReserveResources, role)
        });
        let needs: BTreeSet<Need> = of_reserve(&body).into_iter().collect();
        let wanted: BTreeSet<Need> = popped.chain(pushed).collect();
        assert_eq!(needs, wanted, "{source:?} to {target:?}");
    }
}

#[test]
fn one_operation_that_is_refused_does_not_stop_the_others() {
    let (mut stage, node, fw) = able();
    only(&mut stage, "create_volumes", "roles", &[]);
    let operations = [
        named(reserve(reserved("cpus", 1.0)), "a"),
        named(create(volume(64.0)), "b"),
        named(reserve(reserved("mem", 64.0)), "c"),
    ];
    stage.operate(&fw, &node, json!(operations));
    assert_eq!(stage.ordered(&node), ["RESERVE", "RESERVE"]);
}

/// Mesos: `ReservationTest.ACLMultipleOperations`.
#[test]
fn what_is_refused_is_not_undone_and_the_rest_is_launched() {
    let (mut stage, node, fw) = able();
    assert_eq!(
        tried(&mut stage, &fw, &node, reserve(reserved("cpus", 1.0))),
        [""; 0]
    );
    only(
        &mut stage,
        "unreserve_resources",
        "reserver_principals",
        &["other"],
    );
    let mut launched = task("1", &node, "");
    launched["resources"] = json!([reserved("cpus", 0.5)]);
    let operations = [
        named(unreserve(reserved("cpus", 1.0)), "a"),
        named(reserve(reserved("cpus", 0.5)), "b"),
        json!({"type": "LAUNCH", "launch": {"task_infos": [launched]}}),
    ];
    stage.operate(&fw, &node, json!(operations));
    let told = stage.operations_told(&fw);
    assert!(
        told[0].0.starts_with(
            "a OPERATION_ERROR Principal 'p' is not authorized to unreserve_resources"
        ),
        "{told:?}"
    );
    assert_eq!(told.len(), 1);
    assert!(stage.state(&fw, "1").is_some());
    assert!(
        stage
            .total(&node)
            .contains("cpus(reservations: [(DYNAMIC,r,p)]):1.5"),
        "{}",
        stage.total(&node)
    );
}

#[test]
fn a_framework_without_a_principal_does_what_everybody_may() {
    let nameless = || {
        let mut info = framework();
        info.as_object_mut().unwrap().remove("principal");
        info
    };
    let mut disk = volume(64.0);
    disk["disk"]["persistence"]
        .as_object_mut()
        .unwrap()
        .remove("principal");
    for (principals, allowed) in [(any(), true), (some(&["p"]), false)] {
        let (mut stage, node, _) = able();
        let fw = stage.subscribe(nameless());
        set(
            &mut stage,
            json!({"permissive": false,
                "register_frameworks": [{"principals": any(), "roles": any()}],
                "create_volumes": [{"principals": principals, "roles": any()}]}),
        );
        let told = tried(&mut stage, &fw, &node, create(disk.clone()));
        let expected = "o OPERATION_ERROR A framework without a principal is not authorized to create_volumes on 'r'";
        assert_eq!(
            told.first().map(String::as_str),
            (!allowed).then_some(expected)
        );
    }
}

// --- agents -------------------------------------------------------------------------------------------------------

#[test]
fn agents_join_only_where_they_may_with_what_they_reserve() {
    let mut stage = Stage::new();
    let plain = stage.agent("cpus:4;mem:4096").request;
    let reserving = stage.agent("cpus:4;mem:4096;disk(r):1024").request;
    let rules = |agents: Value, roles: Value| {
        json!({"register_agents": [{"principals": any(), "agents": agents}],
            "reserve_resources": [{"principals": any(), "roles": roles}]})
    };
    for (agents, roles, joins) in [
        (any(), any(), [true, true]),
        (any(), some(&["r"]), [true, true]),
        (any(), none(), [true, false]),
        (none(), any(), [false, false]),
    ] {
        set(&mut stage, rules(agents, roles));
        for (request, joins) in [&plain, &reserving].into_iter().zip(joins) {
            let mut request = request.clone();
            request.agent_info.id = None;
            let (_, registration) = stage.register(request);
            assert_eq!(registration.agent_id.is_some(), joins, "{registration:?}");
            if !joins {
                let reason = registration.refusal.unwrap();
                assert!(
                    reason.starts_with("Not authorized to register agent providing resources '"),
                    "{reason}"
                );
                assert_eq!(registration.shutdown, Some(false), "it asks again");
            }
        }
    }
}

#[test]
fn an_agent_that_may_not_join_does_not_return_either() {
    let mut stage = Stage::new();
    let agents =
        |agents: Value| json!({"register_agents": [{"principals": any(), "agents": agents}]});
    set(&mut stage, agents(any()));
    let request = stage.agent("cpus:4;mem:4096").request;
    let (node, registration) = stage.register(request);
    assert!(registration.refusal.is_none(), "{registration:?}");
    stage.lose(&node);
    set(&mut stage, agents(none()));
    let (_, registration) = stage.back(&node, Vec::new());
    assert!(registration.refusal.is_some(), "{registration:?}");
    set(&mut stage, agents(any()));
    let (_, registration) = stage.back(&node, Vec::new());
    assert!(registration.refusal.is_none(), "{registration:?}");
}
