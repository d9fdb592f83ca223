use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn any_chunking_gives_the_same_records(
        records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
        cuts in prop::collection::vec(1..30_usize, 1..20),
    ) {
        let stream: Vec<u8> = records.iter().flat_map(|record| encode(record)).collect();
        let mut decoder = Decoder::new(40);
        let (mut found, mut rest) = (Vec::new(), stream.as_slice());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, later) = rest.split_at((*cut).min(rest.len()));
            found.extend(decoder.feed(chunk).expect("well formed"));
            rest = later;
        }
        prop_assert_eq!(found, records);
        prop_assert!(decoder.is_between_records());
    }

    #[test]
    fn no_bytes_make_it_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..6)) {
        let mut decoder = Decoder::new(16);
        for chunk in chunks {
            let _ = decoder.feed(&chunk);
        }
    }
}

#[test]
fn the_form_is_that_of_mesos() {
    assert_eq!(
        encode(br#"{"type":"HEARTBEAT"}"#),
        &b"20\n{\"type\":\"HEARTBEAT\"}"[..]
    );
    assert_eq!(encode(b""), &b"0\n"[..]);
}

#[test]
fn faults() {
    let fault = |chunks: &[&str]| {
        let mut decoder = Decoder::new(100);
        let results: Vec<_> = chunks
            .iter()
            .map(|chunk| decoder.feed(chunk.as_bytes()))
            .collect();
        results
            .into_iter()
            .find_map(Result::err)
            .map(|error| error.to_string())
    };
    assert_eq!(
        fault(&["1", "x\n"]).as_deref(),
        Some("Failed to decode length '1x': expected decimal digits and a newline")
    );
    assert!(fault(&["\n"]).is_some() && fault(&["-1\n"]).is_some());
    assert!(fault(&["0".repeat(21).as_str()]).is_some());
    assert_eq!(
        fault(&["101\n"]).as_deref(),
        Some("A record of 101 bytes exceeds the limit of 100 bytes")
    );
    assert!(fault(&["99999999999999999999\n"]).is_some());
    assert_eq!(fault(&["1", "00\n"]), None);
    let mut decoder = Decoder::new(1);
    assert!(decoder.feed(b"x").is_err() && decoder.feed(b"1\na").is_err());
}
