//! Calls of operators, each with and without the rule that allows it.

use super::*;

fn another_volume() -> Value {
    let mut volume = volume(64.0);
    volume["disk"]["persistence"]["id"] = json!("w");
    volume
}

/// Every call that comes to the master, about things that are there.
fn calls(node: &Node, fw: &Scheduler) -> Vec<(Type, Value)> {
    let agent = json!({"value": node.id});
    let machine = json!([{"hostname": "h", "ip": "127.0.0.1"}]);
    let bodies = [
        (Type::Teardown, json!({"framework_id": {"value": fw.id}})),
        (
            Type::UpdateWeights,
            json!({"weight_infos": [{"role": "r", "weight": 2.0}]}),
        ),
        (Type::UpdateQuota, json!({"quota_configs": [{"role": "r"}]})),
        (
            Type::SetQuota,
            json!({"quota_request": {"role": "r", "force": true,
                "guarantee": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.0}}]}}),
        ),
        (Type::RemoveQuota, json!({"role": "r"})),
        (
            Type::UpdateMaintenanceSchedule,
            json!({"schedule": {"windows": []}}),
        ),
        (Type::StartMaintenance, json!({"machines": machine})),
        (Type::StopMaintenance, json!({"machines": machine})),
        (Type::DrainAgent, json!({"agent_id": agent})),
        (Type::DeactivateAgent, json!({"agent_id": agent})),
        (Type::ReactivateAgent, json!({"agent_id": agent})),
        (Type::MarkAgentGone, json!({"agent_id": agent})),
        (
            Type::ReserveResources,
            json!({"agent_id": agent, "resources": [reserved("cpus", 1.0)]}),
        ),
        (
            Type::UnreserveResources,
            json!({"agent_id": agent, "resources": [reserved("cpus", 1.0)]}),
        ),
        (
            Type::CreateVolumes,
            json!({"agent_id": agent, "volumes": [another_volume()]}),
        ),
        (Type::GrowVolume, {
            let mut body = grow(8.0)["grow_volume"].take();
            body["agent_id"] = agent.clone();
            body
        }),
        (Type::ShrinkVolume, {
            let mut body = shrink(8.0)["shrink_volume"].take();
            body["agent_id"] = agent.clone();
            body
        }),
        (
            Type::DestroyVolumes,
            json!({"agent_id": agent, "volumes": [volume(64.0)]}),
        ),
    ];
    let call = |(kind, body): (Type, Value)| {
        let name = kind.as_str_name();
        let mut call = json!({"type": name});
        call[name.to_lowercase()] = body;
        (kind, call)
    };
    bodies.into_iter().map(call).collect()
}

#[test]
fn without_a_rule_that_allows_it_no_call_of_an_operator_has_an_effect() {
    for caller in [None, Some("p".to_string())] {
        let (mut stage, node, fw) = able();
        // A volume, so that only the lists can be in the way.
        assert_eq!(tried(&mut stage, &fw, &node, create(volume(64.0))), [""; 0]);
        set(&mut stage, json!({"permissive": false}));
        stage.caller = caller;
        let (writes, changes) = (stage.writes(), stage.core.changes());
        for (kind, call) in calls(&node, &fw) {
            assert_eq!(stage.operator(call), forbidden(), "{kind:?}");
        }
        assert_eq!((stage.writes(), stage.core.changes()), (writes, changes));
    }
}

#[test]
fn each_call_of_an_operator_has_its_list() {
    for (index, list, key, object) in [
        (0, "teardown_frameworks", "framework_principals", Some("p")),
        (1, "update_weights", "roles", Some("r")),
        (2, "update_quotas", "roles", Some("r")),
        (3, "update_quotas", "roles", Some("r")),
        (4, "update_quotas", "roles", Some("r")),
        (5, "update_maintenance_schedules", "machines", None),
        (6, "start_maintenances", "machines", None),
        (7, "stop_maintenances", "machines", None),
        (8, "drain_agents", "agents", None),
        (9, "deactivate_agents", "agents", None),
        (10, "reactivate_agents", "agents", None),
        (11, "mark_agents_gone", "agents", None),
        (12, "reserve_resources", "roles", Some("r")),
    ] {
        let (mut stage, node, fw) = able();
        let mut allowed = json!({"principals": some(&["p"])});
        allowed[key] = object.map_or_else(any, |object| some(&[object]));
        let mut refused = json!({"principals": any()});
        refused[key] = none();
        let mut acls = json!({});
        acls[list] = json!([allowed, refused]);
        set(&mut stage, acls);
        let (kind, call) = calls(&node, &fw).swap_remove(index);
        stage.caller = None;
        assert_eq!(stage.operator(call.clone()), forbidden(), "{kind:?}");
        stage.caller = Some("p".to_string());
        assert_ne!(stage.operator(call), forbidden(), "{kind:?}");
    }
}

#[test]
fn to_drain_an_agent_for_good_needs_both() {
    let (mut stage, node, _) = with_agent(&[Ability::AgentDraining]);
    set(
        &mut stage,
        json!({"mark_agents_gone": [{"principals": any(), "agents": none()}]}),
    );
    let drain = |gone: bool| json!({"type": "DRAIN_AGENT", "drain_agent": {"agent_id": {"value": node.id}, "mark_gone": gone}});
    assert_eq!(stage.operator(drain(true)), forbidden());
    assert_eq!(stage.operator(drain(false)), Answer::OK);
}

#[test]
fn one_role_that_is_not_allowed_refuses_the_whole_call() {
    let (mut stage, _, _) = able();
    only(&mut stage, "update_weights", "roles", &["a"]);
    stage.caller = Some("p".to_string());
    let weights = |roles: &[&str]| {
        let infos: Vec<Value> = roles
            .iter()
            .map(|role| json!({"role": role, "weight": 2.0}))
            .collect();
        json!({"type": "UPDATE_WEIGHTS", "update_weights": {"weight_infos": infos}})
    };
    assert_eq!(stage.operator(weights(&["a", "b"])), forbidden());
    assert!(stage.core.weights.is_empty());
    assert_eq!(stage.operator(weights(&["a"])), Answer::OK);
}

fn reserve_call(node: &Node, resources: Value) -> Value {
    json!({"type": "RESERVE_RESOURCES", "reserve_resources": {"agent_id": {"value": node.id}, "resources": resources}})
}

fn reserved_by(role: &str, principal: &str) -> Value {
    let mut resource = reserved("cpus", 1.0);
    resource["reservations"][0]["role"] = json!(role);
    resource["reservations"][0]["principal"] = json!(principal);
    resource
}

#[test]
fn reservations_of_several_roles_need_all_of_them() {
    let (mut stage, node, _) = able();
    stage.caller = Some("p".to_string());
    let both = || json!([reserved_by("a", "p"), reserved_by("b", "p")]);
    only(&mut stage, "reserve_resources", "roles", &["a"]);
    assert_eq!(stage.operator(reserve_call(&node, both())), forbidden());
    only(&mut stage, "reserve_resources", "roles", &["a", "b"]);
    assert_eq!(
        stage.operator(reserve_call(&node, both())),
        Answer::ACCEPTED
    );
}

#[test]
fn an_operator_reserves_under_its_own_name() {
    let (mut stage, node, _) = able();
    stage.caller = Some("ops".to_string());
    let answer = stage.operator(reserve_call(&node, json!([reserved_by("r", "zz")])));
    assert_eq!(answer.status, 400);
    let text = "A reserve operation was attempted by authenticated principal 'ops', which does not match a reserved resource in the request with principal 'zz'";
    assert!(answer.text.ends_with(text), "{}", answer.text);
    assert!(
        answer
            .text
            .starts_with("Invalid RESERVE operation on agent ")
    );
    let own = stage.operator(reserve_call(&node, json!([reserved_by("r", "ops")])));
    assert_eq!(own, Answer::ACCEPTED);
    // Two principals may hold something of one role.
    stage.caller = Some("dev".to_string());
    let other = stage.operator(reserve_call(&node, json!([reserved_by("r", "dev")])));
    assert_eq!(other, Answer::ACCEPTED);
}

#[test]
fn to_reserve_anew_what_is_reserved_needs_to_unreserve_it() {
    let (mut stage, node, _) = able();
    let first = || json!([reserved_by("a", "p")]);
    assert_eq!(
        stage.operator(reserve_call(&node, first())),
        Answer::ACCEPTED
    );
    let mut again = reserve_call(&node, json!([reserved_by("b", "p")]));
    again["reserve_resources"]["source"] = first();
    stage.caller = Some("p".to_string());
    only(
        &mut stage,
        "unreserve_resources",
        "reserver_principals",
        &["q"],
    );
    assert_eq!(stage.operator(again.clone()), forbidden());
    only(&mut stage, "reserve_resources", "roles", &["a"]);
    assert_eq!(stage.operator(again.clone()), forbidden());
    only(&mut stage, "reserve_resources", "roles", &["b"]);
    assert_eq!(stage.operator(again), Answer::ACCEPTED);
}

fn resources_call(kind: &str, node: &Node, key: &str, resources: Value) -> Value {
    let mut call = json!({"type": kind.to_uppercase()});
    call[kind] = json!({"agent_id": {"value": node.id}});
    call[kind][key] = resources;
    call
}

#[test]
fn without_names_anybody_reserves_and_unreserves() {
    let (mut stage, node, _) = able();
    let mut nameless = reserved("cpus", 1.0);
    let reservation = nameless["reservations"][0].as_object_mut().unwrap();
    reservation.remove("principal");
    for resource in [nameless, reserved("cpus", 1.0)] {
        for kind in ["reserve_resources", "unreserve_resources"] {
            let call = resources_call(kind, &node, "resources", json!([resource]));
            assert_eq!(stage.operator(call), Answer::ACCEPTED, "{kind} {resource}");
            stage.finish_operations(&node);
        }
    }
}

#[test]
fn what_everybody_may_needs_no_name() {
    let (mut stage, _, _) = able();
    let everybody = |key: &str| {
        let mut rule = json!({"principals": any()});
        rule[key] = some(&["r"]);
        json!([rule])
    };
    set(
        &mut stage,
        json!({"permissive": false, "update_weights": everybody("roles"), "update_quotas": everybody("roles")}),
    );
    let guarantee = json!([{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.0}}]);
    let calls = |role: &str| {
        [
            json!({"type": "UPDATE_WEIGHTS", "update_weights": {"weight_infos": [{"role": role, "weight": 2.0}]}}),
            json!({"type": "SET_QUOTA", "set_quota": {"quota_request": {"role": role, "force": true, "guarantee": guarantee}}}),
            json!({"type": "REMOVE_QUOTA", "remove_quota": {"role": role}}),
        ]
    };
    for call in calls("r") {
        let shown = call.to_string();
        assert_eq!(stage.operator(call), Answer::OK, "{shown}");
    }
    for call in calls("s") {
        assert_eq!(stage.operator(call), forbidden());
    }
}

#[test]
fn volumes_of_operators_need_their_own_lists() {
    let (mut stage, node, _) = able();
    let create = || resources_call("create_volumes", &node, "volumes", json!([volume(64.0)]));
    let destroy = || resources_call("destroy_volumes", &node, "volumes", json!([volume(64.0)]));
    stage.caller = Some("p".to_string());
    only(&mut stage, "create_volumes", "roles", &["other"]);
    assert_eq!(stage.operator(create()), forbidden());
    assert!(stage.ordered(&node).is_empty());
    only(&mut stage, "create_volumes", "roles", &["r"]);
    assert_eq!(stage.operator(create()), Answer::ACCEPTED);
    stage.finish_operations(&node);
    only(&mut stage, "destroy_volumes", "creator_principals", &["q"]);
    assert_eq!(stage.operator(destroy()), forbidden());
    only(&mut stage, "destroy_volumes", "creator_principals", &["p"]);
    assert_eq!(stage.operator(destroy()), Answer::ACCEPTED);
}

#[test]
fn volumes_of_several_roles_need_all_of_them() {
    let mut stage = Stage::new();
    let mut request = stage.agent("disk(a):1024;disk(b):1024").request;
    request.capabilities = able().1.request.capabilities;
    let (node, _) = stage.register(request);
    let volume_of = |role: &str| {
        let mut volume = volume(64.0);
        volume["reservations"][0]["role"] = json!(role);
        volume["disk"]["persistence"]["id"] = json!(role);
        volume
    };
    let both = json!([volume_of("a"), volume_of("b")]);
    let create = || resources_call("create_volumes", &node, "volumes", both.clone());
    stage.caller = Some("p".to_string());
    only(&mut stage, "create_volumes", "roles", &["a"]);
    assert_eq!(stage.operator(create()), forbidden());
    only(&mut stage, "create_volumes", "roles", &["a", "b"]);
    assert_eq!(stage.operator(create()), Answer::ACCEPTED);
}
