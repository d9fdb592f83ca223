use std::collections::BTreeMap;

use super::*;

fn told(samples: &Samples) -> BTreeMap<String, f64> {
    let mut told = BTreeMap::new();
    samples.tell("run_ms", |name, value| {
        told.insert(name, value);
    });
    told
}

#[test]
fn of_one_only_itself_is_told_and_of_more_their_quantiles() {
    let mut samples = Samples::default();
    assert!(told(&samples).is_empty());
    samples.add(Duration::from_secs(1), Duration::from_millis(7));
    assert_eq!(told(&samples), BTreeMap::from([("run_ms".to_owned(), 7.0)]));
    for ms in [1, 3, 5, 9] {
        samples.add(Duration::from_secs(2), Duration::from_millis(ms));
    }
    let told = told(&samples);
    assert_eq!(told["run_ms"], 9.0, "the last one");
    assert_eq!(
        [told["run_ms/min"], told["run_ms/max"], told["run_ms/count"]],
        [1.0, 9.0, 5.0]
    );
    assert_eq!(told["run_ms/p50"], 5.0);
    assert!((told["run_ms/p90"] - 8.2).abs() < 1e-9, "{told:?}");
    assert_eq!(told.len(), 10);
}

#[test]
fn what_is_older_than_an_hour_or_more_than_a_thousand_is_forgotten() {
    let mut samples = Samples::default();
    let second = Duration::from_secs(1);
    samples.add(second, second);
    samples.add(second * 3600, second);
    assert_eq!(told(&samples)["run_ms/count"], 2.0);
    samples.add(second * 3602, second);
    assert_eq!(told(&samples)["run_ms/count"], 2.0);
    for _ in 0..2000 {
        samples.add(second * 3602, second * 2);
    }
    let told = told(&samples);
    assert_eq!([told["run_ms/count"], told["run_ms/min"]], [1000.0, 2000.0]);
}
