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
