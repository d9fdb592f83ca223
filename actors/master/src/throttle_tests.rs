use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::stage::{Scheduler, Stage};

fn limits(text: &Value) -> RateLimits {
    RateLimits::try_from(crate::stage::decode::<v1::RateLimits>(text)).unwrap()
}

fn master(limits_of: &Value) -> Stage {
    let mut stage = Stage::new();
    stage.core.config.rate_limits = limits(limits_of);
    stage
}

fn framework(stage: &mut Stage, principal: &str) -> Scheduler {
    stage.subscribe(json!({"principal": principal, "failover_timeout": 1e6}))
}

/// A call whose answer may wait; whether it is answered.
fn calls(stage: &mut Stage, fw: &Scheduler) -> u16 {
    stage.call(fw, json!({"type": "REVIVE"})).status
}

/// Received and processed.
fn counts(stage: &Stage, principal: &str) -> Option<(u64, u64)> {
    let all = stage.core.config.traffic.all().into_iter();
    let mut of = all.filter(|(name, ..)| name == principal);
    of.next()
        .map(|(_, received, processed)| (received, processed))
}

const WAITS: u16 = 0;

fn second() -> Duration {
    Duration::from_secs(1)
}

#[test]
fn calls_are_counted_by_principal_and_go_on_when_it_comes_back() {
    let mut stage = Stage::new();
    assert_eq!(counts(&stage, "p"), None);
    let [fw, other] = ["p", "p"].map(|principal| framework(&mut stage, principal));
    assert_eq!(counts(&stage, "p"), Some((0, 0)));
    for _ in 0..3 {
        assert_eq!(calls(&mut stage, &fw), 202);
    }
    assert_eq!(counts(&stage, "p"), Some((3, 3)));
    stage.call(&fw, json!({"type": "TEARDOWN"}));
    assert_eq!(counts(&stage, "p"), Some((4, 4)));
    stage.call(&other, json!({"type": "TEARDOWN"}));
    assert_eq!(counts(&stage, "p"), Some((5, 5)));
    let fw = framework(&mut stage, "p");
    assert_eq!(calls(&mut stage, &fw), 202);
    assert_eq!(counts(&stage, "p"), Some((6, 6)));
}

#[test]
fn a_call_above_the_rate_waits_for_its_turn() {
    let mut stage = master(&json!({"limits": [{"principal": "p", "qps": 1.0}]}));
    let fw = framework(&mut stage, "p");
    assert_eq!(calls(&mut stage, &fw), 202);
    assert_eq!(calls(&mut stage, &fw), WAITS);
    assert_eq!(calls(&mut stage, &fw), WAITS);
    assert_eq!(counts(&stage, "p"), Some((3, 1)));
    stage.pass(second() - Duration::from_millis(1));
    assert_eq!(counts(&stage, "p"), Some((3, 1)));
    stage.pass(Duration::from_millis(1));
    assert_eq!(counts(&stage, "p"), Some((3, 2)));
    stage.pass(second());
    assert_eq!(counts(&stage, "p"), Some((3, 3)));
    let answered = stage.answers.values().map(|answer| answer.status);
    assert_eq!(answered.collect::<Vec<_>>(), [202, 202]);
    // Time in which nobody called is not saved up.
    stage.pass(second() * 10);
    assert_eq!(calls(&mut stage, &fw), 202);
    assert_eq!(calls(&mut stage, &fw), WAITS);
}

#[test]
fn each_principal_has_a_rate_of_its_own() {
    let mut stage = master(&json!({
        "limits": [
            {"principal": "slow", "qps": 1.0}, {"principal": "fast", "qps": 2.0}, {"principal": "free"},
        ],
        "aggregate_default_qps": 0.5,
    }));
    let [slow, fast, free] = ["slow", "fast", "free"].map(|name| framework(&mut stage, name));
    for fw in [&slow, &fast, &free] {
        for _ in 0..5 {
            calls(&mut stage, fw);
        }
    }
    let taken = |stage: &Stage| ["slow", "fast", "free"].map(|it| counts(stage, it).unwrap().1);
    assert_eq!(taken(&stage), [1, 1, 5]);
    stage.pass(second());
    assert_eq!(taken(&stage), [2, 3, 5]);
    stage.pass(second());
    assert_eq!(taken(&stage), [3, 5, 5]);
}

#[test]
fn frameworks_of_one_principal_share_its_rate_and_all_unnamed_ones_another() {
    for (limits, principals) in [
        (
            json!({"limits": [{"principal": "p", "qps": 1.0}]}),
            ["p", "p"],
        ),
        (json!({"aggregate_default_qps": 1.0}), ["p", "q"]),
    ] {
        let mut stage = master(&limits);
        let [one, two] = principals.map(|principal| framework(&mut stage, principal));
        assert_eq!(calls(&mut stage, &one), 202);
        assert_eq!(calls(&mut stage, &two), WAITS);
        assert_eq!(calls(&mut stage, &one), WAITS);
        stage.pass(second());
        assert_eq!(stage.answers.len(), 1);
        stage.pass(second());
        assert_eq!(stage.answers.len(), 2);
    }
}

#[test]
fn a_second_scheduler_goes_on_with_the_counts_and_the_rate_of_the_first() {
    let mut stage = master(&json!({"limits": [{"principal": "p", "qps": 1.0}]}));
    let first = framework(&mut stage, "p");
    assert_eq!(calls(&mut stage, &first), 202);
    assert_eq!(calls(&mut stage, &first), WAITS);
    let info = json!({"principal": "p", "failover_timeout": 1e6});
    let second_one = stage.resubscribe(&first.id, info);
    assert_eq!(calls(&mut stage, &second_one), WAITS);
    assert_eq!(counts(&stage, "p"), Some((3, 1)));
    // What the first one asked for has no effect any more.
    stage.pass(second());
    assert_eq!(counts(&stage, "p"), Some((3, 1)));
    assert_eq!(stage.answers.values().next().unwrap().status, 400);
    stage.pass(second());
    assert_eq!(counts(&stage, "p"), Some((3, 2)));
}

#[test]
fn a_framework_with_more_waiting_calls_than_its_capacity_is_cut_off() {
    let mut stage = master(&json!({"limits": [{"principal": "p", "qps": 1.0, "capacity": 2}]}));
    let fw = framework(&mut stage, "p");
    let same = framework(&mut stage, "p");
    assert_eq!(calls(&mut stage, &fw), 202);
    assert_eq!(calls(&mut stage, &fw), WAITS);
    assert_eq!(calls(&mut stage, &fw), WAITS);
    stage.told(&fw);
    let refused = stage.call(&fw, json!({"type": "REVIVE"}));
    let text = "Message REVIVE dropped: capacity(2) exceeded";
    assert_eq!(refused, Answer::refused(429, text));
    assert_eq!(stage.events_of(&fw.stream)[0]["error"]["message"], text);
    assert!(stage.ended(&fw.stream));
    assert_eq!(counts(&stage, "p"), Some((4, 1)));
    // It is away, not removed; nobody else is concerned.
    assert!(!stage.core.frameworks[&fw.id].record.connected);
    assert!(stage.core.frameworks[&same.id].record.connected);
    stage.pass(second() * 3);
    assert_eq!(calls(&mut stage, &same), 202);
}

/// Its caller would be told that nothing is known of it.
#[test]
fn a_call_that_would_wait_longer_than_its_caller_is_refused_at_once() {
    let mut stage = master(&json!({"limits": [{"principal": "p", "qps": 0.1}]}));
    let fw = framework(&mut stage, "p");
    assert_eq!(calls(&mut stage, &fw), 202);
    assert_eq!(calls(&mut stage, &fw), WAITS);
    assert_eq!(calls(&mut stage, &fw), WAITS);
    assert_eq!(calls(&mut stage, &fw), 429);
    stage.pass(second() * 6);
    assert_eq!(calls(&mut stage, &fw), WAITS);
    assert!(stage.core.frameworks[&fw.id].record.connected);
    assert_eq!(counts(&stage, "p"), Some((5, 1)));
    stage.pass(second() * 30);
    assert_eq!(counts(&stage, "p"), Some((5, 4)));
}

/// As after a time in which the master might not act.
#[test]
fn a_call_that_waited_longer_than_its_caller_has_no_effect() {
    let mut stage = master(&json!({"limits": [{"principal": "p", "qps": 1.0}]}));
    let fw = framework(&mut stage, "p");
    assert_eq!(calls(&mut stage, &fw), 202);
    for _ in 0..3 {
        assert_eq!(calls(&mut stage, &fw), WAITS);
    }
    stage.now += 20 * crate::stage::SECOND;
    assert_eq!(calls(&mut stage, &fw), WAITS);
    stage.now += 6 * crate::stage::SECOND;
    stage.pass(second());
    let answered = stage.answers.values().map(|answer| answer.status);
    // The first had its turn when something happened after 20 seconds; those behind it were too late at the next turn.
    assert_eq!(answered.collect::<Vec<_>>(), [202, 503, 503, 202]);
    assert_eq!(counts(&stage, "p"), Some((5, 3)));
}

#[test]
fn limits_that_mean_nothing_are_refused() {
    for (given, told) in [
        (
            json!({"limits": [{"principal": "p", "qps": 0.0}]}),
            "above 0",
        ),
        (json!({"aggregate_default_qps": -1.0}), "above 0"),
        (
            json!({"limits": [{"principal": "p"}, {"principal": "p"}]}),
            "twice",
        ),
    ] {
        let given: v1::RateLimits = crate::stage::decode(&given);
        let refused = RateLimits::try_from(given).unwrap_err();
        assert!(refused.contains(told), "{refused}");
    }
}
