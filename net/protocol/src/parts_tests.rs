use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn a_message_of_any_size_comes_out_as_it_went_in(
        message in proptest::collection::vec(any::<u8>(), 0..200), part_bytes in 1_usize..64,
    ) {
        let message = Bytes::from(message);
        let mut parts = Parts::default();
        for _ in 0..2 {
            let mut out = Vec::new();
            for part in split(&message, part_bytes) {
                prop_assert!(part.data.len() <= part_bytes);
                prop_assert!(out.is_empty(), "only the last part makes it whole");
                out.extend(parts.take(part, 200).unwrap());
                prop_assert!(parts.bytes() <= message.len());
            }
            prop_assert_eq!(out, [message.clone()]);
            prop_assert_eq!(parts.bytes(), 0);
        }
    }
}

#[test]
fn a_message_that_lost_a_part_is_dropped_and_the_next_one_is_whole() {
    let message = Bytes::from(vec![7; 30]);
    let all: Vec<Part> = split(&message, 10).collect();
    for lost in 0..3 {
        let mut parts = Parts::default();
        let (before, after) = (all[..lost].iter(), all[lost + 1..].iter());
        for part in before.chain(after) {
            assert!(!matches!(parts.take(part.clone(), 99), Ok(Some(_))));
        }
        let whole = all
            .iter()
            .filter_map(|it| parts.take(it.clone(), 99).unwrap());
        assert_eq!(whole.collect::<Vec<_>>(), std::slice::from_ref(&message));
    }
    let twisted = Part {
        part: 5,
        parts: 2,
        ..all[0].clone()
    };
    let refused = Parts::default().take(twisted, 99);
    assert!(matches!(refused, Err(Rejected::Misplaced { part: 5, .. })));
}

#[test]
fn a_message_beyond_the_limit_is_refused_and_nothing_of_it_is_kept() {
    let message = Bytes::from(vec![7; 30]);
    let mut parts = Parts::default();
    let taken: Vec<_> = split(&message, 10).map(|it| parts.take(it, 25)).collect();
    let refused = Err(Rejected::TooLarge { limit: 25 });
    assert_eq!(taken, [Ok(None), Ok(None), refused]);
    assert_eq!(parts.bytes(), 0);
}
