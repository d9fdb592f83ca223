//! Room on the disk for what the agent must remember. A task may fill the disk of the work directory. A running agent goes on
//! in files that it has; a start needs new ones, and without them the agent would stay away, and its tasks be taken for
//! lost. So a file holds that room, gives it up for the moment of a start, and takes it again at once, before a task does.

use std::{
    convert::Infallible,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{FallocateFlags, fallocate};
use tepui_engine::{Batch, Durability, Engine, keys::AGENT_FAMILIES};
use tokio::time::sleep;

/// Below the work directory.
const FILE: &str = "reserve";
/// Several times what the database writes anew when it is opened.
const MOST: u64 = 32 << 20;
/// Of a small disk at most a tenth.
const SHARE: u64 = 10;
/// Room is reserved in steps of this.
const GRAIN: u64 = 1 << 20;
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// A disk, as far as it can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Disk {
    total: u64,
    left: u64,
}

impl Disk {
    fn of(path: &Path) -> io::Result<Self> {
        let found = rustix::fs::statvfs(path)?;
        Ok(Self {
            total: found.f_blocks.saturating_mul(found.f_frsize),
            left: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }

    /// How much of it is reserved.
    fn share(self) -> u64 {
        (self.total / SHARE).min(MOST) / GRAIN * GRAIN
    }
}

/// The file that holds room for the next start.
pub(crate) struct Reserve {
    work_dir: PathBuf,
    is_given_up: bool,
    is_short: bool,
}

impl Reserve {
    /// For a start: gives the room up where the disk has no other.
    pub(crate) fn give_up(work_dir: &Path) -> Self {
        let reserve = Self {
            work_dir: work_dir.to_owned(),
            is_given_up: Disk::of(work_dir).is_ok_and(|disk| disk.left < disk.share()),
            is_short: false,
        };
        if reserve.is_given_up
            && let Err(error) = remove(&reserve.file())
        {
            tracing::warn!(%error, file = %reserve.file().display(), "the room reserved for a start cannot be given up");
        }
        reserve
    }

    /// Lets the memory, just opened, take the room of its next log: it does so with the first write. That it cannot is told
    /// by the next one.
    pub(crate) fn claim(&self, memory: &dyn Engine) {
        if let (true, Some(family)) = (self.is_given_up, AGENT_FAMILIES.first()) {
            let mut nothing = Batch::new();
            nothing.delete(*family, FILE);
            drop(memory.write(&nothing, Durability::Buffered));
        }
    }

    fn file(&self) -> PathBuf {
        self.work_dir.join(FILE)
    }

    /// Reserves the room, or what there is of it, and looks how much is left.
    pub(crate) fn take(&mut self) {
        let taken = self.taken().and_then(|()| Disk::of(&self.work_dir));
        match taken {
            Ok(disk) => self.note(disk),
            Err(error) => tracing::warn!(
                %error,
                file = %self.file().display(),
                "no room can be reserved for the next start of this agent"
            ),
        }
    }

    fn taken(&self) -> io::Result<()> {
        let disk = Disk::of(&self.work_dir)?;
        let has = held(&self.file())?;
        let wanted = disk.share().min((has + disk.left) / GRAIN * GRAIN);
        if wanted <= has {
            return Ok(());
        }
        match allocate(&self.file(), wanted) {
            // Not every file system can; some have no need to.
            Err(error) if error.kind() == ErrorKind::Unsupported => remove(&self.file()),
            // Somebody was faster.
            Err(error) if error.kind() == ErrorKind::StorageFull => Ok(()),
            other => other,
        }
    }

    /// Tells the operator once that the disk is nearly full, and once that it no longer is.
    fn note(&mut self, disk: Disk) {
        let is_short = disk.left < disk.share();
        let work_dir = self.work_dir.display();
        match (is_short, self.is_short) {
            (true, false) => tracing::error!(
                "the disk of --work-dir {work_dir} has {} MiB left: tasks there cannot write any more, and new ones may not \
                 start; free space there, or end the task that fills it",
                disk.left >> 20
            ),
            (false, true) => tracing::info!("the disk of --work-dir {work_dir} has room again"),
            _ => {}
        }
        self.is_short = is_short;
    }

    /// Reserves again what a start has used, once there is room.
    pub(crate) async fn watch(mut self) -> Infallible {
        loop {
            sleep(LOOK_INTERVAL).await;
            // A disk that hangs holds up nobody but this.
            let looked = tokio::task::spawn_blocking(move || {
                self.take();
                self
            });
            self = match looked.await {
                Ok(reserve) => reserve,
                Err(_) => return std::future::pending().await,
            };
        }
    }
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Bytes of the disk that the file has.
fn held(file: &Path) -> io::Result<u64> {
    match fs::symlink_metadata(file) {
        Ok(found) => Ok(found.blocks() * 512),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

fn allocate(file: &Path, bytes: u64) -> io::Result<()> {
    let opened: File = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(file)?;
    fallocate(&opened, FallocateFlags::empty(), 0, bytes)?;
    Ok(())
}

#[cfg(test)]
#[path = "reserve_tests.rs"]
mod tests;
