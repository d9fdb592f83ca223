use super::*;

fn reason(result: Reason) -> String {
    result.expect_err("refused")
}

#[test]
fn generic_ids() {
    for good in ["a", "a.b", "a b", "...", &"x".repeat(255), "é"] {
        assert_eq!(validate(good), Ok(()), "{good}");
    }
    assert_eq!(reason(validate("")), "ID must not be empty");
    assert_eq!(reason(validate("..")), "'..' is disallowed");
    assert_eq!(
        reason(validate("bad/id")),
        "'bad/id' contains invalid characters"
    );
    assert_eq!(
        reason(validate("a\\b")),
        "'a\\b' contains invalid characters"
    );
    assert_eq!(
        reason(validate("a\nb")),
        "'a\nb' contains invalid characters"
    );
    assert_eq!(
        reason(validate(&"x".repeat(256))),
        "ID must not be greater than 255 characters"
    );
}

#[test]
fn container_ids() {
    let nested = |value: &str, parent: &str| v1::ContainerId {
        value: value.into(),
        parent: Some(Box::new(v1::ContainerId {
            value: parent.into(),
            parent: None,
        })),
    };
    assert_eq!(validate_container(&nested("a", "b")), Ok(()));
    assert_eq!(
        reason(validate_container(&nested("a.b", "c"))),
        "'ContainerID.value' 'a.b' contains invalid characters"
    );
    assert_eq!(
        reason(validate_container(&nested("a", "b c"))),
        "'ContainerID.parent' is invalid: 'ContainerID.value' 'b c' contains invalid characters"
    );
    let long = "x".repeat(243);
    assert!(
        reason(validate_container(&nested(&long, "b")))
            .ends_with("exceeds the maximum length (242)")
    );
}

#[test]
fn uuids() {
    let good = uuid::Uuid::new_v4();
    assert_eq!(uuid(good.as_bytes()), Ok(good));
    for bad in [&[0_u8; 16][..], &[1; 15], &[], &[0xff; 16]] {
        assert_eq!(uuid(bad), Err("Not a valid UUID".into()));
    }
}
