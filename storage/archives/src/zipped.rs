//! Owns zip archives: stored, deflated, or compressed with bzip2.

use std::{
    io::{self, Read, Seek},
    path::Path,
};

use zip::{ZipArchive, result::ZipError};

use crate::{
    ArchiveError, FILE_MODE, Gauge,
    tree::{Tree, inner_path, refused},
};

/// What the table of an archive may take; all of it is kept in memory.
const MAX_TABLE_BYTES: u64 = 64 << 20;
const DIRECTORY_MODE: u32 = 0o755;
const MAX_LINK_BYTES: u64 = 4096;

pub(crate) fn unpack(from: impl Read + Seek, tree: &mut Tree<'_>) -> Result<(), ArchiveError> {
    let gauge = Gauge::new(from);
    let allowance = gauge.allowance();
    allowance.bytes(MAX_TABLE_BYTES);
    let mut archive = ZipArchive::new(gauge).map_err(read)?;
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
