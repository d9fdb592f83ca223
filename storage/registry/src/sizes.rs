//! How many bytes the records have together: known after each command, without writing them all out.

use std::collections::HashMap;

/// Of each record the bytes of its key and value as they are written, and the sum.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    values: HashMap<Vec<u8>, usize>,
    total: usize,
}

impl Sizes {
    /// The record at `key` is `value` bytes long now.
    pub(crate) fn put(&mut self, key: Vec<u8>, value: usize) {
        let size = key.len() + value;
        self.total += size;
        self.total -= self.values.insert(key, size).unwrap_or(0);
    }

    pub(crate) fn delete(&mut self, key: &[u8]) {
        self.total -= self.values.remove(key).unwrap_or(0);
    }

    pub(crate) fn total(&self) -> usize {
        self.total
    }
}
