use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn health(grace: f64, bound: u32) -> Health {
    let info = HealthCheck {
        r#type: Some(health_check::Type::Tcp as i32),
        tcp: Some(health_check::TcpCheckInfo {
            port: 80,
            protocol: None,
        }),
        grace_period_seconds: Some(grace),
        consecutive_failures: Some(bound),
        ..HealthCheck::default()
    };
    Health::begin(&info, Duration::ZERO, None).expect("a trial")
}

const GOOD: Outcome = Outcome::Connected(true);
const BAD: Outcome = Outcome::Connected(false);

#[test]
fn the_first_success_and_the_first_after_failures_are_news() {
    let mut health = health(0.0, 5);
    let meanings: Vec<_> = [GOOD, GOOD, BAD, BAD, GOOD, GOOD]
        .iter()
        .map(|outcome| health.take(outcome, SECOND))
        .collect();
    use Meaning::*;
    assert_eq!(
        meanings,
        [Healthy, Known, Unhealthy, Unhealthy, Healthy, Known]
    );
}

#[test]
fn failures_in_a_row_give_the_task_up() {
    let mut health = health(0.0, 3);
    let outcomes = [BAD, BAD, GOOD, BAD, Outcome::Nothing, BAD];
    let last = outcomes.iter().map(|it| health.take(it, SECOND)).last();
    assert_eq!(last, Some(Meaning::GivenUp));
}

#[test]
fn the_grace_period_ends_with_its_time_or_with_the_first_success() {
    let mut patient = health(10.0, 1);
    assert_eq!(patient.take(&BAD, SECOND * 9), Meaning::Known);
    assert_eq!(patient.take(&BAD, SECOND * 10), Meaning::GivenUp);
    let mut patient = health(10.0, 1);
    assert_eq!(patient.take(&GOOD, SECOND), Meaning::Healthy);
    assert_eq!(patient.take(&BAD, SECOND * 2), Meaning::GivenUp);
}

#[test]
fn what_counts_as_healthy() {
    for (outcome, healthy) in [
        (Outcome::Exited(0), true),
        (Outcome::Exited(256), false),
        (Outcome::Exited(9), false),
        (Outcome::Answered(199), false),
        (Outcome::Answered(200), true),
        (Outcome::Answered(399), true),
        (Outcome::Answered(400), false),
        (Outcome::Nothing, false),
    ] {
        let meaning = health(0.0, 2).take(&outcome, SECOND);
        let expected = if healthy {
            Meaning::Healthy
        } else {
            Meaning::Unhealthy
        };
        assert_eq!(meaning, expected, "{outcome:?}");
    }
}

fn check() -> CheckInfo {
    CheckInfo {
        r#type: Some(check_info::Type::Command as i32),
        command: Some(check_info::Command {
            command: CommandInfo::default(),
        }),
        ..CheckInfo::default()
    }
}

#[test]
fn a_check_tells_each_change_and_nothing_else() {
    let mut check = Check::begin(&check(), Duration::ZERO, None).expect("a trial");
    let outcomes = [
        (Outcome::Nothing, false, None),
        (Outcome::Exited(0), true, Some(0)),
        (Outcome::Exited(0), false, Some(0)),
        (Outcome::Exited(7 << 8), true, Some(7)),
        (Outcome::Exited(9), true, Some(9)),
        (Outcome::Nothing, true, None),
    ];
    for (outcome, is_news, code) in outcomes {
        assert_eq!(check.take(&outcome), is_news, "{outcome:?}");
        let told = check.last.command.expect("the kind is always told");
        assert_eq!(told.exit_code, code);
    }
}

#[test]
fn defaults_are_mesos() {
    let cycle = Check::begin(&check(), SECOND, None).expect("a trial").cycle;
    assert_eq!(cycle.due, Some(SECOND * 16));
    assert_eq!(cycle.interval, SECOND * 10);
    assert_eq!(cycle.timeout, Some(SECOND * 20));
    let endless = CheckInfo {
        timeout_seconds: Some(0.0),
        ..check()
    };
    let cycle = Check::begin(&endless, SECOND, None).expect("a trial").cycle;
    assert_eq!(cycle.timeout, None);
}

#[test]
fn what_was_told_before_a_restart_is_no_news_after_it() {
    let told = TaskStatus {
        healthy: Some(true),
        check_status: Some(CheckStatusInfo {
            command: Some(check_status_info::Command { exit_code: Some(7) }),
            ..empty_check_status(&check())
        }),
        ..TaskStatus::default()
    };
    let mut check = Check::begin(&check(), SECOND, Some(&told)).expect("a trial");
    assert!(!check.take(&Outcome::Exited(7 << 8)));
    let info = HealthCheck {
        r#type: Some(health_check::Type::Command as i32),
        command: Some(CommandInfo::default()),
        ..HealthCheck::default()
    };
    let mut health = Health::begin(&info, SECOND, Some(&told)).expect("a trial");
    assert_eq!(health.take(&Outcome::Exited(0), SECOND), Meaning::Known);
    // Its grace period was over.
    assert_eq!(
        health.take(&Outcome::Exited(256), SECOND),
        Meaning::Unhealthy
    );
}

#[test]
fn what_cannot_be_tried_is_told_in_words() {
    let http = |scheme: &str| TaskInfo {
        health_check: Some(HealthCheck {
            r#type: Some(health_check::Type::Http as i32),
            http: Some(health_check::HttpCheckInfo {
                port: 443,
                scheme: Some(scheme.to_owned()),
                ..health_check::HttpCheckInfo::default()
            }),
            ..HealthCheck::default()
        }),
        ..TaskInfo::default()
    };
    assert!(unsupported(&http("gopher")).is_some_and(|it| it.contains("knows http and https")));
    assert_eq!(unsupported(&http("http")), None);
    assert_eq!(unsupported(&http("https")), None);
}

#[test]
fn no_time_is_too_long_to_be_counted_with_and_no_interval_keeps_the_agent_busy() {
    for wild in [f64::INFINITY, f64::MAX, 1e19, 1.844_674_407_370_955e19] {
        assert_eq!(seconds(wild), LONGEST, "{wild}");
    }
    for none in [f64::NAN, f64::NEG_INFINITY, -1.0, 0.0] {
        assert_eq!(seconds(none), Duration::ZERO, "{none}");
    }
    let long_up = Duration::from_hours(1_000_000);
    let trial = Trial::Command(CommandInfo::default());
    let mut cycle = Cycle::new(trial, [1e19, 0.0, 1e19], long_up);
    assert_eq!(cycle.due, Some(long_up + LONGEST));
    assert_eq!(cycle.again(Duration::ZERO), SHORTEST_INTERVAL);
}
