use super::*;

#[test]
fn values_of_each_type() {
    assert_eq!(parse_value("0.1"), Ok(Value::Scalar(Quantity(100))));
    assert_eq!(parse_value(" 4 "), Ok(Value::Scalar(Quantity(4000))));
    assert_eq!(parse_value("-1"), Ok(Value::Text("-1".into())));
    assert_eq!(parse_value("nan"), Ok(Value::Text("nan".into())));
    let Ok(Value::Ranges(ranges)) = parse_value("[31000 - 32000, 32001-32001, 5-5]") else {
        panic!("ranges");
    };
    assert_eq!(ranges.to_string(), "[5-5, 31000-32001]");
    assert_eq!(
        parse_value("{b, a}"),
        Ok(Value::Set(["a".to_owned(), "b".to_owned()].into()))
    );
}

#[test]
fn refusals_are_mesos_sentences() {
    for (text, reason) in [
        ("  ", "Expecting non-empty string"),
        ("[1-2", "Mismatched brackets"),
        ("}{", "Mismatched brackets"),
        ("[1-2, 3]", "Expecting one or more \"ranges\""),
        ("[a-2]", "Expecting non-negative integers in 'a'"),
        ("[5-2]", "Inverted range '5-2'"),
        ("x[1-2]", "Unexpected '[' found"),
        ("x{1}", "Unexpected '{' found"),
        ("1e-310", "Subnormal values not supported"),
    ] {
        assert_eq!(parse_value(text), Err(reason.to_owned()), "{text}");
    }
    assert!(parse_value("1e300").is_err());
}

#[test]
fn attributes() {
    let found = parse_attributes("rack:a;gen:[1-5];num:3.5;url:http://x").expect("attributes");
    let json = serde_json::to_string(&found).expect("json");
    assert_eq!(
        json,
        concat!(
            r#"[{"name":"rack","type":"TEXT","text":{"value":"a"}},"#,
            r#"{"name":"gen","type":"RANGES","ranges":{"range":[{"begin":1,"end":5}]}},"#,
            r#"{"name":"num","type":"SCALAR","scalar":{"value":3.5}},"#,
            r#"{"name":"url","type":"TEXT","text":{"value":"http://x"}}]"#
        )
    );
    assert_eq!(
        parse_attributes("rack"),
        Err("Invalid attribute key:value pair 'rack'".into())
    );
    let set = parse_attributes("tags:{a,b}").expect_err("sets are refused");
    assert!(set.starts_with("Bad type for attribute tags text {a,b} type SET"));
}

#[test]
fn attributes_are_the_same_in_any_order() {
    let read = |text: &str| parse_attributes(text).expect(text);
    for (left, right, same) in [
        ("", "", true),
        (
            "cpus:45.55;ports:[10000-20000, 30000-50000];rack:rack1,rack2",
            "cpus:45.55;ports:[10000-20000,30000-50000];rack:rack1,rack2",
            true,
        ),
        ("cpus:45.55;rack:a", "", false),
        ("", "cpus:45.55;rack:a", false),
        ("ports:[1-2];rack:a", "ports:45.55;rack:45.55", false),
        ("rack:a;for:x;for:y", "for:y;for:x;rack:a", true),
        ("rack:a;rack:a;rack:b", "rack:a;rack:b;rack:b", false),
        ("rack:a;rack:b", "rack:a;rack:a", false),
    ] {
        assert_eq!(
            same_attributes(&read(left), &read(right)),
            same,
            "{left} and {right}"
        );
    }
}
