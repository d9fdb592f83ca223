use std::collections::BTreeMap;

use super::*;

#[test]
fn what_is_not_named_is_what_the_machine_has() {
    let offered_of = |text: &str| {
        let given = resources(Some(text), roles::ANY).unwrap();
        let all = offered(&given, Some(text), Path::new("/"), roles::ANY);
        Resources::from_proto(&all).unwrap()
    };
    let amount = |all: &Resources, name: &str| {
        let found = all.to_proto().into_iter().filter(|it| it.name == name);
        found
            .filter_map(|it| it.scalar)
            .map(|it| it.value)
            .sum::<f64>()
    };
    // Names that hold those of others.
    let all = offered_of(
        "my.cpus:1000;cpus-suffix:3;memory(mem):1024;things:{mem,disk,ports};diskports:[30000-35000]",
    );
    for name in ["cpus", "mem", "disk"] {
        assert!(amount(&all, name) > 0.0, "{name}");
    }
    assert!(all.to_string().contains("ports:[31000-32000]"), "{all}");
    let none = offered_of("cpus:0;mem(*):0;disk:0;ports:[]");
    assert_eq!(none.to_proto(), []);
    let some = offered_of("cpus:2;mem(*):1024;disk:4096;ports:[30000-35000]");
    assert_eq!(
        ["cpus", "mem", "disk"].map(|name| amount(&some, name)),
        [2.0, 1024.0, 4096.0]
    );
    assert!(some.to_string().contains("ports:[30000-35000]"), "{some}");
}

#[test]
fn what_names_no_role_has_the_default_one() {
    let text = "mem(other):64;ports:[1-2]";
    let given = resources(Some(text), "web").unwrap();
    let all = offered(&given, Some(text), Path::new("/"), "web");
    let roles: BTreeMap<&str, Vec<&str>> = all
        .iter()
        .map(|it| {
            let roles = it.reservations.iter().map(ReservationInfo::role);
            (it.name.as_str(), roles.collect())
        })
        .collect();
    let expected = [
        ("cpus", "web"),
        ("disk", "web"),
        ("mem", "other"),
        ("ports", "web"),
    ];
    let expected = expected.map(|(name, role)| (name, vec![role]));
    assert_eq!(roles, BTreeMap::from(expected));
}

#[test]
fn containers_begin_with_nothing_of_the_agents_own_but_find_programs() {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(environment(&[]), [variable("PATH", DEFAULT_PATH)]);
    let given = [variable("A", "b")];
    let expected = [variable("PATH", DEFAULT_PATH), variable("A", "b")];
    assert_eq!(environment(&given), expected);
    let given = [variable("PATH", "/bin")];
    assert_eq!(environment(&given), given);
}
