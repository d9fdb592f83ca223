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

fn nothing(lost: Vec<Device>) -> Result<(), String> {
    assert!(lost.is_empty());
    Ok(())
}

#[test]
fn each_gpu_has_one_holder() {
    let dir = tempfile::tempdir().unwrap();
    let at = |id: &str| dir.path().join(id);
    let mut gpus = Gpus::new(vec![device("g0"), device("g1"), device("g2")]);
    gpus.assign("a", 2, &at("a"), nothing).unwrap();
    gpus.assign("b", 1, &at("b"), nothing).unwrap();
    assert_eq!(names(&gpus.of("a")), ["g0", "g1"]);
    assert_eq!(names(&gpus.of("b")), ["g2"]);
    let refused = gpus.assign("c", 1, &at("c"), nothing).unwrap_err();
    assert_eq!(refused, "Requested 1 gpus but only 0 available");
    assert!(gpus.of("c").is_empty());

    // Fewer, more and none.
    let mut denied = Vec::new();
    let deny = |lost: Vec<Device>| {
        // Whatever becomes of the agent now, on disk it is still held.
        let kept = std::fs::read_to_string(at("a").join(FILE)).unwrap();
        assert_eq!(kept, "/dev/g0\n/dev/g1\n");
        denied = lost;
        Ok(())
    };
    gpus.assign("a", 1, &at("a"), deny).unwrap();
    assert_eq!(names(&denied), ["g1"]);
    gpus.assign("b", 2, &at("b"), nothing).unwrap();
    assert_eq!(names(&gpus.of("b")), ["g1", "g2"]);
    gpus.release("b");
    gpus.assign("c", 2, &at("c"), nothing).unwrap();
    assert_eq!(names(&gpus.of("c")), ["g1", "g2"]);
}

#[test]
fn what_cannot_be_taken_away_stays_held() {
    let dir = tempfile::tempdir().unwrap();
    let at = |id: &str| dir.path().join(id);
    let mut gpus = Gpus::new(vec![device("g0"), device("g1")]);
    gpus.assign("a", 2, &at("a"), nothing).unwrap();
    let refused = gpus.assign("a", 1, &at("a"), |_| Err("busy".to_owned()));
    assert_eq!(refused, Err("busy".to_owned()));
    assert_eq!(names(&gpus.of("a")), ["g0", "g1"]);
    assert!(gpus.assign("b", 1, &at("b"), nothing).is_err());
    let mut next = Gpus::new(vec![device("g0"), device("g1")]);
    next.recover("a", &at("a"));
    assert_eq!(names(&next.of("a")), ["g0", "g1"]);
}

#[test]
fn containers_within_have_those_around_them_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut gpus = Gpus::new(vec![device("g0"), device("g1")]);
    gpus.assign("a", 1, &dir.path().join("a"), nothing).unwrap();
    gpus.assign("a.b", 1, &dir.path().join("a.b"), nothing)
        .unwrap();
    assert_eq!(names(&gpus.of("a.b.c")), ["g0", "g1"]);
    assert_eq!(names(&gpus.of("a.x")), ["g0"]);
    assert_eq!(names(&gpus.of("a")), ["g0"]);
}

#[test]
fn the_next_agent_knows_who_has_what() {
    let dir = tempfile::tempdir().unwrap();
    let at = |id: &str| dir.path().join(id);
    let mut gpus = Gpus::new(vec![device("g0"), device("g1")]);
    gpus.assign("a", 1, &at("a"), nothing).unwrap();
    gpus.assign("b", 1, &at("b"), nothing).unwrap();
    let mut next = Gpus::new(vec![device("g1"), device("g2")]);
    // Whatever was not finished: what it may not use.
    assert_eq!(names(&next.recover("a", &at("a"))), ["g1", "g2"]);
    assert_eq!(names(&next.recover("b", &at("b"))), ["g2"]);
    // One that never had any may be around those that have.
    assert!(next.recover("c", &at("c")).is_empty());
    assert!(next.of("a").is_empty());
    assert_eq!(names(&next.of("b")), ["g1"]);
    next.assign("c", 1, &at("c"), nothing).unwrap();
    assert_eq!(names(&next.of("c")), ["g2"]);
}
