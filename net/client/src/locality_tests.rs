use super::*;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn job(wait: u64, tasks: &[(&'static str, &[&str])]) -> WaitForLocal<&'static str> {
    let mut job = WaitForLocal::new(at(wait));
    for (task, hosts) in tasks {
        job.add(*task, hosts.iter().copied());
    }
    job
}

#[test]
fn local_tasks_go_first_in_their_order_and_each_once() {
    let mut job = job(5, &[("a", &["n1", "n2"]), ("b", &["n2"]), ("c", &["n2"])]);
    assert_eq!(job.choose(at(0), "n1"), Some(Choice::Local("a")));
    assert_eq!(job.choose(at(0), "n2"), Some(Choice::Local("b")));
    assert_eq!(job.choose(at(0), "n2"), Some(Choice::Local("c")));
    assert_eq!(job.choose(at(0), "n2"), None);
    assert!(job.is_empty());
}

#[test]
fn other_machines_are_passed_over_until_the_wait_is_over() {
    let mut job = job(5, &[("a", &["n1"]), ("b", &["n1"]), ("c", &[])]);
    assert_eq!(job.choose(at(10), "n9"), None);
    assert_eq!(job.choose(at(14), "n9"), None);
    assert_eq!(job.choose(at(15), "n9"), Some(Choice::Remote("a")));
    // Having waited it goes on anywhere ...
    assert_eq!(job.choose(at(15), "n8"), Some(Choice::Remote("b")));
    assert_eq!(job.len(), 1);
}

#[test]
fn a_local_launch_begins_the_wait_anew() {
    let mut job = job(
        5,
        &[
            ("a", &["n1"]),
            ("b", &["n2"]),
            ("c", &["n2"]),
            ("d", &["n1"]),
        ],
    );
    assert_eq!(job.choose(at(0), "n9"), None);
    assert_eq!(job.choose(at(5), "n9"), Some(Choice::Remote("a")));
    assert_eq!(job.choose(at(6), "n2"), Some(Choice::Local("b")));
    assert_eq!(job.choose(at(7), "n9"), None);
    assert_eq!(job.choose(at(11), "n9"), None);
    assert_eq!(job.choose(at(12), "n9"), Some(Choice::Remote("c")));
}

#[test]
fn without_a_wait_the_first_offer_is_taken() {
    let mut job = job(0, &[("a", &["n1"]), ("b", &["n2"])]);
    assert_eq!(job.choose(at(0), "n2"), Some(Choice::Local("b")));
    assert_eq!(job.choose(at(0), "n2"), Some(Choice::Remote("a")));
}

#[test]
fn a_job_with_nothing_to_do_does_not_wait() {
    let mut job = job(5, &[]);
    assert_eq!(job.choose(at(0), "n1"), None);
    job.add("a", ["n2"]);
    // What was declined with nothing to launch is no waiting.
    assert_eq!(job.choose(at(9), "n1"), None);
    assert_eq!(job.choose(at(14), "n1").map(Choice::task), Some("a"));
}
