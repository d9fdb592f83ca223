use super::*;
use crate::v1::{Offer, OfferId, Resource, scheduler};

fn offer() -> Offer {
    let cpus = Resource {
        name: "cpus".into(),
        r#type: 0,
        scalar: Some(crate::v1::value::Scalar { value: 4.0 }),
        ..Default::default()
    };
    Offer {
        id: OfferId { value: "o".into() },
        resources: vec![cpus],
        ..Default::default()
    }
}

#[test]
fn what_is_written_is_read_and_fields_are_numbers() {
    let bytes = encode(&offer()).unwrap();
    assert_eq!(decode::<Offer>(&bytes, &Limits::BRIDGE).unwrap(), offer());
    assert!(!bytes.windows(4).any(|window| window == b"name"));
}

/// Bytes stay single: a list of numbers would double them.
#[test]
fn bytes_are_raw() {
    let call = scheduler::call::Acknowledge {
        uuid: vec![0xff; 1000].into(),
        ..Default::default()
    };
    let bytes = encode(&call).unwrap();
    assert!(bytes.len() < 1050, "{}", bytes.len());
    assert_eq!(
        decode::<scheduler::call::Acknowledge>(&bytes, &Limits::BRIDGE).unwrap(),
        call
    );
}

#[test]
fn a_newer_field_is_skipped_and_a_missing_required_one_is_refused() {
    // {1: {1: "o"}, 200: [1, {2: 3}]}: an offer's id and a field from the future, but no framework id.
    let bytes = [0x82, 1, 0x81, 1, 0xa1, b'o', 0xcc, 200, 0x92, 1, 0x81, 2, 3];
    assert!(
        decode::<Offer>(&bytes, &Limits::BRIDGE)
            .unwrap_err()
            .to_string()
            .contains("decode")
    );
    let bytes = [0x82, 1, 0xa1, b'o', 0xcc, 200, 0x92, 1, 0x81, 2, 3];
    assert_eq!(
        decode::<OfferId>(&bytes, &Limits::BRIDGE).unwrap().value,
        "o"
    );
}

#[test]
fn lies_are_refused_before_allocation() {
    let lie = [0xdd, 0xff, 0xff, 0xff, 0xff];
    assert!(matches!(
        decode::<Offer>(&lie, &Limits::BRIDGE),
        Err(Error::Truncated)
    ));
    let deep: Vec<u8> = [vec![0x91; 100], vec![0]].concat();
    assert!(matches!(
        decode::<Offer>(&deep, &Limits::BRIDGE),
        Err(Error::TooDeep(32))
    ));
    let mut trailing = encode(&OfferId { value: "o".into() }).unwrap();
    trailing.push(0);
    assert!(matches!(
        decode::<OfferId>(&trailing, &Limits::BRIDGE),
        Err(Error::Trailing(1))
    ));
}

/// Nodes write lists as lists: only what a person writes is read leniently.
#[test]
fn a_bare_value_is_no_list() {
    use crate::v1::{Label, Labels};
    let label = Label {
        key: "k".into(),
        value: None,
    };
    let list = Labels {
        labels: vec![label],
    };
    let bytes = encode(&list).unwrap();
    // {1: [{1: "k"}]} without the mark of the list.
    assert_eq!(bytes, [0x81, 1, 0x91, 0x81, 1, 0xa1, b'k']);
    assert_eq!(decode::<Labels>(&bytes, &Limits::BRIDGE).unwrap(), list);
    let bare = [0x81, 1, 0x81, 1, 0xa1, b'k'];
    assert!(decode::<Labels>(&bare, &Limits::BRIDGE).is_err());
}
