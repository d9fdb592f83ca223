//! Which files the cache holds, and which make way for others: the least recently used first, and none that somebody reads
//! or writes (Mesos: `FetcherProcess::Cache`). Pure.

use std::collections::BTreeMap;

/// Whose file it is, and of which URI: nobody is given what another user was allowed to read.
pub(super) type Key = (Option<String>, String);

/// The number in the name of a file: none is used twice.
pub(super) type Serial = u64;

#[derive(Debug)]
pub(super) struct Table {
    capacity: u64,
    used: u64,
    entries: BTreeMap<Key, Entry>,
    /// Grows with each use.
    uses: u64,
    serials: Serial,
}

#[derive(Debug)]
struct Entry {
    serial: Serial,
    /// Reserved, or taken when it is whole.
    bytes: u64,
    is_whole: bool,
    holders: u32,
    last_use: u64,
}

/// What is known of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is held for who asked, until [`Table::release`].
    Whole { serial: Serial },
    /// Somebody is fetching it.
    Coming,
    /// Who asked is to fetch it, and to say how that ended: [`Table::complete`] or [`Table::remove`].
    Wanted { serial: Serial },
}

impl Table {
    pub(super) fn new(capacity: u64) -> Self {
        Self {
            capacity,
            used: 0,
            entries: BTreeMap::new(),
            uses: 0,
            serials: 0,
        }
    }

    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    pub(super) fn used(&self) -> u64 {
        self.used
    }

    pub(super) fn find(&mut self, key: &Key) -> Found {
        self.uses += 1;
        if let Some(entry) = self.entries.get_mut(key) {
            if !entry.is_whole {
                return Found::Coming;
            }
            entry.last_use = self.uses;
            entry.holders += 1;
            let serial = entry.serial;
            return Found::Whole { serial };
        }
        self.serials += 1;
        let entry = Entry {
            serial: self.serials,
            bytes: 0,
            is_whole: false,
            holders: 1,
            last_use: self.uses,
        };
        self.entries.insert(key.clone(), entry);
        Found::Wanted {
            serial: self.serials,
        }
    }

    /// Makes room for a file that is to be fetched. Says which files are to be removed for it; `None` if it does not fit:
    /// then nothing changes.
    pub(super) fn reserve(&mut self, key: &Key, bytes: u64) -> Option<Vec<Serial>> {
        let free = self.capacity - self.used;
        let mut missing = bytes.saturating_sub(free);
        let mut idle: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, it)| it.holders == 0)
            .collect();
        idle.sort_by_key(|(_, entry)| entry.last_use);
        let mut victims = Vec::new();
        let mut idle = idle.into_iter();
        while missing > 0 {
            let (key, entry) = idle.next()?;
            missing = missing.saturating_sub(entry.bytes);
            victims.push((key.clone(), entry.serial));
        }
        for (key, serial) in &victims {
            self.remove(key, *serial);
        }
        self.used += bytes;
        if let Some(entry) = self.entries.get_mut(key) {
            entry.bytes = bytes;
        }
        Some(victims.into_iter().map(|(_, serial)| serial).collect())
    }

    /// The file is whole; who fetched it holds it.
    pub(super) fn complete(&mut self, key: &Key) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.is_whole = true;
        }
    }

    pub(super) fn is_whole(&self, key: &Key) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.is_whole)
    }

    /// One more holds it.
    pub(super) fn hold(&mut self, key: &Key, serial: Serial) {
        if let Some(entry) = self.of(key, serial) {
            entry.holders += 1;
        }
    }

    pub(super) fn release(&mut self, key: &Key, serial: Serial) {
        if let Some(entry) = self.of(key, serial) {
            entry.holders = entry.holders.saturating_sub(1);
        }
    }

    /// It could not be fetched, or is not what it was. Whoever holds it goes on with what he has opened.
    pub(super) fn remove(&mut self, key: &Key, serial: Serial) {
        if self.of(key, serial).is_some()
            && let Some(entry) = self.entries.remove(key)
        {
            self.used -= entry.bytes;
        }
    }

    fn of(&mut self, key: &Key, serial: Serial) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(key);
        entry.filter(|entry| entry.serial == serial)
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
