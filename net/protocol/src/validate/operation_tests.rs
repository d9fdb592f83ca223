use super::*;
use crate::codec::{Limits, json};

fn read<T: serde::de::DeserializeOwned + crate::descriptor::Described>(text: &str) -> T {
    json::decode(text.as_bytes(), &Limits::HTTP).expect(text)
}

fn disk(rest: &str) -> String {
    format!(r#"{{"name":"disk","type":"SCALAR","scalar":{{"value":10}}{rest}}}"#)
}

/// What a new agent can do.
const ALL: Abilities = Abilities {
    hierarchical_role: true,
    reservation_refinement: true,
    resize_volume: true,
    resource_provider: true,
    agent_operation_feedback: true,
};

const RESERVED: &str = r#","reservations":[{"type":"DYNAMIC","role":"r","principal":"p"}]"#;
const ALLOCATED: &str = r#","allocation_info":{"role":"r"}"#;
const VOLUME: &str = r#","disk":{"persistence":{"id":"v","principal":"p"},"volume":{"mode":"RW","container_path":"c"}}"#;

#[test]
fn reservations() {
    let roles = BTreeSet::from(["r".to_owned()]);
    let others = BTreeSet::from(["q".to_owned()]);
    let framework = Asker::Framework(&roles);
    for (resource, principal, asker, expected) in [
        (
            disk(&format!("{RESERVED}{ALLOCATED}")),
            Some("p"),
            framework,
            "",
        ),
        (disk(RESERVED), None, Asker::Operator, ""),
        (
            disk(""),
            None,
            Asker::Operator,
            "Resource disk:10 is not dynamically reserved",
        ),
        (
            disk(&format!("{RESERVED}{ALLOCATED}")),
            None,
            Asker::Operator,
            "A reserve operation was attempted with an allocated resource, but the operator API only allows reservations to be made to unallocated resources",
        ),
        (
            disk(RESERVED),
            None,
            framework,
            "A reserve operation was attempted on unallocated resource disk(reservations: [(DYNAMIC,r,p)]):10, but frameworks can only perform reservations on allocated resources",
        ),
        (
            disk(&format!("{RESERVED}{ALLOCATED}")),
            None,
            Asker::Framework(&others),
            "A reserve operation was attempted for a resource allocated to role 'r', but the framework only has roles '{ q }'",
        ),
        (
            disk(&format!("{RESERVED}{ALLOCATED}")),
            Some("q"),
            framework,
            "A reserve operation was attempted by authenticated principal 'q', which does not match a reserved resource in the request with principal 'p'",
        ),
        (
            disk(r#","revocable":{},"reservations":[{"type":"DYNAMIC","role":"r"}]"#),
            None,
            Asker::Operator,
            "Invalid resources: Invalid ReservationInfo: Dynamically reserved resource disk(reservations: [(DYNAMIC,r)]){REV}:10 cannot be created from revocable resources",
        ),
    ] {
        let body = read(&format!(r#"{{"resources":[{resource}]}}"#));
        assert_eq!(
            reserve(&body, principal, ALL, asker)
                .err()
                .unwrap_or_default(),
            expected
        );
    }
    let body = read(&format!(
        r#"{{"resources":[{}]}}"#,
        disk(&format!("{RESERVED}{VOLUME}"))
    ));
    assert!(
        unreserve(&body)
            .expect_err("a volume")
            .starts_with("A dynamically reserved persistent volume")
    );
}

#[test]
fn volumes() {
    let volume = disk(&format!("{RESERVED}{VOLUME}"));
    let existing = Resources::from_proto(&[read(&volume)]).expect("valid");
    let none = Resources::new();
    let body = read(&format!(r#"{{"volumes":[{volume}]}}"#));
    assert_eq!(create(&body, &none, Some("p"), ALL, None), Ok(()));
    assert_eq!(
        create(&body, &existing, None, ALL, None),
        Err("Persistence ID 'v' is not unique".into())
    );
    let plain = read(&format!(r#"{{"volumes":[{}]}}"#, disk(RESERVED)));
    assert_eq!(
        create(&plain, &none, None, ALL, None),
        Err("Not a persistent volume: Resource disk(reservations: [(DYNAMIC,r,p)]):10 does not have DiskInfo".into())
    );
    let body = read(&format!(r#"{{"volumes":[{volume}]}}"#));
    assert_eq!(destroy(&body, &existing, &none), Ok(()));
    assert_eq!(
        destroy(&body, &none, &none),
        Err("Persistent volumes not found".into())
    );
    let used = existing.allocated("r");
    assert_eq!(
        destroy(&body, &existing, &used),
        Err("Persistent volumes in use".into())
    );

    let by = |addition: &str| read(&format!(r#"{{"volume":{volume},"addition":{addition}}}"#));
    assert_eq!(grow(&by(&disk(RESERVED)), ALL), Ok(()));
    assert_eq!(
        grow(&by(&disk("")), ALL),
        Err(
            "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields"
                .into()
        )
    );
    let by = |subtract: i32| {
        read(&format!(
            r#"{{"volume":{volume},"subtract":{{"value":{subtract}}}}}"#
        ))
    };
    assert_eq!(shrink(&by(9), ALL), Ok(()));
    assert_eq!(
        shrink(&by(10), ALL),
        Err("Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'".into())
    );
}

fn said(result: Reason) -> String {
    result.err().unwrap_or_default()
}

fn of(name: &str, rest: &str) -> String {
    format!(r#"{{"name":"{name}","type":"SCALAR","scalar":{{"value":8}}{rest}}}"#)
}

/// Reserved for `role`, allocated to `allocated`.
fn reserved(name: &str, role: &str, allocated: &str) -> String {
    of(
        name,
        &format!(
            r#","reservations":[{{"type":"DYNAMIC","role":"{role}","principal":"p"}}],"allocation_info":{{"role":"{allocated}"}}"#
        ),
    )
}

/// A volume of a static reservation.
fn volume(role: &str, id: &str, rest: &str) -> String {
    disk(&format!(
        r#","reservations":[{{"type":"STATIC","role":"{role}"}}],"disk":{{"persistence":{{"id":"{id}"}},"volume":{{"mode":"RW","container_path":"c"}}}}{rest}"#
    ))
}

const BOTH: &str = "Invalid resources: Some resources have a resource provider and some do not";
const TWO: &str = "Invalid resources: The resources have multiple resource providers: a, b";

/// Lists of resources of the agent, of provider `a` and of provider `b`, and what is said to each.
fn providers(one: impl Fn(&str) -> String) -> [(String, &'static str); 3] {
    let a = one(r#","provider_id":{"value":"a"}"#);
    let b = one(r#","provider_id":{"value":"b"}"#);
    [
        (format!("{},{a}", one("")), BOTH),
        (format!("{b},{a}"), TWO),
        (a, ""),
    ]
}

#[test]
fn a_framework_reserves_what_it_was_allocated_for_the_role_it_was_allocated_to() {
    let roles = ["r1", "r2", "foo/bar"].map(str::to_owned).into();
    let asker = Asker::Framework(&roles);
    let check = |resources: &str, agent: Abilities| {
        let body = read(&format!(r#"{{"resources":[{resources}]}}"#));
        said(reserve(&body, Some("p"), agent, asker))
    };
    let anonymous = r#","reservations":[{"type":"DYNAMIC","role":"r1"}]"#;
    let fixed =
        r#","reservations":[{"type":"STATIC","role":"r1"}],"allocation_info":{"role":"r1"}"#;
    let static_volume = volume("r1", "i", r#","allocation_info":{"role":"r1"}"#);
    for (resources, expected) in [
        (reserved("cpus", "r1", "r1"), ""),
        (
            of("cpus", anonymous),
            "A reserve operation was attempted by principal 'p', but there is a reserved resource in the request with no principal set",
        ),
        (
            of("cpus", fixed),
            "Resource cpus(allocated: r1)(reservations: [(STATIC,r1)]):8 is not dynamically reserved",
        ),
        (
            format!("{},{static_volume}", reserved("cpus", "r1", "r1")),
            "Resource disk(allocated: r1)(reservations: [(STATIC,r1)])[i:c]:10 is not dynamically reserved",
        ),
        (
            reserved("cpus", "r1", "r2"),
            "A reserve operation was attempted for a resource with role 'r1', but the resource was allocated to role 'r2'",
        ),
        (
            format!(
                "{},{}",
                reserved("cpus", "r1", "r1"),
                reserved("mem", "r2", "r2")
            ),
            "Invalid reservation resources: The resources have multiple allocation roles ('r2' and 'r1') but only one allocation role is allowed",
        ),
    ] {
        assert_eq!(check(&resources, ALL), expected, "{resources}");
    }
    let nested = reserved("cpus", "foo/bar", "foo/bar");
    assert_eq!(check(&nested, ALL), "");
    let flat = Abilities {
        hierarchical_role: false,
        ..ALL
    };
    assert_eq!(
        check(&nested, flat),
        "Resource cpus(allocated: foo/bar)(reservations: [(DYNAMIC,foo/bar,p)]):8 with reservation for hierarchical role 'foo/bar' cannot be reserved on an agent without HIERARCHICAL_ROLE capability"
    );
    let refined = of(
        "cpus",
        r#","reservations":[{"type":"STATIC","role":"foo"},{"type":"DYNAMIC","role":"foo/bar","principal":"p"}],"allocation_info":{"role":"foo/bar"}"#,
    );
    let unrefined = Abilities {
        reservation_refinement: false,
        ..ALL
    };
    assert_eq!(check(&refined, ALL), "");
    assert!(check(&refined, unrefined).ends_with(
        "with reservation refinement cannot be reserved on an agent without RESERVATION_REFINEMENT capability"
    ));
    let dynamic = r#","reservations":[{"type":"DYNAMIC","role":"r1","principal":"p"}],"allocation_info":{"role":"r1"}"#;
    for (resources, expected) in providers(|rest| disk(&format!("{dynamic}{rest}"))) {
        assert_eq!(check(&resources, ALL), expected, "{resources}");
    }
}

#[test]
fn anything_reserved_at_run_time_may_be_unreserved() {
    let check = |resources: &str| {
        said(unreserve(&read(&format!(
            r#"{{"resources":[{resources}]}}"#
        ))))
    };
    let by = |principal: &str| {
        of(
            "cpus",
            &format!(r#","reservations":[{{"type":"DYNAMIC","role":"r"{principal}}}]"#),
        )
    };
    assert_eq!(check(&by(r#","principal":"p""#)), "");
    assert_eq!(check(&by("")), "", "whoever asks, whoever reserved");
    assert_eq!(
        check(&of(
            "cpus",
            r#","reservations":[{"type":"STATIC","role":"r"}]"#
        )),
        "Resource cpus(reservations: [(STATIC,r)]):8 is not dynamically reserved"
    );
    for (resources, expected) in providers(|rest| disk(&format!("{RESERVED}{rest}"))) {
        assert_eq!(check(&resources), expected, "{resources}");
    }
}

#[test]
fn volumes_are_created_once_and_as_far_as_framework_and_agent_can() {
    let none = Resources::new();
    fn check(
        volumes: &str,
        existing: &Resources,
        principal: Option<&str>,
        agent: Abilities,
        framework: Option<(&str, bool)>,
    ) -> String {
        let body = read(&format!(r#"{{"volumes":[{volumes}]}}"#));
        said(create(&body, existing, principal, agent, framework))
    }
    let plain = |volumes: &str| check(volumes, &none, None, ALL, None);
    let first = volume("r1", "i", "");
    let there = Resources::from_proto(&[read(&first)]).expect("valid");
    assert_eq!(plain(&first), "");
    let twice = "Persistence ID 'i' is not unique";
    assert_eq!(check(&first, &there, None, ALL, None), twice);
    let second = first.replace(":10}", ":64}");
    assert_eq!(plain(&format!("{first},{second}")), twice);

    let whose = |who: &str| {
        check(
            &disk(&format!("{RESERVED}{VOLUME}")),
            &none,
            Some(who),
            ALL,
            None,
        )
    };
    assert_eq!(whose("p"), "");
    assert_eq!(
        whose("q"),
        "Create volume operation attempted by authenticated principal 'q', which does not match a volume in the operation with principal 'p' set in 'disk.persistence'"
    );
    assert_eq!(
        check(&first, &none, Some("p"), ALL, None),
        "Create volume operation attempted by principal 'p', but there is a volume in the operation with no principal set in 'disk.persistence'"
    );
    assert_eq!(
        plain(&first.replace("RW", "RO")),
        "Not a persistent volume: Read-only persistent volume not supported"
    );

    let shared = volume("r1", "i", r#","shared":{},"allocation_info":{"role":"r1"}"#);
    let by = |able| check(&shared, &none, None, ALL, Some(("f", able)));
    assert_eq!(plain(&shared), "", "operators may");
    assert_eq!(by(true), "");
    assert_eq!(
        by(false),
        "Create volume operation for 'disk(allocated: r1)(reservations: [(STATIC,r1)])[i:c]<SHARED>:10' has been attempted by framework 'f' with no SHARED_RESOURCES capability"
    );
    let mixed = format!(
        "{},{}",
        volume("r1", "i", r#","allocation_info":{"role":"r1"}"#),
        volume("r2", "j", r#","allocation_info":{"role":"r2"}"#)
    );
    assert_eq!(
        check(&mixed, &none, None, ALL, Some(("f", true))),
        "Invalid volume resources: The resources have multiple allocation roles ('r2' and 'r1') but only one allocation role is allowed"
    );

    let nested = volume("foo/bar", "i", "");
    assert_eq!(plain(&nested), "");
    assert_eq!(
        check(&nested, &none, None, Abilities::default(), None),
        "Volume disk(reservations: [(STATIC,foo/bar)])[i:c]:10 with reservation for hierarchical role 'foo/bar' cannot be created on an agent without HIERARCHICAL_ROLE capability"
    );
    for (volumes, expected) in providers(|rest| volume("r1", &rest.len().to_string(), rest)) {
        assert_eq!(plain(&volumes), expected, "{volumes}");
    }
}

#[test]
fn only_volumes_are_destroyed() {
    let none = Resources::new();
    let one = volume("r1", "i", "");
    let existing = [read(&one), read(&volume("r1", "j", ""))];
    let existing = Resources::from_proto(&existing).expect("valid");
    let check = |volumes: &str| {
        let body = read(&format!(r#"{{"volumes":[{volumes}]}}"#));
        said(destroy(&body, &existing, &none))
    };
    assert_eq!(check(&one), "");
    assert_eq!(
        check(&format!("{one},{}", of("cpus", ""))),
        "Not a persistent volume: Resource cpus:8 does not have DiskInfo"
    );
    for (volumes, expected) in providers(|rest| volume("r1", "i", rest)) {
        assert_eq!(check(&volumes), expected, "{volumes}");
    }
}

#[test]
fn volumes_are_resized_where_that_is_possible() {
    let bare = Abilities::default();
    let grow = |volume: &str, addition: &str, agent| {
        let body = read(&format!(r#"{{"volume":{volume},"addition":{addition}}}"#));
        said(grow(&body, agent))
    };
    let shrink = |volume: &str, by: f64, agent| {
        let body = read(&format!(
            r#"{{"volume":{volume},"subtract":{{"value":{by}}}}}"#
        ));
        said(shrink(&body, agent))
    };
    let good = disk(&format!("{RESERVED}{VOLUME}"));
    let more = disk(RESERVED);
    assert_eq!(grow(&good, &more, ALL), "");
    assert_eq!(shrink(&good, 1.0, ALL), "");
    assert_eq!(
        grow(&good, &more, bare),
        "Volume disk(reservations: [(DYNAMIC,r,p)])[v:c]:10 cannot be grown on an agent without RESIZE_VOLUME capability"
    );
    assert_eq!(
        shrink(&good, 1.0, bare),
        "Volume disk(reservations: [(DYNAMIC,r,p)])[v:c]:10 cannot be shrunk on an agent without RESIZE_VOLUME capability"
    );
    assert_eq!(
        grow(&good, &more.replace(":10}", ":0}"), ALL),
        "The size of 'GrowVolume.addition' field must be greater than zero"
    );
    assert_eq!(
        shrink(&good, 0.0, ALL),
        "Value of 'ShrinkVolume.subtract' must be greater than zero"
    );
    let with = |rest: &str| good.replace(RESERVED, &format!("{RESERVED}{rest}"));
    let provided = with(r#","provider_id":{"value":"a"}"#);
    let shared = with(r#","shared":{}"#);
    let unkept = good.replace(r#""persistence":{"id":"v","principal":"p"},"#, "");
    for (volume, tail) in [
        (
            provided,
            " a volume from a resource provider is not supported",
        ),
        (shared, " a shared persistent volume is not supported"),
    ] {
        let growing = format!("Growing{tail}");
        assert_eq!(grow(&volume, &more, ALL), growing);
        let shrinking = format!("Shrinking{tail}");
        assert_eq!(shrink(&volume, 1.0, ALL), shrinking);
    }
    assert_eq!(
        grow(&unkept, &more, ALL),
        "Invalid persistent volume in the 'GrowVolume.volume' field: 'persistence' is not set in DiskInfo"
    );
    assert_eq!(
        shrink(&unkept, 1.0, ALL),
        "Invalid persistent volume in the 'ShrinkVolume.volume' field: 'persistence' is not set in DiskInfo"
    );
    let source = r#""disk":{"source":{"type":"MOUNT","mount":{"root":"/m"}}"#;
    let mounted = good.replace(r#""disk":{"#, &format!("{source},"));
    let device = disk(&format!("{RESERVED},{source}}}"));
    assert_eq!(
        grow(&mounted, &device, ALL),
        "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields"
    );
    assert_eq!(
        shrink(&mounted, 1.0, ALL),
        "Shrinking a volume on a MOUNT disk is not supported"
    );
}
