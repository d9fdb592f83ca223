//! How much room the registry's disk has. While it is nearly full, nothing new is taken into the registry: the rest
//! is for what brings the cluster back in order, and for RocksDB's own work. Accepted again by itself once there is
//! room.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tepui_registrar::Room;
use tokio::time::{MissedTickBehavior, interval};

/// Kept free in any case.
const LEAST_RESERVE: u64 = 64 << 20;
/// Kept free of small disks: nothing is taken when they are 95 % full.
const SHARE: u64 = 20;
/// Of a big disk this is enough: a whole registry is much smaller.
const MOST_RESERVE: u64 = 1 << 30;
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What the disk of the registry has left.
pub(crate) struct Disk {
    work_dir: PathBuf,
    /// Why nothing new is taken.
    shortage: Mutex<Option<String>>,
}

impl Disk {
    pub(crate) fn new(work_dir: &Path) -> Arc<Disk> {
        Arc::new(Disk {
            work_dir: work_dir.to_owned(),
            shortage: Mutex::default(),
        })
    }

    pub(crate) fn room(self: &Arc<Disk>) -> Room {
        let disk = Arc::clone(self);
        Arc::new(move || disk.shortage().clone())
    }

    fn shortage(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.shortage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks again and again, until it is aborted.
    pub(crate) async fn watch(self: Arc<Disk>) {
        let mut look = interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let path = self.work_dir.clone();
            // A disk that hangs holds up nobody but this.
            let looked = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&path)).await;
            match looked {
                Ok(Ok(found)) => self.note(
                    found.f_blocks.saturating_mul(found.f_frsize),
                    found.f_bavail.saturating_mul(found.f_frsize),
                ),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the registry's disk cannot be asked for its room")
                }
                Err(_) => return,
            }
        }
    }

    /// Of a disk with `total` bytes, `left` can be written.
    fn note(&self, total: u64, left: u64) {
        let reserve = reserve(total);
        let mut shortage = self.shortage();
        let was_short = shortage.is_some();
        *shortage = (left < reserve).then(|| {
            let [left, reserve] = [left, reserve].map(|bytes| bytes >> 20);
            let work_dir = self.work_dir.display();
            format!(
                "the disk of --work-dir {work_dir} has {left} MiB left, of which {reserve} are kept in reserve: nothing \
                 new is written to the registry; free space there, and it is taken again"
            )
        });
        match (&*shortage, was_short) {
            (Some(text), false) => tracing::error!("{text}"),
            (None, true) => tracing::info!("the registry's disk has room again"),
            _ => {}
        }
    }
}

/// What must stay free of a disk of this size.
fn reserve(total: u64) -> u64 {
    (total / SHARE).clamp(LEAST_RESERVE, MOST_RESERVE)
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
