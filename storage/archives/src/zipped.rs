//! Owns zip archives: stored, deflated, or compressed with bzip2.

use std::{
    io::{self, Read, Seek},
    path::Path,
};

use zip::{
    ZipArchive,
    read::{ArchiveOffset, Config},
    result::ZipError,
};

use crate::{
    ArchiveError, FILE_MODE, Gauge, ends,
    tree::{Tree, inner_path, refused},
};

/// What the table of an archive may take; all of it is kept in memory.
const MAX_TABLE_BYTES: u64 = 16 << 20;
/// The least that an entry takes in the table.
const MIN_ENTRY_BYTES: u64 = 46;
const DIRECTORY_MODE: u32 = 0o755;
const MAX_LINK_BYTES: u64 = 4096;

pub(crate) fn unpack(mut from: impl Read + Seek, tree: &mut Tree<'_>) -> Result<(), ArchiveError> {
    let most = tree.most_entries().min(MAX_TABLE_BYTES / MIN_ENTRY_BYTES);
    let told = ends::told(&mut from).map_err(ArchiveError::Read)?;
    if told.entries > most {
        return Err(ArchiveError::Entries(most));
    }
    if told.table_bytes > MAX_TABLE_BYTES {
        let error = format!(
            "its table has {} bytes; the most are {MAX_TABLE_BYTES}",
            told.table_bytes
        );
        return Err(ArchiveError::Read(io::Error::other(error)));
    }
    // What was looked at must be what is read: where there are records of 64 bits, none is searched for.
    let archive_offset = match told.is_long {
        true => ArchiveOffset::Known(0),
        false => ArchiveOffset::Detect,
    };
    let gauge = Gauge::new(from);
    let allowance = gauge.allowance();
    allowance.bytes(MAX_TABLE_BYTES);
    let mut archive = ZipArchive::with_config(Config { archive_offset }, gauge).map_err(read)?;
    allowance.file();
    // A name that comes again counts once: the last one.
    for index in 0..archive.len() {
        tree.enter()?;
        let mut entry = archive.by_index(index).map_err(read)?;
        let path = inner_path(entry.name_raw())?;
        let mode = entry.unix_mode();
        if entry.is_dir() {
            tree.directory(&path, mode.unwrap_or(DIRECTORY_MODE))?;
        } else if entry.is_symlink() {
            tree.symlink(&path, &target(&mut entry, &path)?)?;
        } else {
            tree.file(&path, mode.unwrap_or(FILE_MODE), None, &mut entry)?;
        }
    }
    Ok(())
}

/// What a link holds is where it leads.
fn target(entry: &mut impl Read, path: &Path) -> Result<Vec<u8>, ArchiveError> {
    let mut target = Vec::new();
    let count = entry.take(MAX_LINK_BYTES).read_to_end(&mut target);
    match count.map_err(ArchiveError::Read)? as u64 == MAX_LINK_BYTES {
        true => Err(refused(path, "is a link to nothing")),
        false => Ok(target),
    }
}

fn read(error: ZipError) -> ArchiveError {
    ArchiveError::Read(match error {
        ZipError::Io(error) => error,
        other => io::Error::other(other),
    })
}
