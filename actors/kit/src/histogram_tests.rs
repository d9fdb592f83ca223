use super::*;

#[test]
fn buckets_grow_and_hold_their_own_middle() {
    let mut last = 0;
    for nanos in (0..60).flat_map(|shift| [1_u64 << shift, (1 << shift) + (1 << shift) / 2]) {
        let bucket = bucket_of(nanos);
        assert!(bucket >= last && bucket < BUCKETS);
        last = bucket;
    }
    for bucket in 0..BUCKETS {
        assert_eq!(bucket_of((middle_us(bucket) * 1000.0) as u64), bucket);
    }
}

#[test]
fn quantiles_are_within_an_eighth() {
    let histogram = Histogram::new();
    for micros in 1..=1000_u64 {
        histogram.record(0, micros * 1000, 1);
    }
    let mut summary = Summary::new();
    assert_eq!(summary.quantile_us(500), 0.0);
    summary.add(&histogram);
    for permille in [100_u64, 500, 990] {
        let found = summary.quantile_us(permille);
        let error = (found / permille as f64 - 1.0).abs();
        assert!(error < 0.125, "{permille} -> {found}");
    }
}

#[test]
fn the_window_before_last_is_forgotten() {
    let histogram = Histogram::new();
    histogram.record(0, 1_000_000, 1);
    histogram.clear(1);
    histogram.record(1, 1_000, 1);
    let p99 = || {
        let mut summary = Summary::new();
        summary.add(&histogram);
        summary.quantile_us(990)
    };
    assert!(p99() > 900.0);
    histogram.clear(0);
    assert!(p99() < 2.0);
}
