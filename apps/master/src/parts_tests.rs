use super::*;

#[test]
fn a_message_of_any_size_comes_out_as_it_went_in() {
    for size in [0, 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES + 7] {
        let message: Bytes = (0..size).map(|at| at as u8).collect::<Vec<u8>>().into();
        let mut parts = Parts::default();
        let mut put_together = Vec::new();
        for _ in 0..2 {
            put_together.extend(split(&message).filter_map(|part| parts.take(part)));
        }
        assert_eq!(put_together, [message.clone(), message]);
    }
}

#[test]
fn a_message_that_lost_a_part_is_dropped_and_the_next_one_is_whole() {
    let message = Bytes::from(vec![7; 3 * PART_BYTES]);
    let all: Vec<RaftMessage> = split(&message).collect();
    for lost in 0..3 {
        let mut parts = Parts::default();
        let (before, after) = (all[..lost].iter(), all[lost + 1..].iter());
        assert!(
            before
                .chain(after)
                .all(|it| parts.take(it.clone()).is_none())
        );
        let whole: Vec<Bytes> = all.iter().filter_map(|it| parts.take(it.clone())).collect();
        assert_eq!(whole, std::slice::from_ref(&message));
    }
    let twisted = RaftMessage {
        part: 5,
        parts: 2,
        ..all[0].clone()
    };
    assert_eq!(Parts::default().take(twisted), None);
}
