use super::super::*;
use crate::codec::{Limits, json};
use crate::v1;

fn read(text: &str) -> v1::Resource {
    json::decode(text.as_bytes(), &Limits::HTTP).expect(text)
}

/// Nothing is wrong with these.
#[test]
fn reservations_and_disks_that_are_whole_are_valid() {
    let disk =
        |rest: &str| format!(r#"{{"name":"disk","type":"SCALAR","scalar":{{"value":10}},{rest}}}"#);
    let role = r#""reservations":[{"type":"STATIC","role":"role"}]"#;
    let volume = r#""persistence":{"id":"1"},"volume":{"mode":"RW","container_path":"path"}"#;
    let cases = [
        r#"{"name":"cpus","type":"SCALAR","scalar":{"value":8}}"#.into(),
        scalar(role),
        scalar(r#""reservations":[{"type":"DYNAMIC","role":"role","principal":"p"}]"#),
        scalar(
            r#""reservations":[{"type":"DYNAMIC","role":"role","principal":"p","labels":{"labels":[{"key":"foo","value":"bar"}]}}]"#,
        ),
        disk(&format!(r#"{role},"disk":{{{volume}}}"#)),
        disk(r#""disk":{"volume":{"mode":"RW","container_path":"path"}}"#),
        disk(&format!(
            r#"{role},"disk":{{"source":{{"type":"PATH","path":{{"root":"mnt"}}}},{volume}}}"#
        )),
        disk(&format!(
            r#"{role},"disk":{{"source":{{"type":"MOUNT","mount":{{"root":"mnt"}}}},{volume}}}"#
        )),
    ];
    for text in &cases {
        assert_eq!(validate(&read(text)), Ok(()), "{text}");
    }
}

fn scalar(rest: &str) -> String {
    format!(r#"{{"name":"cpus","type":"SCALAR","scalar":{{"value":1}},{rest}}}"#)
}

#[test]
fn rules() {
    let cases: Vec<(String, &str)> = vec![
        (r#"{"name":"","type":"SCALAR","scalar":{"value":1}}"#.into(), "Empty resource name"),
        (r#"{"name":"a","type":"SCALAR"}"#.into(), "Invalid scalar resource"),
        (r#"{"name":"a","type":"SCALAR","scalar":{"value":-1}}"#.into(), "Invalid scalar resource: value <= 0"),
        (r#"{"name":"a","type":"SCALAR","scalar":{"value":0.0001}}"#.into(), "Invalid scalar resource: value <= 0"),
        (r#"{"name":"a","type":"SCALAR","scalar":{"value":1e300}}"#.into(), "Invalid scalar resource: value > 9007199254740.992"),
        (r#"{"name":"a","type":"RANGES","ranges":{"range":[{"begin":3,"end":2}]}}"#.into(), "Invalid ranges resource: begin > end"),
        (r#"{"name":"a","type":"RANGES","ranges":{"range":[{"begin":1,"end":5},{"begin":5,"end":6}]}}"#.into(), "Invalid ranges resource: overlapping ranges"),
        (r#"{"name":"a","type":"SET","set":{"item":["x","x"]}}"#.into(), "Invalid set resource: duplicated elements"),
        (r#"{"name":"a","type":"TEXT"}"#.into(), "Unsupported resource type"),
        (scalar(r#""disk":{}"#), "DiskInfo should not be set for cpus resource"),
        (scalar(r#""role":"/x""#), "Role '/x' cannot start with a slash"),
        (scalar(r#""reservation":{}"#), "Invalid reservation: role \"*\" cannot be dynamically reserved"),
        (scalar(r#""role":"a","reservation":{"role":"a"}"#), "'Resource.ReservationInfo.role' must not be set for the 'Resource.reservation' field"),
        (scalar(r#""reservations":[{"role":"a"}]"#), "Invalid reservation: 'Resource.ReservationInfo.type' field must be set."),
        (scalar(r#""reservations":[{"type":"STATIC","role":"*"}]"#), "Invalid reservation: role \"*\" cannot be reserved"),
        (scalar(r#""reservations":[{"type":"STATIC","role":"a"},{"type":"STATIC","role":"a/b"}]"#), "Invalid refined reservation: A refined reservation cannot be STATIC"),
        (scalar(r#""reservations":[{"type":"STATIC","role":"a"},{"type":"DYNAMIC","role":"b"}]"#), "Invalid refined reservation: role 'b' is not a refinement of 'a'"),
        (scalar(r#""role":"b","reservations":[{"type":"STATIC","role":"a"}]"#), "Invalid resource format: 'Resource.role' field with 'b' does not match the role 'a' in 'Resource.reservations'"),
        (scalar(r#""shared":{}"#), "Resource cpus cannot be shared"),
        (r#"{"name":"disk","type":"SCALAR","scalar":{"value":1},"shared":{}}"#.into(), "Only persistent volumes can be shared"),
        (r#"{"name":"disk","type":"SCALAR","scalar":{"value":1},"disk":{"source":{"type":"RAW","mount":{}}}}"#.into(), "Mount should not be set for RAW disk source"),
    ];
    for (text, reason) in cases {
        assert_eq!(validate(&read(&text)), Err(reason.to_owned()), "{text}");
    }
    let error = Resources::from_proto(&[read(
        r#"{"name":"cpus","type":"SCALAR","scalar":{"value":-1}}"#,
    )]);
    assert_eq!(
        error.expect_err("negative").to_string(),
        "Resource 'cpus:-1' is invalid: Invalid scalar resource: value <= 0"
    );
}
