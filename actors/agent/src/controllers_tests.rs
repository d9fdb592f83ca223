use tepui_protocol::resources::Resources;

use super::*;
use crate::estimators::tests::{executor, lent};

fn load(five_minutes: f64, fifteen_minutes: f64) -> Option<Load> {
    Some(Load {
        five_minutes,
        fifteen_minutes,
    })
}

fn usage() -> Usage {
    let firm = Resources::parse("cpus:1", "*").unwrap();
    Usage {
        executors: vec![
            executor("a", lent("cpus:1")),
            executor("b", firm),
            executor("c", lent("mem:10")),
        ],
        ..Usage::default()
    }
}

#[test]
fn above_a_threshold_all_are_preempted_who_use_what_was_lent() {
    let usage = usage();
    let killed = |choice: &str, load| {
        let controller = parse(choice).unwrap().unwrap();
        let corrections = controller.corrections(&usage, load).into_iter();
        corrections
            .map(|key| key.executor_id)
            .collect::<Vec<String>>()
    };
    let all = ["a", "c"];
    for (choice, load, expected) in [
        ("load=5min:3.5;15min:3", load(3.5, 3.0), &[][..]),
        ("load=5min:3.5;15min:3", load(3.6, 1.0), &all[..]),
        ("load=5min:3.5;15min:3", load(1.0, 3.1), &all[..]),
        ("load=5min:3.5", load(1.0, 9.0), &[][..]),
        ("load=15min:3", load(9.0, 1.0), &[][..]),
        ("load=15min:3", None, &[][..]),
        (
            "org_apache_mesos_LoadQoSController=load_threshold_5min:1",
            load(2.0, 0.0),
            &all[..],
        ),
    ] {
        assert_eq!(killed(choice, load), expected, "{choice} {load:?}");
    }
}

#[test]
fn what_is_wrong_with_a_choice_is_said() {
    assert!(parse("noop").unwrap().is_none());
    for (text, reason) in [
        ("loud", "there is no QoS controller `loud`"),
        ("load", "no threshold is given"),
        ("load=5min", "`5min` has no number"),
        ("load=5min:-1", "`5min:-1` has no number"),
        ("load=5min:inf", "`5min:inf` has no number"),
        ("load=1min:2", "`1min:2` is no threshold"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
}
