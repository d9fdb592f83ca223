use proptest::prelude::*;

use super::super::*;

#[test]
fn reads_the_command_line() {
    let text = " cpus : 4 ;mem:2048;ports:[31000-32000, 33000-34000];disk(role):10";
    let resources = Resources::parse(text, "*").expect("text");
    assert_eq!(
        resources.to_string(),
        "cpus:4; mem:2048; ports:[31000-32000, 33000-34000]; disk(reservations: [(STATIC,role)]):10"
    );
    let json = r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":0.5}},
        {"name":"tags","type":"SET","set":{"item":["b","a"]},"role":"*"}]"#;
    let resources = Resources::parse(json, "eng").expect("json");
    assert_eq!(
        resources.to_string(),
        "cpus(reservations: [(STATIC,eng)]):0.5; tags:{a, b}"
    );
    assert_eq!(
        Resources::parse("", "*").expect("nothing").to_string(),
        "{}"
    );
}

#[test]
fn refusals_are_mesos_sentences() {
    for (text, reason) in [
        (
            "cpus",
            "Bad value for resources, missing or extra ':' in cpus",
        ),
        (
            "cpus:1:2",
            "Bad value for resources, missing or extra ':' in cpus:1:2",
        ),
        (
            "cpus(a:1",
            "Bad value for resources, mismatched parentheses in cpus(a:1",
        ),
        ("cpus:abc", "Bad type for resource cpus value abc type TEXT"),
        (
            "ports:[1-2",
            "Failed to parse resource ports value [1-2 error Mismatched brackets",
        ),
        ("cpus(/a):1", "Role '/a' cannot start with a slash"),
        (
            "cpus:1;cpus:[1-2]",
            "Resources with the same name ('cpus') but different types are not allowed",
        ),
        (
            r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":-1}}]"#,
            "Invalid scalar resource: value <= 0",
        ),
        (
            r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":1},"revocable":{}}]"#,
            "Revocable resources cannot be specified at the command line; do not include a 'revocable' key in the resources JSON",
        ),
    ] {
        let error = Resources::parse(text, "*").expect_err(text);
        assert_eq!(error.to_string(), reason);
    }
    let error = Resources::parse("[{]", "*")
        .expect_err("no JSON")
        .to_string();
    assert!(
        error.starts_with("Some JSON resources were not formatted properly: "),
        "{error}"
    );
}

proptest! {
    #[test]
    fn printed_and_read_again(
        cpus in 1..10_000_000_i64, mem in 1..10_000_000_i64,
        ports in prop::collection::vec((0..60_000_u64, 0..1000_u64), 1..4),
    ) {
        let ports = ports.into_iter().filter_map(|(b, n)| Range::new(b, b + n)).collect();
        let all: Resources = [
            Entry::new("cpus", super::Value::Scalar(Quantity(cpus)), Terms::default()),
            Entry::new("mem", super::Value::Scalar(Quantity(mem)), Terms::default()),
            Entry::new("ports", super::Value::Ranges(ports), Terms::default()),
        ].into_iter().collect();
        prop_assert_eq!(Resources::parse(&all.to_string(), "*").expect("text"), all);
    }
}
