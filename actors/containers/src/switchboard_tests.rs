use super::*;

#[test]
fn frames_are_found_however_they_are_cut() {
    let mut stream = frame(Kind::Stdout, b"one");
    stream.extend(frame(Kind::Stdin, b""));
    stream.extend(frame(Kind::Stderr, &[7; MAX_FRAME_BYTES]));
    for size in [1, 2, 4, 5, 6, 1000, stream.len()] {
        let mut decoder = Decoder::default();
        let mut found = Vec::new();
        for part in stream.chunks(size) {
            decoder.feed(part);
            while let Some(next) = decoder.take().expect("these are frames") {
                found.push(next);
            }
        }
        let expected = [
            (Kind::Stdout, b"one".to_vec()),
            (Kind::Stdin, Vec::new()),
            (Kind::Stderr, vec![7; MAX_FRAME_BYTES]),
        ];
        assert_eq!(found, expected, "in parts of {size}");
    }
}

#[test]
fn what_is_no_frame_is_refused_before_it_is_kept() {
    let too_long = u32::try_from(MAX_FRAME_BYTES + 1).expect("small");
    let mut head = vec![Kind::Stdin as u8];
    head.extend(too_long.to_le_bytes());
    for bytes in [
        &head[..],
        &[0, 1, 0, 0, 0],
        &[9, 1, 0, 0, 0],
        b"GET / HTTP/1.1",
    ] {
        let mut decoder = Decoder::default();
        decoder.feed(bytes);
        assert_eq!(decoder.take(), Err(NoFrame), "{bytes:?}");
    }
}

#[test]
fn sizes_and_greetings_cross_unchanged() {
    let size = WindowSize {
        rows: 50,
        columns: 0x1234,
    };
    assert_eq!(WindowSize::from_bytes(&size.to_bytes()), Some(size));
    assert_eq!(WindowSize::from_bytes(&[1, 2, 3]), None);
    for greeting in [Greeting::Output, Greeting::Session, Greeting::Input] {
        assert_eq!(Greeting::from_byte(greeting as u8), Some(greeting));
    }
    assert_eq!(Greeting::from_byte(b'X'), None);
}

#[test]
fn a_client_is_given_up_only_for_a_frame_it_did_not_take_in_time() {
    let patience = Duration::from_secs(10);
    let begun = Instant::now();
    let mut outbox = Outbox::default();
    assert_eq!(outbox.cut_at(patience), None);
    outbox.keep(b"abcdef", begun);
    // Bit by bit does not put it off.
    outbox.took(2);
    outbox.keep(b"", begun + Duration::from_secs(9));
    assert_eq!(outbox.pending(), b"cdef");
    assert_eq!(outbox.cut_at(patience), Some(begun + patience));
    outbox.took(4);
    assert!(outbox.is_empty());
    assert_eq!(outbox.cut_at(patience), None);
}
