use super::input;
use crate::codec::{Limits, json};
use crate::v1::agent::Call;

#[test]
fn records_after_the_first() {
    for (record, expected) in [
        (
            r#"{"type":"CONTAINER_ID","container_id":{"value":"c"}}"#,
            "Expecting 'attach_container_input.type' to be 'PROCESS_IO' instead of: 'CONTAINER_ID'",
        ),
        (
            r#"{"type":"PROCESS_IO"}"#,
            "Expecting 'attach_container_input.process_io' to be present",
        ),
        (
            r#"{"type":"PROCESS_IO","process_io":{}}"#,
            "Expecting 'process_io.type' to be present",
        ),
        (
            r#"{"type":"PROCESS_IO","process_io":{"type":"UNKNOWN"}}"#,
            "'process_io.type' is unknown",
        ),
        (
            r#"{"type":"PROCESS_IO","process_io":{"type":"DATA"}}"#,
            "Expecting 'process_io.data' to be present",
        ),
        (
            r#"{"type":"PROCESS_IO","process_io":{"type":"DATA","data":{"data":"eA=="}}}"#,
            "Expecting 'process_io.data.type' to be present",
        ),
        (
            r#"{"type":"PROCESS_IO","process_io":{"type":"DATA","data":{"type":"STDOUT","data":"eA=="}}}"#,
            "Expecting 'process_io.data.type' to be 'STDIN'",
        ),
        (
            r#"{"type":"PROCESS_IO","process_io":{"type":"DATA","data":{"type":"STDIN"}}}"#,
            "Expecting 'process_io.data.data' to be present",
        ),
        (
            r#"{"type":"PROCESS_IO","process_io":{"type":"DATA","data":{"type":"STDIN","data":"eA=="}}}"#,
            "",
        ),
        (
            r#"{"type":"PROCESS_IO","process_io":{"type":"DATA","data":{"type":"STDIN","data":""}}}"#,
            "",
        ),
        (
            r#"{"type":"PROCESS_IO","process_io":{"type":"CONTROL"}}"#,
            "Expecting 'process_io.control' to be present",
        ),
        (
            r#"{"type":"PROCESS_IO","process_io":{"type":"CONTROL","control":{}}}"#,
            "Expecting 'process_io.control.type' to be present",
        ),
        (
            r#"{"type":"PROCESS_IO","process_io":{"type":"CONTROL","control":{"type":"UNKNOWN"}}}"#,
            "'process_io.control.type' is unknown",
        ),
        (
            r#"{"type":"PROCESS_IO","process_io":{"type":"CONTROL","control":{"type":"TTY_INFO"}}}"#,
            "Expecting 'process_io.control.tty_info' to be present",
        ),
        (
            r#"{"type":"PROCESS_IO","process_io":{"type":"CONTROL","control":{"type":"TTY_INFO","tty_info":{}}}}"#,
            "Expecting 'tty_info.window_size' to be present",
        ),
        (
            r#"{"type":"PROCESS_IO","process_io":{"type":"CONTROL","control":{"type":"TTY_INFO","tty_info":{"window_size":{"rows":1,"columns":2}}}}}"#,
            "",
        ),
        (
            r#"{"type":"PROCESS_IO","process_io":{"type":"CONTROL","control":{"type":"HEARTBEAT"}}}"#,
            "Expecting 'process_io.control.heartbeat' to be present",
        ),
        (
            r#"{"type":"PROCESS_IO","process_io":{"type":"CONTROL","control":{"type":"HEARTBEAT","heartbeat":{"interval":{"nanoseconds":30000000000}}}}}"#,
            "",
        ),
    ] {
        let text =
            format!(r#"{{"type":"ATTACH_CONTAINER_INPUT","attach_container_input":{record}}}"#);
        let call: Call = json::decode(text.as_bytes(), &Limits::HTTP).expect(&text);
        let refused = input(&call.attach_container_input.unwrap()).err();
        assert_eq!(refused.unwrap_or_default(), expected, "{record}");
    }
}
