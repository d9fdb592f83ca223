//! Owns what is known of one image on its way into the store: the layers that are held for it, what it may still bring,
//! and whether anybody waits for it.

use crate::images::holds::{Hold, Holds};
use crate::images::reference::Digest;
use crate::images::unpack::{Bounds, UnpackError};
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the headers of an archive may have for each entry, and for all together: long names, attributes, padding.
const HEADER_BYTES: u64 = 2 << 10;
const HEADERS_BYTES: u64 = 4 << 20;

/// Of who waits for an image: when it is dropped, what takes the image fails at its next step.
#[derive(Debug, Default)]
pub struct Waiting {
    is_over: Arc<AtomicBool>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// One image that is being taken. Its layers stay until this is dropped.
#[derive(Debug)]
pub struct Taking {
    held: Vec<Hold>,
    bounds: Bounds,
    entries_left: u64,
    bytes_left: u64,
    is_over: Arc<AtomicBool>,
}

impl Taking {
    /// Bounded for all layers together, and wanted while `waiting` lives.
    pub fn new(bounds: Bounds, waiting: &Waiting) -> Self {
        Self {
            held: Vec::new(),
            bounds,
            entries_left: bounds.entries,
            bytes_left: bounds.bytes,
            is_over: Arc::clone(&waiting.is_over),
        }
    }

    /// Holds layers, before it is looked whether they are there. Blocks for a moment.
    pub(crate) fn hold<'a>(&mut self, holds: &Holds, layers: impl IntoIterator<Item = &'a Digest>) {
        let digits: BTreeSet<String> = layers.into_iter().map(|it| it.hex().to_owned()).collect();
        self.held.push(holds.hold(digits));
    }

    /// As [`Taking::hold`], from where nothing may block.
    pub(crate) async fn hold_later(&mut self, holds: &Holds, layers: &[Digest]) {
        let digits: BTreeSet<String> = layers.iter().map(|it| it.hex().to_owned()).collect();
        let holds = holds.clone();
        // It fails only while the runtime shuts down.
        if let Ok(held) = tokio::task::spawn_blocking(move || holds.hold(digits)).await {
            self.held.push(held);
        }
    }

    /// What all files that are still to come may have together.
    pub(crate) fn bytes_left(&self) -> u64 {
        self.bytes_left
    }

    /// Counts bytes of files.
    pub(crate) fn spend(&mut self, bytes: u64) -> Result<(), UnpackError> {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.ok_or(UnpackError::Bytes(self.bounds.bytes))?;
        Ok(())
    }

    /// Counts one entry.
    pub(crate) fn enter(&mut self) -> Result<(), UnpackError> {
        let left = self.entries_left.checked_sub(1);
        self.entries_left = left.ok_or(UnpackError::Entries(self.bounds.entries))?;
        Ok(())
    }

    /// Whether the disk of a file has room for more.
    pub(crate) fn room(&self, file: impl AsFd) -> Result<(), UnpackError> {
        let found = rustix::fs::fstatvfs(file).map_err(|errno| UnpackError::Read(errno.into()))?;
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        let floor = self.bounds.free_bytes;
        match free < floor {
            true => Err(UnpackError::Full { free, floor }),
            false => Ok(()),
        }
    }

    /// Something that is read for the image, at most so much of it.
    pub(crate) fn watch<R>(&self, from: R, max_bytes: u64) -> Watched<R> {
        Watched {
            from,
            left: max_bytes,
            is_over: Arc::clone(&self.is_over),
        }
    }

    /// What a plain archive may be long that keeps the bounds.
    pub(crate) fn archive_bytes(&self) -> u64 {
        let headers = self.entries_left.saturating_mul(HEADER_BYTES);
        let headers = headers.saturating_add(HEADERS_BYTES);
        self.bytes_left.saturating_add(headers)
    }
}

/// Fails when nobody waits for it any more, or when it is longer than it may be.
pub(crate) struct Watched<R> {
    from: R,
    left: u64,
    is_over: Arc<AtomicBool>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.is_over.load(Ordering::Relaxed) {
            return Err(io::Error::other("nobody waits for it any more"));
        }
        let count = self.from.read(into)?;
        let left = self.left.checked_sub(count as u64);
        self.left = left.ok_or_else(|| io::Error::other("it is longer than its files may be"))?;
        Ok(count)
    }
}
