use std::collections::BTreeMap;

use super::super::scene::{amount, cpus, disk, parse, shared_volume, volume};
use super::super::*;

const REVOCABLE: &str = r#""revocable":{}"#;
const DYNAMIC: &str = r#""reservations":[{"type":"DYNAMIC","role":"role","principal":"p"}]"#;

#[test]
fn each_filter_leaves_its_part_and_its_opposite_the_rest() {
    let plain = parse("cpus:1;mem:512;disk:1000");
    let other = disk(20, r#""reservations":[{"type":"STATIC","role":"role2"}]"#);
    let revocable = cpus(1, REVOCABLE);
    let (own, shared) = (disk(10, &volume("1")), disk(10, &shared_volume("1")));
    let all = &(&plain + &other) + &(&(&revocable + &own) + &shared);
    let cases = [
        (all.revocable(), revocable.clone()),
        (all.non_revocable(), &all - &revocable),
        (all.shared(), shared.clone()),
        (all.non_shared(), &all - &shared),
        (all.persistent_volumes(), &own + &shared),
        (all.named("cpus"), &parse("cpus:1") + &revocable),
        (all.named("mem"), parse("mem:512")),
        (all.reserved_to("role2"), other.clone()),
        (all.unreserved(), &plain + &revocable),
        (revocable.revocable(), revocable.clone()),
        (revocable.non_revocable(), Resources::new()),
        (plain.revocable(), Resources::new()),
        (plain.non_revocable(), plain),
        (shared.shared(), shared.clone()),
        (shared.non_shared(), Resources::new()),
        (other.shared(), Resources::new()),
        (other.non_shared(), other),
    ];
    for (number, (part, expected)) in cases.iter().enumerate() {
        assert_eq!(part, expected, "case {number}");
    }
}

#[test]
fn names_and_types_are_told_once_whatever_the_terms() {
    let all = parse("cpus(role1):2;cpus:4;mem(role1):10;mem:10;ports:[1-10];ports:[11-20]");
    assert_eq!(all.names(), BTreeSet::from(["cpus", "mem", "ports"]));
    assert_eq!(all.named("cpus"), parse("cpus(role1):2;cpus:4"));
    assert_eq!(all.named("mem"), parse("mem(role1):10;mem:10"));
    let types: BTreeMap<&str, i32> = all
        .iter()
        .map(|entry| (entry.name().as_str(), entry.to_proto().r#type))
        .collect();
    assert_eq!(
        types,
        BTreeMap::from([("cpus", 0), ("mem", 0), ("ports", 1)])
    );
}

#[test]
fn what_is_asked_for_by_name_is_a_sum_or_nothing() {
    let all = parse("cpus:45.55;mem:1024;ports:[10000-20000, 30000-50000];disk:512");
    let amounts = [all.cpus(), all.mem(), all.disk(), all.gpus()].map(|amount| amount.to_string());
    assert_eq!(amounts, ["45.55", "1024", "512", "0"]);
    assert_eq!(all.ports().to_string(), "[10000-20000, 30000-50000]");
    let few = parse("cpus:45.55;disk:512");
    assert_eq!((few.mem(), few.ports().is_empty()), (Quantity::ZERO, true));
    assert_eq!(few.names(), BTreeSet::from(["cpus", "disk"]));

    assert!(Resources::new().is_empty() && Resources::default().names().is_empty());
    assert!(parse("gpus:0").is_empty());
    let nothing = amount("cpus", 0, "");
    assert!(Resources::from(nothing).is_empty());
}

#[test]
fn allocations_are_apart_by_role_until_they_are_unallocated() {
    let given = |text: &str, role: &str| parse(text).allocated(role);
    let parts = [
        ("*", given("cpus:1;mem:1024", "*")),
        ("role1", given("cpus:2;mem:2048", "role1")),
        ("role2", given("cpus(role2):3;mem(role2):3096", "role2")),
    ];
    let all: Resources = parts.iter().map(|(_, part)| part).sum();
    let expected = parts.map(|(role, part)| (role.to_owned(), part));
    assert_eq!(all.allocations(), BTreeMap::from(expected));
    let free = all.unallocated();
    assert!(free.iter().all(|entry| entry.allocation_role().is_none()));
    assert_eq!(free, parse("cpus:3;mem:3072;cpus(role2):3;mem(role2):3096"));
}

#[test]
fn revocable_resources_are_only_found_for_revocable_targets() {
    let (revocable, firm) = (cpus(1, REVOCABLE), cpus(1, ""));
    let both = &revocable + &firm;
    assert_eq!(both.find(&revocable), Some(revocable.clone()));
    assert_eq!(both.find(&firm), Some(firm.clone()));
    assert_eq!(revocable.find(&firm), None);
    assert_eq!(firm.find(&revocable), None);
}

#[test]
fn quantities_are_names_and_sums_of_scalars_without_any_terms() {
    let quantity = |name: &str, units: i64| (Name::from(name), Quantity::from_units(units));
    let cases = [
        (disk(200, &volume("1")), vec![quantity("disk", 200)]),
        (
            parse("cpus:1;mem:512").allocated("role"),
            vec![quantity("cpus", 1), quantity("mem", 512)],
        ),
        (
            parse("cpus:1;mem:512;disk:800"),
            vec![
                quantity("cpus", 1),
                quantity("mem", 512),
                quantity("disk", 800),
            ],
        ),
        (cpus(1, DYNAMIC), vec![quantity("cpus", 1)]),
        (
            cpus(1, r#""provider_id":{"value":"p"}"#),
            vec![quantity("cpus", 1)],
        ),
        (cpus(1, REVOCABLE), vec![quantity("cpus", 1)]),
        (
            &(&cpus(1, REVOCABLE) + &cpus(2, DYNAMIC)) + &cpus(4, ""),
            vec![quantity("cpus", 7)],
        ),
        (
            parse("ports:[10000-20000, 30000-50000];names:{foo,bar}"),
            vec![],
        ),
        (Resources::new(), vec![]),
    ];
    for (all, expected) in cases {
        assert_eq!(all.quantities(), expected, "{all}");
    }
}
