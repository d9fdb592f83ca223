use super::*;

#[test]
fn a_sandbox_is_found_wherever_the_agent_lists_it() {
    let state = json!({
        "frameworks": [
            { "id": "f0", "executors": [{ "directory": "/other", "tasks": [{ "id": "t1" }] }] },
            { "id": "f1",
              "executors": [{ "directory": "/d1", "tasks": [{ "id": "t1" }], "type": "CUSTOM" }],
              "completed_executors": [{ "directory": "/d2", "completed_tasks": [{ "id": "t2" }] }] },
        ],
        "completed_frameworks": [
            { "id": "f2", "completed_executors": [
                { "directory": "/d3", "completed_tasks": [{ "id": "g1" }], "type": "DEFAULT" }] },
        ],
    });
    let found = |framework, task| directory(&state, framework, task);
    assert_eq!(found("f1", "t1").as_deref(), Some("/d1"));
    assert_eq!(found("f1", "t2").as_deref(), Some("/d2"));
    assert_eq!(found("f2", "g1").as_deref(), Some("/d3/tasks/g1"));
    assert_eq!(found("f2", "t1"), None);
}

#[test]
fn a_path_cannot_smuggle_a_parameter() {
    assert_eq!(
        percent_encode("/a b&offset=0/ž"),
        "/a%20b%26offset%3D0/%C5%BE"
    );
}
