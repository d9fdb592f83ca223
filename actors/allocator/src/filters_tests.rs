use std::time::Duration;

use super::*;
use crate::{kinds::KindIx, slots::Place};

const SECOND: Duration = Duration::from_secs(1);

fn cpus(amount: i64) -> Bundle {
    let mut bundle = Bundle::default();
    bundle.add_scalar(KindIx::at(0), amount);
    bundle
}

fn client(number: u32) -> ClientIx {
    ClientIx::at(number)
}

fn agent(number: u32) -> AgentIx {
    AgentIx::at(number)
}

#[test]
fn several_refusals_of_one_pair_stand_beside_each_other() {
    let mut filters = Filters::default();
    filters.set(client(0), agent(0), cpus(4), SECOND);
    filters.set(client(0), agent(0), cpus(2), 5 * SECOND);
    assert!(filters.block(client(0), agent(0), &cpus(4)));
    assert!(!filters.block(client(0), agent(0), &cpus(5)));
    assert!(!filters.block(client(1), agent(0), &cpus(1)));
    assert!(!filters.block(client(0), agent(1), &cpus(1)));

    assert_eq!(filters.fall(SECOND), BTreeSet::from([agent(0)]));
    assert!(!filters.block(client(0), agent(0), &cpus(4)));
    assert!(filters.block(client(0), agent(0), &cpus(2)));
    assert_eq!(filters.next_fall(), Some(5 * SECOND));
    filters.fall(5 * SECOND);
    assert_eq!(filters.count(), 0);
}

#[test]
fn a_refusal_within_another_adds_nothing() {
    let mut filters = Filters::default();
    filters.set(client(0), agent(0), cpus(4), 5 * SECOND);
    filters.set(client(0), agent(0), cpus(2), 5 * SECOND);
    assert_eq!(filters.of(client(0), agent(0)).count(), 1);
    filters.set(client(0), agent(0), cpus(8), 9 * SECOND);
    let left: Vec<_> = filters.of(client(0), agent(0)).collect();
    assert_eq!(left, [(&cpus(8), 9 * SECOND)]);
    assert_eq!(filters.count(), 1);
}

#[test]
fn refusals_of_one_pair_are_bounded_and_the_first_to_end_gives_way() {
    let mut filters = Filters::default();
    for number in 0..20_i64 {
        let falls_at = SECOND * u32::try_from(number + 1).unwrap();
        filters.set(client(0), agent(0), cpus(100 - number), falls_at);
    }
    assert_eq!(
        filters.of(client(0), agent(0)).count(),
        MAX_FILTERS_PER_PAIR
    );
    assert!(!filters.block(client(0), agent(0), &cpus(100)));
    assert!(filters.block(client(0), agent(0), &cpus(81)));
}

#[test]
fn clearing_leaves_nothing_behind() {
    let mut filters = Filters::default();
    for number in 0..3 {
        filters.set(client(number), agent(0), cpus(4), SECOND);
        filters.set(client(0), agent(number), cpus(2), 2 * SECOND);
    }
    filters.clear_client(client(0));
    assert!(!filters.block(client(0), agent(2), &cpus(1)));
    assert!(filters.block(client(2), agent(0), &cpus(1)));
    filters.clear_agent(agent(0));
    assert_eq!(filters.count(), 0);
    assert_eq!(filters.next_fall(), None);
    assert_eq!(filters.refused().count(), 0);
}
