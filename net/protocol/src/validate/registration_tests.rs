use serde_json::{Value, json};

use super::*;
use crate::codec::{Limits, json as codec};

fn cpus(amount: f64) -> Value {
    json!([{"name": "cpus", "type": "SCALAR", "scalar": {"value": amount}}])
}

fn framework(id: &str) -> Value {
    json!({"id": {"value": id}, "user": "u", "name": id})
}

fn executor(framework: &str, id: &str) -> Value {
    json!({"framework_id": {"value": framework}, "executor_id": {"value": id}, "command": {"value": "run"}})
}

fn task(id: &str, agent: &str, amount: f64) -> Value {
    json!({
        "name": id, "task_id": {"value": id}, "agent_id": {"value": agent}, "framework_id": {"value": "f1"},
        "state": "TASK_RUNNING", "resources": cpus(amount),
    })
}

fn check(field: &str, value: Value) -> String {
    let mut request = json!({
        "agent_info": {"id": {"value": "s"}, "hostname": "h", "resources": cpus(2.0)},
        "version": "1.11.0", "pid": "slave(1)@127.0.0.1:5051",
    });
    request[field] = value;
    let request: RegisterAgent =
        codec::decode(request.to_string().as_bytes(), &Limits::HTTP).expect("a request");
    registration(&request).err().unwrap_or_default()
}

#[test]
fn ids_are_valid_and_stand_once() {
    let agent =
        |id: &str, amount| json!({"id": {"value": id}, "hostname": "h", "resources": cpus(amount)});
    for (field, value, expected) in [
        ("agent_info", agent("s", 2.0), ""),
        (
            "agent_info",
            agent("a/b", 2.0),
            "'a/b' contains invalid characters",
        ),
        (
            "agent_info",
            agent("s", -1.0),
            "invalid resources: Resource 'cpus:-1' is invalid: Invalid scalar resource: value <= 0",
        ),
        ("frameworks", json!([framework("f1"), framework("f2")]), ""),
        (
            "frameworks",
            json!([framework("f1"), framework("f1")]),
            "Framework has a duplicate FrameworkID: 'f1'",
        ),
        (
            "frameworks",
            json!([{"user": "u", "name": "n", "role": "/x"}]),
            "'FrameworkInfo.role' is not a valid role: Role '/x' cannot start with a slash",
        ),
        (
            "executors",
            json!([
                executor("f1", "e"),
                executor("f2", "e"),
                executor("f1", "d")
            ]),
            "",
        ),
        (
            "executors",
            json!([
                executor("f1", "e"),
                executor("f2", "e"),
                executor("f1", "e")
            ]),
            "Framework 'f1' has a duplicate ExecutorID 'e'",
        ),
        (
            "executors",
            json!([executor("f1", "..")]),
            "'..' is disallowed",
        ),
        ("tasks", json!([task("t", "s", 1.0)]), ""),
        (
            "tasks",
            json!([task("a/b", "s", 1.0)]),
            "Task has an invalid TaskID: 'a/b' contains invalid characters",
        ),
        (
            "tasks",
            json!([task("t", "other", 1.0)]),
            "Task has an invalid SlaveID 'other'",
        ),
        (
            "tasks",
            json!([task("t", "s", -1.0)]),
            "Task uses invalid resources: Resource 'cpus:-1' is invalid: Invalid scalar resource: value <= 0",
        ),
    ] {
        let shown = value.to_string();
        assert_eq!(check(field, value), expected, "{shown}");
    }
}
