use super::*;

#[test]
fn of_no_agents_everything_is_zero_and_nothing_below() {
    let none = r#"{"used":0.0,"offered":0.0,"total":0.0}"#;
    assert_eq!(share(&[], "cpus").to_string(), none);
}
