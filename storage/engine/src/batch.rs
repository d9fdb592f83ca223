//! A set of changes that lands wholly or not at all, whichever engine it is given to.

use crate::keys::{Family, KeyRange};

/// One change. They take effect in the order they were added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    Put {
        family: Family,
        key: Vec<u8>,
        value: Vec<u8>,
    },
    Delete {
        family: Family,
        key: Vec<u8>,
    },
    DeleteRange {
        family: Family,
        range: KeyRange,
    },
}

/// Changes that are applied atomically, in order. Later operations win over earlier ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    operations: Vec<Operation>,
}

impl Batch {
    /// An empty batch. Writing it is allowed and, when synced, makes all earlier writes durable.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, family: Family, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.operations.push(Operation::Put {
            family,
            key: key.into(),
            value: value.into(),
        });
    }

    /// Removes `key`; removing an absent key is no error.
    pub fn delete(&mut self, family: Family, key: impl Into<Vec<u8>>) {
        self.operations.push(Operation::Delete {
            family,
            key: key.into(),
        });
    }

    /// Removes every key of `range`. Leaves a range tombstone that slows reads until compaction: for rare use.
    pub fn delete_range(&mut self, family: Family, range: KeyRange) {
        if !range.is_empty() {
            self.operations
                .push(Operation::DeleteRange { family, range });
        }
    }

    /// The changes, oldest first.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// How many operations it holds.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }
}
