use super::*;
use crate::switchboard::Decoder;

fn all(parts: &mut Parts, pieces: &[&[u8]]) -> Option<Vec<(Kind, Vec<u8>)>> {
    let mut decoder = Decoder::default();
    for piece in pieces {
        decoder.feed(&parts.framed(piece)?);
    }
    let mut found: Vec<(Kind, Vec<u8>)> = Vec::new();
    while let Some((kind, bytes)) = decoder.take().expect("frames") {
        match found.last_mut().filter(|(last, _)| *last == kind) {
            Some((_, said)) => said.extend(bytes),
            None => found.push((kind, bytes)),
        }
    }
    Some(found)
}

/// However a connection cuts it.
#[test]
fn streams_are_told_apart() {
    let said = b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\x03err";
    let expected = vec![
        (Kind::Stdout, b"out".to_vec()),
        (Kind::Stderr, b"err".to_vec()),
    ];
    for cut in 0..said.len() {
        let (before, after) = said.split_at(cut);
        let found = all(&mut Parts::new(false), &[before, after]);
        assert_eq!(found.as_ref(), Some(&expected), "cut at {cut}");
    }
}

#[test]
fn what_is_no_frame_is_refused() {
    for said in [&b"\x03\0\0\0\0\0\0\x01x"[..], b"HTTP/1.1"] {
        assert_eq!(Parts::new(false).framed(said), None);
    }
}

#[test]
fn a_terminal_has_no_frames_and_clients_have_short_ones() {
    let said = vec![1; 3 * MAX_FRAME_BYTES + 1];
    let found = all(&mut Parts::new(true), &[&said]).expect("frames");
    assert_eq!(found, [(Kind::Stdout, said.clone())]);
    let mut head = vec![2, 0, 0, 0];
    head.extend(u32::try_from(said.len()).expect("short").to_be_bytes());
    let found = all(&mut Parts::new(false), &[&head, &said]).expect("frames");
    assert_eq!(found, [(Kind::Stderr, said)]);
}
