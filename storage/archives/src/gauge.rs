//! Owns reading the headers of archives from strangers without keeping more of them in memory than is sensible.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

/// What may be read between two files: headers, long names, attributes. The reader of archives keeps it in memory.
const MAX_HEADER_BYTES: u64 = 4 << 20;

/// How much may be read at the moment.
#[derive(Clone, Debug)]
pub struct Allowance(Rc<Cell<u64>>);

impl Allowance {
    /// A header comes next.
    pub fn header(&self) {
        self.0.set(MAX_HEADER_BYTES);
    }

    /// So much comes next that is kept in memory.
    pub fn bytes(&self, count: u64) {
        self.0.set(count);
    }

    /// A file comes next, whose bytes others count.
    pub fn file(&self) {
        self.0.set(u64::MAX);
    }
}

/// Reads no more than is allowed at the moment.
#[derive(Debug)]
pub struct Gauge<R> {
    from: R,
    allowance: Allowance,
}

impl<R> Gauge<R> {
    pub fn new(from: R) -> Self {
        let allowance = Allowance(Rc::new(Cell::new(MAX_HEADER_BYTES)));
        Self { from, allowance }
    }

    pub fn allowance(&self) -> Allowance {
        self.allowance.clone()
    }

    pub fn into_inner(self) -> R {
        self.from
    }
}

impl<R: Read> Read for Gauge<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        let left = self.allowance.0.get().checked_sub(count as u64);
        let left = left.ok_or_else(|| io::Error::other("its headers are too long"))?;
        self.allowance.0.set(left);
        Ok(count)
    }
}

impl<R: Seek> Seek for Gauge<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.from.seek(to)
    }
}
