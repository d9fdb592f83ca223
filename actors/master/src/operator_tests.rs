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
    assert_eq!(stage.answer(first).unwrap().status, 409);
    assert_eq!(stage.answer(second), Some(Answer::OK));
    assert_eq!(stage.core.weights, [("b".to_string(), 3.0)].into());
}

#[test]
fn what_is_not_built_says_so_after_it_has_looked_at_the_agent() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:1");
    let drain =
        |id: &str| json!({"type": "DRAIN_AGENT", "drain_agent": {"agent_id": {"value": id}}});
    let answer = stage.operator(drain("nope"));
    assert_eq!(answer, Answer::refused(400, "Unknown agent"));
    assert_eq!(stage.operator(drain(&node.id)).status, 501);
}
