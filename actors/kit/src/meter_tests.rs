use super::*;

#[test]
fn names_lose_their_paths_and_nothing_else() {
    assert_eq!(
        short_name("tepui_messages::master::RegisterAgent"),
        "RegisterAgent"
    );
    assert_eq!(
        short_name("a::b::Call<c::D, (e::F, u8)>"),
        "Call<D, (F, u8)>"
    );
    assert_eq!(short_name("Plain"), "Plain");
}

/// At every depth of a turn the timed messages stand for all of them. On virtual time, so that none is slow.
#[test]
fn what_is_timed_stands_for_what_is_counted() {
    struct Tick;
    crate::stage::TestStage::run(1, async |_| {
        let clock = crate::clock::Clock::system();
        let probe = Arc::new(Probe::new(1, "test", "test".to_owned(), 8, clock));
        let mut meter = Meter::new(Arc::clone(&probe));
        let rounds = 2 * SAMPLE_EVERY_DEEP;
        for position in [0, DEEP_AFTER - 1, DEEP_AFTER, u32::MAX] {
            for _ in 0..rounds {
                let begun = meter.begin::<Tick>(0, position);
                meter.end(begun);
            }
        }
        let types = probe.types();
        let mut waited = crate::histogram::Summary::new();
        waited.add(&types[0].wait);
        assert_eq!(types[0].count.load(Relaxed), 4 * rounds);
        assert_eq!(waited.total(), 4 * rounds);
    });
}
