use proptest::prelude::*;

use super::*;

/// SplitMix64, so that a failing case is found again by its number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let body = proptest::collection::vec(any::<u8>(), 0..300);
    (1..=9u8, any::<u16>(), any::<u64>(), body).prop_map(|(number, kind, correlation, body)| {
        Frame {
            frame_type: FrameType::from_number(number).unwrap(),
            kind,
            correlation,
            body: body.into(),
        }
    })
}

fn encode(frames: &[Frame]) -> BytesMut {
    let mut bytes = BytesMut::new();
    for frame in frames {
        put(
            &mut bytes,
            frame.frame_type,
            frame.kind,
            frame.correlation,
            &frame.body,
        );
    }
    bytes
}

/// All frames of `bytes`, which come in pieces of at most `piece` bytes.
fn decode(bytes: &[u8], piece: usize, limit: usize) -> Result<Vec<Frame>, FrameError> {
    let mut decoder = Decoder::new(limit);
    let mut frames = Vec::new();
    for part in bytes.chunks(piece.max(1)) {
        decoder.extend(part);
        while let Some(frame) = decoder.next_frame()? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

proptest! {
    #[test]
    fn what_was_put_is_read_wherever_it_is_split(
        frames in proptest::collection::vec(any_frame(), 0..6),
        piece in 1..400usize,
    ) {
        let read = decode(&encode(&frames), piece, MAX_FRAME_BYTES);
        prop_assert_eq!(read, Ok(frames));
    }
}

#[test]
fn frame_decoder_never_panics() {
    let mut dice = Dice(1);
    for _case in 0..20_000 {
        let body: Vec<u8> = (0..dice.roll(64)).map(|_| dice.roll(256) as u8).collect();
        let mut bytes = BytesMut::new();
        for _ in 0..=dice.roll(3) {
            let frame_type = FrameType::from_number(1 + dice.roll(9) as u8).unwrap();
            put(&mut bytes, frame_type, dice.roll(65_536) as u16, 7, &body);
        }
        for _ in 0..dice.roll(4) {
            let at = dice.roll(bytes.len());
            bytes[at] = dice.roll(256) as u8;
        }
        bytes.truncate(dice.roll(bytes.len() + 1));
        let whole = decode(&bytes, bytes.len(), 4_096);
        let split = decode(&bytes, 1 + dice.roll(40), 4_096);
        match (whole, split) {
            (Ok(whole), Ok(split)) => assert_eq!(whole, split),
            (Err(whole), Err(split)) => assert_eq!(whole, split),
            (whole, split) => panic!("{whole:?} is not {split:?}"),
        }
    }
}

#[test]
fn the_limit_is_checked_on_the_header_and_nothing_is_reserved_for_promises() {
    for (size, fits) in [(100, true), (101, false), (100_000, false)] {
        let mut bytes = BytesMut::new();
        put(&mut bytes, FrameType::Tell, 1, 0, &vec![0; size]);
        let mut decoder = Decoder::new(100);
        decoder.extend(&bytes[..HEADER_BYTES]);
        let expected = match fits {
            true => Ok(None),
            false => Err(FrameError::TooLarge { size, limit: 100 }),
        };
        assert_eq!(decoder.next_frame(), expected);
    }
    let mut header = BytesMut::new();
    put(&mut header, FrameType::Tell, 1, 0, &[]);
    header[..4].copy_from_slice(&(MAX_FRAME_BYTES as u32).to_be_bytes());
    let mut decoder = Decoder::new(MAX_FRAME_BYTES);
    decoder.extend(&header);
    assert_eq!(decoder.next_frame(), Ok(None));
    assert!(decoder.capacity() < 1 << 10, "{}", decoder.capacity());
}

#[test]
fn a_decoder_at_rest_holds_nothing() {
    let mut decoder = Decoder::new(MAX_FRAME_BYTES);
    for size in [1 << 20, 100, 0] {
        let mut bytes = BytesMut::new();
        put(&mut bytes, FrameType::Tell, 1, 0, &vec![0; size]);
        put(&mut bytes, FrameType::Heartbeat, 0, 0, &[]);
        for part in bytes.chunks(4_000) {
            decoder.extend(part);
        }
        assert_eq!(decoder.next_frame().unwrap().unwrap().body.len(), size);
        assert!(decoder.next_frame().unwrap().is_some());
        assert_eq!(decoder.capacity(), 0);
    }
}

#[test]
fn another_protocol_is_told_apart() {
    let http = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    assert_eq!(
        decode(http, 3, MAX_FRAME_BYTES),
        Err(FrameError::Mark(b'/'))
    );
    let mut bytes = BytesMut::new();
    put(&mut bytes, FrameType::Tell, 1, 0, &[]);
    bytes[5] = 77;
    assert_eq!(
        decode(&bytes, 99, MAX_FRAME_BYTES),
        Err(FrameError::UnknownType(77))
    );
}

#[test]
fn the_layout_is_what_the_module_says() {
    let mut bytes = BytesMut::new();
    put(&mut bytes, FrameType::Ask, 0x0102, 3, b"hi");
    let expected = [
        0, 0, 0, 2, 0xb7, 5, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3, b'h', b'i',
    ];
    assert_eq!(bytes[..], expected);
}
