use super::*;

#[test]
fn a_note_lasts_and_a_damaged_one_says_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (mark, noted) = Mark::open(directory.path()).unwrap();
    assert_eq!(noted, None);
    mark.note(7).unwrap();
    mark.note(u64::MAX - 1).unwrap();
    let noted = || Mark::open(directory.path()).unwrap().1;
    assert_eq!(noted(), Some(u64::MAX - 1));
    let path = directory.path().join(FILE_NAME);
    let whole = std::fs::read(&path).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &flipped).unwrap();
        assert_eq!(noted(), None, "bit {bit}");
    }
    for bytes in 0..whole.len() {
        std::fs::write(&path, &whole[..bytes]).unwrap();
        assert_eq!(noted(), None, "{bytes} bytes");
    }
}
