use super::call;
use crate::codec::{Limits, json};

#[test]
fn calls() {
    let cpus = r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1},"role":"/x"}"#;
    for (text, expected) in [
        (r#"{"type":"GET_STATE"}"#.to_owned(), ""),
        (r#"{"type":"UNKNOWN"}"#.into(), ""),
        (
            r#"{"type":"get_state"}"#.into(),
            "Expecting 'type' to be present",
        ),
        (
            r#"{"type":"GET_METRICS"}"#.into(),
            "Expecting 'get_metrics' to be present",
        ),
        (
            r#"{"type":"UPDATE_MAINTENANCE_SCHEDULE"}"#.into(),
            "Expecting 'update_maintenance_schedule' to be present",
        ),
        (
            r#"{"type":"UPDATE_QUOTA"}"#.into(),
            "Expecting 'update_quota' to be present",
        ),
        (r#"{"type":"UPDATE_QUOTA","update_quota":{}}"#.into(), ""),
        (
            r#"{"type":"MARK_AGENT_GONE"}"#.into(),
            "Expecting 'mark_agent_gone' to be present",
        ),
        (
            format!(
                r#"{{"type":"RESERVE_RESOURCES","reserve_resources":{{"agent_id":{{"value":"s"}},"resources":[{cpus}]}}}}"#
            ),
            "Resource 'cpus:1' is invalid: Role '/x' cannot start with a slash",
        ),
        (
            format!(
                r#"{{"type":"GROW_VOLUME","grow_volume":{{"volume":{cpus},"addition":{cpus}}}}}"#
            ),
            "Expecting 'agent_id' to be present; only agent default resources are supported right now",
        ),
    ] {
        let message = json::decode(text.as_bytes(), &Limits::HTTP).expect(&text);
        assert_eq!(call(&message).err().unwrap_or_default(), expected, "{text}");
    }
}

#[test]
fn quota_is_of_a_role() {
    let text = r#"{"type":"UPDATE_QUOTA","update_quota":{"quota_configs":[{}]}}"#;
    let decoded: Result<crate::v1::master::Call, _> = json::decode(text.as_bytes(), &Limits::HTTP);
    let error = decoded.expect_err("no role").to_string();
    assert!(
        error.ends_with("Missing required fields: update_quota.quota_configs[0].role"),
        "{error}"
    );
}
