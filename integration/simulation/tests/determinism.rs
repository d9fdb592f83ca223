//! The same seed gives the same run, to the last line of its trace.

use tepui_simulation::Run;

#[test]
fn the_same_seed_gives_the_same_run() {
    let [one, again, other] = [1, 1, 2].map(|seed| {
        let run = Run {
            seed,
            ..Run::default()
        };
        run.run().expect("a seed that breaks nothing")
    });
    assert_eq!(one, again);
    assert_ne!(one.digest, other.digest);
}
