use proptest::prelude::*;

use super::*;

proptest! {
    /// However the counters grow, what is reported adds up to what they show, and the list stays bounded.
    #[test]
    fn reports_add_up_to_the_counters(growth in prop::collection::vec((0u64..3, 0u64..4, 0u64..4), 1..200)) {
        let mut core = DeadLettersCore::default();
        let mut counts = [Counts::default(); 3];
        let (mut refused, mut lost) = (0, 0);
        for (step, (mailbox, more_refused, more_lost)) in growth.into_iter().enumerate() {
            counts[mailbox as usize].refused += more_refused;
            counts[mailbox as usize].lost += more_lost;
            let looked = counts.iter().enumerate().map(|(id, counts)| (id as u64, format!("m{id}"), *counts)).collect();
            let mut effects = Vec::new();
            core.on(step as UnixNanos, Input::Looked(looked), &mut effects);
            for Effect::Report(loss) in effects {
                refused += loss.refused;
                lost += loss.lost;
            }
        }
        prop_assert_eq!(refused, counts.iter().map(|counts| counts.refused).sum::<u64>());
        prop_assert_eq!(lost, counts.iter().map(|counts| counts.lost).sum::<u64>());
        prop_assert!(core.losses().count() <= MAX_LOSSES);
    }
}

#[test]
fn the_oldest_makes_room_and_a_mailbox_that_left_is_forgotten() {
    let mut core = DeadLettersCore::default();
    let mut effects = Vec::new();
    for step in 1..=(MAX_LOSSES as u64 + 5) {
        let looked = vec![(
            1,
            "full".to_string(),
            Counts {
                refused: step,
                lost: 0,
            },
        )];
        core.on(step as UnixNanos, Input::Looked(looked), &mut effects);
    }
    assert_eq!(core.losses().count(), MAX_LOSSES);
    assert_eq!(core.losses().next().map(|loss| loss.at), Some(6));
    core.on(0, Input::Looked(Vec::new()), &mut effects);
    assert!(core.seen.is_empty());
}
