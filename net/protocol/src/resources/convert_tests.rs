use super::super::*;
use crate::codec::{Limits, json};
use crate::v1;

fn read(text: &str) -> v1::Resource {
    json::decode(text.as_bytes(), &Limits::HTTP).expect(text)
}

fn scalar(rest: &str) -> String {
    format!(r#"{{"name":"cpus","type":"SCALAR","scalar":{{"value":1}},{rest}}}"#)
}

#[test]
fn formats() {
    let dynamic = read(&scalar(r#""role":"ops","reservation":{"principal":"p"}"#));
    let resources = Resources::from_proto(&[dynamic]).expect("valid");
    let json = |list: &[v1::Resource]| serde_json::to_string(list).expect("json");
    assert_eq!(
        json(&resources.to_proto()),
        r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":1.0},"reservations":[{"type":"DYNAMIC","role":"ops","principal":"p"}]}]"#
    );
    assert_eq!(
        json(&resources.to_endpoint()),
        r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":1.0},"role":"ops","reservation":{"principal":"p"},"reservations":[{"type":"DYNAMIC","role":"ops","principal":"p"}]}]"#
    );
    assert_eq!(
        json(&resources.to_pre_refinement().expect("not refined")),
        r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":1.0},"role":"ops","reservation":{"principal":"p"}}]"#
    );
    let plain = Resources::parse("cpus:1", "*").expect("text");
    assert_eq!(
        json(&plain.to_endpoint()),
        r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":1.0},"role":"*"}]"#
    );
}
