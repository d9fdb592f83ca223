use super::*;
use crate::codec::protobuf::{decode, encode};
use crate::v1::{AgentId, Label, Labels, TaskId, TaskStatus, executor, quota::QuotaConfig, value};

/// The message in protobuf, but with `é` in Latin-1 for each `#`.
fn latin<T: prost::Message>(message: &T) -> Vec<u8> {
    let bytes = encode(message).into_iter();
    bytes
        .map(|byte| if byte == b'#' { 0xe9 } else { byte })
        .collect()
}

fn label(key: &str, value: &str) -> Label {
    Label {
        key: key.into(),
        value: Some(value.into()),
    }
}

fn update(status: TaskStatus) -> executor::Call {
    executor::Call {
        r#type: Some(executor::call::Type::Update as i32),
        update: Some(executor::call::Update { status }),
        ..Default::default()
    }
}

fn status() -> TaskStatus {
    TaskStatus {
        task_id: TaskId { value: "t".into() },
        agent_id: Some(AgentId { value: "a".into() }),
        state: 4,
        ..Default::default()
    }
}

#[test]
fn an_update_whose_text_is_latin_1_arrives() {
    let call = update(TaskStatus {
        message: Some("caf# ferm#".into()),
        data: Some(bytes::Bytes::from_static(b"#")),
        labels: Some(Labels {
            labels: vec![label("good", "good"), label("#", &"#".repeat(200))],
        }),
        ..status()
    });
    let decoded: executor::Call = decode(&latin(&call), &Limits::HTTP).unwrap();
    let status = decoded.update.unwrap().status;
    assert_eq!(status.message(), "caf\u{fffd} ferm\u{fffd}");
    assert_eq!(status.data(), b"\xe9", "bytes are bytes");
    let labels = status.labels.unwrap().labels;
    assert_eq!(labels[0], label("good", "good"));
    assert_eq!(
        labels[1],
        label("\u{fffd}", &"\u{fffd}".repeat(200)),
        "lengths grow by a byte of their own"
    );
    assert_eq!(status.state, 4);
    assert_eq!(status.agent_id.unwrap().value, "a");
}

/// A character that breaks off is as long as what stands for it.
#[test]
fn text_that_keeps_its_length_is_mended_too() {
    let mut bytes = encode(&update(TaskStatus {
        message: Some("abc".into()),
        ..status()
    }));
    let at = bytes.windows(3).position(|it| it == b"abc").unwrap();
    bytes[at..at + 3].copy_from_slice(b"\xf0\x9f\x98");
    let decoded: executor::Call = decode(&bytes, &Limits::HTTP).unwrap();
    assert_eq!(decoded.update.unwrap().status.message(), "\u{fffd}");
}

#[test]
fn a_bad_id_goes_by_the_rules_for_ids() {
    let named = |value: &str| {
        let task_id = TaskId {
            value: value.into(),
        };
        let call = update(TaskStatus {
            task_id,
            ..status()
        });
        let call = decode::<executor::Call>(&latin(&call), &Limits::HTTP).unwrap();
        let id = call.update.unwrap().status.task_id.value;
        (crate::validate::id::validate(&id), id)
    };
    assert_eq!(named("t#"), (Ok(()), "t\u{fffd}".into()));
    assert!(named("t#/").0.is_err());
    // It counts by the bytes it has now.
    assert!(named(&"#".repeat(100)).0.is_err());
}

#[test]
fn keys_and_values_of_maps_are_mended() {
    let config = QuotaConfig {
        role: "r#".into(),
        limits: [("#".to_string(), value::Scalar { value: 1.0 })].into(),
        ..Default::default()
    };
    let decoded: QuotaConfig = decode(&latin(&config), &Limits::HTTP).unwrap();
    assert_eq!(decoded.role, "r\u{fffd}");
    assert_eq!(decoded.limits["\u{fffd}"].value, 1.0);
    let volume = crate::v1::volume::source::csi_volume::StaticProvisioning {
        volume_id: "v".into(),
        volume_context: [("k".to_string(), "#".to_string())].into(),
        ..Default::default()
    };
    let decoded = decode::<crate::v1::volume::source::csi_volume::StaticProvisioning>(
        &latin(&volume),
        &Limits::HTTP,
    );
    assert_eq!(decoded.unwrap().volume_context["k"], "\u{fffd}");
}

#[test]
fn what_is_broken_otherwise_is_refused_as_before() {
    let call = update(TaskStatus {
        message: Some("#".into()),
        ..status()
    });
    let mut bytes = latin(&call);
    bytes.pop();
    let error = decode::<executor::Call>(&bytes, &Limits::HTTP).unwrap_err();
    assert_eq!(
        error.to_string(),
        "malformed protobuf: a length exceeds the message"
    );
    // Label without a key, and the number of a text as a varint.
    let error = decode::<Label>(&[0x12, 1, 0xe9], &Limits::HTTP).unwrap_err();
    assert_eq!(
        error.to_string(),
        "missing required field mesos.v1.Label.key"
    );
    let varint = [0x0a, 1, b'k', 0x10, 1];
    let wrong = decode::<Label>(&varint, &Limits::HTTP).unwrap_err();
    let beside_text = [0x0a, 1, 0xe9, 0x10, 1];
    let error = decode::<Label>(&beside_text, &Limits::HTTP).unwrap_err();
    assert!(matches!(wrong, Error::Malformed(_)), "{wrong}");
    assert_eq!(error.to_string(), wrong.to_string());
}

#[test]
fn unknown_fields_and_good_text_are_left_alone() {
    let unknown = [0x0a, 1, b'k', 0xfa, 0x3f, 2, 0xe9, 0xe9];
    assert!(decode::<Label>(&unknown, &Limits::HTTP).is_ok());
    let table = <Label as crate::descriptor::Described>::descriptor();
    assert!(matches!(repair(&unknown, table, &Limits::HTTP), Ok(None)));
    let good = encode(&label("k", "é"));
    assert!(matches!(repair(&good, table, &Limits::HTTP), Ok(None)));
}

#[test]
fn what_mending_makes_is_bounded() {
    let bytes = latin(&label("k", &"#".repeat(100)));
    let limits = Limits {
        bytes: 200,
        ..Limits::HTTP
    };
    assert!(matches!(
        decode::<Label>(&bytes, &limits),
        Err(Error::TooLarge { limit: 200, .. })
    ));
    // The fields of a map's entry count for nothing when they are walked over, but each edit does.
    let mut entry = [0x0a, 1, 0xe9].repeat(20);
    entry.extend([0x12, 0x09, 0x09]);
    entry.extend(1f64.to_le_bytes());
    let config = [vec![0x0a, 1, b'r', 0x1a, entry.len() as u8], entry].concat();
    assert!(decode::<QuotaConfig>(&config, &Limits::HTTP).is_ok());
    let limits = Limits {
        items: 10,
        ..Limits::HTTP
    };
    assert!(matches!(
        decode::<QuotaConfig>(&config, &limits),
        Err(Error::TooMany(10))
    ));
}
