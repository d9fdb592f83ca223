use super::*;

#[test]
fn a_flood_of_refusals_is_counted_and_not_told() {
    let (refusals, began) = (Refusals::default(), Instant::now());
    let told = |after| refusals.turn(began + after);
    for _ in 0..MAX_TOLD {
        assert_eq!(told(Duration::ZERO), Some(0));
    }
    for _ in 0..1_000 {
        assert_eq!(told(PERIOD / 2), None);
    }
    assert_eq!(told(PERIOD), Some(1_000));
    assert_eq!(told(PERIOD), Some(0));
}
