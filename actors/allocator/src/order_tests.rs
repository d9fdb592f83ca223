use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::slots::Place;

#[derive(Debug, Clone)]
enum Step {
    Put(u32, u8, u64),
    Remove(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u32..40, 0_u8..4, 0_u64..3).prop_map(|(node, share, n)| Step::Put(node, share, n)),
        1 => (0_u32..40).prop_map(Step::Remove),
    ]
}

fn ranks(order: &Order) -> Vec<NodeIx> {
    let mut all = Vec::new();
    let none: Option<()> = order.find(|node| {
        all.push(node);
        None
    });
    assert_eq!(none, None);
    all
}

proptest! {
    #[test]
    fn members_come_in_the_order_of_their_ranks(steps in prop::collection::vec(step(), 1..200)) {
        let (mut order, mut seats) = (Order::default(), Seats::default());
        let mut plain: BTreeMap<NodeIx, Rank> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Put(node, share, allocations) => {
                    // Another order than that of the nodes; no two have the same.
                    let mut rank = Rank::new(NodeIx::at(node), u64::from(node * 7 % 41));
                    rank.key = u64::from(share);
                    rank.allocations = allocations;
                    match plain.insert(rank.node, rank) {
                        None => order.insert(rank, &mut seats),
                        Some(_) => order.update(rank, &mut seats),
                    }
                }
                Step::Remove(node) => {
                    if plain.remove(&NodeIx::at(node)).is_some() {
                        order.remove(NodeIx::at(node), &mut seats);
                    }
                }
            }
            let sorted: BTreeSet<Rank> = plain.values().copied().collect();
            let sorted: Vec<NodeIx> = sorted.iter().map(|rank| rank.node).collect();
            prop_assert_eq!(ranks(&order), sorted);
            prop_assert_eq!(order.len(), plain.len());
            prop_assert!(plain.values().all(|rank| order.holds(rank, &seats)));
        }
    }

    #[test]
    fn labels_order_as_names_do(numbers in prop::collection::vec(0_u32..5000, 1..200)) {
        let mut names = Names::default();
        let mut labels: BTreeMap<NodeIx, u64> = BTreeMap::new();
        let mut plain: BTreeMap<String, NodeIx> = BTreeMap::new();
        for number in numbers {
            let (name, node) = (format!("f{number}"), NodeIx::at(number));
            if let Some(node) = plain.remove(&name) {
                names.remove(name.into(), node);
                continue;
            }
            match names.insert(name.as_str().into(), node) {
                Some(label) => {
                    labels.insert(node, label);
                }
                None => labels.extend(names.relabel()),
            }
            plain.insert(name, node);
            let ordered: Vec<u64> = plain.values().map(|node| labels[node]).collect();
            prop_assert!(ordered.is_sorted_by(|left, right| left < right));
            prop_assert_eq!(names.count(), plain.len());
        }
    }
}

#[test]
fn labels_are_made_anew_when_there_is_no_room_left_between_two() {
    let mut names = Names::default();
    names.insert("a".into(), NodeIx::at(0));
    names.insert("b".into(), NodeIx::at(1));
    // Each before the last: between `a` and it there is half the room that was.
    let mut relabelled = 0;
    for number in 2..100_u32 {
        let name = format!("a{}", "a".repeat(200 - number as usize));
        if names.insert(name.into(), NodeIx::at(number)).is_none() {
            relabelled += 1;
            let labels: Vec<u64> = names.relabel().map(|(_, label)| label).collect();
            assert!(labels.is_sorted_by(|left, right| left < right));
        }
    }
    assert!(relabelled >= 2, "{relabelled}");
}
