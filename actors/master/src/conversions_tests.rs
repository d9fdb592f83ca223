use serde_json::{Value, json};
use tepui_messages::allocator::WorldChange;
use tepui_protocol::{resources::Resources, v1::Resource};

use crate::{
    stage::{Node, Scheduler, Stage, to_json},
    stage_operations::{
        able, create, destroy, named, reserve, reserved, unreserve, volume, with_agent,
    },
};

/// A framework that knows shared volumes, and one it may create.
fn sharing() -> (Stage, Node, Scheduler, Value) {
    let (mut stage, node, fw) = able();
    let mut info = crate::stage_operations::framework();
    info["capabilities"] = json!([{"type": "MULTI_ROLE"}, {"type": "SHARED_RESOURCES"}]);
    let fw = stage.resubscribe(&fw.id, info);
    let mut shared = volume(64.0);
    shared["shared"] = json!({});
    (stage, node, fw, shared)
}

/// A task that uses these resources.
fn task_of(id: &str, node: &Node, resources: &[Value]) -> Value {
    json!({"name": id, "task_id": {"value": id}, "agent_id": {"value": node.id},
        "command": {"value": "true"}, "resources": resources})
}

fn launch(task: Value) -> Value {
    json!({"type": "LAUNCH", "launch": {"task_infos": [task]}})
}

/// What went back to the allocator, without a filter and with one.
fn returned(world: &[WorldChange]) -> (String, String) {
    let mut parts = (Resources::new(), Resources::new());
    for change in world {
        if let WorldChange::Recovered {
            allocation,
            refused_for,
            ..
        } = change
        {
            let resources = Resources::from_proto_unchecked(&allocation.resources);
            match refused_for {
                None => parts.0 += resources,
                Some(_) => parts.1 += resources,
            }
        }
    }
    (parts.0.to_string(), parts.1.to_string())
}

const UNRESERVED: &str = "cpus:4; mem:4096; disk(reservations: [(STATIC,r)]):1024; disk:1024";

#[test]
fn what_was_reserved_is_offered_again_at_once_and_can_be_given_back() {
    let (mut stage, node, fw) = able();
    let world = stage.operate(&fw, &node, json!([reserve(reserved("cpus", 1.5))]));
    let total = "cpus:2.5; mem:4096; disk(reservations: [(STATIC,r)]):1024; disk:1024; cpus(reservations: [(DYNAMIC,r,p)]):1.5";
    assert_eq!(stage.total(&node), total);
    assert_eq!(
        returned(&world),
        (
            "cpus(reservations: [(DYNAMIC,r,p)]):1.5".to_string(),
            "cpus:2.5; mem:4096; disk(reservations: [(STATIC,r)]):1024; disk:1024".to_string()
        )
    );
    assert_eq!(stage.ordered(&node), ["RESERVE"]);
    stage.operate(&fw, &node, json!([unreserve(reserved("cpus", 1.5))]));
    let total = Resources::from_proto_unchecked(&stage.core.agents[&node.id].record.total);
    assert_eq!(
        total,
        Resources::parse("cpus:4;mem:4096;disk(r):1024;disk:1024", "*").unwrap()
    );
    assert_eq!(stage.ordered(&node), ["UNRESERVE"]);
}

#[test]
fn operations_of_one_call_build_on_each_other_up_to_a_task() {
    let (mut stage, node, fw) = able();
    let used = [reserved("cpus", 1.0), reserved("mem", 64.0), volume(512.0)];
    let operations = json!([
        reserve(reserved("cpus", 1.0)),
        reserve(reserved("mem", 128.0)),
        create(volume(512.0)),
        launch(task_of("t", &node, &used)),
    ]);
    let world = stage.operate(&fw, &node, operations);
    assert_eq!(
        stage.ordered(&node),
        ["RESERVE", "RESERVE", "CREATE", "run t"]
    );
    assert!(stage.state(&fw, "t").is_some());
    let (offered_again, _) = returned(&world);
    assert_eq!(offered_again, "mem(reservations: [(DYNAMIC,r,p)]):64");
    // It is in use.
    stage.operate(&fw, &node, json!([named(destroy(volume(512.0)), "d")]));
    let told = stage.operations_told(&fw);
    let message = &told[0].0;
    assert!(
        message.starts_with("d OPERATION_ERROR Persistent volumes in use"),
        "{message}"
    );
}

#[test]
fn an_operation_that_fails_leaves_the_others_alone() {
    let (mut stage, node, fw) = able();
    let operations = json!([
        reserve(reserved("cpus", 1.0)),
        reserve(reserved("cpus", 100.0)),
        create(volume(5000.0)),
        unreserve(reserved("mem", 1.0)),
        launch(task_of("bad", &node, &[reserved("cpus", 2.0)])),
        launch(task_of("good", &node, &[reserved("cpus", 1.0)])),
    ]);
    stage.operate(&fw, &node, operations);
    assert_eq!(stage.ordered(&node), ["RESERVE", "run good"]);
    assert_eq!(
        stage.told(&fw),
        [
            "bad TASK_ERROR REASON_TASK_INVALID Total resources cpus(allocated: r)(reservations: [(DYNAMIC,r,p)]):2 required by task and its executor is more than available cpus(allocated: r):3; mem(allocated: r):4096; disk(allocated: r)(reservations: [(STATIC,r)]):1024; disk(allocated: r):1024; cpus(allocated: r)(reservations: [(DYNAMIC,r,p)]):1"
        ]
    );
}

#[test]
fn a_resized_volume_is_not_for_the_same_call() {
    let (mut stage, node, fw) = able();
    let disk = json!({"name": "disk", "type": "SCALAR", "scalar": {"value": 88.0}, "reservations": [{"type": "STATIC", "role": "r"}]});
    let grow =
        json!({"type": "GROW_VOLUME", "grow_volume": {"volume": volume(512.0), "addition": disk}});
    let cpus = json!({"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.0}});
    let operations = json!([
        create(volume(512.0)),
        grow,
        launch(task_of("t", &node, &[cpus.clone(), volume(600.0)])),
    ]);
    let world = stage.operate(&fw, &node, operations);
    assert_eq!(stage.ordered(&node), ["CREATE", "GROW_VOLUME"]);
    assert!(stage.told(&fw)[0].contains("TASK_ERROR"));
    let (offered_again, _) = returned(&world);
    assert_eq!(offered_again, "disk(reservations: [(STATIC,r)])[v:c]:600");
    let shrink = json!({"type": "SHRINK_VOLUME", "shrink_volume": {"volume": volume(600.0), "subtract": {"value": 100.0}}});
    let uses = launch(task_of("t", &node, &[cpus.clone(), volume(500.0)]));
    let world = stage.operate(&fw, &node, json!([shrink, uses]));
    assert_eq!(stage.ordered(&node), ["SHRINK_VOLUME"]);
    assert!(stage.told(&fw)[0].contains("TASK_ERROR"));
    let (offered_again, _) = returned(&world);
    assert_eq!(
        offered_again,
        "disk(reservations: [(STATIC,r)])[v:c]:500; disk(reservations: [(STATIC,r)]):100"
    );
    let operations = json!([launch(task_of("t", &node, &[cpus, volume(500.0)]))]);
    stage.operate(&fw, &node, operations);
    assert!(stage.state(&fw, "t").is_some());
}

#[test]
fn what_is_reserved_in_parts_of_a_cpu_adds_up_exactly() {
    let (mut stage, node, fw) = able();
    stage.operate(&fw, &node, json!([reserve(reserved("cpus", 0.1))]));
    stage.operate(&fw, &node, json!([reserve(reserved("cpus", 0.2))]));
    let offered = stage.ledger.free(&node.id).to_string();
    assert!(
        offered.contains("cpus:3.7") && offered.contains("(DYNAMIC,r,p)]):0.3"),
        "{offered}"
    );
    stage.operate(&fw, &node, json!([unreserve(reserved("cpus", 0.3))]));
    assert_eq!(
        stage.ledger.free(&node.id).cpus(),
        stage.ledger.totals[&node.id].cpus()
    );
    assert!(!stage.total(&node).contains("DYNAMIC"));
}

#[test]
fn frameworks_without_a_principal_reserve_without_one() {
    let (mut stage, node, _) = able();
    let mut info = crate::stage_operations::framework();
    info.as_object_mut().unwrap().remove("principal");
    let fw = stage.subscribe(info);
    let mut nobodys = reserved("cpus", 1.0);
    nobodys["reservations"][0]
        .as_object_mut()
        .unwrap()
        .remove("principal");
    stage.operate(&fw, &node, json!([reserve(nobodys.clone())]));
    assert!(
        stage
            .total(&node)
            .contains("cpus(reservations: [(DYNAMIC,r)]):1")
    );
    stage.operate(&fw, &node, json!([unreserve(nobodys)]));
    assert!(!stage.total(&node).contains("DYNAMIC"));
    assert_eq!(stage.ordered(&node), ["RESERVE", "UNRESERVE"]);
}

#[test]
fn what_was_reserved_for_others_is_not_unreserved() {
    let (mut stage, node, fw) = able();
    let mut alien = reserved("cpus", 1.0);
    alien["reservations"][0]["role"] = json!("s");
    let reserve = json!({"type": "RESERVE_RESOURCES", "reserve_resources": {
        "agent_id": {"value": node.id}, "resources": [alien]}});
    stage.operator(reserve);
    let total = stage.total(&node);
    let offer = stage.offer_as(&fw, "r", &node, "cpus:3");
    stage.told(&fw);
    let theft = named(unreserve(alien), "o");
    stage.call(&fw, crate::stage::accept(&[&offer], json!([theft])));
    let told = stage.operations_told(&fw);
    assert!(
        told[0].0.contains("OPERATION_ERROR") && told[0].0.contains("does not contain"),
        "{told:?}"
    );
    assert_eq!(stage.total(&node), total);
    assert_eq!(stage.ordered(&node), ["RESERVE"]);
}

#[test]
fn layers_of_reservations_come_off_in_one_operation() {
    let (mut stage, node, fw) = able();
    let mut info = crate::stage_operations::framework();
    info["roles"] = json!(["r", "r/s"]);
    info["capabilities"] = json!([{"type": "MULTI_ROLE"}, {"type": "RESERVATION_REFINEMENT"}]);
    let fw = stage.resubscribe(&fw.id, info);
    stage.operate(&fw, &node, json!([reserve(reserved("cpus", 1.0))]));
    let mut refined = reserved("cpus", 1.0);
    refined["reservations"]
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "DYNAMIC", "role": "r/s", "principal": "p"}));
    let free = stage.ledger.free(&node.id).to_proto();
    stage.propose_resources(&fw.id, "r/s", &node.id, free);
    let offer = stage
        .core
        .offers
        .values()
        .next_back()
        .unwrap()
        .offer
        .id
        .value
        .clone();
    let both = json!([
        {"type": "RESERVE", "reserve": {"resources": [refined]}},
        {"type": "UNRESERVE", "unreserve": {"resources": [refined, reserved("cpus", 1.0)]}},
    ]);
    stage.call(&fw, crate::stage::accept(&[&offer], both));
    assert_eq!(stage.ordered(&node), ["RESERVE", "RESERVE", "UNRESERVE"]);
    let total = Resources::from_proto_unchecked(&stage.core.agents[&node.id].record.total);
    assert_eq!(
        total,
        Resources::parse("cpus:4;mem:4096;disk(r):1024;disk:1024", "*").unwrap()
    );
}

#[test]
fn a_shared_volume_that_is_destroyed_is_in_no_offer_any_more() {
    let (mut stage, node, fw, shared) = sharing();
    stage.operate(&fw, &node, json!([create(shared.clone())]));
    let offered = [crate::stage::decode(&shared)];
    let mut ids = Vec::new();
    for _ in 0..2 {
        stage.propose_resources(&fw.id, "r", &node.id, offered.to_vec());
        let offer = stage.core.offers.values().next_back().unwrap();
        ids.push(offer.offer.id.value.clone());
    }
    stage.ordered(&node);
    stage.told(&fw);
    let operations = json!([destroy(shared)]);
    stage.call(&fw, crate::stage::accept(&[&ids[0]], operations));
    assert_eq!(stage.ordered(&node), ["DESTROY"]);
    assert!(stage.core.offers.is_empty());
    assert_eq!(stage.told(&fw), [format!("RESCIND {}", ids[1])]);
    // What the allocator proposed before it heard of it (and of the offers that went back) comes back to it.
    let heard_later = stage
        .world
        .iter()
        .rev()
        .position(|change| matches!(change, WorldChange::Converted { .. }));
    let seen = stage.core.told - 1 - heard_later.unwrap() as u64;
    stage.ledger.hold(&node.id, &fw.id, "r", &offered);
    stage.propose_seen(seen, &fw.id, "r", &node.id, offered.to_vec());
    assert!(stage.core.offers.is_empty());
    assert!(stage.told(&fw).is_empty());
}

#[test]
fn tasks_of_one_call_share_a_volume_and_the_allocator_hears_of_each_further_copy() {
    let (mut stage, node, fw, shared) = sharing();
    let on_it = |id: &str| {
        let mut task = crate::stage::task(id, &node, "cpus:0.1;mem:32");
        task["resources"]
            .as_array_mut()
            .unwrap()
            .push(shared.clone());
        task
    };
    let tasks = [on_it("a"), on_it("b"), on_it("c")];
    let launch = json!({"type": "LAUNCH", "launch": {"task_infos": tasks}});
    let changes = stage.operate(&fw, &node, json!([create(shared.clone()), launch]));
    assert_eq!(stage.ordered(&node), ["CREATE", "run a", "run b", "run c"]);
    let copies = changes.iter().filter_map(|change| match change {
        WorldChange::Used { allocation, .. } => Some(allocation.resources.to_vec()),
        _ => None,
    });
    let one = vec![crate::stage::decode(&shared)];
    let copies: Vec<Vec<Resource>> = copies.collect();
    assert_eq!(copies, [one.clone(), one], "the first one was created");
    // What is not shared has no copies.
    let own = volume(32.0);
    let two = ["d", "e"].map(|id| {
        let mut task = crate::stage::task(id, &node, "cpus:0.1;mem:32");
        let mut own = own.clone();
        own["disk"]["persistence"]["id"] = json!("own");
        task["resources"].as_array_mut().unwrap().push(own);
        task
    });
    let mut named = own;
    named["disk"]["persistence"]["id"] = json!("own");
    let launch = json!({"type": "LAUNCH", "launch": {"task_infos": two}});
    stage.operate(&fw, &node, json!([create(named), launch]));
    assert_eq!(stage.ordered(&node), ["CREATE", "run d"]);
}

/// The stage compares what the allocator was told with what the tables hold.
#[test]
fn copies_of_a_shared_volume_are_counted_one_by_one() {
    let (mut stage, node, fw, shared) = sharing();
    stage.operate(&fw, &node, json!([create(shared.clone())]));
    let offered: Vec<Resource> = vec![crate::stage::decode(&shared)];
    let mut two_offers = || {
        let mut ids = Vec::new();
        for _ in 0..2 {
            let number = stage.core.next_offer;
            stage.propose_resources(&fw.id, "r", &node.id, offered.clone());
            ids.push(stage.core.offers[&number].offer.id.value.clone());
        }
        ids
    };
    let ids = two_offers();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    stage.world.clear();
    stage.call(&fw, crate::stage::accept(&ids, json!([])));
    let back = stage.world.iter().filter_map(|change| match change {
        WorldChange::Recovered { allocation, .. } => Some(allocation.resources.len()),
        _ => None,
    });
    assert_eq!(back.sum::<usize>(), 2);
    // The executor has none, the tasks of the group one each.
    let tasks = ["a", "b", "c"].map(|id| {
        let mut task = crate::stage::task(id, &node, "cpus:0.1;mem:32");
        let resources = task["resources"].as_array_mut().unwrap();
        resources.push(shared.clone());
        task
    });
    let executor = json!({"executor_id": {"value": "e"}, "type": "DEFAULT", "framework_id": {"value": fw.id},
        "resources": to_json(&crate::stage::parse("cpus:0.1;mem:32;disk:32"))});
    let group = json!({"executor": executor, "task_group": {"tasks": tasks}});
    let launch = json!({"type": "LAUNCH_GROUP", "launch_group": group});
    stage.ordered(&node);
    let changes = stage.operate(&fw, &node, json!([launch]));
    assert_eq!(
        stage.ordered(&node),
        ["run group a b c with new executor"],
        "{:?}",
        stage.told(&fw)
    );
    let copies = changes.iter().filter_map(|change| match change {
        WorldChange::Used { allocation, .. } => Some(allocation.resources.len()),
        _ => None,
    });
    assert_eq!(copies.collect::<Vec<_>>(), [2]);
}

#[test]
fn agents_have_a_bounded_number_of_reservations_and_operations() {
    let (mut stage, node, fw) = able();
    let labelled = |number: usize| {
        let mut resource = reserved("cpus", 0.001);
        resource["reservations"][0]["labels"] =
            json!({"labels": [{"key": "n", "value": number.to_string()}]});
        resource
    };
    let many: Vec<Value> = (0..super::MAX_KEPT_RESOURCES).map(labelled).collect();
    let many = json!({"type": "RESERVE", "reserve": {"resources": many}});
    stage.operate(&fw, &node, json!([many]));
    assert_eq!(stage.ordered(&node), ["RESERVE"]);
    let more = named(reserve(labelled(5_000)), "o");
    stage.operate(&fw, &node, json!([more]));
    let told = stage.operations_told(&fw);
    assert!(told[0].0.contains("OPERATION_ERROR Agent"), "{told:?}");
    assert!(
        told[0]
            .0
            .ends_with("more than 500 different reservations and volumes")
    );
    assert!(stage.ordered(&node).is_empty());
}

#[test]
fn an_agent_without_operations_of_its_own_reserves_all_the_same() {
    let (mut stage, node, fw) = with_agent(&[]);
    assert_eq!(stage.total(&node), UNRESERVED);
    stage.operate(&fw, &node, json!([reserve(reserved("mem", 1.0))]));
    assert_eq!(stage.ordered(&node), ["RESERVE"]);
}

#[test]
fn an_operation_on_an_agent_that_is_away_is_an_error() {
    let (mut stage, node, fw) = able();
    let offer = stage.offer_as(&fw, "r", &node, "cpus:1");
    stage.lose(&node);
    stage.told(&fw);
    let operation = named(reserve(reserved("cpus", 1.0)), "o");
    stage.call(&fw, crate::stage::accept(&[&offer], json!([operation])));
    let told = stage.operations_told(&fw);
    assert!(
        told[0]
            .0
            .starts_with("o OPERATION_ERROR Operation attempted with invalid offers")
    );
    assert!(
        to_json(&stage.core.agents[&node.id].record.total)
            .to_string()
            .find("DYNAMIC")
            .is_none()
    );
}

/// Whatever the stage holds, its ledger balances after each input; here at the end it is all free again.
#[test]
fn nothing_is_lost_on_the_way_to_a_volume_and_back() {
    let (mut stage, node, fw) = able();
    let before = stage.ledger.free(&node.id);
    let there = json!([
        reserve(reserved("cpus", 1.0)),
        reserve(reserved("disk", 100.0)),
        create(volume(12.0)),
    ]);
    stage.operate(&fw, &node, there);
    assert_ne!(stage.ledger.free(&node.id), before);
    let back = json!([
        destroy(volume(12.0)),
        unreserve(reserved("disk", 60.0)),
        unreserve(reserved("disk", 40.0)),
        unreserve(reserved("cpus", 1.0)),
    ]);
    stage.operate(&fw, &node, back);
    assert_eq!(stage.ledger.free(&node.id), before);
    let _: &Stage = &stage;
}
