use tepui_containers::devices::DeviceKind;

use super::*;

fn device(name: &str) -> Device {
    Device {
        path: Path::new("/dev").join(name),
        kind: DeviceKind::Character,
        major: 195,
        minor: name.len() as u32,
    }
}

fn names(devices: &[Device]) -> Vec<&str> {
    let names = devices.iter().map(|it| it.path.file_name());
    names.map(|it| it.unwrap().to_str().unwrap()).collect()
}

#[test]
fn each_gpu_has_one_holder() {
    let dir = tempfile::tempdir().unwrap();
    let at = |id: &str| dir.path().join(id);
    let mut gpus = Gpus::new(vec![device("g0"), device("g1"), device("g2")]);
    gpus.assign("a", 2, &at("a")).unwrap();
    gpus.assign("b", 1, &at("b")).unwrap();
    assert_eq!(names(&gpus.of("a")), ["g0", "g1"]);
    assert_eq!(names(&gpus.of("b")), ["g2"]);
    let refused = gpus.assign("c", 1, &at("c")).unwrap_err();
    assert_eq!(refused, "Requested 1 gpus but only 0 available");
    assert!(gpus.of("c").is_empty());

    // Fewer, more and none.
    assert_eq!(names(&gpus.assign("a", 1, &at("a")).unwrap()), ["g1"]);
    gpus.assign("b", 2, &at("b")).unwrap();
    assert_eq!(names(&gpus.of("b")), ["g1", "g2"]);
    gpus.release("b");
    gpus.assign("c", 2, &at("c")).unwrap();
    assert_eq!(names(&gpus.of("c")), ["g1", "g2"]);
}

#[test]
fn containers_within_have_those_around_them_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut gpus = Gpus::new(vec![device("g0"), device("g1")]);
    gpus.assign("a", 1, &dir.path().join("a")).unwrap();
    gpus.assign("a.b", 1, &dir.path().join("a.b")).unwrap();
    assert_eq!(names(&gpus.of("a.b.c")), ["g0", "g1"]);
    assert_eq!(names(&gpus.of("a.x")), ["g0"]);
    assert_eq!(names(&gpus.of("a")), ["g0"]);
}

#[test]
fn the_next_agent_knows_who_has_what() {
    let dir = tempfile::tempdir().unwrap();
    let at = |id: &str| dir.path().join(id);
    let mut gpus = Gpus::new(vec![device("g0"), device("g1")]);
    gpus.assign("a", 1, &at("a")).unwrap();
    gpus.assign("b", 1, &at("b")).unwrap();
    let mut next = Gpus::new(vec![device("g1"), device("g2")]);
    for id in ["a", "b", "c"] {
        next.recover(id, &at(id));
    }
    assert!(next.of("a").is_empty());
    assert_eq!(names(&next.of("b")), ["g1"]);
    next.assign("c", 1, &at("c")).unwrap();
    assert_eq!(names(&next.of("c")), ["g2"]);
}
