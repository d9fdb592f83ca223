use proptest::prelude::*;

use super::super::scene::{amount, parse};
use super::super::*;
use crate::codec::{Limits, json};

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
        ("cpus:0.00001", "Invalid scalar resource: value <= 0"),
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

#[test]
fn no_amount_is_read_from_what_is_no_plain_number() {
    let texts = [
        "a10",
        "3.14c",
        "-1",
        "nan",
        "-nan",
        "inf",
        "-inf",
        "infinity",
        "-infinity",
        "1e-310",
    ];
    for text in texts {
        let refused = Resources::parse(&format!("ports:3;cpus:{text}"), "*");
        let refused = refused.expect_err(text).to_string();
        assert!(refused.contains("cpus"), "{text}: {refused}");
    }
    Resources::parse("ports:3,cpus:1", "*").expect_err("a comma does not part resources");
}

#[test]
fn amounts_are_read_with_spaces_and_summed_by_name() {
    for (text, expected) in [
        ("cpus:10", vec![("cpus", 10_000)]),
        ("cpus:3.14", vec![("cpus", 3_140)]),
        (
            " cpus : 3.14 ; disk : 10 ",
            vec![("cpus", 3_140), ("disk", 10_000)],
        ),
        ("cpus:0", vec![]),
        (
            "cpus:10.5;ports:1",
            vec![("cpus", 10_500), ("ports", 1_000)],
        ),
        (
            "ports:3;cpus:10.5",
            vec![("cpus", 10_500), ("ports", 3_000)],
        ),
        (
            "ports:3;cpus:1;cpus:10.5",
            vec![("cpus", 11_500), ("ports", 3_000)],
        ),
    ] {
        let mut read = parse(text).quantities();
        read.sort_by(|(left, _), (right, _)| left.as_str().cmp(right.as_str()));
        let read: Vec<_> = read
            .iter()
            .map(|(name, sum)| (name.as_str(), sum.0))
            .collect();
        assert_eq!(read, expected, "{text}");
    }
}

#[test]
fn scalars_are_printed_to_the_thousandth() {
    for (value, printed) in [
        (1.234, "1.234"),
        (1.2345, "1.235"),
        (1.2344, "1.234"),
        (1.1, "1.1"),
        (1_000_001.0, "1000001"),
        (99_999_999_999.999_4, "99999999999.999"),
    ] {
        let all: Resources = amount("cpus", value, "").into();
        assert_eq!(all.to_string(), format!("cpus:{printed}"), "{value}");
    }
    // What is read is rounded once, so that sums and differences stay exact.
    for (text, rounded) in [("cpus:1.5011", "1.501"), ("cpus:1.5015", "1.502")] {
        let cpu = parse(text);
        assert_eq!(cpu.cpus().to_string(), rounded);
        assert_eq!((&cpu + &cpu) + &cpu - &cpu - &cpu, cpu);
    }
}

#[test]
fn terms_are_printed_between_name_and_amount() {
    const ALICE: &str = r#"{"type":"STATIC","role":"alice"}"#;
    let alice = |rest: &str| format!(r#""reservations":[{ALICE}]{rest}"#);
    let disk = |info: &str| alice(&format!(r#","disk":{{{info}}}"#));
    let refined = |rest: &str| {
        let hdfs =
            format!(r#"{{"type":"DYNAMIC","role":"alice/refined","principal":"hdfs-p"{rest}}}"#);
        format!(r#""reservations":[{ALICE},{hdfs}],"disk":{{{HOST}}}"#)
    };
    const VOLUME: &str =
        r#""persistence":{"id":"hadoop"},"volume":{"container_path":"/data","mode":"RW"}"#;
    const HOST: &str = r#""persistence":{"id":"hadoop"},"volume":{"container_path":"/data","host_path":"/hdfs","mode":"RW"}"#;
    let source = |kind: &str, root: &str| {
        let field = kind.to_lowercase();
        disk(&format!(
            r#""source":{{"type":"{kind}","{field}":{{"root":"{root}"}}}},{HOST}"#
        ))
    };
    let labels = r#","labels":{"labels":[{"key":"foo","value":"bar"},{"key":"foo"}]}"#;
    let reserved = "(reservations: [(STATIC,alice)])";
    let cases = [
        (String::new(), String::new()),
        (alice(""), reserved.to_owned()),
        (alice(r#","allocation_info":{"role":"role"}"#), format!("(allocated: role){reserved}")),
        (alice(r#","revocable":{}"#), format!("{reserved}{{REV}}")),
        (disk(VOLUME), format!("{reserved}[hadoop:/data]")),
        (format!(r#"{},"revocable":{{}}"#, disk(VOLUME)), format!("{reserved}[hadoop:/data]{{REV}}")),
        (disk(HOST), format!("{reserved}[hadoop:/hdfs:/data:rw]")),
        (source("MOUNT", "/mnt1"), format!("{reserved}[MOUNT:/mnt1,hadoop:/hdfs:/data:rw]")),
        (source("PATH", "/mnt2"), format!("{reserved}[PATH:/mnt2,hadoop:/hdfs:/data:rw]")),
        (
            refined(""),
            "(reservations: [(STATIC,alice),(DYNAMIC,alice/refined,hdfs-p)])[hadoop:/hdfs:/data:rw]".into(),
        ),
        (
            refined(labels),
            "(reservations: [(STATIC,alice),(DYNAMIC,alice/refined,hdfs-p,{foo: bar, foo})])[hadoop:/hdfs:/data:rw]".into(),
        ),
    ];
    for (terms, printed) in cases {
        let comma = if terms.is_empty() { "" } else { "," };
        let text =
            format!(r#"{{"name":"disk","type":"SCALAR","scalar":{{"value":1}}{comma}{terms}}}"#);
        let resource = json::decode(text.as_bytes(), &Limits::HTTP).expect(&text);
        assert_eq!(
            DisplayProto(&resource).to_string(),
            format!("disk{printed}:1")
        );
    }
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
