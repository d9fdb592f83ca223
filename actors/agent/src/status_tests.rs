use std::time::Duration;

use super::*;

#[test]
fn exits_are_worded_as_mesos_words_them() {
    let table = [
        (0, "Command exited with status 0", true),
        (3 << 8, "Command exited with status 3", false),
        (15, "Command terminated with signal Terminated", false),
        (9, "Command terminated with signal Killed", false),
        (
            11 | 0x80,
            "Command terminated with signal Segmentation fault (core dumped)",
            false,
        ),
    ];
    for (status, text, success) in table {
        assert_eq!(exit_text(status), text);
        assert_eq!(is_success(status), success);
    }
}

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
