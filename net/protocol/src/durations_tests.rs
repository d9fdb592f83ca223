use super::*;

#[test]
fn durations_take_the_largest_unit_without_a_rest() {
    let table = [
        (Duration::from_secs(5), "5secs"),
        (Duration::from_secs(900), "15mins"),
        (Duration::from_secs(90), "90secs"),
        (Duration::from_millis(1500), "1500ms"),
        (Duration::ZERO, "0ns"),
    ];
    for (duration, text) in table {
        assert_eq!(duration_text(duration), text);
    }
}

#[test]
fn what_is_written_is_read_and_what_is_none_is_told_in_mesos_words() {
    for text in [
        "0ns", "7ns", "1500ms", "5secs", "15mins", "2hrs", "3days", "2weeks",
    ] {
        assert_eq!(duration_text(parse(text).unwrap()), text);
    }
    assert_eq!(parse("1.5mins"), Ok(Duration::from_secs(90)));
    for (text, reason) in [
        ("5", "Invalid duration '5'"),
        ("secs", "Failed to convert '' to number"),
        ("1.2.3secs", "Failed to convert '1.2.3' to number"),
        ("5parsecs", "Unknown duration unit 'parsecs'"),
        (
            "99999999999999999999weeks",
            "Argument larger than the maximum",
        ),
    ] {
        let found = parse(text).unwrap_err();
        assert!(found.starts_with(reason), "{found}");
    }
}
