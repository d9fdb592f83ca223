//! Hostile input: mutations of recorded requests against every decoder that a stranger can reach.
//!
//! Each decoder sees `TEPUI_FUZZ_INPUTS` inputs (20,000 where it is not set), the same ones in every run. None may
//! panic, and what is accepted must survive being written and read again.

use std::{fs, path::Path};

use tepui_bridge::frame;
use tepui_kit::Random;
use tepui_protocol::{
    codec::{Limits, json, protobuf},
    descriptor::Described,
    recordio, v1, validate,
};

const DEFAULT_INPUTS: usize = 20_000;
/// What the grammars hang on.
const PUNCTUATION: &[u8] = b"{}[]\",:0-9e.\\\n\0\xff";
const SEED: u64 = 0x7e90_0001;
/// Records longer than this are refused by the decoder under test.
const RECORD_LIMIT: usize = 4096;

fn inputs() -> usize {
    std::env::var("TEPUI_FUZZ_INPUTS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(DEFAULT_INPUTS)
}

/// Bodies of the recorded requests.
fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("golden/ is a folder")
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.sort();
    let mut bodies: Vec<Vec<u8>> = files
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .filter_map(|path| body(&fs::read(path).expect("a recording can be read")))
        .filter(|body| !body.is_empty())
        .collect();
    bodies.sort();
    bodies.dedup();
    assert!(
        bodies.len() > 50,
        "the recordings hold {} bodies",
        bodies.len()
    );
    bodies
}

/// What stands between the request's blank line and the response.
fn body(recording: &[u8]) -> Option<Vec<u8>> {
    let from = find(recording, b"=== REQUEST ===\n")? + 16;
    let to = find(recording, b"\n=== RESPONSE ===")?;
    let request = recording.get(from..to)?;
    Some(request[find(request, b"\r\n\r\n")? + 4..].to_vec())
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window == wanted)
}

/// One to four changes: a bit, a byte, a piece cut out, doubled, or taken from another input.
fn mutate(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len() as u64) as usize].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() as u64 + 1) as usize;
        let length = random.below(16) as usize;
        let end = (at + length).min(input.len());
        match random.below(6) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.below(256) as u8,
            2 => drop(input.drain(at..end)),
            3 => {
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            4 => {
                let other = &corpus[random.below(corpus.len() as u64) as usize];
                let from = random.below(other.len() as u64 + 1) as usize;
                let piece = other[from..(from + length).min(other.len())].to_vec();
                input.splice(at..end, piece);
            }
            _ => input.insert(
                at,
                PUNCTUATION[random.below(PUNCTUATION.len() as u64) as usize],
            ),
        }
    }
    input
}

/// Runs `decode` over the inputs; at least one must be accepted and one refused, or the mutations prove nothing.
fn run(corpus: &[Vec<u8>], mut decode: impl FnMut(&[u8]) -> bool) {
    let mut random = Random::seeded(SEED);
    let mut accepted = 0;
    let count = inputs();
    for _ in 0..count {
        accepted += usize::from(decode(&mutate(corpus, &mut random)));
    }
    assert!(
        accepted > 0 && accepted < count,
        "{accepted} of {count} inputs were accepted"
    );
}

/// Reads as JSON; what is accepted is written and read again.
fn json_round<T>(input: &[u8], check: impl FnOnce(&T)) -> bool
where
    T: Described + serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let Ok(message) = json::decode::<T>(input, &Limits::HTTP) else {
        return false;
    };
    check(&message);
    let written = json::encode(&message).expect("what was read can be written");
    // An unknown enum number has no name, and a lone surrogate no text: compare what can be written.
    let again: T = json::decode(&written, &Limits::HTTP).expect("what was written can be read");
    assert_eq!(json::encode(&again).expect("as above"), written);
    true
}

fn protobuf_round<T: Described + prost::Message + Default + PartialEq>(
    input: &[u8],
    check: impl FnOnce(&T),
) -> bool {
    let Ok(message) = protobuf::decode::<T>(input, &Limits::HTTP) else {
        return false;
    };
    check(&message);
    let written = protobuf::encode(&message);
    let again: T = protobuf::decode(&written, &Limits::HTTP).expect("what was written can be read");
    assert_eq!(protobuf::encode(&again), written);
    true
}

#[test]
fn json_calls() {
    run(&corpus(), |input| {
        let scheduler = json_round::<v1::scheduler::Call>(input, |call| {
            drop(validate::scheduler::call(call, None))
        });
        let operator =
            json_round::<v1::master::Call>(input, |call| drop(validate::master::call(call)));
        let agent = json_round::<v1::agent::Call>(input, |call| drop(validate::agent::call(call)));
        let executor =
            json_round::<v1::executor::Call>(input, |call| drop(validate::executor::call(call)));
        scheduler || operator || agent || executor
    });
}

#[test]
fn protobuf_calls() {
    let corpus: Vec<Vec<u8>> = corpus()
        .iter()
        .filter_map(|body| json::decode::<v1::scheduler::Call>(body, &Limits::HTTP).ok())
        .map(|call| protobuf::encode(&call))
        .filter(|bytes| !bytes.is_empty())
        .collect();
    assert!(corpus.len() > 20, "{} calls as protobuf", corpus.len());
    run(&corpus, |input| {
        let scheduler = protobuf_round::<v1::scheduler::Call>(input, |call| {
            drop(validate::scheduler::call(call, None))
        });
        let operator =
            protobuf_round::<v1::master::Call>(input, |call| drop(validate::master::call(call)));
        scheduler || operator
    });
}

#[test]
fn record_io() {
    let corpus: Vec<Vec<u8>> = corpus()
        .iter()
        .map(|body| recordio::encode(body).to_vec())
        .collect();
    run(&corpus, |input| {
        let mut decoder = recordio::Decoder::new(RECORD_LIMIT);
        let half = input.len() / 2;
        decoder
            .feed(&input[..half])
            .and_then(|_| decoder.feed(&input[half..]))
            .is_ok()
    });
}

#[test]
fn bridge_frames() {
    let corpus: Vec<Vec<u8>> = corpus()
        .iter()
        .map(|body| {
            let mut buffer = Default::default();
            frame::put(&mut buffer, frame::FrameType::Tell, 11, 7, body);
            buffer.to_vec()
        })
        .collect();
    run(&corpus, |input| {
        let mut decoder = frame::Decoder::new(1 << 16);
        decoder.extend(input);
        loop {
            match decoder.next_frame() {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    });
}
