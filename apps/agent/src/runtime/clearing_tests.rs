use super::*;

#[test]
fn one_works_at_a_disk_and_sees_what_comes_meanwhile() {
    let (one, two) = (Path::new("/one"), Path::new("/two"));
    let mut busy = Busy::default();
    assert!(busy.begin(one));
    assert!(!busy.begin(one) && !busy.begin(one));
    assert!(busy.begin(two), "another disk");
    assert!(busy.goes_on(one), "more came");
    assert!(!busy.goes_on(one) && !busy.goes_on(two));
    assert!(busy.begin(one), "the next one begins anew");
}

#[test]
fn what_was_taken_away_is_deleted() {
    let root = tempfile::tempdir().unwrap();
    let removed = root.path().join("removed");
    std::fs::create_dir_all(removed.join("0/deep")).unwrap();
    let clearing = Arc::new(Clearing::default());
    clearing.clear([removed.clone(), root.path().join("none")].into());
    while !clearing.busy().0.is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(std::fs::read_dir(&removed).unwrap().count(), 0);
}
