use super::*;

const MIB: u64 = 1 << 20;

#[test]
fn a_twentieth_is_kept_but_never_too_little_or_too_much() {
    for (total, kept) in [(100, 64), (1_000, 64), (4_000, 200), (1_000_000, 1_024)] {
        assert_eq!(reserve(total * MIB), kept * MIB, "{total}");
    }
}

#[test]
fn nothing_is_taken_at_95_percent_until_there_is_room_again() {
    let disk = Disk::new(Path::new("/w"));
    let room = disk.room();
    assert_eq!(room(), None, "nothing is known yet");
    disk.note(4_000 * MIB, 200 * MIB);
    assert_eq!(room(), None);
    disk.note(4_000 * MIB, 199 * MIB);
    let text = room().unwrap();
    for part in [
        "--work-dir /w has 199 MiB left",
        "200 are kept",
        "free space",
    ] {
        assert!(text.contains(part), "{text}");
    }
    disk.note(4_000 * MIB, 300 * MIB);
    assert_eq!(room(), None);
}
