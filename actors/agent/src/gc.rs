//! Garbage collection of sandboxes: which of those that nobody runs in any more are removed, and when. Owns the age
//! they may reach, Mesos' rule (`--gc_delay`, `--gc_disk_headroom`); asks nobody what is alive, it is told.
//!
//! The age of a sandbox is that of its directory: each sweep touches those that are in use, so a sandbox is as old as
//! the time since its container ended, also for an agent that has just been started.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// How long a sandbox is kept where there is room (Mesos: 1 week).
pub const DELAY: Duration = Duration::from_hours(7 * 24);
/// The part of the disk that is to stay free (Mesos: 0.1).
pub const HEADROOM: f64 = 0.1;
/// Between two sweeps (Mesos: `--disk_watch_interval`, 1 minute).
pub const INTERVAL: Duration = Duration::from_mins(1);
/// None is removed younger than this: its container may be about to start.
const YOUNGEST: Duration = Duration::from_mins(2);
/// Names on the way from the work directory to the sandboxes of one executor.
const BELOW: [&str; 4] = ["slaves", "frameworks", "executors", "runs"];
const LATEST: &str = "latest";

/// What a sweep did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub removed: usize,
    /// Could not be removed; the next sweep tries again.
    pub failed: usize,
}

/// How old sandboxes may be, and when.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub allowed: Duration,
    pub now: SystemTime,
    /// When a directory was changed last: [`last_change`].
    pub changed: fn(&fs::Metadata) -> Option<SystemTime>,
    /// Removes a directory that a task filled, links themselves and not what they lead to.
    pub remove: fn(&Path) -> io::Result<()>,
}

/// By the kernel's own time of it: the time of modification is the task's to set, and archives set it when they are
/// unpacked.
pub fn last_change(directory: &fs::Metadata) -> Option<SystemTime> {
    let since = Duration::from_secs(u64::try_from(directory.ctime()).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}

impl Look {
    fn is_older(&self, path: &Path, than: Duration) -> bool {
        let found = fs::symlink_metadata(path).ok();
        let at = found.and_then(|it| (self.changed)(&it));
        // One from the future is young.
        at.is_some_and(|at| self.now.duration_since(at).is_ok_and(|age| age > than))
    }
}

/// The age that sandboxes may reach while so much of the disk (0 to 1) is used.
pub fn allowed_age(used: f64) -> Duration {
    let room = (1.0 - HEADROOM - used).clamp(0.0, 1.0);
    DELAY.mul_f64(room).max(YOUNGEST)
}

/// The part of the file system of `path` that is used, 0 to 1.
///
/// # Errors
/// The kernel's.
#[expect(clippy::cast_precision_loss, reason = "a share of a disk")]
pub fn used(path: &Path) -> io::Result<f64> {
    let found = rustix::fs::statvfs(path)?;
    let (all, free) = (found.f_blocks as f64, found.f_bavail as f64);
    Ok(if all > 0.0 { 1.0 - free / all } else { 0.0 })
}

/// Removes the sandboxes below `work_dir` that are not `live` and older than `allowed` at `now`, and the directories
/// above them that are empty then. Those that are live become young.
pub fn sweep(work_dir: &Path, live: &BTreeSet<PathBuf>, look: &Look) -> Swept {
    let Look { allowed, now, .. } = *look;
    let mut swept = Swept::default();
    for agent in directories(&work_dir.join(BELOW[0])) {
        for framework in directories(&agent.join(BELOW[1])) {
            for executor in directories(&framework.join(BELOW[2])) {
                let runs = executor.join(BELOW[3]);
                // A sandbox made ahead may be an old directory that has just got its name: that made this one young.
                let settled = look.is_older(&runs, YOUNGEST);
                for run in directories(&runs) {
                    if live.contains(&run) {
                        touch(&run, now);
                    } else if settled && look.is_older(&run, allowed) {
                        remove(&run, look, &mut swept);
                    }
                }
                forget_latest(&runs);
                remove_empty(&[&runs, &executor], look);
            }
            remove_empty(&[&framework.join(BELOW[2]), &framework], look);
        }
        remove_empty(&[&agent.join(BELOW[1]), &agent], look);
    }
    swept
}

/// The directories in one, links left out.
fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let directories = entries.filter(|it| it.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.path()).collect()
}

fn touch(run: &Path, now: SystemTime) {
    let touched = fs::File::open(run).and_then(|it| it.set_modified(now));
    if let Err(error) = touched {
        tracing::debug!(sandbox = %run.display(), %error, "a sandbox in use was not touched");
    }
}

fn remove(run: &Path, look: &Look, swept: &mut Swept) {
    match (look.remove)(run) {
        Ok(()) => swept.removed += 1,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(sandbox = %run.display(), %error, "an old sandbox is not removed");
            swept.failed += 1;
        }
    }
}

/// The link to the latest run goes with it.
fn forget_latest(runs: &Path) {
    let latest = runs.join(LATEST);
    if latest.is_symlink() && !latest.exists() {
        // Whoever is interested finds out by the next sweep.
        let _ = fs::remove_file(latest);
    }
}

/// The innermost first. One that is not empty stays; so does a young one, in which a sandbox may be about to be made.
fn remove_empty(paths: &[&Path], look: &Look) {
    for path in paths {
        // The removal of what was within has made it young: it goes with a later sweep.
        if look.is_older(path, look.allowed) {
            let _ = fs::remove_dir(path);
        }
    }
}

#[cfg(test)]
#[path = "gc_tests.rs"]
mod tests;
