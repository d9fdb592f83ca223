//! The key space on one page: every column family, every prefix, and how keys are spelled.
//!
//! | family       | prefix | then                                       | value                                   |
//! |--------------|--------|--------------------------------------------|-----------------------------------------|
//! | `raft_log`   | `e`    | index                                      | log entry                               |
//! | `raft_meta`  | `h`    |                                            | hard state: term, vote, commit          |
//! | `raft_meta`  | `c`    |                                            | voters and learners                     |
//! | `raft_meta`  | `a`    |                                            | applied index                           |
//! | `raft_meta`  | `t`    |                                            | index and term before the first entry   |
//! | `raft_meta`  | `i`    |                                            | id of the node that owns the directory  |
//! | `raft_meta`  | `n`    |                                            | its name, its disk and its founders     |
//! | `raft_meta`  | `d`    | member id                                  | the disk that member came with          |
//! | `raft_meta`  | `d`    | 0                                          | the disk drawn while it had no owner    |
//! | `raft_meta`  | `k`    | member id                                  | the last entry it acknowledged          |
//! | `registry`   | see `tepui-registry`, `keys.rs`                  || one record each                         |
//! | `checkpoint` | see `tepui-checkpoint`, `keys.rs`                || one record each                         |
//! | `history`    | `c`    | sequence                                   | change                                  |
//!
//! A key is a prefix byte and components whose byte order is their natural order: a number is eight bytes
//! big-endian; a text ends with `00 01`, and a zero byte inside it is written `00 ff`. No key begins with `ff`.

use std::fmt;

/// A column family: a named, separately compacted part of one database.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Family(&'static str);

impl Family {
    /// A family with this name. Names are part of the format on disk.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

/// The entries of the Raft log.
pub const RAFT_LOG: Family = Family::new("raft_log");
/// What Raft keeps beside its log.
pub const RAFT_META: Family = Family::new("raft_meta");
/// The replicated state of the cluster.
pub const REGISTRY: Family = Family::new("registry");
/// What an agent must not forget.
pub const CHECKPOINT: Family = Family::new("checkpoint");
/// The change stream kept for days.
pub const HISTORY: Family = Family::new("history");

/// The families a master opens.
pub const MASTER_FAMILIES: [Family; 4] = [RAFT_LOG, RAFT_META, REGISTRY, HISTORY];
/// The families an agent opens.
pub const AGENT_FAMILIES: [Family; 1] = [CHECKPOINT];

const ESCAPE: u8 = 0x00;
const END_OF_TEXT: u8 = 0x01;
const ZERO_BYTE: u8 = 0xff;

/// Builds a key: a prefix byte, then components in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Key {
    /// Starts a key. `prefix` must be below `0xff`.
    pub fn new(prefix: u8) -> Self {
        debug_assert!(prefix < 0xff, "no key begins with ff");
        Self(vec![prefix])
    }

    /// Adds a number: eight bytes, big-endian.
    pub fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Adds a text of any length and content.
    pub fn text(mut self, text: &str) -> Self {
        for byte in text.bytes() {
            self.0.push(byte);
            if byte == ESCAPE {
                self.0.push(ZERO_BYTE);
            }
        }
        self.0.extend_from_slice(&[ESCAPE, END_OF_TEXT]);
        self
    }

    /// Adds 16 raw bytes, such as a UUID.
    pub fn uuid(mut self, uuid: &[u8; 16]) -> Self {
        self.0.extend_from_slice(uuid);
        self
    }

    /// The bytes so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// All keys that begin with this one.
    pub fn range(&self) -> KeyRange {
        KeyRange::prefix(&self.0)
    }
}

impl From<Key> for Vec<u8> {
    fn from(key: Key) -> Self {
        key.0
    }
}

/// Takes a key apart again. Every method returns `None` when the key has another shape.
#[derive(Debug, Clone, Copy)]
pub struct KeyReader<'a>(&'a [u8]);

impl<'a> KeyReader<'a> {
    /// Reads `key` from its first byte.
    pub fn new(key: &'a [u8]) -> Self {
        Self(key)
    }

    /// Takes the prefix byte.
    pub fn prefix(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Takes a number.
    pub fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }

    /// Takes a text.
    pub fn text(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        let mut at = 0;
        loop {
            match (*self.0.get(at)?, self.0.get(at + 1)) {
                (ESCAPE, Some(&END_OF_TEXT)) => break,
                (ESCAPE, Some(&ZERO_BYTE)) => {
                    bytes.push(ESCAPE);
                    at += 2;
                }
                (ESCAPE, _) => return None,
                (byte, _) => {
                    bytes.push(byte);
                    at += 1;
                }
            }
        }
        self.0 = &self.0[at + 2..];
        String::from_utf8(bytes).ok()
    }

    /// Takes 16 raw bytes.
    pub fn uuid(&mut self) -> Option<[u8; 16]> {
        let (uuid, rest) = self.0.split_first_chunk::<16>()?;
        self.0 = rest;
        Some(*uuid)
    }

    /// Succeeds if nothing is left.
    pub fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// The keys from `from` (included) to `to` (excluded).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    start: Vec<u8>,
    end: Vec<u8>,
}

impl KeyRange {
    /// Every key of a family.
    pub fn all() -> Self {
        Self::between(&[], &[0xff])
    }

    /// The keys from `from` (included) to `to` (excluded).
    pub fn between(from: &[u8], to: &[u8]) -> Self {
        Self {
            start: from.to_vec(),
            end: to.to_vec(),
        }
    }

    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut to = prefix.to_vec();
        while let Some(last) = to.pop() {
            if last < 0xff {
                to.push(last + 1);
                return Self::between(prefix, &to);
            }
        }
        Self::between(prefix, &[0xff])
    }

    /// The first key of the range.
    pub fn start(&self) -> &[u8] {
        &self.start
    }

    /// The first key behind the range.
    pub fn end(&self) -> &[u8] {
        &self.end
    }

    /// Whether no key can be in it.
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// Whether `key` is in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && key < self.end.as_slice()
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
