use super::call;
use crate::codec::{Limits, json};

#[test]
fn calls() {
    const UUID: &str = r#""uuid":"AAAAAAAAQACAAAAAAAAAAA==""#;
    let update = |state: &str, rest: &str| {
        format!(
            r#""type":"UPDATE","update":{{"status":{{"task_id":{{"value":"t"}},"state":"{state}"{rest}}}}}"#
        )
    };
    for (rest, expected) in [
        (
            r#""message":{"data":""}"#.to_owned(),
            "Expecting 'type' to be present",
        ),
        (
            r#""type":"SUBSCRIBE""#.into(),
            "Expecting 'subscribe' to be present",
        ),
        (r#""type":"SUBSCRIBE","subscribe":{}"#.into(), ""),
        (r#""type":"HEARTBEAT""#.into(), ""),
        (
            r#""type":"MESSAGE""#.into(),
            "Expecting 'message' to be present",
        ),
        (
            r#""type":"UPDATE""#.into(),
            "Expecting 'update' to be present",
        ),
        (update("TASK_RUNNING", ""), "Expecting 'uuid' to be present"),
        (
            update("TASK_RUNNING", r#","uuid":"AAAAAAAAAAAAAAAAAAAAAA==""#),
            "Not a valid UUID",
        ),
        (
            update(
                "TASK_RUNNING",
                &format!(r#",{UUID},"executor_id":{{"value":"o"}}"#),
            ),
            "ExecutorID in Call: e does not match ExecutorID in TaskStatus: o",
        ),
        (
            update("TASK_RUNNING", &format!(",{UUID}")),
            "Received Call from executor e of framework f with invalid source, expecting 'SOURCE_EXECUTOR'",
        ),
        (
            update(
                "TASK_STAGING",
                &format!(r#",{UUID},"source":"SOURCE_EXECUTOR""#),
            ),
            "Received TASK_STAGING from executor e of framework f which is not allowed",
        ),
        (
            update(
                "TASK_RUNNING",
                &format!(r#",{UUID},"source":"SOURCE_EXECUTOR","check_status":{{"type":"TCP"}}"#),
            ),
            "Expecting 'tcp' to be set for TCP check's status",
        ),
        (
            update(
                "TASK_RUNNING",
                &format!(r#",{UUID},"source":"SOURCE_EXECUTOR""#),
            ),
            "",
        ),
    ] {
        let text =
            format!(r#"{{"executor_id":{{"value":"e"}},"framework_id":{{"value":"f"}},{rest}}}"#);
        let message = json::decode(text.as_bytes(), &Limits::HTTP).expect(&text);
        assert_eq!(call(&message).err().unwrap_or_default(), expected, "{text}");
    }
}
