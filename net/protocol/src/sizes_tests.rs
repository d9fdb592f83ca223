use super::*;

#[test]
fn bytes_are_read_and_written_as_mesos_has_them() {
    for (written, bytes) in [
        ("0B", 0),
        ("4095B", 4095),
        ("4KB", 4096),
        ("10MB", 10 << 20),
        ("2GB", 2 << 30),
        ("3TB", 3 << 40),
    ] {
        assert_eq!(parse(written), Ok(bytes));
        assert_eq!(text(bytes), written);
    }
}

#[test]
fn what_is_no_amount_is_refused() {
    for wrong in ["", "10", "MB", "-1MB", "1.5MB", "1XB", "99999999999999TB"] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}
