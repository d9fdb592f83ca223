use super::*;
use std::os::unix::fs::symlink;

const HOUR: Duration = Duration::from_hours(1);

fn run(work_dir: &Path, executor: &str, container: &str) -> PathBuf {
    let runs = format!("slaves/S0/frameworks/f/executors/{executor}/runs/{container}");
    let run = work_dir.join(runs);
    fs::create_dir_all(&run).unwrap();
    fs::write(run.join("stdout"), "hello").unwrap();
    run
}

fn age(path: &Path, age: Duration) {
    let at = SystemTime::now() - age;
    fs::File::open(path).unwrap().set_modified(at).unwrap();
}

/// Tests can set the time of modification alone.
fn look(allowed: Duration, now: SystemTime) -> Look {
    Look {
        allowed,
        now,
        changed: |found| found.modified().ok(),
        remove: |path| fs::remove_dir_all(path),
    }
}

#[test]
fn no_task_makes_its_sandbox_older_or_younger() {
    let work = tempfile::tempdir().unwrap();
    let run = run(work.path(), "e", "c1");
    let changed = || last_change(&fs::metadata(&run).unwrap()).unwrap();
    let now = SystemTime::now();
    for at in [SystemTime::UNIX_EPOCH, now + HOUR * 100_000] {
        fs::File::open(&run).unwrap().set_modified(at).unwrap();
        let apart = now.duration_since(changed()).unwrap_or_default();
        assert!(apart < HOUR && changed() < now + HOUR);
    }
}

#[test]
fn the_age_shrinks_as_the_disk_fills() {
    assert_eq!(allowed_age(0.0), DELAY.mul_f64(0.9));
    assert_eq!(allowed_age(0.4), DELAY.mul_f64(0.5));
    for full in [0.9, 0.95, 1.0, 2.0] {
        assert_eq!(allowed_age(full), YOUNGEST);
    }
}

#[test]
fn the_used_part_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let used = used(dir.path()).unwrap();
    assert!((0.0..=1.0).contains(&used), "{used}");
}

#[test]
fn old_sandboxes_go_and_those_in_use_stay_and_grow_young() {
    let work = tempfile::tempdir().unwrap();
    let [old, young, live] = ["c1", "c2", "c3"].map(|it| run(work.path(), "e", it));
    symlink("c1", old.parent().unwrap().join(LATEST)).unwrap();
    age(&old, HOUR * 3);
    age(&live, HOUR * 3);
    let sweep_now =
        |live: BTreeSet<PathBuf>| sweep(work.path(), &live, &look(HOUR, SystemTime::now()));
    let swept = sweep_now(BTreeSet::from([live.clone()]));
    assert_eq!(
        swept,
        Swept::default(),
        "one of them got its name a moment ago"
    );
    age(&live, HOUR * 3);
    age(old.parent().unwrap(), HOUR);
    let swept = sweep_now(BTreeSet::from([live.clone()]));
    assert_eq!(
        swept,
        Swept {
            removed: 1,
            failed: 0
        }
    );
    assert!(!old.exists() && young.exists() && live.exists());
    assert!(!old.parent().unwrap().join(LATEST).is_symlink());
    // It has ended a moment ago.
    age(old.parent().unwrap(), HOUR);
    assert_eq!(sweep_now(BTreeSet::new()), Swept::default());
}

#[test]
fn directories_without_sandboxes_follow_them() {
    let work = tempfile::tempdir().unwrap();
    let old = run(work.path(), "e", "c1");
    age(&old, HOUR * 3);
    age(old.parent().unwrap(), HOUR / 2);
    let now = SystemTime::now();
    sweep(work.path(), &BTreeSet::new(), &look(HOUR, now));
    assert!(
        old.parent().unwrap().exists(),
        "a launch may be about to use it"
    );
    for later in 1..8 {
        sweep(
            work.path(),
            &BTreeSet::new(),
            &look(HOUR, now + HOUR * 2 * later),
        );
    }
    assert!(!work.path().join("slaves/S0").exists());
}

#[test]
fn what_a_link_leads_to_stays() {
    let (work, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("data"), "kept").unwrap();
    let old = run(work.path(), "e", "c1");
    symlink(outside.path(), old.join("volume")).unwrap();
    symlink(outside.path(), old.parent().unwrap().join("c9")).unwrap();
    age(&old, HOUR * 3);
    age(old.parent().unwrap(), HOUR);
    sweep(
        work.path(),
        &BTreeSet::new(),
        &look(HOUR, SystemTime::now()),
    );
    assert!(!old.exists());
    assert!(outside.path().join("data").exists());
}
