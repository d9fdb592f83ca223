use serde_json::json;

use super::*;

#[test]
fn only_tasks_that_live_hold_up_a_drain() {
    let agent = json!({"TASK_STAGING": 1, "TASK_STARTING": 2, "TASK_RUNNING": 3, "TASK_KILLING": 4, "TASK_FINISHED": 50});
    assert_eq!(live_tasks(&agent), 10);
    assert_eq!(live_tasks(&json!({})), 0);
}

#[test]
fn how_far_a_drain_is_is_told_in_words() {
    for (progress, expected) in [
        (Progress::Draining(2), "2 tasks are left"),
        (Progress::Draining(1), "1 task is left"),
        (Progress::Absent, "away; it drains when it is back"),
    ] {
        assert_eq!(words(&progress), expected);
    }
    assert!(words(&Progress::Draining(0)).starts_with("no task runs any more"));
}
