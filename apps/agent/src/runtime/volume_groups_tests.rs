use tepui_containers::{Command, volume_gids::GidRange};

use super::*;

#[test]
fn a_volume_that_another_container_has_too_is_shared_by_its_group() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let volume = root.path().join("v");
    std::fs::create_dir(&volume).unwrap();
    let range = GidRange::new([(10_000, 10_001)]).unwrap();
    let gids = VolumeGids::open(range, root.path().join("gids"), "boot".to_owned()).unwrap();
    let source = MountSource::Outer {
        sandbox: root.path().to_owned(),
        path: "v".into(),
    };
    let command = Command::Program {
        program: "/bin/true".into(),
        argv: Vec::new(),
    };
    let mut spec = LaunchSpec::new("alone".to_owned(), root.path().into(), "/r".into(), command);
    spec.credentials = Some(Credentials {
        uid: 1234,
        gid: 1234,
        groups: Vec::new(),
    });
    admit(Some(&gids), &mut spec, &source).unwrap();
    assert_eq!(spec.credentials.unwrap().groups, [10_000]);
    // It is no directory of a sandbox, which would lose its group with a container.
    assert!(gids.holds(&volume) && !gids.is_shared(""));
}
