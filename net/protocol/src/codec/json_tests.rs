use super::*;
use crate::v1::{master, scheduler};

fn master_call(text: &str) -> Result<master::Call, String> {
    decode(text.as_bytes(), &Limits::HTTP).map_err(|error| error.to_string())
}

/// Texts recorded from Mesos 1.11.0 (golden exchanges err-v1-*, err-sched-*).
#[test]
fn errors_read_as_mesos_writes_them() {
    let cases = [
        (
            "{not json",
            "Failed to parse body into JSON: syntax error at line 1 near: not json",
        ),
        (
            "",
            "Failed to parse body into JSON: syntax error at line 1 near: ",
        ),
        (
            "[]",
            "Failed to convert JSON into Call protobuf: Expecting a JSON object",
        ),
        (
            r#"{"type":1}"#,
            "Failed to convert JSON into Call protobuf: Not expecting a JSON number for field 'type'",
        ),
        (
            r#"{"type":["GET_HEALTH"]}"#,
            "Failed to convert JSON into Call protobuf: Not expecting a JSON array for field 'type'",
        ),
        (
            r#"{"type":"SET_LOGGING_LEVEL","set_logging_level":{"level":1}}"#,
            "Failed to convert JSON into Call protobuf: Missing required fields: set_logging_level.duration",
        ),
        (
            r#"{"type":"SET_LOGGING_LEVEL","set_logging_level":{"level":"x","duration":{"nanoseconds":1}}}"#,
            "Failed to convert JSON into Call protobuf: Failed to parse 'x' as a JSON number for field 'level': syntax error at line 1 near: x",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(master_call(text).unwrap_err(), expected, "{text}");
    }
    let call = |text: &str| {
        decode::<scheduler::Call>(text.as_bytes(), &Limits::HTTP)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        call(r#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"name":"x"}}}"#),
        "Failed to convert JSON into Call protobuf: Missing required fields: subscribe.framework_info.user"
    );
    assert_eq!(
        call(
            r#"{"type":"ACKNOWLEDGE","acknowledge":{"agent_id":{"value":"a"},"task_id":{"value":"t"},"uuid":"!"}}"#
        ),
        "Failed to convert JSON into Call protobuf: Failed to base64 decode bytes field 'uuid': Invalid character '!'"
    );
}

#[test]
fn base64_may_be_broken_into_lines_and_lack_its_padding() {
    for data in [
        "aGVsbG8=",
        "aGVs bG8=",
        r"aGVs\nbG8=\n",
        "aGVsbG8",
        "aGVsbG9=",
        "aGVsbG8=x",
    ] {
        let text = format!(
            r#"{{"type":"MESSAGE","message":{{"agent_id":{{"value":"a"}},"executor_id":{{"value":"e"}},"data":"{data}"}}}}"#
        );
        let call = decode::<scheduler::Call>(text.as_bytes(), &Limits::HTTP);
        let message = call.unwrap().message.unwrap();
        assert_eq!(&message.data[..], b"hello", "{data}");
    }
}

#[test]
fn reading_is_as_lenient_as_mesos() {
    for text in [
        r#"{"type":"GET_HEALTH","foo":1}"#,
        r#"{"type":"GET_HEALTH","get_metrics":null}"#,
    ] {
        assert_eq!(
            master_call(text).unwrap().r#type(),
            master::call::Type::GetHealth
        );
    }
    for level in ["\"1\"", "1", "1.7"] {
        let text = format!(
            r#"{{"type":"SET_LOGGING_LEVEL","set_logging_level":{{"level":{level},"duration":{{"nanoseconds":"1000"}}}}}}"#
        );
        let body = master_call(&text).unwrap().set_logging_level.unwrap();
        assert_eq!((body.level, body.duration.nanoseconds), (1, 1000));
    }
    for text in [r#"{"type":"FOO"}"#, r#"{"type":"get_health"}"#, "{}"] {
        assert_eq!(
            master_call(text).unwrap().r#type,
            None,
            "an unknown name counts as absent"
        );
    }
}

#[test]
fn writing_follows_declaration_and_prints_fractions() {
    let event = scheduler::Event {
        r#type: Some(scheduler::event::Type::Subscribed as i32),
        subscribed: Some(scheduler::event::Subscribed {
            framework_id: crate::v1::FrameworkId { value: "f".into() },
            heartbeat_interval_seconds: Some(15.0),
            master_info: None,
        }),
        ..Default::default()
    };
    let text = String::from_utf8(encode(&event).unwrap()).unwrap();
    assert_eq!(
        text,
        r#"{"type":"SUBSCRIBED","subscribed":{"framework_id":{"value":"f"},"heartbeat_interval_seconds":15.0}}"#
    );
    let tasks = master::response::GetTasks::default();
    assert_eq!(
        encode(&tasks).unwrap(),
        br#"{"tasks":[],"unreachable_tasks":[],"completed_tasks":[]}"#
    );
}

#[test]
fn depth_and_count_are_bounded_before_anything_is_built() {
    let deep = "[".repeat(100_000);
    assert!(master_call(&deep).unwrap_err().contains("deeper than 64"));
    let limits = Limits {
        items: 10,
        ..Limits::HTTP
    };
    let wide = format!("[{}1]", "1,".repeat(20));
    assert!(decode::<master::Call>(wide.as_bytes(), &limits).is_err());
}

fn inverse_accept(text: &str) -> Result<Vec<String>, String> {
    let text = format!(
        r#"{{"type":"ACCEPT_INVERSE_OFFERS","accept_inverse_offers":{{"inverse_offer_ids":{text}}}}}"#
    );
    let call = decode::<scheduler::Call>(text.as_bytes(), &Limits::HTTP);
    let ids = |call: scheduler::Call| call.accept_inverse_offers.unwrap().inverse_offer_ids;
    call.map(|call| ids(call).into_iter().map(|id| id.value).collect())
        .map_err(|error| error.to_string())
}

/// As stout's visitors do: each adds to a repeated field, and that of arrays goes over its items.
#[test]
fn a_bare_value_is_a_list_of_one() {
    for (text, expected) in [
        (r#"{"value":"a"}"#, vec!["a"]),
        (r#"[{"value":"a"},null,{"value":"b"}]"#, vec!["a", "b"]),
        (r#"[[{"value":"a"}],[],[{"value":"b"}]]"#, vec!["a", "b"]),
        ("null", vec![]),
    ] {
        assert_eq!(inverse_accept(text).unwrap(), expected, "{text}");
    }
    let command = |rest: &str| {
        let text = format!("{{{rest}}}");
        decode::<crate::v1::CommandInfo>(text.as_bytes(), &Limits::HTTP).unwrap()
    };
    assert_eq!(command(r#""arguments":"a""#).arguments, ["a"]);
    let capabilities = |text: &str| {
        let text = format!(r#"{{"capabilities":{text}}}"#);
        let info = decode::<crate::v1::CapabilityInfo>(text.as_bytes(), &Limits::HTTP);
        info.unwrap().capabilities
    };
    assert_eq!(capabilities(r#""CHOWN""#), capabilities(r#"["CHOWN"]"#));
    assert!(capabilities(r#""NO_SUCH""#).is_empty());
}

#[test]
fn what_is_wrong_with_a_bare_value_reads_as_mesos_writes_it() {
    let refused = "Failed to convert JSON into Call protobuf: ";
    let place = "accept_inverse_offers.inverse_offer_ids";
    for (text, expected) in [
        (
            r#""a""#,
            "Not expecting a JSON string for field 'inverse_offer_ids'",
        ),
        (
            "1",
            "Not expecting a JSON number for field 'inverse_offer_ids'",
        ),
        (
            "[[true]]",
            "Not expecting a JSON boolean for field 'inverse_offer_ids'",
        ),
        (
            r#"{"value":1}"#,
            "Not expecting a JSON number for field 'value'",
        ),
        ("{}", &format!("Missing required fields: {place}[0].value")),
        (
            r#"[null,[{"value":"a"}],{}]"#,
            &format!("Missing required fields: {place}[1].value"),
        ),
    ] {
        let error = inverse_accept(text).unwrap_err();
        assert_eq!(error, format!("{refused}{expected}"), "{text}");
    }
}

#[test]
fn a_bare_number_is_a_list_of_one() {
    use crate::v1::health_check::HttpCheckInfo;
    for (text, expected) in [("200", [200]), (r#""200""#, [200]), ("[[200.5]]", [200])] {
        let text = format!(r#"{{"port":1,"statuses":{text}}}"#);
        let check = decode::<HttpCheckInfo>(text.as_bytes(), &Limits::HTTP);
        assert_eq!(check.unwrap().statuses, expected, "{text}");
    }
}

/// A map is a list of entries to protobuf, and so to stout.
#[test]
fn a_list_of_objects_is_one_map() {
    use crate::v1::quota::QuotaConfig;
    let config = |text: &str| {
        let text = format!(r#"{{"role":"r","limits":{text}}}"#);
        decode::<QuotaConfig>(text.as_bytes(), &Limits::HTTP).map_err(|error| error.to_string())
    };
    let whole = config(r#"{"a":{"value":1},"b":{"value":2}}"#).unwrap();
    assert_eq!(whole.limits.len(), 2);
    let parts = config(r#"[{"a":{"value":1}},[null,{"b":{"value":2}}]]"#);
    assert_eq!(parts, Ok(whole));
    let refused = "Failed to convert JSON into QuotaConfig protobuf: ";
    for (text, expected) in [
        ("[1]", "Not expecting a JSON number for field 'limits'"),
        (r#"[{"a":{}}]"#, "Missing required fields: limits[a].value"),
    ] {
        assert_eq!(config(text), Err(format!("{refused}{expected}")), "{text}");
    }
}

#[test]
fn what_lists_take_in_memory_is_bounded_while_it_is_built() {
    let call = |count: usize| {
        let operations = vec!["{}"; count].join(",");
        format!(r#"{{"accept": {{"offer_ids": [], "operations": [{operations}]}}}}"#)
    };
    let few = Limits {
        memory: 11 * size_of::<crate::v1::offer::Operation>(),
        ..Limits::HTTP
    };
    let read = |count| decode::<crate::v1::scheduler::Call>(call(count).as_bytes(), &few);
    assert!(read(10).is_ok());
    let refused = read(11).unwrap_err().to_string();
    assert!(refused.contains("take more than"), "{refused}");
    // What is read without a bound is not bound by the last one.
    let call: crate::v1::scheduler::Call = serde_json::from_str(&call(20)).unwrap();
    assert_eq!(call.accept.unwrap().operations.len(), 20);
}
