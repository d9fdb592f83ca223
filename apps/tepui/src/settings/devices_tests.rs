use super::{allowed, gpus};

fn refused<T>(result: anyhow::Result<T>) -> String {
    match result {
        Ok(_) => panic!("it was taken"),
        Err(error) => format!("{error:#}"),
    }
}

#[test]
fn allowed_devices_are_those_of_the_machine() {
    let text =
        r#"{"allowed_devices": [{"device": {"path": "/dev/null"}, "access": {"read": true}}]}"#;
    let devices = allowed(Some(text)).unwrap();
    assert_eq!(devices[0].0.rule(devices[0].1).to_string(), "c 1:3 r");
    assert!(allowed(None).unwrap().is_empty());
    for (device, access, said) in [
        (r#"{}"#, r#"{"read": true}"#, "has no device path"),
        (
            r#"{"path": "/dev/null"}"#,
            "{}",
            "without any access privileges",
        ),
        (
            r#"{"path": "/"}"#,
            r#"{"read": true}"#,
            "'/' is not a block or character device",
        ),
        (
            r#"{"path": "/dev/missing"}"#,
            r#"{"read": true}"#,
            "Failed to obtain device ID",
        ),
    ] {
        let text =
            format!(r#"{{"allowed_devices": [{{"device": {device}, "access": {access}}}]}}"#);
        let refused = refused(allowed(Some(&text)));
        assert!(refused.contains(said), "{refused}");
    }
}

#[test]
fn gpus_are_devices_and_each_is_one() {
    assert_eq!(gpus(Some("/dev/null, /dev/zero")).unwrap().len(), 2);
    assert!(gpus(None).unwrap().is_empty());
    for (text, said) in [
        ("/dev/null,/dev/null", "stands there twice"),
        ("/dev/missing", "Failed to obtain device ID"),
        ("null", "does not lie in /dev"),
        ("/etc/passwd", "does not lie in /dev"),
    ] {
        let refused = refused(gpus(Some(text)));
        assert!(refused.contains(said), "{refused}");
    }
}
