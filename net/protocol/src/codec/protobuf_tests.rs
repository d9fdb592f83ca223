use super::*;
use crate::v1::{FrameworkId, FrameworkInfo, Offer, scheduler};

#[test]
fn a_missing_required_field_is_named() {
    let nothing: Result<FrameworkInfo, _> = decode(&[], &Limits::HTTP);
    assert_eq!(
        nothing.unwrap_err().to_string(),
        "missing required field mesos.v1.FrameworkInfo.user"
    );
}

#[test]
fn an_unknown_required_enum_counts_as_missing() {
    // Value.Type 99 in a Resource (field 2), name "x" (field 1).
    let bytes = [0x0a, 1, b'x', 0x10, 99];
    let error = decode::<crate::v1::Resource>(&bytes, &Limits::HTTP).unwrap_err();
    assert!(error.to_string().contains("Resource.type"), "{error}");
    // Nor does a known one before it save it: the last is what is decoded.
    let twice = [0x0a, 1, b'x', 0x10, 0, 0x10, 99];
    let error = decode::<crate::v1::Resource>(&twice, &Limits::HTTP).unwrap_err();
    assert!(error.to_string().contains("Resource.type"), "{error}");
    let known_last = [0x0a, 1, b'x', 0x10, 99, 0x10, 0];
    assert!(decode::<crate::v1::Resource>(&known_last, &Limits::HTTP).is_ok());
}

#[test]
fn depth_lengths_and_counts_are_bounded() {
    let mut nested = vec![];
    for _ in 0..100 {
        // ContainerID { value #1, parent #2 }, from the inside out.
        let mut outer = vec![0x0a, 1, b'c', 0x12];
        prost::encoding::encode_varint(nested.len() as u64, &mut outer);
        outer.extend(&nested);
        nested = outer;
    }
    assert!(matches!(
        decode::<crate::v1::ContainerId>(&nested, &Limits::HTTP),
        Err(Error::TooDeep(64))
    ));
    assert!(decode::<Offer>(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], &Limits::HTTP).is_err());
    let many: Vec<u8> = [0xf8, 0x3f, 1].repeat(100);
    let limits = Limits {
        items: 50,
        ..Limits::HTTP
    };
    assert!(matches!(
        decode::<scheduler::Call>(&many, &limits),
        Err(Error::TooMany(50))
    ));
}

#[test]
fn what_is_written_is_read() {
    let call = scheduler::Call {
        framework_id: Some(FrameworkId { value: "f".into() }),
        r#type: Some(2),
        ..Default::default()
    };
    assert_eq!(
        decode::<scheduler::Call>(&encode(&call), &Limits::HTTP).unwrap(),
        call
    );
}

/// Two bytes each on the wire: operations that say nothing.
fn empty_operations(count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let operations = [0x12, 0].repeat(count);
    prost::encoding::bytes::encode(4, &operations, &mut bytes);
    bytes
}

#[test]
fn what_lists_take_in_memory_is_bounded_before_anything_is_built() {
    let few = Limits {
        memory: 10 * size_of::<crate::v1::offer::Operation>(),
        ..Limits::HTTP
    };
    assert!(decode::<scheduler::Call>(&empty_operations(10), &few).is_ok());
    assert!(matches!(
        decode::<scheduler::Call>(&empty_operations(11), &few),
        Err(Error::TooRoomy(_))
    ));
    assert!(matches!(
        decode::<scheduler::Call>(&empty_operations(900_000), &Limits::HTTP),
        Err(Error::TooRoomy(_))
    ));
}
