use super::{directories, megabytes};

#[test]
fn sizes_are_spelt_as_mesos_does() {
    assert_eq!(megabytes("64MB").ok(), Some(64));
    assert_eq!(megabytes("2GB").ok(), Some(2048));
    for wrong in ["", "64", "MB", "0MB", "-1MB", "64KB", "9999999GB", "1.5GB"] {
        assert!(megabytes(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn directories_are_absolute() {
    assert_eq!(directories(None).unwrap().len(), 0);
    assert_eq!(directories(Some("/a:/b/c:")).unwrap().len(), 2);
    for wrong in ["a", "/a:b", "/a/../b"] {
        assert!(directories(Some(wrong)).is_err(), "{wrong}");
    }
}
