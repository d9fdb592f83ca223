//! The engine on disk. The only module of the project that names RocksDB and the only builder of its options.

use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode,
    ErrorKind, ReadOptions, WriteBatch, WriteOptions,
};

use crate::engine::Visit;
use crate::log_files;
use crate::mark::{FILE_NAME, Mark};
use crate::{Batch, Counters, Durability, Engine, EngineError, Family, KeyRange, Operation};

/// RocksDB has no code of its own for a full disk either, only the words of the operating system.
const NO_SPACE: &str = "No space left";

/// What to do when the write-ahead log is damaged in its middle. A torn tail is normal and never an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamagedLog {
    /// Refuse to open: acknowledged writes are missing. For a voter of a Raft group, which must not forget.
    Refuse,
    /// Keep what stands before the damage. For an agent, which rather loses one record than all.
    KeepBefore,
}

/// Sizes of a database. The defaults are small: every agent opens one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Memory for recently read blocks, shared by all families.
    pub block_cache_bytes: usize,
    /// Memory for recent writes, for each family; at most two are held.
    pub write_buffer_bytes: usize,
    /// Size of the write-ahead log above which memory is written out.
    pub max_log_bytes: u64,
    /// Files kept open.
    pub max_open_files: i32,
    /// What to do about a damaged log.
    pub damaged_log: DamagedLog,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            block_cache_bytes: 4 << 20,
            write_buffer_bytes: 4 << 20,
            max_log_bytes: 16 << 20,
            max_open_files: 128,
            damaged_log: DamagedLog::Refuse,
        }
    }
}

/// A RocksDB directory. There may be one handle in one process at a time; dropping it closes the directory.
pub struct RocksEngine {
    db: DB,
    path: PathBuf,
    writes: AtomicU64,
    syncs: AtomicU64,
    failure: OnceLock<String>,
    /// How far it was synced, or written where a damaged log is kept: then it is noted only to be told.
    mark: Mark,
    damaged_log: DamagedLog,
    lost: Option<Lost>,
}

/// What a database that keeps what stands before a damage was found without: changes by RocksDB's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// The last change that was written.
    pub written: u64,
    /// The last one that is there.
    pub found: u64,
}

impl RocksEngine {
    /// Opens or creates the database in `path`, readable by its owner only, with at least `families`. Families
    /// that an other version of this program made are opened too and left alone.
    ///
    /// Errors: [`EngineError::InUse`] if the directory is locked, [`EngineError::Damaged`] if its files are,
    /// [`EngineError::Open`] otherwise.
    pub fn open(path: &Path, families: &[Family], options: &Options) -> Result<Self, EngineError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| EngineError::Open {
                path: path.to_owned(),
                reason: error.to_string(),
            })?;
        check_logs(path, options.damaged_log)?;
        let db_options = db_options(options);
        let mut names: Vec<String> = families
            .iter()
            .map(|family| family.name().to_owned())
            .collect();
        names.push("default".to_owned());
        // Fails when there is no database yet; a real trouble shows again in the open below.
        names.extend(DB::list_cf(&db_options, path).unwrap_or_default());
        names.sort();
        names.dedup();
        let cache = Cache::new_lru_cache(options.block_cache_bytes);
        let descriptors = names
            .into_iter()
            .map(|name| ColumnFamilyDescriptor::new(name, family_options(options, &cache)));
        let db = DB::open_cf_descriptors(&db_options, path, descriptors)
            .map_err(|error| open_error(path, &error))?;
        let (mark, lost) = checked_mark(&db, path, options.damaged_log)?;
        Ok(Self {
            db,
            mark,
            damaged_log: options.damaged_log,
            lost,
            path: path.to_owned(),
            writes: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            failure: OnceLock::new(),
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it was opened without, where the options let the rest be kept: for a damage, or since the machine went down before
    /// it was synced.
    pub fn lost(&self) -> Option<Lost> {
        self.lost
    }

    fn family(&self, family: Family) -> Result<&rocksdb::ColumnFamily, EngineError> {
        self.db
            .cf_handle(family.name())
            .ok_or_else(|| EngineError::UnknownFamily {
                family: family.name(),
            })
    }

    fn write_batch(&self, batch: &Batch) -> Result<WriteBatch, EngineError> {
        let mut rocks_batch = WriteBatch::default();
        for operation in batch.operations() {
            match operation {
                Operation::Put { family, key, value } => {
                    rocks_batch.put_cf(self.family(*family)?, key, value);
                }
                Operation::Delete { family, key } => {
                    rocks_batch.delete_cf(self.family(*family)?, key);
                }
                Operation::DeleteRange { family, range } => {
                    rocks_batch.delete_range_cf(self.family(*family)?, range.start(), range.end());
                }
            }
        }
        Ok(rocks_batch)
    }

    fn put_down(&self, batch: WriteBatch, durability: Durability) -> Result<(), EngineError> {
        // Others may write meanwhile: the sync covers at least this much and the batch.
        let covered = self.db.latest_sequence_number() + batch.len() as u64;
        self.db
            .write_opt(batch, &write_options(durability))
            .map_err(|error| read_write_error(&self.path, &error))?;
        if durability == Durability::Synced || self.damaged_log == DamagedLog::KeepBefore {
            let noted = self.mark.note(covered);
            noted.map_err(|error| mark_error(&self.path, &error))?;
        }
        Ok(())
    }
}

/// Finds what RocksDB would never get past, and cuts the log before it where that is wanted.
fn check_logs(path: &Path, damaged_log: DamagedLog) -> Result<(), EngineError> {
    let failed = |error: std::io::Error| EngineError::Open {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    while let Some(found) = log_files::obstacle(path).map_err(failed)? {
        if damaged_log == DamagedLog::KeepBefore && found.in_log() {
            found.cut().map_err(failed)?;
            continue;
        }
        let (file, offset, kind) = (found.path.display(), found.offset, found.kind);
        return Err(EngineError::Damaged {
            reason: format!(
                "{file}: the record at byte {offset} is of kind {kind}, which is not written here"
            ),
        });
    }
    Ok(())
}

/// The note of how far `db` was synced or written, after a look whether that is all there, and what is not.
fn checked_mark(
    db: &DB,
    path: &Path,
    damaged_log: DamagedLog,
) -> Result<(Mark, Option<Lost>), EngineError> {
    let failed = |error| mark_error(path, &error);
    let (mark, noted) = Mark::open(path).map_err(failed)?;
    let found = db.latest_sequence_number();
    let Some(written) = noted.filter(|noted| found < *noted) else {
        return Ok((mark, None));
    };
    if damaged_log == DamagedLog::Refuse {
        return Err(EngineError::Damaged {
            reason: format!(
                "{}: changes up to number {written} were synced, those up to {found} are there",
                path.display()
            ),
        });
    }
    // Told once: whoever opens it next finds all that was left.
    mark.note(found).map_err(failed)?;
    Ok((mark, Some(Lost { written, found })))
}

fn mark_error(path: &Path, error: &std::io::Error) -> EngineError {
    EngineError::Io {
        reason: format!("{}: {error}", path.join(FILE_NAME).display()),
    }
}

impl Engine for RocksEngine {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.db
            .get_cf(self.family(family)?, key)
            .map_err(|error| read_write_error(&self.path, &error))
    }

    fn scan(
        &self,
        family: Family,
        range: &KeyRange,
        visit: &mut Visit<'_>,
    ) -> Result<(), EngineError> {
        if range.is_empty() {
            return Ok(());
        }
        let mut read_options = ReadOptions::default();
        read_options.set_iterate_upper_bound(range.end());
        let family = self.family(family)?;
        let mut iterator = self.db.raw_iterator_cf_opt(family, read_options);
        iterator.seek(range.start());
        while let Some((key, value)) = iterator.item() {
            if visit(key, value) == ControlFlow::Break(()) {
                return Ok(());
            }
            iterator.next();
        }
        iterator
            .status()
            .map_err(|error| read_write_error(&self.path, &error))
    }

    fn write(&self, batch: &Batch, durability: Durability) -> Result<(), EngineError> {
        self.health()?;
        let batch = self.write_batch(batch)?;
        let written = self.put_down(batch, durability);
        if let Err(error) = &written {
            // After a failed fsync the kernel may drop the pages and report the next one as fine: never retry.
            let _ = self.failure.set(error.to_string());
        } else {
            self.writes.fetch_add(1, Ordering::Relaxed);
            if durability == Durability::Synced {
                self.syncs.fetch_add(1, Ordering::Relaxed);
            }
        }
        written
    }

    fn health(&self) -> Result<(), EngineError> {
        match self.failure.get().cloned() {
            Some(reason) => Err(EngineError::Poisoned { reason }),
            None => Ok(()),
        }
    }

    fn counters(&self) -> Counters {
        Counters {
            writes: self.writes.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
        }
    }
}

fn write_options(durability: Durability) -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(durability == Durability::Synced);
    options
}

fn db_options(options: &Options) -> rocksdb::Options {
    let mut db_options = rocksdb::Options::default();
    db_options.create_if_missing(true);
    db_options.create_missing_column_families(true);
    db_options.set_max_open_files(options.max_open_files);
    db_options.set_max_total_wal_size(options.max_log_bytes);
    db_options.set_max_background_jobs(2);
    db_options.set_keep_log_file_num(2);
    db_options.set_max_log_file_size(1 << 20);
    db_options.set_stats_dump_period_sec(0);
    db_options.set_wal_recovery_mode(match options.damaged_log {
        DamagedLog::Refuse => DBRecoveryMode::TolerateCorruptedTailRecords,
        DamagedLog::KeepBefore => DBRecoveryMode::PointInTime,
    });
    db_options
}

fn family_options(options: &Options, cache: &Cache) -> rocksdb::Options {
    let mut table_options = BlockBasedOptions::default();
    table_options.set_block_cache(cache);
    table_options.set_bloom_filter(10.0, false);
    let mut family_options = rocksdb::Options::default();
    family_options.set_block_based_table_factory(&table_options);
    family_options.set_write_buffer_size(options.write_buffer_bytes);
    family_options.set_max_write_buffer_number(2);
    family_options.set_compression_type(DBCompressionType::Lz4);
    family_options
}

fn open_error(path: &Path, error: &rocksdb::Error) -> EngineError {
    let reason = error.to_string();
    let path = path.to_owned();
    // RocksDB has no code of its own for a held lock, only these words about its file LOCK.
    if error.kind() == ErrorKind::IOError && reason.contains("/LOCK") && reason.contains("lock ") {
        return EngineError::InUse { path };
    }
    match error.kind() {
        ErrorKind::Corruption => EngineError::Damaged {
            reason: format!("{}: {reason}", path.display()),
        },
        _ if reason.contains(NO_SPACE) => EngineError::DiskFull {
            reason: format!("{}: {reason}", path.display()),
        },
        _ => EngineError::Open { path, reason },
    }
}

fn read_write_error(path: &Path, error: &rocksdb::Error) -> EngineError {
    let reason = format!("{}: {error}", path.display());
    match error.kind() {
        ErrorKind::Corruption => EngineError::Damaged { reason },
        _ if reason.contains(NO_SPACE) => EngineError::DiskFull { reason },
        _ => EngineError::Io { reason },
    }
}

#[cfg(test)]
#[path = "rocks_fault_tests.rs"]
mod fault_tests;
#[cfg(test)]
#[path = "rocks_tests.rs"]
mod tests;
