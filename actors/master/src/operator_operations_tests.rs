use serde_json::{Value, json};
use tepui_messages::master::{AgentMessage, Answer};

use crate::{
    stage::{Node, Scheduler, Stage},
    stage_operations::{TOTAL, able, named, reserve, reserved, volume},
};

fn call(kind: &str, node: &Node, list: &str, resources: Value) -> Value {
    let mut body = json!({"agent_id": {"value": node.id}});
    body[list] = resources;
    let mut call = json!({"type": kind.to_uppercase()});
    call[kind] = body;
    call
}

fn reserve_of(node: &Node, resource: Value) -> Value {
    call("reserve_resources", node, "resources", json!([resource]))
}

fn shown(stage: &Stage, node: &Node) -> String {
    let agent = &stage.core.agents[&node.id];
    let record = &agent.record;
    format!("{} at {} ({})", node.id, record.pid, record.info.hostname)
}

#[test]
fn reservations_and_volumes_are_made_resized_and_removed() {
    let (mut stage, node, _) = able();
    let disk = json!({"name": "disk", "type": "SCALAR", "scalar": {"value": 88.0}, "reservations": [{"type": "STATIC", "role": "r"}]});
    let before = stage.ledger.free(&node.id);
    let mut grow = call("grow_volume", &node, "volume", volume(512.0));
    grow["grow_volume"]["addition"] = disk;
    let mut shrink = call("shrink_volume", &node, "volume", volume(600.0));
    shrink["shrink_volume"]["subtract"] = json!({"value": 500.0});
    let calls = [
        reserve_of(&node, reserved("cpus", 1.0)),
        call("create_volumes", &node, "volumes", json!([volume(512.0)])),
        grow,
        shrink,
        call("destroy_volumes", &node, "volumes", json!([volume(100.0)])),
        call(
            "unreserve_resources",
            &node,
            "resources",
            json!([reserved("cpus", 1.0)]),
        ),
    ];
    for call in calls {
        let shown = call.to_string();
        assert_eq!(stage.operator(call), Answer::ACCEPTED, "{shown}");
    }
    assert_eq!(
        stage.ordered(&node),
        [
            "RESERVE",
            "CREATE",
            "GROW_VOLUME",
            "SHRINK_VOLUME",
            "DESTROY",
            "UNRESERVE"
        ]
    );
    assert_eq!(stage.ledger.free(&node.id), before);
}

#[test]
fn what_is_wrong_is_400_and_what_is_not_there_409_in_mesos_words() {
    let (mut stage, node, _) = able();
    let on = shown(&stage, &node);
    let nowhere = Node {
        id: "nope".to_string(),
        ..node.clone()
    };
    let answer = stage.operator(reserve_of(&nowhere, reserved("cpus", 1.0)));
    assert_eq!(
        answer,
        Answer::refused(400, "No agent found with specified ID")
    );
    let plain = json!({"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.0}});
    let allocated = {
        let mut resource = reserved("cpus", 1.0);
        resource["allocation_info"] = json!({"role": "r"});
        resource
    };
    let mut of_role_s = volume(5.0);
    of_role_s["reservations"][0]["role"] = json!("s");
    let total = "cpus:4; mem:4096; disk(reservations: [(STATIC,r)]):1024; disk:1024";
    let table = [
        (
            reserve_of(&node, plain),
            400,
            format!(
                "Invalid RESERVE operation on agent {on}: Resource cpus:1 is not dynamically reserved"
            ),
        ),
        (
            reserve_of(&node, allocated),
            400,
            format!(
                "Invalid RESERVE operation on agent {on}: A reserve operation was attempted with an allocated resource, but the operator API only allows reservations to be made to unallocated resources"
            ),
        ),
        (
            reserve_of(&node, reserved("cpus", -1.0)),
            400,
            "Resource 'cpus(reservations: [(DYNAMIC,r,p)]):-1' is invalid: Invalid scalar resource: value <= 0".to_string(),
        ),
        (
            reserve_of(&node, reserved("cpus", 1e16)),
            400,
            "Resource 'cpus(reservations: [(DYNAMIC,r,p)]):10000000000000000' is invalid: Invalid scalar resource: value > 9007199254740.992".to_string(),
        ),
        (
            reserve_of(&node, reserved("cpus", 5000.0)),
            409,
            format!("{total} does not contain cpus:5000"),
        ),
        (
            call(
                "unreserve_resources",
                &node,
                "resources",
                json!([reserved("cpus", 0.5)]),
            ),
            409,
            format!("{total} does not contain cpus(reservations: [(DYNAMIC,r,p)]):0.5"),
        ),
        (
            call(
                "create_volumes",
                &node,
                "volumes",
                json!([volume(5.0), volume(6.0)]),
            ),
            400,
            format!("Invalid CREATE operation on agent {on}: Persistence ID 'v' is not unique"),
        ),
        (
            call("create_volumes", &node, "volumes", json!([volume(5000.0)])),
            409,
            format!("{total} does not contain disk(reservations: [(STATIC,r)]):5000"),
        ),
        (
            call("create_volumes", &node, "volumes", json!([of_role_s])),
            409,
            format!("{total} does not contain disk(reservations: [(STATIC,s)]):5"),
        ),
        (
            call("destroy_volumes", &node, "volumes", json!([volume(5.0)])),
            400,
            "Invalid DESTROY operation: Persistent volumes not found".to_string(),
        ),
    ];
    for (call, status, text) in table {
        let shown = call.to_string();
        assert_eq!(
            stage.operator(call),
            Answer::refused(status, text),
            "{shown}"
        );
    }
    assert!(stage.ordered(&node).is_empty());
    assert_eq!(stage.total(&node), total);
}

#[test]
fn thousands_of_resources_are_refused_in_words() {
    let (mut stage, node, _) = able();
    let many: Vec<Value> = (0..2_000).map(|_| reserved("cpus", 0.001)).collect();
    let answer = stage.operator(call("reserve_resources", &node, "resources", json!(many)));
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .text
            .ends_with("at most 500 are taken at once: send it in parts"),
        "{}",
        answer.text
    );
}

fn offers(stage: &mut Stage, fw: &Scheduler, node: &Node, parts: &[&str]) {
    for part in parts {
        stage.offer_as(fw, "r", node, part);
    }
    stage.told(fw);
}

#[test]
fn offers_are_taken_back_only_as_far_as_needed() {
    let (mut stage, node, fw) = able();
    offers(
        &mut stage,
        &fw,
        &node,
        &["mem:512", "cpus:1", "cpus:1.5", "cpus:1"],
    );
    let answer = stage.operator(reserve_of(&node, reserved("cpus", 2.5)));
    assert_eq!(answer, Answer::ACCEPTED);
    let told = stage.told(&fw);
    assert_eq!(told.len(), 2, "the first two with cpus: {told:?}");
    assert!(told.iter().all(|it| it.starts_with("RESCIND")));
    assert_eq!(stage.core.offers.len(), 2);
    assert_eq!(stage.ordered(&node), ["RESERVE"]);
}

#[test]
fn offered_and_free_resources_add_up_and_used_ones_stay() {
    let (mut stage, node, fw) = able();
    let cpus = json!({"name": "cpus", "type": "SCALAR", "scalar": {"value": 2.0}});
    let launch = json!([{"type": "LAUNCH", "launch": {"task_infos": [{"name": "t", "task_id": {"value": "t"},
        "agent_id": {"value": node.id}, "command": {"value": "true"}, "resources": [cpus]}]}}]);
    stage.operate(&fw, &node, launch);
    offers(&mut stage, &fw, &node, &["cpus:1"]);
    stage.ordered(&node);
    let answer = stage.operator(reserve_of(&node, reserved("cpus", 3.0)));
    assert_eq!(answer.status, 409, "{}", answer.text);
    assert!(stage.ordered(&node).is_empty());
    offers(&mut stage, &fw, &node, &["cpus:1"]);
    let answer = stage.operator(reserve_of(&node, reserved("cpus", 2.0)));
    assert_eq!(answer, Answer::ACCEPTED);
    let answer = stage.operator(reserve_of(&node, reserved("cpus", 0.001)));
    assert_eq!(answer.status, 409);
    assert!(stage.core.offers.is_empty());
}

#[test]
fn what_the_allocator_proposed_before_it_heard_goes_back() {
    let (mut stage, node, fw) = able();
    let seen = stage.core.told;
    let resources = crate::stage::parse("cpus:4");
    let answer = stage.operator(reserve_of(&node, reserved("cpus", 4.0)));
    assert_eq!(answer, Answer::ACCEPTED);
    stage.ledger.hold(&node.id, &fw.id, "r", &resources);
    stage.propose_seen(seen, &fw.id, "r", &node.id, resources);
    assert!(stage.core.offers.is_empty());
    let held = stage.ledger.free(&node.id).to_string();
    assert!(
        held.contains("cpus(reservations: [(DYNAMIC,r,p)]):4"),
        "{held}"
    );
}

#[test]
fn what_is_reserved_and_offered_or_free_is_unreserved() {
    let (mut stage, node, fw) = able();
    stage.operator(reserve_of(&node, reserved("cpus", 3.0)));
    let part = [crate::stage::decode(&reserved("cpus", 2.0))];
    stage.propose_resources(&fw.id, "r", &node.id, part.to_vec());
    stage.told(&fw);
    let undo = call(
        "unreserve_resources",
        &node,
        "resources",
        json!([reserved("cpus", 3.0)]),
    );
    assert_eq!(stage.operator(undo), Answer::ACCEPTED);
    assert!(stage.told(&fw)[0].starts_with("RESCIND "));
    assert!(!stage.total(&node).contains("DYNAMIC"));
    stage.operator(reserve_of(&node, reserved("cpus", 3.0)));
    let all = [crate::stage::decode(&reserved("cpus", 3.0))];
    stage.propose_resources(&fw.id, "r", &node.id, all.to_vec());
    let undo = call(
        "unreserve_resources",
        &node,
        "resources",
        json!([reserved("cpus", 3.0)]),
    );
    assert_eq!(stage.operator(undo), Answer::ACCEPTED);
    assert!(stage.core.offers.is_empty());
}

#[test]
fn reservations_with_other_labels_are_others() {
    let (mut stage, node, _) = able();
    let labelled = |value: &str| {
        let mut resource = reserved("cpus", 1.0);
        resource["reservations"][0]["labels"] = json!({"labels": [{"key": "k", "value": value}]});
        resource
    };
    assert_eq!(
        stage.operator(reserve_of(&node, labelled("a"))),
        Answer::ACCEPTED
    );
    let unreserve = |value: &str| {
        call(
            "unreserve_resources",
            &node,
            "resources",
            json!([labelled(value)]),
        )
    };
    assert_eq!(stage.operator(unreserve("b")).status, 409);
    assert_eq!(stage.operator(unreserve("a")), Answer::ACCEPTED);
}

#[test]
fn an_operator_may_move_a_reservation_to_another_role() {
    let (mut stage, node, _) = able();
    stage.operator(reserve_of(&node, reserved("cpus", 1.0)));
    let mut other = reserved("cpus", 1.0);
    other["reservations"][0]["role"] = json!("s");
    let mut moved = reserve_of(&node, other);
    moved["reserve_resources"]["source"] = json!([reserved("cpus", 1.0)]);
    assert_eq!(stage.operator(moved.clone()), Answer::ACCEPTED);
    assert!(
        stage
            .total(&node)
            .ends_with("cpus(reservations: [(DYNAMIC,s,p)]):1")
    );
    assert_eq!(stage.operator(moved).status, 409, "it is there no more");
}

#[test]
fn what_a_framework_made_an_operator_may_remove_and_the_other_way_round() {
    let (mut stage, node, fw) = able();
    stage.operate(&fw, &node, json!([reserve(reserved("cpus", 1.0))]));
    let undo = call(
        "unreserve_resources",
        &node,
        "resources",
        json!([reserved("cpus", 1.0)]),
    );
    assert_eq!(stage.operator(undo), Answer::ACCEPTED);
    stage.operate(
        &fw,
        &node,
        json!([crate::stage_operations::create(volume(5.0))]),
    );
    let undo = call("destroy_volumes", &node, "volumes", json!([volume(5.0)]));
    assert_eq!(stage.operator(undo), Answer::ACCEPTED);
    let create = call("create_volumes", &node, "volumes", json!([volume(5.0)]));
    assert_eq!(stage.operator(create), Answer::ACCEPTED);
    let destroy = named(crate::stage_operations::destroy(volume(5.0)), "d");
    stage.operate(&fw, &node, json!([destroy]));
    stage.finish_operations(&node);
    let told = stage.operations_told(&fw);
    assert_eq!(told[0].0, "d OPERATION_FINISHED");
    assert_eq!(
        stage.total(&node),
        "cpus:4; mem:4096; disk(reservations: [(STATIC,r)]):1024; disk:1024"
    );
}

#[test]
fn a_shared_volume_that_is_offered_twice_is_destroyed() {
    let (mut stage, node, _) = able();
    let info = json!({"roles": ["r"], "capabilities": [{"type": "MULTI_ROLE"}, {"type": "SHARED_RESOURCES"}]});
    let fw = stage.subscribe(info);
    let mut shared = volume(64.0);
    shared["shared"] = json!({});
    let volumes = json!([shared]);
    let create = call("create_volumes", &node, "volumes", volumes.clone());
    assert_eq!(stage.operator(create), Answer::ACCEPTED);
    let offered = vec![crate::stage::decode(&shared)];
    for _ in 0..2 {
        stage.propose_resources(&fw.id, "r", &node.id, offered.clone());
    }
    assert_eq!(stage.core.offers.len(), 2);
    stage.told(&fw);
    let destroy = call("destroy_volumes", &node, "volumes", volumes);
    assert_eq!(stage.operator(destroy), Answer::ACCEPTED);
    assert!(stage.core.offers.is_empty());
    assert_eq!(stage.told(&fw).len(), 2);
    assert_eq!(stage.ordered(&node), ["CREATE", "DESTROY"]);
}

#[test]
fn an_agent_that_is_away_is_not_changed() {
    let (mut stage, node, _) = able();
    stage.lose(&node);
    let answer = stage.operator(reserve_of(&node, reserved("cpus", 1.0)));
    assert_eq!(answer.status, 409);
    assert!(
        answer
            .text
            .ends_with("is not connected; try again when it is back")
    );
}

#[test]
fn an_agent_that_leaves_takes_its_reservations_along_and_no_others() {
    let (mut stage, node, fw) = able();
    let mut request = stage.agent(TOTAL).request;
    request.capabilities.clone_from(&node.request.capabilities);
    let (other, _) = stage.register(request);
    assert_eq!(
        stage.operator(reserve_of(&node, reserved("cpus", 1.0))),
        Answer::ACCEPTED
    );
    stage.finish_operations(&node);
    stage.operate(&fw, &other, json!([reserve(reserved("cpus", 1.0))]));
    stage.finish_operations(&other);
    let offer = stage.offer_as(&fw, "r", &other, "mem:64");
    stage.ordered(&node);
    stage.told(&fw);
    let leaves = AgentMessage::Leaves(tepui_protocol::node::AgentLeaves::default());
    stage.says(&other, leaves);
    assert!(stage.told(&fw).contains(&format!("RESCIND {offer}")));
    assert!(!stage.core.agents.contains_key(&other.id));
    let back = call(
        "unreserve_resources",
        &node,
        "resources",
        json!([reserved("cpus", 1.0)]),
    );
    assert_eq!(stage.operator(back), Answer::ACCEPTED);
    assert_eq!(stage.ordered(&node), ["UNRESERVE"]);
}
