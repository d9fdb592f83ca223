use serde_json::json;
use tepui_messages::containers::VolumeLink;
use tepui_protocol::{
    codec::{Limits, json as codec},
    v1::{OperationId, offer},
};

use super::*;
use crate::{
    effect::{Input, Order, Remembered},
    testing::{Node, config, executor_task, framework, framework_id, registration, task},
};

const RETRY_MIN: Duration = Duration::from_secs(10);

fn parse(text: &str) -> Vec<Resource> {
    Resources::parse(text, "*").expect("text").to_proto()
}

/// A registered node with these resources.
fn node() -> Node {
    let mut node = blank();
    node.on(Input::Recovered(Box::default()));
    node.connect();
    node.said.clear();
    node
}

fn blank() -> Node {
    let mut node = Node::blank();
    let mut config = config();
    config.info.resources = parse("cpus:4;mem:4096;disk:1024");
    node.core = NodeCore::new(config);
    node
}

/// The process dies; the next one begins from what was kept.
fn again(before: &Node) -> Node {
    let mut node = blank();
    node.now = before.now;
    node.kept = before.kept.clone();
    let kept = before.kept.clone();
    node.on(Input::Recovered(Box::new(Remembered {
        agent: kept.agent.map(|info| (info, "boot".to_owned())),
        term: kept.term,
        resources: kept.resources,
        operations: kept.operations.into_values().collect(),
        ..Remembered::default()
    })));
    node
}

fn reserved(name: &str, amount: f64) -> serde_json::Value {
    json!({"name": name, "type": "SCALAR", "scalar": {"value": amount},
        "allocation_info": {"role": "a/b"},
        "reservations": [{"type": "DYNAMIC", "role": "a/b", "principal": "p"}]})
}

fn volume(amount: f64) -> serde_json::Value {
    let mut volume = reserved("disk", amount);
    volume["disk"] = json!({"persistence": {"id": "v", "principal": "p"},
        "volume": {"mode": "RW", "container_path": "data"}});
    volume
}

fn order(number: u8, operation: serde_json::Value) -> node::ApplyOperation {
    let text = operation.to_string();
    let mut operation: offer::Operation =
        codec::decode(text.as_bytes(), &Limits::HTTP).expect("an operation");
    operation.id = Some(OperationId {
        value: format!("o{number}"),
    });
    node::ApplyOperation {
        framework_id: Some(framework_id("f")),
        operation,
        uuid: vec![number; 16].into(),
        term: 3,
    }
}

fn reserve(number: u8, amount: f64) -> node::ApplyOperation {
    let resources = [reserved("cpus", amount), reserved("disk", 100.0)];
    order(
        number,
        json!({"type": "RESERVE", "reserve": {"resources": resources}}),
    )
}

fn create(number: u8) -> node::ApplyOperation {
    order(
        number,
        json!({"type": "CREATE", "create": {"volumes": [volume(64.0)]}}),
    )
}

fn apply(node: &mut Node, order: &node::ApplyOperation) {
    node.order(Order::ApplyOperation(Box::new(order.clone())));
}

/// What was told of operations since the last look.
fn updates(node: &mut Node) -> Vec<node::OperationUpdate> {
    let said = std::mem::take(&mut node.said);
    let mut updates = Vec::new();
    for effect in said {
        match effect {
            Effect::SendOperationUpdate(update) => updates.push(*update),
            other => node.said.push(other),
        }
    }
    updates
}

fn acknowledge(node: &mut Node, update: &node::OperationUpdate) {
    let status_uuid = update.status.uuid.clone().expect("a uuid").value;
    node.order(Order::AcknowledgeOperation(node::AcknowledgeOperation {
        uuid: update.uuid.clone(),
        status_uuid,
        term: 3,
    }));
}

fn total(node: &Node) -> String {
    node.core.total.to_string()
}

const RESERVED: &str = "cpus:3; mem:4096; disk:924; cpus(reservations: [(DYNAMIC,a/b,p)]):1; disk(reservations: [(DYNAMIC,a/b,p)]):100";

#[test]
fn an_operation_is_kept_before_it_is_answered_and_repeated_until_it_is_acknowledged() {
    let mut node = node();
    let mut effects = Vec::new();
    let applied = Order::ApplyOperation(Box::new(reserve(1, 1.0)));
    node.core.on(node.now, Input::Order(applied), &mut effects);
    let [
        Effect::Keep { changes, synced },
        Effect::SendOperationUpdate(update),
        ..,
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert!(*synced, "the answer must outlive the kernel");
    let kept: Vec<bool> = changes
        .iter()
        .map(|change| matches!(change, Keep::Resources(_) | Keep::Operation(_)))
        .collect();
    assert_eq!(kept, [true, true]);
    assert_eq!(total(&node), RESERVED);
    assert_eq!(update.status.state(), OperationState::OperationFinished);
    assert_eq!(update.status.operation_id.as_ref().unwrap().value, "o1");
    node.sleep(RETRY_MIN - Duration::from_millis(1));
    assert!(updates(&mut node).is_empty());
    node.sleep(Duration::from_millis(1));
    let repeated = updates(&mut node);
    assert_eq!(repeated, [(**update).clone()]);
    node.sleep(RETRY_MIN * 2);
    assert_eq!(updates(&mut node), repeated);
    acknowledge(&mut node, &repeated[0]);
    node.sleep(RETRY_MIN * 100);
    assert!(updates(&mut node).is_empty());
    assert!(node.core.state().operations.is_empty());
}

#[test]
fn an_acknowledgement_of_another_status_is_no_acknowledgement() {
    let mut node = node();
    apply(&mut node, &reserve(1, 1.0));
    let mut update = updates(&mut node).remove(0);
    update.status.uuid = Some(uuid([9; 16]));
    acknowledge(&mut node, &update);
    assert_eq!(node.core.state().operations.len(), 1);
    node.sleep(RETRY_MIN);
    assert_eq!(updates(&mut node).len(), 1);
}

#[test]
fn an_order_that_comes_twice_is_applied_once() {
    let mut node = node();
    apply(&mut node, &reserve(1, 1.0));
    let first = updates(&mut node);
    apply(&mut node, &reserve(1, 1.0));
    assert_eq!(updates(&mut node), first, "the master is told again");
    acknowledge(&mut node, &first[0]);
    apply(&mut node, &reserve(1, 1.0));
    assert!(updates(&mut node).is_empty(), "the order was late");
    assert_eq!(total(&node), RESERVED);
}

#[test]
fn what_is_kept_is_what_is_reserved_after_each_order() {
    let mut node = node();
    let kept = |node: &Node| Resources::from_proto_unchecked(&node.kept.resources).to_string();
    assert_eq!(kept(&node), "{}");
    apply(&mut node, &reserve(1, 1.0));
    let reserved = "(reservations: [(DYNAMIC,a/b,p)])";
    assert_eq!(kept(&node), format!("cpus{reserved}:1; disk{reserved}:100"));
    let back =
        json!({"type": "UNRESERVE", "unreserve": {"resources": [self::reserved("cpus", 1.0)]}});
    apply(&mut node, &order(2, back));
    assert_eq!(kept(&node), format!("disk{reserved}:100"));
}

#[test]
fn an_order_that_comes_again_in_a_later_life_is_applied_once() {
    let mut node = node();
    apply(&mut node, &reserve(1, 1.0));
    let first = updates(&mut node);
    let mut node = again(&node);
    node.connect();
    updates(&mut node);
    apply(&mut node, &reserve(1, 1.0));
    assert_eq!(updates(&mut node), first, "the same status, the same uuid");
    assert_eq!(total(&node), RESERVED);
}

#[test]
fn what_was_not_kept_is_unknown_to_the_next_life_and_is_applied_when_it_comes() {
    let before = node();
    // The process ended between the order and the disk: nothing of it was kept, not even a part.
    let mut node = again(&before);
    node.connect();
    assert!(node.core.state().operations.is_empty());
    apply(&mut node, &reserve(1, 1.0));
    let told = updates(&mut node);
    assert_eq!(told[0].status.state(), OperationState::OperationFinished);
    assert_eq!(total(&node), RESERVED);
}

#[test]
fn what_does_not_fit_fails_with_what_there_is_and_changes_nothing() {
    let mut node = node();
    apply(&mut node, &reserve(1, 1.0));
    updates(&mut node);
    apply(&mut node, &reserve(2, 4.0));
    let update = updates(&mut node).remove(0);
    assert_eq!(update.status.state(), OperationState::OperationFailed);
    assert!(update.status.message().contains("does not contain"));
    let told = Resources::from_proto_unchecked(&update.checkpointed_resources);
    assert_eq!(told, node.core.total.to_checkpoint());
    assert_eq!(total(&node), RESERVED);
}

#[test]
fn reservations_volumes_and_answers_outlive_the_process_and_are_told_at_registration() {
    let mut node = node();
    apply(&mut node, &reserve(1, 1.0));
    apply(&mut node, &create(2));
    let before = total(&node);
    let answers = updates(&mut node);
    acknowledge(&mut node, &answers[0]);
    let mut node = again(&node);
    assert_eq!(total(&node), before);
    node.on(Input::MasterConnected { connection: 1 });
    let Some(Effect::Register { request, .. }) = node.said.last() else {
        panic!("{:?}", node.said);
    };
    let told = Resources::from_proto_unchecked(&request.checkpointed_resources);
    assert_eq!(
        told.to_string(),
        node.core.total.to_checkpoint().to_string()
    );
    let operations: Vec<_> = request.operations.iter().map(|it| &it.info.id).collect();
    assert_eq!(operations, [&answers[1].status.operation_id]);
    node.answer(registration());
    assert_eq!(updates(&mut node), [answers[1].clone()]);
    // Of what an earlier life was acknowledged nothing is left to acknowledge.
    acknowledge(&mut node, &answers[0]);
    acknowledge(&mut node, &answers[1]);
    acknowledge(&mut node, &answers[1]);
    assert!(node.core.state().operations.is_empty());
    assert!(node.kept.operations.is_empty());
}

#[test]
fn an_agent_that_lost_what_was_reserved_does_not_run() {
    let mut before = node();
    apply(&mut before, &reserve(1, 1.0));
    let mut node = Node::blank();
    let mut small = config();
    small.info.resources = parse("cpus:0.5;mem:4096;disk:1024");
    node.core = NodeCore::new(small);
    node.on(Input::Recovered(Box::new(Remembered {
        resources: before.kept.resources.clone(),
        ..Remembered::default()
    })));
    let Some(Effect::Exit(Ending::Refused(text))) = node.said.last() else {
        panic!("{:?}", node.said);
    };
    assert!(text.contains("does not contain"), "{text}");
}

fn volume_changes(node: &mut Node) -> Vec<(usize, usize)> {
    let changes = node.said.iter().filter_map(|effect| match effect {
        Effect::ChangeVolumes { make, remove } => {
            for directory in make.iter().chain(remove) {
                assert_eq!(
                    directory.path.display().to_string(),
                    "/w/volumes/roles/a b/v"
                );
            }
            Some((make.len(), remove.len()))
        }
        _ => None,
    });
    changes.collect()
}

#[test]
fn a_volume_is_made_resized_in_place_and_removed_also_if_the_agent_dies_before() {
    let mut node = node();
    apply(&mut node, &reserve(1, 1.0));
    apply(&mut node, &create(2));
    assert_eq!(volume_changes(&mut node), [(1, 0)]);
    node.said.clear();
    let grow = json!({"type": "GROW_VOLUME", "grow_volume": {"volume": volume(64.0), "addition": reserved("disk", 36.0)}});
    apply(&mut node, &order(3, grow));
    let shrink = json!({"type": "SHRINK_VOLUME", "shrink_volume": {"volume": volume(100.0), "subtract": {"value": 90.0}}});
    apply(&mut node, &order(4, shrink));
    assert!(volume_changes(&mut node).is_empty());
    let told = updates(&mut node);
    let states = told.iter().map(|update| update.status.state());
    assert!(states.eq([OperationState::OperationFinished; 2]));
    assert!(total(&node).contains("[v:data]:10"), "{}", total(&node));
    let mut restarted = again(&node);
    assert_eq!(
        volume_changes(&mut restarted),
        [(1, 0)],
        "it is there for sure"
    );
    let destroy = json!({"type": "DESTROY", "destroy": {"volumes": [volume(10.0)]}});
    apply(&mut node, &order(5, destroy));
    assert_eq!(volume_changes(&mut node), [(0, 1)]);
    let mut restarted = again(&node);
    assert_eq!(volume_changes(&mut restarted), [(0, 1)]);
}

#[test]
fn a_task_sees_its_volume_and_one_without_it_is_refused() {
    let mut node = node();
    let text = json!({"resources": [reserved("cpus", 1.0), volume(64.0)], "name": "t",
        "task_id": {"value": "t"}, "agent_id": {"value": "a-S0"}});
    let uses: TaskInfo = codec::decode(text.to_string().as_bytes(), &Limits::HTTP).expect("a task");
    let with_volume = |task: TaskInfo| TaskInfo {
        resources: uses.resources.clone(),
        ..task
    };
    node.run(with_volume(task("t")));
    let refused = node.drain();
    let [status] = &refused[..] else {
        panic!("{refused:?}");
    };
    assert_eq!(
        status.message(),
        "The checkpointed resources being used by the task or task group are unknown to the agent"
    );
    apply(&mut node, &reserve(1, 1.0));
    apply(&mut node, &create(2));
    node.run(with_volume(task("u")));
    let expected = [VolumeLink {
        source: "/w/volumes/roles/a b/v".into(),
        container_path: "data".to_owned(),
        read_only: false,
    }];
    assert_eq!(node.launched().order.volumes, expected);
    // A running executor gets it before it hears of the task.
    node.run(executor_task("first"));
    node.start();
    node.subscribe(1, Vec::new());
    node.said.clear();
    let later = with_volume(executor_task("second"));
    node.order(Order::RunTask(Box::new(node::RunTask {
        framework_info: framework(),
        task: later,
        launch_executor: false,
        term: 3,
    })));
    let said: Vec<bool> = node
        .said
        .iter()
        .filter_map(|effect| match effect {
            Effect::LinkVolumes { volumes, .. } => Some(volumes[..] == expected),
            Effect::ToExecutor { .. } => Some(false),
            _ => None,
        })
        .collect();
    assert_eq!(said, [true, false]);
}

#[test]
fn a_task_and_its_executor_use_one_shared_volume() {
    let mut node = node();
    let mut shared = volume(64.0);
    shared["shared"] = json!({});
    apply(&mut node, &reserve(1, 1.0));
    let created = json!({"type": "CREATE", "create": {"volumes": [shared]}});
    apply(&mut node, &order(2, created));
    let shared: Resource =
        codec::decode(shared.to_string().as_bytes(), &Limits::HTTP).expect("a resource");
    let mut both = executor_task("t");
    both.resources.push(shared.clone());
    if let Some(executor) = &mut both.executor {
        executor.resources.push(shared.clone());
    }
    node.run(both);
    node.launched();
    // Of an executor that uses what is not there, it is told.
    let mut unknown = executor_task("u");
    if let Some(executor) = &mut unknown.executor {
        "other".clone_into(&mut executor.executor_id.value);
        let disk = shared.disk.clone().map(|mut disk| {
            disk.persistence.as_mut().expect("a volume").id = "unknown".to_owned();
            disk
        });
        executor.resources.push(Resource { disk, ..shared });
    }
    node.run(unknown);
    let refused = node.drain().pop();
    assert_eq!(
        refused.expect("an update").message(),
        "The checkpointed resources being used by the executor are unknown to the agent"
    );
}

#[test]
fn orders_of_an_earlier_leader_are_not_applied() {
    let mut node = node();
    let mut late = reserve(1, 1.0);
    late.term = 2;
    apply(&mut node, &late);
    assert_eq!(total(&node), "cpus:4; mem:4096; disk:1024");
    assert!(updates(&mut node).is_empty());
}
