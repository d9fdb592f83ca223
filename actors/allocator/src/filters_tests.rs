use std::time::Duration;

use proptest::prelude::*;

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

    assert_eq!(filters.fall(SECOND), [agent(0)]);
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

#[derive(Debug, Clone)]
enum Step {
    /// Client, agent, cpus and mem refused, seconds until it falls.
    Set(u32, u32, i64, i64, u32),
    Wait(u32),
    ClearClient(u32),
    ClearAgent(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let (client, agent) = (0_u32..6, 0_u32..3);
    let refusal = (client.clone(), agent.clone(), 0_i64..4, 1_i64..3, 1_u32..9);
    prop_oneof![
        8 => refusal.prop_map(|(c, a, cpus, mem, s)| Step::Set(c, a, cpus, mem, s)),
        2 => (1_u32..4).prop_map(Step::Wait),
        1 => client.prop_map(Step::ClearClient),
        1 => agent.prop_map(Step::ClearAgent),
    ]
}

fn bundle(cpus: i64, mem: i64) -> Bundle {
    let mut bundle = Bundle::default();
    bundle.add_scalar(KindIx::at(0), cpus);
    bundle.add_scalar(KindIx::at(1), mem);
    bundle
}

proptest! {
    #[test]
    fn what_is_kept_is_what_a_plain_list_of_refusals_says(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let (mut filters, mut now) = (Filters::default(), Duration::ZERO);
        let mut plain: Vec<(ClientIx, AgentIx, Bundle, Duration)> = Vec::new();
        for step in steps {
            match step {
                Step::Set(by, on, cpus, mem, seconds) => {
                    let falls_at = now + SECOND * seconds;
                    filters.set(client(by), agent(on), bundle(cpus, mem), falls_at);
                    plain.push((client(by), agent(on), bundle(cpus, mem), falls_at));
                }
                Step::Wait(seconds) => {
                    now += SECOND * seconds;
                    let fallen = filters.fall(now);
                    let was_due = |agent: &AgentIx| {
                        let mut filters = plain.iter();
                        filters.any(|(_, on, _, falls_at)| on == agent && *falls_at <= now)
                    };
                    prop_assert!(fallen.iter().all(was_due));
                    plain.retain(|(.., falls_at)| *falls_at > now);
                }
                Step::ClearClient(gone) => {
                    filters.clear_client(client(gone));
                    plain.retain(|(by, ..)| *by != client(gone));
                }
                Step::ClearAgent(gone) => {
                    filters.clear_agent(agent(gone));
                    plain.retain(|(_, on, ..)| *on != agent(gone));
                }
            }
            // Only what adds nothing to others is left out, so as much is blocked as by all.
            for (by, on) in (0..6).flat_map(|by| (0..3).map(move |on| (client(by), agent(on)))) {
                for offer in (0..4).flat_map(|cpus| (0..3).map(move |mem| bundle(cpus, mem))) {
                    let refused = |(other, place, refused, _): &(_, _, Bundle, _)| {
                        (*other, *place) == (by, on) && refused.contains(&offer)
                    };
                    let blocked = plain.iter().any(refused);
                    prop_assert_eq!(filters.block(by, on, &offer), blocked);
                    let at_a_glance = filters.refusing(on, &offer);
                    prop_assert!(blocked || !at_a_glance.is_some_and(|all| all.contains(by)));
                    if blocked && filters.by_agent.get(on).is_some_and(|on| on.last == offer) {
                        prop_assert!(at_a_glance.is_some_and(|all| all.contains(by)));
                    }
                }
            }
            let kept = filters.by_agent.values().flat_map(|place| &place.filters);
            let first = kept.map(|filter| filter.falls_at).min();
            prop_assert!(filters.next_fall() <= first || first.is_none());
            prop_assert_eq!(filters.next_fall().is_some(), !plain.is_empty());
            prop_assert_eq!(filters.count(), filters.refused().count());
            prop_assert!(filters.by_client.values().map(PlaceSet::len).sum::<usize>() <= filters.count());
        }
    }
}
