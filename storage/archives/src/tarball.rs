//! Owns tar archives, of all forms that the library knows.

use std::{io, io::Read};

use tar::EntryType;

use crate::{
    ArchiveError, Gauge,
    tree::{Tree, inner_path, refused},
};

pub(crate) fn unpack(plain: impl Read, tree: &mut Tree<'_>) -> Result<(), ArchiveError> {
    let gauge = Gauge::new(plain);
    let allowance = gauge.allowance();
    let mut archive = tar::Archive::new(gauge);
    let mut entries = archive.entries().map_err(ArchiveError::Read)?;
    loop {
        allowance.header();
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(ArchiveError::Read)?;
        tree.enter()?;
        allowance.file();
        take(&mut entry, tree)?;
        // What was left out is read here, not while the next header is looked for.
        skip(&mut entry, tree)?;
    }
    // To the end: only there a compressed file tells whether it is whole.
    allowance.file();
    skip(&mut archive.into_inner(), tree)
}

fn take<R: Read>(entry: &mut tar::Entry<'_, R>, tree: &mut Tree<'_>) -> Result<(), ArchiveError> {
    let kind = entry.header().entry_type();
    if matches!(kind, EntryType::XGlobalHeader | EntryType::XHeader) {
        return Ok(());
    }
    let path = inner_path(&entry.path_bytes())?;
    let mode = entry.header().mode().map_err(ArchiveError::Read)?;
    let link = || entry.link_name_bytes().unwrap_or_default().into_owned();
    match kind {
        EntryType::Directory => tree.directory(&path, mode),
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            let modified = entry.header().mtime().ok();
            tree.file(&path, mode, modified, entry)
        }
        EntryType::Symlink => tree.symlink(&path, &link()),
        EntryType::Link => tree.link(&path, &link()),
        EntryType::Char | EntryType::Block | EntryType::Fifo => Err(refused(
            &path,
            "is a device or a pipe, which no archive may bring",
        )),
        _ => Err(refused(&path, "is of a kind that no file system has")),
    }
}

fn skip(from: &mut impl Read, tree: &mut Tree<'_>) -> Result<(), ArchiveError> {
    let mut piece = [0; 16 << 10];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => tree.spend(count as u64)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ArchiveError::Read(error)),
        }
    }
}
