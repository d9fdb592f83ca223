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

#[test]
fn moments_are_from_now_or_have_a_zone() {
    let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
    for (text, seconds) in [
        ("now", 1_000_000),
        ("+1h", 1_003_600),
        ("1970-01-02T00:00:00Z", 86_400),
        ("1970-01-02T00:00:00+01:00", 82_800),
    ] {
        let found = moment("--start", text, now).unwrap();
        assert_eq!(nanos(found).unwrap(), seconds * 1_000_000_000, "{text}");
    }
    for text in ["tomorrow", "+", "+x", "2030-01-31", "2030-01-31T02:00"] {
        let error = moment("--start", text, now).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("--start {text}: expected now")),
            "{error}"
        );
    }
    assert!(nanos(UNIX_EPOCH - Duration::from_secs(1)).is_err());
}

#[test]
fn moments_are_shown_in_one_zone() {
    assert_eq!(shown(1_893_463_201_000_000_000), "2030-01-01 02:00:01 UTC");
    assert_eq!(shown(0), "1970-01-01 00:00:00 UTC");
}
