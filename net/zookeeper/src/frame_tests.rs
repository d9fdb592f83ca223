use super::*;
use crate::dice::Dice;

fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32).to_be_bytes().to_vec();
    bytes.extend(body);
    bytes
}

/// All that `bytes` hold, which come in pieces of at most `piece` bytes.
fn decode(bytes: &[u8], piece: usize) -> (Vec<Incoming>, Option<FrameError>) {
    let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
    for part in bytes.chunks(piece.max(1)) {
        decoder.spare().extend_from_slice(part);
        loop {
            match decoder.next_frame() {
                Ok(Some(Incoming::Word(word))) => {
                    return ([frames, vec![Incoming::Word(word)]].concat(), None);
                }
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(decoder.capacity() <= 4 * (bytes.len() + READ_BYTES));
    }
    (frames, None)
}

#[test]
fn the_first_frame_connects_and_the_rest_ask() {
    let bytes = [framed(b"hello"), framed(b""), framed(&[7; 300])].concat();
    let expected = vec![
        Incoming::Connect(Bytes::from_static(b"hello")),
        Incoming::Frame(Bytes::new()),
        Incoming::Frame(Bytes::from(vec![7; 300])),
    ];
    for piece in [1, 3, 7, 1_000] {
        assert_eq!(decode(&bytes, piece), (expected.clone(), None));
    }
}

#[test]
fn four_letters_are_a_command_only_at_the_beginning() {
    assert_eq!(decode(b"ruok\r\n", 2).0, [Incoming::Word(*b"ruok")]);
    let later = [framed(b"hello"), b"ruok".to_vec()].concat();
    let number = i32::from_be_bytes(*b"ruok");
    assert_eq!(
        decode(&later, 99).1,
        Some(FrameError::Length(number, MAX_FRAME_BYTES))
    );
}

#[test]
fn a_length_beyond_the_limit_ends_the_stream_before_room_is_made() {
    for (length, limit, fits) in [
        (256, MAX_CONNECT_BYTES, true),
        (257, MAX_CONNECT_BYTES, false),
        (-1, MAX_CONNECT_BYTES, false),
    ] {
        let error = (!fits).then_some(FrameError::Length(length, limit));
        assert_eq!(decode(&length.to_be_bytes(), 4), (vec![], error));
    }
    let mut decoder = Decoder::default();
    let promise = [
        framed(b"hello"),
        (MAX_FRAME_BYTES as u32).to_be_bytes().to_vec(),
    ]
    .concat();
    decoder.spare().extend_from_slice(&promise);
    assert!(matches!(
        decoder.next_frame(),
        Ok(Some(Incoming::Connect(_)))
    ));
    assert_eq!(decoder.next_frame(), Ok(None));
    decoder.spare();
    assert!(
        decoder.capacity() <= 2 * READ_BYTES,
        "{}",
        decoder.capacity()
    );
}

#[test]
fn any_bytes_give_the_same_frames_however_they_are_split() {
    let mut dice = Dice(1);
    for _case in 0..20_000 {
        let mut bytes: Vec<u8> = (0..dice.roll(4))
            .flat_map(|_| framed(&dice.bytes(60)))
            .collect();
        for _ in 0..dice.roll(4).min(bytes.len()) {
            let at = dice.roll(bytes.len());
            bytes[at] = dice.roll(256) as u8;
        }
        let piece = 1 + dice.roll(40);
        assert_eq!(decode(&bytes, bytes.len()), decode(&bytes, piece));
    }
}
