use super::call;
use crate::codec::{Limits, json};
use crate::v1::scheduler::call::Subscribe;
use crate::validate::{constraints, framework};

/// Texts of a recorded Mesos 1.11.0 where it has them (golden 139-160, 305).
#[test]
fn calls() {
    const FW: &str = r#""framework_id":{"value":"a"}"#;
    let info = r#""framework_info":{"user":"root","name":"n","id":{"value":"b"}}"#;
    let zeros = "AAAAAAAAAAAAAAAAAAAAAA==";
    for (text, expected) in [
        ("{}".to_owned(), "Expecting 'type' to be present"),
        (r#"{"type":"FOO"}"#.into(), "Expecting 'type' to be present"),
        (format!(r#"{{"type":"UNKNOWN",{FW}}}"#), ""),
        (
            r#"{"type":"SUBSCRIBE"}"#.into(),
            "Expecting 'subscribe' to be present",
        ),
        (
            format!(r#"{{"type":"SUBSCRIBE",{FW},"subscribe":{{{info}}}}}"#),
            "'framework_id' differs from 'subscribe.framework_info.id'",
        ),
        (
            format!(r#"{{"type":"SUBSCRIBE","subscribe":{{{info}}}}}"#),
            "'framework_id' differs from 'subscribe.framework_info.id'",
        ),
        (
            r#"{"type":"REVIVE"}"#.into(),
            "Expecting 'framework_id' to be present",
        ),
        (format!(r#"{{"type":"REVIVE",{FW}}}"#), ""),
        (
            format!(r#"{{"type":"ACCEPT",{FW}}}"#),
            "Expecting 'accept' to be present",
        ),
        (
            format!(r#"{{"type":"DECLINE_INVERSE_OFFERS",{FW}}}"#),
            "Expecting 'decline_inverse_offers' to be present",
        ),
        (
            format!(
                r#"{{"type":"ACKNOWLEDGE",{FW},"acknowledge":{{"agent_id":{{"value":"s"}},"task_id":{{"value":"t"}},"uuid":"{zeros}"}}}}"#
            ),
            "Not a valid UUID",
        ),
        (
            format!(
                r#"{{"type":"ACKNOWLEDGE_OPERATION_STATUS",{FW},"acknowledge_operation_status":{{"operation_id":{{"value":"o"}},"uuid":"{zeros}"}}}}"#
            ),
            "Not a valid UUID",
        ),
        (
            format!(
                r#"{{"type":"ACKNOWLEDGE_OPERATION_STATUS",{FW},"acknowledge_operation_status":{{"operation_id":{{"value":"o"}},"uuid":"AAAAAAAAQACAAAAAAAAAAA=="}}}}"#
            ),
            "Expecting 'agent_id' to be present",
        ),
        (
            format!(r#"{{"type":"UPDATE_FRAMEWORK",{FW},"update_framework":{{{info}}}}}"#),
            "'framework_id' differs from 'update_framework.framework_info.id'",
        ),
    ] {
        let message = json::decode(text.as_bytes(), &Limits::HTTP).expect(&text);
        assert_eq!(
            call(&message, None).err().unwrap_or_default(),
            expected,
            "{text}"
        );
    }
    let text = r#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"u","name":"n","principal":"p"}}}"#;
    let message = json::decode(text.as_bytes(), &Limits::HTTP).expect(text);
    assert_eq!(call(&message, Some("p")), Ok(()));
    assert_eq!(
        call(&message, Some("q")),
        Err(
            "Authenticated principal 'q' does not match principal 'p' set in `FrameworkInfo`"
                .into()
        )
    );
}

/// What a SUBSCRIBE is refused for after its form is right (golden 152-157).
#[test]
fn subscriptions() {
    const MULTI: &str = r#""capabilities":[{"type":"MULTI_ROLE"}]"#;
    for (info, rest, expected) in [
        (format!(r#""roles":["x"],{MULTI},"role":"x""#), "", "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable"),
        (r#""roles":["x"]"#.into(), "", "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable"),
        (format!(r#""roles":["/x"],{MULTI}"#), "", "'FrameworkInfo.roles' contains invalid role: Role '/x' cannot start with a slash"),
        (r#""role":"""#.into(), "", "'FrameworkInfo.role' is not a valid role: Role names cannot be the empty string"),
        (format!(r#""roles":["x","x"],{MULTI}"#), "", "'FrameworkInfo.roles' contains duplicate items: { x }"),
        (format!(r#""roles":["x"],{MULTI}"#), r#","suppressed_roles":["zz"]"#, "Suppressed role 'zz' is not contained in the list of roles"),
        (format!(r#""roles":["x"],{MULTI}"#), r#","offer_constraints":{"role_constraints":{"x":{"groups":[]}}}"#, "'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for role x"),
        (format!(r#""roles":["x"],{MULTI}"#), r#","offer_constraints":{"role_constraints":{"x":{"groups":[{"attribute_constraints":[{"selector":{},"predicate":{}}]}]}}}"#, "A role x has an invalid 'AttributeConstraint': Exactly one of 'AttributeConstraint::Selector::name' or 'AttributeConstraint::Selector::pseudoattribute_type' must be set"),
        (format!(r#""roles":["x"],{MULTI}"#), r#","offer_constraints":{"role_constraints":{"x":{"groups":[{"attribute_constraints":[{"selector":{"pseudoattribute_type":"ZONE"},"predicate":{"exists":{}}}]}]}}}"#, ""),
        (r#""id":{"value":"a/b"}"#.into(), "", "'a/b' contains invalid characters"),
        (r#""failover_timeout":1e20"#.into(), "", "The framework failover_timeout (1e+20) is invalid"),
        (r#""offer_filters":{"x":{"min_allocatable_resources":{"quantities":[{}]}}}"#.into(), "", "Resource quantities must contain at least one quantity"),
        (r#""offer_filters":{"x":{"min_allocatable_resources":{"quantities":[{"quantities":{"cpus":{"value":-1}}}]}}}"#.into(), "", "Invalid resource quantity for 'cpus': Negative values not supported"),
        (format!(r#"{MULTI},"failover_timeout":604800"#), "", ""),
    ] {
        let text = format!(r#"{{"framework_info":{{"user":"u","name":"n",{info}}}{rest}}}"#);
        let body: Subscribe = json::decode(text.as_bytes(), &Limits::HTTP).expect(&text);
        let result = framework::validate(&body.framework_info)
            .and_then(|()| framework::suppressed_roles(&body.framework_info, &body.suppressed_roles))
            .and_then(|()| body.offer_constraints.as_ref().map_or(Ok(()), constraints::validate));
        assert_eq!(result.err().unwrap_or_default(), expected, "{text}");
    }
}
