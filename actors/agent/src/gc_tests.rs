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
        is_clock_set: false,
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
    let policy = Policy::default();
    assert_eq!(policy.allowed_age(0.0), HOUR.mul_f64(7.0 * 24.0 * 0.9));
    assert_eq!(policy.allowed_age(0.4), HOUR * 7 * 12);
    for full in [0.9, 0.95, 1.0, 2.0] {
        assert_eq!(policy.allowed_age(full), YOUNGEST);
    }
}

#[test]
fn a_delay_shorter_than_the_least_age_is_taken_at_its_word() {
    let policy = |delay| Policy {
        delay,
        headroom: 0.0,
        ..Policy::default()
    };
    let half = Duration::from_secs(30);
    assert_eq!(policy(half).allowed_age(0.9), half);
    assert_eq!(policy(Duration::ZERO).allowed_age(0.0), FINEST);
}

fn pending(pending: usize) -> Swept {
    Swept {
        pending,
        ..Swept::default()
    }
}

#[test]
fn a_clock_that_is_set_is_told_from_one_that_goes_on() {
    let (wall, counted) = (SystemTime::UNIX_EPOCH + HOUR * 400_000, Instant::now());
    let year = HOUR * 24 * 365;
    let week = HOUR * 24 * 7;
    for (age, forward, back, expected) in [
        (week, Duration::ZERO, Duration::ZERO, false),
        (week, HOUR * 10, Duration::ZERO, false),
        (week, HOUR * 11, Duration::ZERO, true),
        (week, Duration::ZERO, HOUR * 11, true),
        (week, year * 10, Duration::ZERO, true),
        (week, Duration::ZERO, year * 10, true),
        // The least that counts.
        (YOUNGEST, Duration::from_secs(59), Duration::ZERO, false),
        (YOUNGEST, Duration::from_secs(61), Duration::ZERO, true),
    ] {
        let mut clocks = Clocks::new(wall, counted);
        // An hour passed by both.
        let (now, later) = (wall + HOUR + forward - back, counted + HOUR);
        let found = clocks.look(now, later, age);
        assert_eq!(found, expected, "{age:?} {forward:?} {back:?}");
        // It is set once.
        assert!(!clocks.look(now + HOUR, later + HOUR, age));
    }
}

#[test]
fn a_clock_that_is_set_costs_no_sandbox() {
    let work = tempfile::tempdir().unwrap();
    let ended = run(work.path(), "e", "c1");
    let within = work.path().join(WITHIN).join("alone");
    fs::create_dir_all(&within).unwrap();
    let future = SystemTime::now() + HOUR * 90_000;
    let is_there = || ended.is_dir() && within.is_dir();
    let swept = |now, is_clock_set| {
        let look = Look {
            is_clock_set,
            ..look(HOUR, now)
        };
        let mut swept = sweep(work.path(), &BTreeSet::new(), &look);
        let left = leftovers(work.path(), &BTreeSet::new(), &look, &mut swept);
        (swept.removed, swept.pending, left.len())
    };
    assert_eq!(swept(future, true), (0, 2, 0));
    // The clock of files is the machine's here: only what was touched by the time that was given is young in it.
    assert_eq!(swept(future + HOUR / 2, false), (0, 1, 1));
    assert!(is_there());
    // Set back: nothing is of the future, and never old.
    assert_eq!(swept(SystemTime::now(), true), (0, 2, 0));
    age(ended.parent().unwrap(), HOUR * 2);
    assert_eq!(swept(SystemTime::now() + HOUR * 2, false), (1, 0, 1));
    assert!(!ended.exists());
}

#[test]
fn what_is_within_others_is_left_when_it_is_old_and_not_in_use() {
    let work = tempfile::tempdir().unwrap();
    let root = run(work.path(), "pod", "c1");
    let within = ["old", "young", "live"].map(|name| root.join(WITHIN).join(name));
    for path in &within {
        fs::create_dir_all(path).unwrap();
    }
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), root.join(WITHIN).join("link")).unwrap();
    fs::write(root.join(WITHIN).join("file"), "a task's own").unwrap();
    age(&within[0], HOUR * 3);
    age(&within[2], HOUR * 3);
    let live = BTreeSet::from([within[2].clone()]);
    let left = |root: &Path, live| {
        let mut swept = Swept::default();
        let names = leftovers(root, live, &look(HOUR, SystemTime::now()), &mut swept);
        (names, swept.pending)
    };
    assert_eq!(left(&root, &live), (vec!["old".to_owned()], 1));
    // It has ended a moment ago.
    let none = BTreeSet::new();
    assert_eq!(left(&root, &none), (vec!["old".to_owned()], 2));
    // Where a task put a link instead, nobody looks.
    let moved = root.join("moved");
    fs::rename(root.join(WITHIN), &moved).unwrap();
    symlink(&moved, root.join(WITHIN)).unwrap();
    assert_eq!(left(&root, &live), (Vec::new(), 0));
    assert_eq!(left(outside.path(), &live), (Vec::new(), 0));
}

#[test]
fn what_came_after_the_question_is_young() {
    let work = tempfile::tempdir().unwrap();
    let asked = SystemTime::now() - HOUR;
    let new = run(work.path(), "e", "c1");
    age(&new, HOUR / 2);
    age(new.parent().unwrap(), HOUR / 2);
    let swept = sweep(work.path(), &BTreeSet::new(), &look(FINEST, asked));
    assert_eq!(swept, pending(1));
    assert!(new.exists());
}

#[test]
fn empty_files_fill_a_disk_too() {
    assert_eq!(more_used((100, 25), (100, 90)), 0.75);
    assert_eq!(more_used((100, 90), (100, 25)), 0.75);
    assert_eq!(more_used((100, 90), (0, 0)), 1.0 - 0.9);
    assert_eq!(more_used((0, 0), (0, 0)), 0.0);
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
    let links = ["latest", ".c1"].map(|it| old.parent().unwrap().join(it));
    for link in &links {
        symlink("c1", link).unwrap();
    }
    age(&old, HOUR * 3);
    age(&live, HOUR * 3);
    let sweep_now =
        |live: BTreeSet<PathBuf>| sweep(work.path(), &live, &look(HOUR, SystemTime::now()));
    let swept = sweep_now(BTreeSet::from([live.clone()]));
    assert_eq!(swept, pending(2), "one of them got its name a moment ago");
    age(&live, HOUR * 3);
    age(old.parent().unwrap(), HOUR);
    let swept = sweep_now(BTreeSet::from([live.clone()]));
    assert_eq!(
        swept,
        Swept {
            removed: 1,
            ..pending(1)
        }
    );
    assert!(!old.exists() && young.exists() && live.exists());
    assert!(links.iter().all(|it| !it.is_symlink()));
    // It has ended a moment ago.
    age(old.parent().unwrap(), HOUR);
    assert_eq!(sweep_now(BTreeSet::new()), pending(2));
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
