use super::megabytes;

#[test]
fn sizes_are_spelt_as_mesos_does() {
    assert_eq!(megabytes("64MB").ok(), Some(64));
    assert_eq!(megabytes("2GB").ok(), Some(2048));
    for wrong in ["", "64", "MB", "0MB", "-1MB", "64KB", "9999999GB", "1.5GB"] {
        assert!(megabytes(wrong).is_err(), "{wrong}");
    }
}
