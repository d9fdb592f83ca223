use super::*;

#[test]
fn spans_have_units_of_everyday_and_those_of_mesos() {
    for (text, seconds) in [
        ("30s", 30.0),
        ("30secs", 30.0),
        ("1.5h", 5_400.0),
        ("90min", 5_400.0),
        ("90mins", 5_400.0),
        ("2d", 172_800.0),
        ("1weeks", 604_800.0),
        ("250ms", 0.25),
    ] {
        assert_eq!(span("--x", text).unwrap().as_secs_f64(), seconds, "{text}");
    }
    for text in ["", "30", "s", "-1s", "30 s", "1y", "1h\u{e9}"] {
        let error = span("--x", text).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("--x {text}: expected")),
            "{error}"
        );
    }
}
