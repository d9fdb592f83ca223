//! Garbage collection of sandboxes: which of those that nobody runs in any more are removed, and when. Owns the age
//! they may reach, Mesos' rule (`--gc_delay`, `--gc_disk_headroom`); asks nobody what is alive, it is told.
//!
//! The age of a sandbox is that of its directory: each sweep touches those that are in use, so a sandbox is as old as
//! the time since its container ended, also for an agent that has just been started. Ages are those of the clock on the
//! wall: when that is set, all of them become young, since a sandbox that goes too early is lost and one that stays is not.

use std::{
    collections::BTreeSet,
    fs, io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use rustix::fs::{CWD, Dir, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

/// However full the disk is, none is removed younger than this, unless [`Policy::delay`] is shorter.
const YOUNGEST: Duration = Duration::from_mins(2);
/// Below this an age means nothing: the kernel's clock of files lags behind by some milliseconds.
const FINEST: Duration = Duration::from_secs(1);
/// Beneath a sandbox, and beneath the work directory, those of containers that clients of the API asked for.
const WITHIN: &str = "containers";
/// A clock that was set by less than this part of an age, or than this, hardly changes the age.
const SHIFTS: u32 = 16;
const LEAST_SHIFT: Duration = Duration::from_mins(1);
/// Names on the way from the work directory to the sandboxes of one executor.
const BELOW: [&str; 4] = ["slaves", "frameworks", "executors", "runs"];

/// What a sweep did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub removed: usize,
    /// Could not be removed; the next sweep tries again.
    pub failed: usize,
    /// Not in use, and not old enough.
    pub pending: usize,
}

/// What is removed when, with Mesos' defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// How long a sandbox is kept where there is room (`--gc_delay`).
    pub delay: Duration,
    /// The part of the disk that is to stay free, 0 to 1 (`--gc_disk_headroom`).
    pub headroom: f64,
    /// Between two sweeps (`--disk_watch_interval`).
    pub interval: Duration,
    /// Whether sandboxes of containers within others, and of those that stand alone, are removed too
    /// (`--gc_non_executor_container_sandboxes`).
    pub within: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            delay: Duration::from_hours(7 * 24),
            headroom: 0.1,
            interval: Duration::from_mins(1),
            within: false,
        }
    }
}

impl Policy {
    /// The age that sandboxes may reach while so much of the disk (0 to 1) is used.
    pub fn allowed_age(&self, used: f64) -> Duration {
        let room = (1.0 - self.headroom - used).clamp(0.0, 1.0);
        let youngest = self.delay.clamp(FINEST, YOUNGEST);
        self.delay.mul_f64(room).max(youngest)
    }
}

/// The clock on the wall, beside one that nobody sets.
#[derive(Debug)]
pub struct Clocks {
    wall: SystemTime,
    counted: Instant,
}

impl Clocks {
    /// As they stand at the first look.
    pub fn new(wall: SystemTime, counted: Instant) -> Self {
        Self { wall, counted }
    }

    /// Whether the one on the wall was set since the last look, so far that it matters to an age.
    pub fn look(&mut self, wall: SystemTime, counted: Instant, age: Duration) -> bool {
        let passed = counted.saturating_duration_since(self.counted);
        let shift = match wall.duration_since(self.wall) {
            Ok(shown) => shown.abs_diff(passed),
            Err(back) => back.duration().saturating_add(passed),
        };
        *self = Self { wall, counted };
        shift > (age / SHIFTS).max(LEAST_SHIFT)
    }
}

/// How old sandboxes may be, and when.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub allowed: Duration,
    /// The clock was set: nothing is known of ages, so none is removed, and all become young.
    pub is_clock_set: bool,
    /// Not later than the moment at which it was asked what is alive: what came into being since is young.
    pub now: SystemTime,
    /// When a directory was changed last: [`last_change`].
    pub changed: fn(&fs::Metadata) -> Option<SystemTime>,
    /// Removes a directory that a task filled, links themselves and not what they lead to.
    pub remove: fn(&Path) -> io::Result<()>,
}

/// By the kernel's own time of it: the time of modification is the task's to set, and archives set it when they are
/// unpacked.
pub fn last_change(directory: &fs::Metadata) -> Option<SystemTime> {
    let secs = u64::try_from(directory.ctime()).ok()?;
    let nanos = u32::try_from(directory.ctime_nsec()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(secs, nanos))
}

impl Look {
    fn is_older(&self, path: &Path, than: Duration) -> bool {
        fs::symlink_metadata(path).is_ok_and(|found| self.was_changed_before(&found, than))
    }

    fn was_changed_before(&self, found: &fs::Metadata, than: Duration) -> bool {
        let at = (self.changed)(found);
        // One from the future is young.
        at.is_some_and(|at| self.now.duration_since(at).is_ok_and(|age| age > than))
    }
}

/// The part of the file system of `path` that is used, 0 to 1: of its space or, if that is more, of its inodes, which empty
/// files take as well.
///
/// # Errors
/// The kernel's.
pub fn used(path: &Path) -> io::Result<f64> {
    let found = rustix::fs::statvfs(path)?;
    let space = (found.f_blocks, found.f_bavail);
    Ok(more_used(space, (found.f_files, found.f_favail)))
}

/// The larger part that is used, of what there is of each and what is free of it.
#[expect(clippy::cast_precision_loss, reason = "a share of a disk")]
fn more_used(space: (u64, u64), inodes: (u64, u64)) -> f64 {
    let part = |(all, free): (u64, u64)| match all {
        // Some file systems make inodes as they are needed.
        0 => 0.0,
        all => 1.0 - free as f64 / all as f64,
    };
    part(space).max(part(inodes))
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
                let settled = look.is_older(&runs, allowed.min(YOUNGEST));
                for run in directories(&runs) {
                    let is_live = live.contains(&run);
                    if is_live || look.is_clock_set {
                        touch(&run, now);
                        swept.pending += usize::from(!is_live);
                    } else if settled && look.is_older(&run, allowed) {
                        remove(&run, look, &mut swept);
                    } else {
                        swept.pending += 1;
                    }
                }
                forget_links(&runs);
                remove_empty(&[&runs, &executor], look);
            }
            remove_empty(&[&framework.join(BELOW[2]), &framework], look);
        }
        remove_empty(&[&agent.join(BELOW[1]), &agent], look);
    }
    swept
}

/// The names of sandboxes in `containers` of `root` that are not `live` and older than allowed; those that are younger are
/// counted. Those that are live become young. Tasks can write there, so no name is followed.
pub fn leftovers(
    root: &Path,
    live: &BTreeSet<PathBuf>,
    look: &Look,
    swept: &mut Swept,
) -> Vec<String> {
    let parent = root.join(WITHIN);
    let found = directory_at(CWD, root).and_then(|root| directory_at(&root, Path::new(WITHIN)));
    let Ok(containers) = found else {
        return Vec::new();
    };
    let entries = Dir::read_from(&containers).into_iter().flatten().flatten();
    let names = entries.filter_map(|it| it.file_name().to_str().ok().map(str::to_owned));
    let names = names.filter(|name| name != "." && name != "..");
    let is_left = |name: &String| {
        let Ok(directory) = directory_at(&containers, Path::new(name)) else {
            return false;
        };
        let is_live = live.contains(&parent.join(name));
        if is_live || look.is_clock_set {
            make_young(&directory);
            swept.pending += usize::from(!is_live);
            return false;
        }
        let found = fs::File::from(directory).metadata();
        let is_old = found.is_ok_and(|found| look.was_changed_before(&found, look.allowed));
        swept.pending += usize::from(!is_old);
        is_old
    };
    names.filter(is_left).collect()
}

fn directory_at(at: impl std::os::fd::AsFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, path, flags, Mode::empty())
}

/// Leaves the time of its last use as it is.
fn make_young(directory: &OwnedFd) {
    let at = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    let times = Timestamps {
        last_access: at(UTIME_OMIT),
        last_modification: at(UTIME_NOW),
    };
    // Only an agent without the rights of its tasks may not; then it cannot remove it either.
    let _ = rustix::fs::futimens(directory, &times);
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

/// The link to the latest run goes with it; so does one that an agent was about to make when it was killed.
fn forget_links(runs: &Path) {
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_symlink() && !path.exists() {
            // Whoever is interested finds out by the next sweep.
            let _ = fs::remove_file(path);
        }
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
