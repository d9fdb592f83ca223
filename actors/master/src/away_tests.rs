use std::time::Duration;

use serde_json::json;

use crate::stage::{SECOND, Scheduler, Stage};

const YEAR: i64 = 365 * 24 * 3600 * SECOND;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn framework(stage: &mut Stage, failover_seconds: f64) -> Scheduler {
    stage.subscribe(json!({"failover_timeout": failover_seconds}))
}

fn is_there(stage: &Stage, fw: &Scheduler) -> bool {
    let registry = stage.registry.reader().copy();
    let known = stage.core.frameworks.contains_key(&fw.id);
    assert_eq!(registry.frameworks.contains_key(&fw.id), known);
    known
}

/// It ends within a second of `left` from now.
fn ends_after(stage: &mut Stage, fw: &Scheduler, left: Duration) {
    stage.pass(left - seconds(1));
    assert!(is_there(stage, fw), "it ended too early");
    stage.pass(seconds(2));
    assert!(!is_there(stage, fw), "it did not end in time");
}

#[test]
fn the_failover_time_of_a_framework_goes_on_counting_whoever_leads() {
    for leaders in [0, 1, 4] {
        let mut stage = Stage::new();
        let fw = framework(&mut stage, 300.0);
        stage.pass(seconds(1000));
        stage.lose_stream(&fw.stream);
        for _ in 0..leaders {
            stage.pass(seconds(30));
            stage.fail_over();
        }
        // Written at least every 5 s here; who counts on from there loses nothing, but on this stage nobody does.
        stage.pass(seconds(300 - 30 * leaders - 1));
        assert!(
            is_there(&stage, &fw),
            "{leaders} leaders: it ended too early"
        );
        stage.pass(seconds(5 * leaders + 2));
        assert!(!is_there(&stage, &fw), "{leaders} leaders: it did not end");
        let again = stage.refusal(json!({"id": {"value": fw.id}}), &[]);
        assert_eq!(again, "Framework has been removed");
    }
}

/// As the next leader does in `throne.rs`.
#[test]
fn what_a_member_counted_without_a_leader_counts_too() {
    let mut stage = Stage::new();
    let fw = framework(&mut stage, 60.0);
    stage.lose_stream(&fw.stream);
    stage.pass(seconds(20));
    stage.fail_over_after(seconds(25));
    ends_after(&mut stage, &fw, seconds(15));
}

#[test]
fn a_framework_whose_time_is_over_before_the_election_may_still_be_on_its_way() {
    let mut stage = Stage::new();
    let [late, lost] = [10.0, 10.0].map(|time| framework(&mut stage, time));
    stage.lose_stream(&late.stream);
    stage.lose_stream(&lost.stream);
    stage.fail_over_after(seconds(3600));
    assert!(is_there(&stage, &late));
    stage.resubscribe(&late.id, json!({"failover_timeout": 10.0}));
    stage.pass(seconds(2));
    assert!(is_there(&stage, &late) && !is_there(&stage, &lost));
}

#[test]
fn a_framework_that_was_connected_has_its_whole_time_from_the_election() {
    for (time, left) in [(300.0, 300), (0.0, 60)] {
        let mut stage = Stage::new();
        let fw = framework(&mut stage, time);
        stage.pass(seconds(1000));
        stage.fail_over_after(seconds(20));
        ends_after(&mut stage, &fw, seconds(left));
    }
}

/// Nor does it begin anew with each election.
#[test]
fn a_framework_that_misses_one_leader_has_no_more_time_under_the_next() {
    let mut stage = Stage::new();
    let fw = framework(&mut stage, 300.0);
    stage.fail_over();
    stage.pass(seconds(100));
    stage.fail_over_after(seconds(5));
    stage.pass(seconds(100));
    stage.fail_over_after(seconds(5));
    // What was counted is written every few seconds; on this stage nobody counts from there to a leader's death.
    stage.pass(seconds(89));
    assert!(is_there(&stage, &fw), "it ended too early");
    stage.pass(seconds(12));
    assert!(!is_there(&stage, &fw), "it did not end in time");
}

#[test]
fn a_clock_that_jumps_ends_nobody_and_spares_nobody() {
    for jump in [10 * YEAR, -10 * YEAR] {
        let mut stage = Stage::new();
        let fw = framework(&mut stage, 60.0);
        stage.lose_stream(&fw.stream);
        stage.pass(seconds(20));
        // The next leader's clock is another one.
        stage.now += jump;
        stage.fail_over();
        ends_after(&mut stage, &fw, seconds(40));
    }
}

#[test]
fn a_framework_that_came_back_has_its_whole_time_again() {
    let mut stage = Stage::new();
    let fw = framework(&mut stage, 60.0);
    stage.lose_stream(&fw.stream);
    stage.pass(seconds(50));
    let fw = stage.resubscribe(&fw.id, json!({"failover_timeout": 60.0}));
    stage.fail_over();
    ends_after(&mut stage, &fw, seconds(60));
}

#[test]
fn counted_time_is_written_seldom_and_only_while_a_deadline_runs() {
    let mut stage = Stage::new();
    let fw = framework(&mut stage, 7.0 * 24.0 * 3600.0);
    let written = |stage: &mut Stage| {
        let before = stage.writes();
        stage.pass(seconds(3600));
        stage.writes() - before
    };
    assert_eq!(written(&mut stage), 0);
    stage.lose_stream(&fw.stream);
    assert_eq!(written(&mut stage), 60);
    let short = framework(&mut stage, 7200.0);
    stage.lose_stream(&short.stream);
    assert!(written(&mut stage) <= 100);
    stage.resubscribe(&short.id, json!({}));
    stage.resubscribe(&fw.id, json!({}));
    stage.pass(seconds(60));
    assert_eq!(written(&mut stage), 0);
}

#[test]
fn suppressed_roles_outlive_the_leader() {
    let mut stage = Stage::new();
    let info = json!({"roles": ["a", "b", "c"], "capabilities": [{"type": "MULTI_ROLE"}]});
    let fw = stage.subscribe(info);
    stage.call(
        &fw,
        json!({"type": "SUPPRESS", "suppress": {"roles": ["a", "b"]}}),
    );
    stage.call(&fw, json!({"type": "REVIVE", "revive": {"roles": ["b"]}}));
    stage.fail_over();
    let record = &stage.core.frameworks[&fw.id].record;
    assert_eq!(record.suppressed_roles, ["a"]);
}
