use super::*;

#[test]
fn the_numbers_of_a_seed_never_change() {
    // The reference outputs of SplitMix64 for seed 0.
    let mut random = Random::seeded(0);
    let numbers = [random.next_u64(), random.next_u64(), random.next_u64()];
    let reference = [
        0xE220_A839_7B1D_CDAF,
        0x6E78_9E6A_A1B9_65F4,
        0x06C4_5D18_8009_454F,
    ];
    assert_eq!(numbers, reference);
}

#[test]
fn draws_keep_to_their_ranges() {
    let mut random = Random::seeded(7);
    let (from, to) = (Duration::from_millis(150), Duration::from_millis(300));
    for bound in 1..1000 {
        assert!(random.below(bound) < bound);
        assert!((0.0..1.0).contains(&random.unit()));
        assert!((from..to).contains(&random.between(from, to)));
    }
    assert_eq!(random.below(0), 0);
    assert_eq!(random.between(to, from), to);
    let mut items: Vec<u32> = (0..100).collect();
    random.shuffle(&mut items);
    assert!(!items.is_sorted());
    items.sort_unstable();
    assert!(items.into_iter().eq(0..100));
}
