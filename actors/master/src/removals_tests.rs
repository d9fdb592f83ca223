use proptest::prelude::*;

use super::*;

const SECOND: UnixNanos = 1_000_000_000;

fn rate(agents: u32, seconds: u64) -> Option<RemovalRate> {
    let within = Duration::from_secs(seconds);
    Some(RemovalRate { agents, within })
}

#[test]
fn small_clusters_lose_their_agents_in_time() {
    for known in [1, 2, 3, 10] {
        let mut removals = Removals::new(None);
        assert_eq!(removals.ask(0, 1, known), Removal::Now);
        assert_eq!(removals.ask(0, 2, known), Removal::Now);
        assert_eq!(removals.ask(SECOND, 3, known), Removal::At(60 * SECOND));
        assert_eq!(removals.ask(60 * SECOND, 3, known), Removal::Now);
    }
}

#[test]
fn a_quarter_of_the_cluster_does_not_go_at_once() {
    let mut removals = Removals::new(None);
    assert_eq!(removals.ask(0, 26, 100), Removal::Mass(5 * SECOND));
    for _ in 0..5 {
        assert_eq!(removals.ask(0, 25, 100), Removal::Now);
    }
    assert_eq!(removals.ask(0, 20, 100), Removal::At(60 * SECOND));
}

#[test]
fn what_the_operator_says_is_done() {
    let mut removals = Removals::new(rate(1, 600));
    assert_eq!(removals.ask(0, 100, 100), Removal::Now);
    assert_eq!(
        removals.ask(SECOND, 99, 99),
        Removal::At(600 * SECOND),
        "one in ten minutes, however many are away"
    );
}

proptest! {
    /// However agents vanish, no window holds more than the rate, and whoever waits as told gets through.
    #[test]
    fn no_window_holds_more_than_the_rate(
        agents in 1_u32..6,
        seconds in 1_u64..100,
        waits in proptest::collection::vec(0_i64..200 * SECOND, 1..60),
    ) {
        let mut removals = Removals::new(rate(agents, seconds));
        let within = nanos(Duration::from_secs(seconds));
        let (mut now, mut given) = (0, Vec::new());
        for wait in waits {
            now += wait;
            match removals.ask(now, 1, 1) {
                Removal::Now => given.push(now),
                Removal::At(at) => {
                    prop_assert!(at > now);
                    prop_assert_eq!(removals.ask(at, 1, 1), Removal::Now);
                    now = at;
                    given.push(at);
                }
                Removal::Mass(_) => prop_assert!(false, "the operator's rate knows no mass"),
            }
        }
        for (index, at) in given.iter().enumerate() {
            let later = &given[index..];
            let held = later.iter().filter(|other| **other < at.saturating_add(within)).count();
            prop_assert!(held <= agents as usize, "{held} within {seconds} s");
        }
    }
}
