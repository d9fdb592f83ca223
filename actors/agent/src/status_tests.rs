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
