//! Output that is bounded, against the real shim (see `launcher.rs`).

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests: clippy knows only test functions as such"
)]

#[allow(dead_code, reason = "this test needs only a part of it")]
#[path = "launcher/support.rs"]
mod support;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use support::{Bench, bounded, text, until};
use tepui_containers::LaunchSpec;
use tepui_containers::rotation::{Bound, Rotation};
use tepui_containers::switchboard::Switchboard;

const PAGE: u64 = 4096;

fn within(mut spec: LaunchSpec, max_bytes: u64, kept: u8) -> LaunchSpec {
    let bound = Bound { max_bytes, kept };
    spec.rotation = Some(Rotation {
        stdout: bound,
        stderr: bound,
    });
    spec
}

/// Lines of ten bytes.
fn lines(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| format!("{number:09}\n")).collect()
}

/// What a stream's files hold, the oldest first.
fn together(sandbox: &Path, names: &[&str]) -> String {
    let texts = names.iter().map(|name| text(&sandbox.join(name)));
    texts.collect()
}

async fn run(bench: &Bench, spec: LaunchSpec) -> Option<i32> {
    let container = bench.launch(spec).await.unwrap();
    bounded(container.wait()).await.unwrap().raw_status
}

#[tokio::test]
async fn the_end_of_it_stays_in_files_that_are_full_to_the_byte() {
    let bench = Bench::bare();
    let command = "seq -f %09.0f 0 9999 | tee /dev/stderr; exit 3";
    let spec = within(bench.shell(command), PAGE + 1, 2);
    let sandbox = spec.sandbox.clone();
    assert_eq!(run(&bench, spec).await, Some(3 << 8));
    for stream in ["stdout", "stderr"] {
        let [second, first] = [2, 1].map(|number| format!("{stream}.{number}"));
        let kept = together(&sandbox, &[&second, &first, stream]);
        assert!(lines(0..10_000).ends_with(&kept), "{stream}");
        for full in [&first, &second] {
            let found = std::fs::metadata(sandbox.join(full)).unwrap();
            assert_eq!(found.len(), PAGE + 1, "{full}");
        }
        assert!(!sandbox.join(format!("{stream}.3")).exists());
    }
}

#[tokio::test]
async fn none_may_be_kept_and_little_is_not_cut() {
    let bench = Bench::bare();
    let spec = within(bench.shell("echo said; echo complained >&2"), PAGE, 1);
    let sandbox = spec.sandbox.clone();
    assert_eq!(run(&bench, spec).await, Some(0));
    assert_eq!(text(&sandbox.join("stdout")), "said\n");
    assert_eq!(text(&sandbox.join("stderr")), "complained\n");
    let spec = within(bench.shell("seq -f %09.0f 0 999"), PAGE, 0);
    let sandbox = spec.sandbox.clone();
    assert_eq!(run(&bench, spec).await, Some(0));
    assert!(lines(0..1000).ends_with(&text(&sandbox.join("stdout"))));
    assert!(!sandbox.join("stdout.1").exists());
}

#[tokio::test]
async fn whatever_the_command_puts_in_the_way_the_bound_holds() {
    let bench = Bench::bare();
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("target");
    std::fs::write(&target, "kept").unwrap();
    // A directory where the earlier file goes, and then a link in the place of the file itself.
    let command = format!(
        "mkdir stdout.1 && touch stdout.1/x; seq -f %09.0f 0 9999; rm -r stdout.1; ln -sf {0} stdout; seq -f %09.0f 0 9999",
        target.display()
    );
    let spec = within(bench.shell(&command), PAGE, 1);
    let sandbox = spec.sandbox.clone();
    assert_eq!(run(&bench, spec).await, Some(0));
    assert_eq!(text(&target), "kept");
    let found = std::fs::symlink_metadata(sandbox.join("stdout")).unwrap();
    assert!(found.is_file() && found.len() <= PAGE);
    assert!(lines(0..10_000).ends_with(&text(&sandbox.join("stdout"))));
}

#[tokio::test]
async fn a_writer_without_end_never_has_more_than_its_bound() {
    let bench = Bench::bare();
    let bound = 16 * PAGE;
    let spec = within(bench.shell("exec cat /dev/zero"), bound, 1);
    let sandbox = spec.sandbox.clone();
    let container = bench.launch(spec).await.unwrap();
    let look = |name: &str| std::fs::metadata(sandbox.join(name)).ok();
    let mut turns = std::collections::BTreeSet::new();
    until(|| {
        for found in ["stdout", "stdout.1"].into_iter().filter_map(look) {
            assert!(found.len() <= bound, "{} bytes", found.len());
        }
        turns.extend(look("stdout").map(|found| (found.ino(), found.mtime_nsec())));
        turns.len() > 50
    })
    .await;
    bounded(container.destroy(std::time::Duration::from_secs(20)))
        .await
        .unwrap();
    bounded(container.wait()).await.unwrap();
}

#[tokio::test]
async fn what_clients_can_attach_to_is_bounded_too() {
    let bench = Bench::bare();
    let mut spec = within(bench.shell("seq -f %09.0f 0 9999"), PAGE, 1);
    spec.switchboard = Some(Switchboard::default());
    let sandbox = spec.sandbox.clone();
    assert_eq!(run(&bench, spec).await, Some(0));
    let kept = together(&sandbox, &["stdout.1", "stdout"]);
    assert!(lines(0..10_000).ends_with(&kept));
    assert_eq!(
        std::fs::metadata(sandbox.join("stdout.1")).unwrap().len(),
        PAGE
    );
}

#[tokio::test]
async fn the_files_are_the_users() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let bench = Bench::bare();
    let mut spec = within(bench.shell("seq -f %09.0f 0 999"), PAGE, 1);
    spec.credentials = Some(tepui_containers::Credentials {
        uid: 65534,
        gid: 65534,
        groups: Vec::new(),
    });
    let sandbox = spec.sandbox.clone();
    assert_eq!(run(&bench, spec).await, Some(0));
    for name in ["stdout", "stdout.1"] {
        let found = std::fs::metadata(sandbox.join(name)).unwrap();
        assert_eq!((found.uid(), found.gid()), (65534, 65534), "{name}");
    }
}
