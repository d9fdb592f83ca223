use super::*;

#[test]
fn a_tenth_of_a_small_disk_is_reserved_and_no_more_than_a_start_needs_of_a_large_one() {
    let share = |total| Disk { total, left: 0 }.share();
    assert_eq!(share(1 << 20), 0);
    assert_eq!(share(160 << 20), 16 << 20);
    assert_eq!(share(1 << 40), MOST);
}

#[test]
fn room_is_held_until_the_disk_has_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut reserve = Reserve::give_up(dir.path());
    reserve.take();
    let file = dir.path().join(FILE);
    let wanted = Disk::of(dir.path()).unwrap().share();
    assert!(held(&file).unwrap() >= wanted, "{:?}", held(&file));
    // The disk of a test is not full.
    Reserve::give_up(dir.path());
    assert!(file.exists());
}
