use super::*;
use crate::codec::{Limits, json};

fn read<T: serde::de::DeserializeOwned + crate::descriptor::Described>(text: &str) -> T {
    json::decode(text.as_bytes(), &Limits::HTTP).expect(text)
}

fn disk(rest: &str) -> String {
    format!(r#"{{"name":"disk","type":"SCALAR","scalar":{{"value":10}}{rest}}}"#)
}

fn text(result: Reason) -> String {
    result.err().unwrap_or_default()
}

#[test]
fn disks_are_made_of_raw_ones_and_become_raw_again() {
    let provider = r#","provider_id":{"value":"a"}"#;
    let with = |source: &str| format!(r#","disk":{{"source":{{{source}}}}}"#);
    let of_provider = |source: &str| disk(&format!("{provider}{}", with(source)));
    let made = |source: &str, target: &str, rest: &str| {
        text(create(&read(&format!(
            r#"{{"source":{source},"target_type":"{target}"{rest}}}"#
        ))))
    };
    let (profiled, raw) = (r#""type":"RAW","profile":"x""#, r#""type":"RAW""#);
    let profile = r#","target_profile":"x""#;
    for (source, target, rest, expected) in [
        (of_provider(profiled), "MOUNT", "", ""),
        (of_provider(profiled), "BLOCK", "", ""),
        (of_provider(raw), "MOUNT", profile, ""),
        (
            of_provider(profiled),
            "PATH",
            "",
            "'target_type' is neither MOUNT or BLOCK",
        ),
        (
            of_provider(profiled),
            "MOUNT",
            profile,
            "'target_profile' must not be set when 'source' has a profile",
        ),
        (
            of_provider(raw),
            "MOUNT",
            "",
            "'target_profile' must be set when 'source' has no profile",
        ),
        (
            of_provider(r#""type":"MOUNT","mount":{}"#),
            "MOUNT",
            "",
            "'source' is not a RAW disk resource",
        ),
        (
            disk(&with(profiled)),
            "MOUNT",
            "",
            "'source' is not managed by a resource provider",
        ),
    ] {
        assert_eq!(made(&source, target, rest), expected, "{source}");
    }

    let ended = |source: &str| text(destroy(&read(&format!(r#"{{"source":{source}}}"#))));
    let mount = r#""type":"MOUNT","mount":{},"id":"1""#;
    let kept = format!(
        r#"{provider},"reservations":[{{"type":"STATIC","role":"r"}}],"disk":{{"source":{{{mount}}},"persistence":{{"id":"v"}},"volume":{{"mode":"RW","container_path":"c"}}}}"#
    );
    for (source, expected) in [
        (of_provider(mount), ""),
        (of_provider(r#""type":"BLOCK","id":"2""#), ""),
        (of_provider(r#""type":"RAW","id":"3""#), ""),
        (
            of_provider(r#""type":"PATH","path":{},"id":"4""#),
            "'source' is neither a MOUNT, BLOCK or RAW disk resource",
        ),
        (
            disk(&with(mount)),
            "'source' is not managed by a resource provider",
        ),
        (
            of_provider(profiled),
            "'source' is not backed by a CSI volume",
        ),
    ] {
        assert_eq!(ended(&source), expected, "{source}");
    }
    let refused = ended(&disk(&kept));
    assert!(
        refused.ends_with("cannot be destroyed directly. Please destroy the persistent volume first then destroy the disk resource"),
        "{refused}"
    );
}
