use proptest::prelude::*;

use super::*;
use crate::v1;

/// Terms of every sort, few enough that entries often meet.
fn terms() -> impl Strategy<Value = Terms> {
    let stack = prop_oneof![
        3 => Just(vec![]),
        1 => Just(vec![("eng", ReservationType::Static)]),
        1 => Just(vec![("eng", ReservationType::Dynamic)]),
        1 => Just(vec![("eng", ReservationType::Static), ("eng/web", ReservationType::Dynamic)]),
    ];
    (stack, prop::option::of("[ab]"), any::<bool>()).prop_map(
        |(stack, allocation_role, revocable)| Terms {
            reservations: stack
                .into_iter()
                .map(|(role, kind)| Reservation {
                    kind,
                    role: role.into(),
                    principal: None,
                    labels: None,
                })
                .collect(),
            allocation_role,
            revocable,
            ..Terms::default()
        },
    )
}

fn entry() -> impl Strategy<Value = Entry> {
    let scalar = (prop::sample::select(vec!["cpus", "mem"]), 0..5000_i64)
        .prop_map(|(name, amount)| (name, super::Value::Scalar(Quantity(amount))));
    let ranges = prop::collection::vec((0..60_u64, 0..8_u64), 0..4).prop_map(|pairs| {
        let ranges = pairs.into_iter().filter_map(|(b, n)| Range::new(b, b + n));
        ("ports", super::Value::Ranges(ranges.collect()))
    });
    let set = prop::collection::btree_set("[a-d]", 0..4)
        .prop_map(|items| ("tags", super::Value::Set(items)));
    (prop_oneof![3 => scalar, 2 => ranges, 1 => set], terms())
        .prop_map(|((name, value), terms)| Entry::new(name, value, terms))
}

fn resources() -> impl Strategy<Value = Resources> {
    prop::collection::vec(entry(), 0..7).prop_map(Resources::from_iter)
}

/// Amounts that are disjoint from ranges and sets: there `(a + b) - b == a` holds.
fn scalars() -> impl Strategy<Value = Resources> {
    resources().prop_map(|all| all.scalars())
}

proptest! {
    #[test]
    fn addition_is_commutative_and_associative(a in resources(), b in resources(), c in resources()) {
        prop_assert_eq!(&a + &b, &b + &a);
        prop_assert_eq!((&a + &b) + &c, &a + &(&b + &c));
        prop_assert!((&a + &b).contains(&a));
    }

    #[test]
    fn scalars_cancel(a in scalars(), b in scalars()) {
        prop_assert_eq!((&a + &b).cpus(), a.cpus() + b.cpus());
        prop_assert!((&a - &a).is_empty());
        prop_assert_eq!((&a + &b) - &b, a);
    }

    #[test]
    fn containment_is_a_partial_order_that_subtraction_respects(
        a in resources(), b in resources(), c in resources(),
    ) {
        prop_assert!(a.contains(&a) && a.contains(&Resources::new()));
        prop_assert_eq!(a.contains(&b) && b.contains(&a), a == b);
        let (ab, abc) = (&a + &b, &(&a + &b) + &c);
        prop_assert!(ab.contains(&b) && abc.contains(&ab) && abc.contains(&b));
        // What is contained can be taken out and put back.
        let rest = ab.checked_sub(&b).expect("contained");
        prop_assert!(ab.contains(&rest));
        prop_assert_eq!(&rest + &b, ab);
        prop_assert_eq!(a.checked_sub(&b).is_some(), a.contains(&b));
    }

    #[test]
    fn subtraction_leaves_only_what_was_there(a in resources(), b in resources()) {
        let rest = &a - &b;
        prop_assert!(a.contains(&rest));
        prop_assert!(rest.iter().all(|entry| !entry.is_empty()));
    }

    #[test]
    fn wire_and_back(a in resources()) {
        prop_assert_eq!(&Resources::from_proto(&a.to_proto()).expect("valid"), &a);
        prop_assert_eq!(&Resources::from_proto(&a.to_endpoint()).expect("valid"), &a);
        let old = a.filter(|entry| !entry.is_refined());
        let written = old.to_pre_refinement().expect("nothing refined");
        prop_assert!(written.iter().all(|resource| resource.reservations.is_empty()));
        prop_assert_eq!(Resources::from_proto(&written).expect("valid"), old);
    }

    #[test]
    fn what_is_found_stands_for_the_target(a in resources(), b in scalars()) {
        let plain = |r: &Resources| r.to_unreserved();
        if let Some(found) = a.find(&b) {
            prop_assert_eq!(plain(&found), plain(&b));
            prop_assert!(a.contains(&found));
        }
        prop_assert_eq!(b.find(&b), Some(b));
    }

    #[test]
    fn ranges_are_sets_of_integers(
        left in prop::collection::vec((0..64_u64, 0..64_u64), 0..6),
        right in prop::collection::vec((0..64_u64, 0..64_u64), 0..6),
    ) {
        let build = |pairs: &[(u64, u64)]| -> Ranges {
            pairs.iter().filter_map(|(b, e)| Range::new(*b, *e)).collect()
        };
        let bits = |ranges: &Ranges| ranges.values().fold(0_u64, |bits, v| bits | 1 << v);
        let (left, right) = (build(&left), build(&right));
        let (mut union, mut rest) = (left.clone(), left.clone());
        union.union(&right);
        rest.subtract(&right);
        prop_assert_eq!(bits(&union), bits(&left) | bits(&right));
        prop_assert_eq!(bits(&rest), bits(&left) & !bits(&right));
        prop_assert_eq!(left.contains(&right), bits(&left) & bits(&right) == bits(&right));
        prop_assert_eq!(left.overlaps(&right), bits(&left) & bits(&right) != 0);
        prop_assert_eq!(rest.count(), u64::from(bits(&rest).count_ones()));
        // One representation a set: built from its integers it is the same.
        let rebuilt: Ranges = rest.values().filter_map(|v| Range::new(v, v)).collect();
        prop_assert_eq!(rebuilt, rest);
    }

    #[test]
    fn quantities_are_exact(amounts in prop::collection::vec(0..1_000_000_000_i64, 0..50)) {
        let total: i64 = amounts.iter().sum();
        let read = amounts.iter().map(|t| Quantity::from_f64(Quantity(*t).to_f64()).expect("finite"));
        prop_assert_eq!(read.sum::<Quantity>(), Quantity(total));
    }
}

#[test]
fn ranges_reach_the_ends_of_u64() {
    let mut all: Ranges = Range::new(0, u64::MAX).into_iter().collect();
    let ends: Ranges = [Range::new(0, 0), Range::new(u64::MAX, u64::MAX)]
        .into_iter()
        .flatten()
        .collect();
    all.subtract(&ends);
    assert_eq!(all.to_string(), format!("[1-{}]", u64::MAX - 1));
    all.union(&ends);
    assert_eq!(all.iter().count(), 1);
}

fn volume(id: &str, shared: bool) -> Entry {
    let disk = v1::resource::DiskInfo {
        persistence: Some(v1::resource::disk_info::Persistence {
            id: id.into(),
            principal: None,
        }),
        ..Default::default()
    };
    let terms = Terms {
        disk: Some(Box::new(disk)),
        shared,
        ..Terms::default()
    };
    Entry::new(
        "disk",
        super::Value::Scalar(Quantity::from_units(10)),
        terms,
    )
}

#[test]
fn volumes_never_merge_and_shared_ones_are_counted() {
    let twice = Resources::from_iter([volume("v", false), volume("v", false)]);
    assert_eq!(twice.len(), 2);
    let once = Resources::from(volume("v", false));
    assert!(twice.contains(&once) && !once.contains(&twice));
    assert_eq!(&twice - &once, once);

    let smaller = volume("v", false).with_value(super::Value::Scalar(Quantity::from_units(5)));
    assert!(!once.contains_entry(&smaller));
    assert_eq!(&once - &Resources::from(smaller), once);

    let shared = Resources::from_iter([volume("s", true), volume("s", true)]);
    assert_eq!(
        (shared.len(), shared.iter().map(Entry::copies).sum()),
        (1, 2)
    );
    let one = Resources::from(volume("s", true));
    assert!(shared.contains(&one) && !one.contains(&shared));
    assert_eq!(&shared - &one, one);
    assert_eq!(shared.to_string(), "disk[s]<SHARED>:10<2>");
    assert_eq!(shared.disk(), Quantity::from_units(10));
}

#[test]
fn filters_and_terms() {
    let all = Resources::parse("cpus:4;cpus(eng):2;cpus(eng/web):1;mem:64", "*").expect("text");
    assert_eq!(all.cpus(), Quantity::from_units(7));
    assert_eq!(
        all.allocatable_to("eng/web").cpus(),
        Quantity::from_units(7)
    );
    assert_eq!(all.allocatable_to("eng").cpus(), Quantity::from_units(6));
    assert_eq!(all.reserved_to("eng").cpus(), Quantity::from_units(2));
    assert_eq!(
        all.reserved_to_subtree("eng").cpus(),
        Quantity::from_units(3)
    );
    assert_eq!(
        all.reservations().into_keys().collect::<Vec<_>>(),
        ["eng", "eng/web"]
    );
    assert_eq!(all.to_unreserved().to_string(), "cpus:7; mem:64");
    let given = all.unreserved().allocated("dev");
    assert_eq!(
        given.to_string(),
        "cpus(allocated: dev):4; mem(allocated: dev):64"
    );
    assert_eq!(given.allocations()["dev"], given);
    assert_eq!(given.unallocated(), all.unreserved());
    assert!(!all.contains(&given));
}

#[test]
fn what_a_set_has_not_is_not_taken_from_it() {
    let parse = |text: &str| Resources::parse(text, "*").expect(text);
    let mut disks = parse("disks:{sda1,sda2,sda3}");
    disks -= &parse("disks:{sda2,sda3}");
    assert_eq!(disks, parse("disks:{sda1}"));
    let mut other = parse("disks:{sda4}");
    other -= &disks;
    assert_eq!(other, parse("disks:{sda4}"));
    assert!(!other.contains(&disks));
}
