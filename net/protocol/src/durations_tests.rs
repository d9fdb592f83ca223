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
