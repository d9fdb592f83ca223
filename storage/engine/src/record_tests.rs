use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn any_flipped_bit_is_noticed(text: String, at: prop::sample::Index, bit in 0..8u8) {
        let mut sealed = encode(1, &text);
        prop_assert_eq!(decode::<String>(1, &sealed), Ok(text));
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert_eq!(decode::<String>(1, &sealed), Err(RecordError::Checksum));
    }

    #[test]
    fn any_cut_is_noticed(text: String, keep: prop::sample::Index) {
        let sealed = encode(1, &text);
        let keep = keep.index(sealed.len());
        prop_assert!(decode::<String>(1, &sealed[..keep]).is_err());
    }
}

#[test]
fn a_newer_version_is_told_from_damage() {
    let expected = RecordError::Version {
        found: 2,
        newest: 1,
    };
    assert_eq!(decode::<u64>(1, &encode(2, &7u64)), Err(expected));
}

#[test]
fn trailing_bytes_are_refused() {
    let sealed = seal(1, &[7, 7]);
    assert!(matches!(
        decode::<u64>(1, &sealed),
        Err(RecordError::Decode(_))
    ));
}
