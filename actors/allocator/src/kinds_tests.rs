use tepui_protocol::resources::Resources;

use super::*;

fn parse(text: &str) -> Vec<Resource> {
    Resources::parse(text, "*").unwrap().to_proto()
}

#[test]
fn resources_come_back_as_they_went_in() {
    let mut kinds = Kinds::default();
    let text = "cpus:4.5;cpus(a):1;mem:100;ports:[1-5, 7-9];disks:{sda,sdb};cpus(a/b):0.001";
    let bundle = kinds.bundle(&parse(text));
    let back = Resources::from_proto(&kinds.resources(&bundle)).unwrap();
    assert_eq!(back, Resources::parse(text, "*").unwrap());
}

#[test]
fn both_forms_of_a_reservation_are_one_kind() {
    let mut kinds = Kinds::default();
    let refined = parse("cpus(a):1");
    let mut old = refined.clone();
    old[0].reservations.clear();
    old[0].role = Some("a".into());
    let mut unreserved = parse("cpus:1");
    unreserved[0].role = Some("*".into());
    assert_eq!(kinds.bundle(&old), kinds.bundle(&refined));
    assert_eq!(kinds.bundle(&unreserved), kinds.bundle(&parse("cpus:1")));
    assert_eq!(kinds.count(), 2);
}

#[test]
fn values_that_are_no_amounts_are_left_out() {
    let mut kinds = Kinds::default();
    for value in [0.0, -1.0, f64::NAN, f64::INFINITY, 0.0004, 1e300] {
        let mut resources = parse("cpus:1");
        resources[0].scalar = Some(value::Scalar { value });
        assert!(kinds.bundle(&resources).is_empty(), "{value}");
    }
}

#[test]
fn a_role_may_have_what_is_reserved_for_it_or_above_it() {
    let mut kinds = Kinds::default();
    let bundle = kinds.bundle(&parse("cpus(a/b):1"));
    let kind = kinds.get(bundle.kinds().next().unwrap());
    assert_eq!(kind.reserved_role(), Some("a/b"));
    let open: Vec<&str> = ["*", "a", "a/b", "a/bc", "a/b/c", "b"]
        .into_iter()
        .filter(|role| kind.is_open_to(role))
        .collect();
    assert_eq!(open, ["a/b", "a/b/c"]);
}

#[test]
fn kinds_nobody_has_any_more_are_swept_and_the_others_keep_their_integers() {
    let mut kinds = Kinds::default();
    let kept = kinds.bundle(&parse("cpus:1;mem:1"));
    for number in 0..MIN_KINDS_TO_SWEEP {
        kinds.bundle(&parse(&format!("disk(role-{number}):1")));
    }
    assert!(kinds.wants_sweep());
    kinds.sweep(&kept.kinds().collect());
    assert!(!kinds.wants_sweep());
    assert_eq!(kinds.count(), 2);
    assert_eq!(kinds.bundle(&parse("cpus:1;mem:1")), kept);
    // The names stay, so fair shares keep their meaning.
    let disk = kinds.bundle(&parse("disk(role-1):1"));
    assert_eq!(kinds.quantities(&disk).len(), 1);
}

#[test]
fn names_are_bounded_and_what_comes_later_is_still_offered() {
    let mut kinds = Kinds::default();
    for number in 0..MAX_NAMES {
        kinds.name(&format!("custom-{number}"));
    }
    let bundle = kinds.bundle(&parse("one-more:5"));
    assert_eq!(kinds.quantities(&bundle).len(), 0);
    assert_eq!(*kinds.resources(&bundle), *parse("one-more:5"));
}

#[test]
fn a_volume_is_the_same_wherever_a_task_sees_it() {
    use tepui_protocol::v1::{Volume, resource};
    let volume = |path: &str, principal: &str| {
        let mut volume = parse("disk(a):32");
        volume[0].disk = Some(Box::new(resource::DiskInfo {
            persistence: Some(resource::disk_info::Persistence {
                id: "v".into(),
                principal: Some(principal.into()),
            }),
            volume: Some(Volume {
                container_path: path.into(),
                ..Volume::default()
            }),
            ..resource::DiskInfo::default()
        }));
        volume
    };
    let mut kinds = Kinds::default();
    let created = kinds.bundle(&volume("data", "keeper"));
    assert_eq!(kinds.bundle(&volume("elsewhere", "keeper")), created);
    assert_eq!(kinds.bundle(&volume("data", "another")), created);
    assert_eq!(kinds.count(), 1);
    let offered = kinds.resources(&created);
    let path = offered[0].disk.as_ref().unwrap().volume.as_ref().unwrap();
    assert_eq!(path.container_path, "data", "as it was created");
}

#[test]
fn labels_of_a_reservation_are_the_same_in_any_order() {
    let with = |keys: [&str; 2]| {
        let mut reserved = parse("cpus(a):1");
        let labels = keys.map(|key| Label {
            key: key.into(),
            value: None,
        });
        reserved[0].reservations[0].labels = Some(tepui_protocol::v1::Labels {
            labels: labels.to_vec(),
        });
        reserved
    };
    let mut kinds = Kinds::default();
    assert_eq!(
        kinds.bundle(&with(["x", "y"])),
        kinds.bundle(&with(["y", "x"]))
    );
    assert_ne!(
        kinds.bundle(&with(["x", "z"])),
        kinds.bundle(&with(["y", "x"]))
    );
}
