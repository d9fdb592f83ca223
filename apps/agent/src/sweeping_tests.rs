use super::*;

#[test]
fn removals_add_up_and_what_is_left_is_that_of_the_last_sweep() {
    let removals = Removals::default();
    for (removed, failed, pending) in [(2, 1, 7), (3, 1, 4)] {
        removals.count(&gc::Swept {
            removed,
            failed,
            pending,
        });
    }
    let told = [&removals.succeeded, &removals.failed, &removals.pending];
    assert_eq!(told.map(|it| it.load(Relaxed)), [5, 2, 4]);
}
