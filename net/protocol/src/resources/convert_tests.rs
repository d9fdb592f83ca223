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

#[test]
fn what_is_not_refined_goes_into_the_older_format_and_what_is_stays() {
    const BAR: &str = r#"{"type":"DYNAMIC","role":"bar","principal":"p1"}"#;
    let refined =
        format!(r#""reservations":[{BAR},{{"type":"DYNAMIC","role":"bar/baz","principal":"p2"}}]"#);
    let cases = [
        (
            String::from(r#""reservations":[]"#),
            String::from(r#""role":"*""#),
        ),
        (
            r#""reservations":[{"type":"STATIC","role":"foo"}]"#.into(),
            r#""role":"foo""#.into(),
        ),
        (
            format!(r#""reservations":[{BAR}]"#),
            r#""role":"bar","reservation":{"principal":"p1"}"#.into(),
        ),
        (refined.clone(), refined),
    ];
    let read_all = |texts: [&String; 4]| texts.map(|text| read(&scalar(text)));
    let mut all = read_all(cases.each_ref().map(|(before, _)| before));
    let expected = read_all(cases.each_ref().map(|(_, after)| after));
    let error = downgrade(&mut all).expect_err("one is refined").to_string();
    assert!(
        error.starts_with("cpus(reservations: [(DYNAMIC,bar,p1),(DYNAMIC,bar/baz,p2)]):1 has"),
        "{error}"
    );
    assert_eq!(all, expected);
    assert_eq!(
        downgrade(&mut all[..3]),
        Ok(()),
        "what is old stays as it is"
    );
    assert_eq!(all, expected);
    let resources = Resources::from_proto(&all).expect("each format is understood");
    let unrefined = resources.filter(|entry| !entry.is_refined());
    assert!(resources.to_pre_refinement().is_err());
    assert_eq!(unrefined.to_pre_refinement().expect("old").len(), 3);
}

#[test]
fn who_counts_is_told_each_copy() {
    let mut one = Resources::parse("disk:8;cpus:2", "*").unwrap().to_proto();
    one[0].shared = Some(v1::resource::SharedInfo {});
    let held = Resources::from_proto_unchecked(&[one.clone(), one].concat());
    let names: Vec<String> = held
        .to_proto_copies()
        .into_iter()
        .map(|it| it.name)
        .collect();
    assert_eq!(names, ["disk", "disk", "cpus"]);
    assert_eq!(
        Resources::from_proto_unchecked(&held.to_proto_copies()),
        held
    );
    assert_eq!(held.to_proto().len(), 2);
}
