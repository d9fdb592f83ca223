//! Owns the groups by which users share volumes (Mesos: `slave/volume_gid_manager`, `--volume_gid_range`). A volume that a
//! command uses which is not root's belongs to a group of the range, as does all that is made in it; the command has that
//! group besides its own. Which volume has which group outlives the agent: it is on the disk before the volume's group
//! changes, and goes from the disk after that has changed back.

mod ownership;
mod table;

use crate::beneath;
use crate::error::Error;
use crate::sandbox::failed;
use crate::spec::Credentials;
use crate::whole;
use rustix::fs::{CWD, Mode};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use table::GidRange;
use table::{Held, Table};

/// A longer file is damaged.
const MAX_BYTES: u64 = 256 << 20;

/// The groups of all volumes. Changes may take as long as a disk, or a walk over a volume: they are not for an actor's
/// thread. Who only looks waits for neither, and sees what is on the disk.
#[derive(Debug)]
pub struct VolumeGids {
    total: GidRange,
    file: PathBuf,
    /// Of the machine as it runs now.
    boot_id: String,
    /// As the file has it. Held for a moment only.
    table: Mutex<Arc<Table>>,
    /// Held by who changes the file, while he does.
    changing: Mutex<()>,
    free: AtomicU64,
}

impl VolumeGids {
    /// Takes up what is written in `file`, which need not be there yet.
    ///
    /// Errors: it cannot be read, or is damaged. To go on without it could give one group to two volumes.
    pub fn open(total: GidRange, file: PathBuf, boot_id: String) -> Result<Self, Error> {
        let table = read(&file).map_err(Error::file("read the groups of volumes in", &file))?;
        let free = total.len() - table.taken(&total);
        Ok(Self {
            total,
            file,
            boot_id,
            table: Mutex::new(Arc::new(table)),
            changing: Mutex::default(),
            free: AtomicU64::new(free),
        })
    }

    /// How many groups there are.
    pub fn total(&self) -> u64 {
        self.total.len()
    }

    /// How many of them no volume has.
    pub fn free(&self) -> u64 {
        self.free.load(Ordering::Relaxed)
    }

    /// The range, as it was given.
    pub fn range(&self) -> &GidRange {
        &self.total
    }

    /// Whether a volume has a group.
    pub fn holds(&self, volume: &Path) -> bool {
        self.table().get(volume).is_some()
    }

    /// Takes groups back of volumes that an earlier life of the agent left and that are gone, and of directories of
    /// sandboxes whose containers are: `known` are those that may still run. Errors: which groups could not be taken back;
    /// it is tried again at the next start.
    pub fn recover(&self, known: &BTreeSet<String>) -> Vec<Error> {
        let mut held = self.table().all();
        held.retain(|held| {
            let ended = held.container.as_ref().is_some_and(|container| {
                held.boot_id != self.boot_id || !known.contains(container)
            });
            ended || !held.path.exists()
        });
        self.release_all(&held)
    }

    /// Lets `user` into a persistent volume: the group he needs; `None`: root needs none.
    ///
    /// Errors: no group is left, or the volume cannot be given to it.
    pub fn admit(&self, user: &Credentials, volume: &Path) -> Result<Option<u32>, Error> {
        if user.uid == 0 {
            return Ok(None);
        }
        let opened = beneath::open(CWD, volume);
        let opened = opened.map_err(|errno| failed("open the volume", volume, errno))?;
        self.give(&opened, volume, None).map(Some)
    }

    /// Lets `user` into a directory of another container's sandbox, which is made as that sandbox's owner's where it is
    /// missing: the group he needs; `None`: it is his own.
    pub fn admit_within(
        &self,
        user: &Credentials,
        sandbox: &Path,
        path: &Path,
        container: &str,
    ) -> Result<Option<u32>, Error> {
        let shown = sandbox.join(path);
        let at = |errno| failed("share the directory", &shown, errno);
        let names = path.to_str().ok_or(rustix::io::Errno::INVAL);
        let names = names.and_then(beneath::names).map_err(at)?;
        let mut directory = beneath::open(CWD, sandbox).map_err(at)?;
        let around = rustix::fs::fstat(&directory).map_err(at)?;
        for name in &names {
            let above = rustix::fs::fstat(&directory).map_err(at)?;
            let passes_on = Mode::from_raw_mode(above.st_mode).contains(Mode::SGID);
            let owner = Credentials {
                uid: around.st_uid,
                gid: if passes_on {
                    above.st_gid
                } else {
                    around.st_gid
                },
                groups: Vec::new(),
            };
            directory = beneath::enter(&directory, name, Some(&owner)).map_err(at)?;
        }
        let found = rustix::fs::fstat(&directory).map_err(at)?;
        if user.uid == 0 || user.uid == found.st_uid {
            return Ok(None);
        }
        let volume = sandbox.join(names.iter().collect::<PathBuf>());
        self.give(&directory, &volume, Some(container)).map(Some)
    }

    /// Takes the group back of a volume that is gone or empty.
    pub fn destroyed(&self, volume: &Path) -> Result<(), Error> {
        let held = self.table().get(volume).cloned();
        held.map_or(Ok(()), |held| self.release(&held))
    }

    /// Whether directories of the container's sandbox have groups.
    pub fn is_shared(&self, container: &str) -> bool {
        !self.table().within(container).is_empty()
    }

    /// Takes back the groups of directories of the container's sandbox: it has ended. Errors: as those of
    /// [`Self::recover`].
    pub fn ended(&self, container: &str) -> Vec<Error> {
        let held = self.table().within(container);
        self.release_all(&held)
    }

    fn give(
        &self,
        directory: &OwnedFd,
        volume: &Path,
        container: Option<&str>,
    ) -> Result<u32, Error> {
        let found = rustix::fs::fstat(directory);
        let found = found.map_err(|errno| failed("look at the volume", volume, errno))?;
        let known = |table: &Table| match table.get(volume) {
            Some(held) => Some(held.gid),
            // It lies in another volume that has this group.
            None => table.is_taken(found.st_gid).then_some(found.st_gid),
        };
        let gid = match known(&self.table()) {
            Some(gid) => gid,
            None => self.change(|table| {
                // Another one may have been faster.
                if let Some(gid) = known(table) {
                    return Ok(gid);
                }
                let gid = table.next(&self.total);
                let gid = gid.ok_or_else(|| Error::NoGid(volume.to_owned()))?;
                table.add(Held {
                    path: volume.to_owned(),
                    gid,
                    container: container.map(str::to_owned),
                    boot_id: self.boot_id.clone(),
                });
                Ok(gid)
            })?,
        };
        // The directory itself comes last: where it has the group already, all has.
        let is_open = Mode::from_raw_mode(found.st_mode).contains(Mode::SGID | Mode::WGRP);
        if found.st_gid != gid || !is_open {
            ownership::open_to(directory, gid)
                .map_err(|errno| failed("give to its group the volume", volume, errno))?;
        }
        Ok(gid)
    }

    /// One that cannot be changed keeps its group, and the others none.
    fn release_all(&self, held: &[Held]) -> Vec<Error> {
        let released = held.iter().map(|held| self.release(held));
        released.filter_map(Result::err).collect()
    }

    fn release(&self, held: &Held) -> Result<(), Error> {
        // What is left of a sandbox is there for a while, and its group is soon another volume's.
        if let Ok(directory) = beneath::open(CWD, &held.path) {
            ownership::close(&directory, held.gid)
                .map_err(|errno| failed("take from its group the volume", &held.path, errno))?;
        }
        self.change(|table| {
            table.remove(&held.path);
            Ok(())
        })
    }

    /// Writes down who has what from now on; only then others see it.
    fn change<T>(&self, change: impl FnOnce(&mut Table) -> Result<T, Error>) -> Result<T, Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::clone(&self.table());
        let changed = change(&mut table)?;
        let fresh = self.file.with_extension("new");
        let written = whole::replace_json(&self.file, &fresh, &table, true);
        written.map_err(Error::file(
            "write down the groups of volumes in",
            &self.file,
        ))?;
        let free = self.total.len() - table.taken(&self.total);
        self.free.store(free, Ordering::Relaxed);
        *self.table.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        Ok(changed)
    }

    fn table(&self) -> Arc<Table> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&table)
    }
}

fn read(path: &Path) -> io::Result<Table> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Table::default()),
        file => file?.take(MAX_BYTES).read_to_end(&mut bytes)?,
    };
    Ok(serde_json::from_slice(&bytes)?)
}

#[cfg(test)]
#[path = "volume_gids_tests.rs"]
mod tests;
