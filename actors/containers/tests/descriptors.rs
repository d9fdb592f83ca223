//! What an agent that has no descriptor left says of its containers: nothing, instead of that they have ended. Alone in
//! its process, since it takes all of them.

#[allow(dead_code, reason = "this test needs only a part of it")]
#[path = "launcher/support.rs"]
mod support;

use rustix::process::{Resource, Rlimit};
use std::fs::File;
use std::time::Duration;
use support::{Bench, bounded};
use tepui_containers::Recovered;

const DEADLINE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn who_cannot_look_takes_nobody_for_dead() {
    for bench in [Bench::with_cgroups(), Bench::bare()] {
        let name = bench.name;
        let container = bench.launch(bench.shell("exec sleep 1000")).await.unwrap();
        let (id, dir) = (
            container.container_id(),
            bench.runtime_dir(container.container_id()),
        );
        let before = limit_descriptors();
        let mut taken = all_descriptors();
        for free in 0..6 {
            let recovered = bench.launcher.recover(id, &dir).await;
            let told = match &recovered {
                Ok(recovered) => matches!(recovered, Recovered::Running(_)),
                Err(error) => error.is_blind(),
            };
            assert!(told, "{name}, {free} descriptors: {recovered:?}");
            let found = container.processes();
            assert!(
                found.as_ref().map_or(true, |found| !found.is_empty()),
                "{name}, {free} descriptors: {found:?}"
            );
            drop(recovered);
            taken.pop();
        }
        taken.extend(all_descriptors());
        // It needs none of its own.
        let waited = tokio::time::timeout(Duration::ZERO, container.wait()).await;
        assert!(waited.is_err(), "{name}: {waited:?}");
        drop(taken);
        rustix::process::setrlimit(Resource::Nofile, before).unwrap();
        let recovered = bench.launcher.recover(id, &dir).await.unwrap();
        assert!(
            matches!(recovered, Recovered::Running(_)),
            "{name}: {recovered:?}"
        );
        container.destroy(DEADLINE).await.unwrap();
        let exit = bounded(container.wait()).await.unwrap();
        assert_eq!(exit.raw_status, Some(9), "{name}");
    }
}

/// Gives back what the limit was.
fn limit_descriptors() -> Rlimit {
    let before = rustix::process::getrlimit(Resource::Nofile);
    let few = Rlimit {
        current: Some(128),
        ..before
    };
    rustix::process::setrlimit(Resource::Nofile, few).expect("a lower limit");
    before
}

fn all_descriptors() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}
