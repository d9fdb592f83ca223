use super::*;

#[test]
fn a_child_that_nobody_waits_for_is_reaped_at_the_second_look() {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let id = ProcessId::of(child.id()).unwrap();
    while !process::stat(id.pid).unwrap().is_dead() {
        std::thread::yield_now();
    }
    let first = look(&BTreeSet::new()).unwrap();
    assert!(
        first.contains(&id) && id.exists(),
        "it may be waited for yet"
    );
    // Of those alone that this test began: others run in this process.
    let second = look(&[id].into()).unwrap();
    assert!(!second.contains(&id) && !id.exists());
    assert!(child.wait().is_err());
}
