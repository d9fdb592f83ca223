use serde_json::json;

use super::*;

/// An answer of `/tepui/v1/why`, and its sentences; the web admin is held to the same.
const TOLD: &str = include_str!("../../../../integration/acceptance/why_told.json");

#[test]
fn each_cause_is_a_sentence_and_the_sums_come_first() {
    let golden: Value = serde_json::from_str(TOLD).expect("JSON");
    let lines = list(&golden, "told");
    let lines: Vec<&str> = lines.iter().filter_map(Value::as_str).collect();
    assert_eq!(told(&golden["answer"]), lines);
}

#[test]
fn spans_of_time_are_short() {
    for (seconds_of, expected) in [
        (json!(0.25), "0.2 s"),
        (json!(119.0), "119.0 s"),
        (json!(180), "3 min"),
        (json!(7_200), "2 h"),
        (json!(31_536_000), "365 d"),
    ] {
        assert_eq!(seconds(&seconds_of), expected);
    }
}
