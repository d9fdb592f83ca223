use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn keys_sort_as_their_components_do(
        left in (".{0,6}", any::<u64>()),
        right in (".{0,6}", any::<u64>()),
    ) {
        let key = |(text, number): &(String, u64)| Vec::from(Key::new(b'k').text(text).number(*number));
        prop_assert_eq!(key(&left).cmp(&key(&right)), left.cmp(&right));
    }

    #[test]
    fn keys_read_back(text in "\\PC{0,8}|\0{0,3}", number: u64, uuid: [u8; 16]) {
        let key = Key::new(b'k').text(&text).number(number).text("x\0y").uuid(&uuid);
        let mut reader = KeyReader::new(key.as_bytes());
        prop_assert_eq!(reader.prefix(), Some(b'k'));
        prop_assert_eq!(reader.text(), Some(text));
        prop_assert_eq!(reader.number(), Some(number));
        prop_assert_eq!(reader.text(), Some("x\0y".to_owned()));
        prop_assert_eq!(reader.uuid(), Some(uuid));
        prop_assert_eq!(reader.end(), Some(()));
    }

    #[test]
    fn a_prefix_range_holds_just_its_own(prefix in "[a-c]{1,3}", other in "[a-c]{1,3}") {
        let range = Key::new(b'k').text(&prefix).range();
        let key = Key::new(b'k').text(&other).number(u64::MAX);
        prop_assert_eq!(range.contains(key.as_bytes()), prefix == other);
    }

    #[test]
    fn reading_garbage_never_panics(bytes: Vec<u8>) {
        let mut reader = KeyReader::new(&bytes);
        let _ = (reader.prefix(), reader.text(), reader.number(), reader.uuid(), reader.end());
    }
}
