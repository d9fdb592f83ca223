use super::*;
use std::path::Path;

#[test]
fn a_rule_is_read_as_the_kernel_writes_it() {
    for text in ["c 1:3 rwm", "b 8:* r", "c *:* m", "b *:1 rw"] {
        let rule: DeviceRule = text.parse().unwrap();
        assert_eq!(rule.to_string(), text);
    }
    assert_eq!(
        "c 1:3 mr".parse::<DeviceRule>().unwrap().to_string(),
        "c 1:3 rm"
    );
    for wrong in [
        "",
        "c",
        "c 1:3",
        "c 1:3 ",
        "x 1:3 r",
        "a 1:3 r",
        "c 1 r",
        "c 1:x r",
        "c :3 r",
        "c -1:3 r",
        "c 1:3 rr",
        "c 1:3 x",
        "c 1:3 r w",
        "c  1:3 r",
        "c 1:3:4 r",
        "c 99999999999:1 r",
    ] {
        assert!(wrong.parse::<DeviceRule>().is_err(), "{wrong}");
    }
}

#[test]
fn the_defaults_are_those_of_mesos() {
    let shown: Vec<String> = DEFAULTS.iter().map(DeviceRule::to_string).collect();
    assert_eq!(
        shown,
        [
            "c *:* m",
            "b *:* m",
            "c 5:1 rwm",
            "c 4:0 rwm",
            "c 4:1 rwm",
            "c 136:* rwm",
            "c 5:2 rwm",
            "c 10:200 rwm",
            "c 1:3 rwm",
            "c 1:5 rwm",
            "c 1:7 rwm",
            "c 5:0 rwm",
            "c 1:9 rwm",
            "c 1:8 rwm",
        ]
    );
}

fn device(path: &str) -> Device {
    Device {
        path: path.into(),
        kind: DeviceKind::Block,
        major: 8,
        minor: 0,
    }
}

#[test]
fn a_node_is_beneath_dev_and_as_open_as_the_device() {
    let read = Access {
        read: true,
        ..Access::default()
    };
    let node = device("/dev/disk/one").node(read).unwrap();
    assert_eq!(
        (node.name.as_path(), node.mode),
        (Path::new("disk/one"), 0o644)
    );
    assert_eq!(device("/dev/one").node(Access::ALL).unwrap().mode, 0o666);
    assert_eq!(
        device("/dev/one").node(Access::default()).unwrap().mode,
        0o600
    );
    for elsewhere in ["/srv/one", "/dev", "/dev/../srv/one", "dev/one"] {
        assert_eq!(device(elsewhere).node(read), None, "{elsewhere}");
    }
}

#[test]
fn nodes_cross_to_the_shim_unchanged() {
    let node = device("/dev/disk/one").node(Access::ALL).unwrap();
    assert_eq!(DeviceNode::from_bytes(&node.to_bytes()), Some(node.clone()));
    let named = |name: &str| DeviceNode {
        name: name.into(),
        ..node.clone()
    };
    for wrong in [
        named(""),
        named("/one"),
        named("../one"),
        DeviceNode {
            mode: 0o4666,
            ..node.clone()
        },
    ] {
        assert_eq!(DeviceNode::from_bytes(&wrong.to_bytes()), None);
    }
    assert_eq!(DeviceNode::from_bytes(&node.to_bytes()[..12]), None);
}

#[cfg(feature = "launcher")]
#[test]
fn what_is_no_device_is_said() {
    let null = Device::at(Path::new("/dev/null")).unwrap();
    assert_eq!(
        (null.kind, null.major, null.minor),
        (DeviceKind::Character, 1, 3)
    );
    let refused = Device::at(Path::new("/")).unwrap_err();
    assert_eq!(refused, "'/' is not a block or character device");
    let refused = Device::at(Path::new("/dev/missing")).unwrap_err();
    assert!(
        refused.contains("Failed to obtain device ID for '/dev/missing'"),
        "{refused}"
    );
}
