use serde_json::json;

use super::*;

#[test]
fn ids_of_containers_are_read_whole() {
    let id = json!({"value": "inner", "parent": {"value": "outer"}});
    let found = container(&id).expect("an id");
    assert_eq!(found.value, "inner");
    assert_eq!(found.parent.expect("its parent").value, "outer");
    assert_eq!(container(&json!(null)), None);
    assert_eq!(container(&json!({"parent": {"value": "outer"}})), None);
}

#[test]
fn states_are_over_or_not() {
    for state in [
        "TASK_RUNNING",
        "TASK_STAGING",
        "TASK_UNREACHABLE",
        "TASK_KILLING",
    ] {
        assert!(!is_over(state), "{state}");
    }
    for state in ["TASK_FINISHED", "TASK_LOST", "TASK_GONE", "TASK_ERROR"] {
        assert!(is_over(state), "{state}");
    }
    assert_eq!(escaped("a/b c?"), "a%2Fb%20c%3F");
}

#[test]
fn a_task_that_runs_is_meant_rather_than_one_that_has_ended() {
    let task = |id: &str, state: &str| json!({"id": id, "state": state});
    let tasks = [
        task("web-1", "TASK_FINISHED"),
        task("web-2", "TASK_RUNNING"),
        task("db-1", "TASK_FAILED"),
        task("db-1", "TASK_FAILED"),
        task("db-2", "TASK_KILLED"),
    ];
    assert_eq!(meant_among("web", &tasks).unwrap(), "web-2");
    assert_eq!(meant_among("db-1", &tasks).unwrap(), "db-1");
    let error = meant_among("db", &tasks).unwrap_err().to_string();
    assert_eq!(
        error,
        "'db' may be any of 2 tasks; choose one of db-1 (TASK_FAILED), db-2 (TASK_KILLED)"
    );
}
