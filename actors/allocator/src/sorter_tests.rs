use proptest::prelude::*;

use super::*;

const ROLES: [&str; 5] = ["a", "a/b", "a/b/c", "b", "*"];

fn order(sorter: &Sorter) -> Vec<ClientIx> {
    let mut all = Vec::new();
    sorter.first(|client| {
        all.push(client);
        false
    });
    all
}

fn client(number: u32) -> ClientIx {
    ClientIx::at(number)
}

/// Clients 0, 1, … under these roles, active, in a cluster of 100 of everything.
fn sorter(roles: &[&str]) -> Sorter {
    let mut sorter = Sorter::default();
    sorter.set_totals([100, 100].into_iter());
    sorter.refresh();
    for (number, role) in (0..).zip(roles) {
        sorter.add(client(number), role, &format!("f{number}"));
        sorter.set_active(client(number), true);
    }
    sorter
}

#[test]
fn the_least_dominant_share_is_first_then_fewest_allocations_then_name() {
    let mut sorter = sorter(&["*", "*", "*"]);
    assert_eq!(order(&sorter), [client(0), client(1), client(2)]);
    sorter.set_allocated(client(0), &[10, 30].into());
    sorter.set_allocated(client(1), &[20, 20].into());
    assert_eq!(order(&sorter), [client(2), client(1), client(0)]);
    // Back at nothing, but with an allocation behind it.
    sorter.set_allocated(client(1), &[].into());
    sorter.set_allocated(client(0), &[].into());
    assert_eq!(order(&sorter), [client(2), client(0), client(1)]);
    assert!(sorter.is_consistent());
}

#[test]
fn a_role_competes_with_all_below_it_and_its_own_clients_with_those() {
    let mut sorter = sorter(&["a", "a/b", "c"]);
    sorter.set_allocated(client(0), &[10].into());
    sorter.set_allocated(client(1), &[5].into());
    sorter.set_allocated(client(2), &[12].into());
    // c has 12, a with all below it 15; within a, the clients of a have 10 and those of a/b 5.
    assert_eq!(order(&sorter), [client(2), client(1), client(0)]);
    assert_eq!(sorter.role_share("a"), Some(0.15));
    let weights = BTreeMap::from([("a".to_owned(), 2.0)]);
    sorter.set_weights(Arc::new(weights));
    sorter.refresh();
    assert_eq!(order(&sorter), [client(1), client(0), client(2)]);
}

#[test]
fn roles_go_with_their_last_client() {
    let mut sorter = sorter(&["a/b/c", "a"]);
    sorter.set_allocated(client(0), &[10].into());
    sorter.remove(client(0));
    assert_eq!(sorter.role_share("a/b"), None);
    assert_eq!(sorter.role_share("a"), Some(0.0));
    sorter.remove(client(1));
    assert_eq!(sorter.nodes.count(), 1);
    assert!(sorter.is_consistent());
}

/// The order computed from nothing, as slow and as plain as can be.
fn plain_order(sorter: &Sorter, node: NodeIx) -> Vec<ClientIx> {
    if let Some(client) = sorter.nodes[node].client {
        return vec![client];
    }
    let children = sorter.nodes.iter();
    let mut children: Vec<(NodeIx, &Node)> = children
        .filter(|(_, child)| child.parent == Some(node) && child.listed)
        .collect();
    children.sort_by(|(_, left), (_, right)| {
        let share = |node: &Node| node.share(&sorter.inverse_totals);
        share(left)
            .total_cmp(&share(right))
            .then(left.rank.allocations.cmp(&right.rank.allocations))
            .then(left.name.cmp(&right.name))
    });
    let below = children.into_iter();
    below
        .flat_map(|(child, _)| plain_order(sorter, child))
        .collect()
}

#[derive(Debug, Clone)]
enum Step {
    Add(u32, usize),
    Remove(u32),
    Active(u32, bool),
    Allocated(u32, i64, i64),
    Totals(i64, i64),
    Weight(usize, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0_u32..8;
    let role = 0..ROLES.len();
    prop_oneof![
        (client.clone(), role.clone()).prop_map(|(client, role)| Step::Add(client, role)),
        client.clone().prop_map(Step::Remove),
        (client.clone(), any::<bool>()).prop_map(|(client, on)| Step::Active(client, on)),
        (client, 0_i64..4, 0_i64..4).prop_map(|(client, a, b)| Step::Allocated(client, a, b)),
        (0_i64..9, 0_i64..9).prop_map(|(a, b)| Step::Totals(a, b)),
        (role, 1_u32..4).prop_map(|(role, weight)| Step::Weight(role, weight)),
    ]
}

proptest! {
    #[test]
    fn the_kept_order_is_the_one_computed_from_nothing(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut sorter = sorter(&ROLES);
        let mut weights = BTreeMap::new();
        for step in steps {
            match step {
                Step::Add(number, role) => {
                    sorter.add(client(number), ROLES[role], &format!("f{number}"));
                }
                Step::Remove(number) => sorter.remove(client(number)),
                Step::Active(number, active) => sorter.set_active(client(number), active),
                Step::Allocated(number, a, b) => sorter.set_allocated(client(number), &[a, b].into()),
                Step::Totals(a, b) => sorter.set_totals([a, b].into_iter()),
                Step::Weight(role, weight) => {
                    weights.insert(ROLES[role].to_owned(), f64::from(weight));
                    sorter.set_weights(Arc::new(weights.clone()));
                }
            }
            prop_assert!(sorter.is_consistent());
            sorter.refresh();
            prop_assert!(sorter.is_consistent());
            let kept = order(&sorter);
            prop_assert_eq!(&kept, &plain_order(&sorter, sorter.root));
            let mut few: Vec<ClientIx> = kept.iter().rev().copied().collect();
            sorter.sort(&mut few);
            prop_assert_eq!(few, kept);
        }
    }
}
