//! What clients are told, as records. Sans-I/O.
//!
//! Owns the numbers of ZooKeeper's errors (`KeeperException.Code`) and events (`Watcher.Event.EventType`), and the layouts
//! of `ConnectResponse`, `ReplyHeader`, `Stat`, `WatcherEvent` and the records that follow a header.

use bytes::{BufMut, Bytes, BytesMut};

use crate::jute::{put_buffer, put_string, put_strings};

/// The number of what no request asked for.
const EVENT_XID: i32 = -1;
/// `Watcher.Event.KeeperState.SyncConnected`.
const SYNC_CONNECTED: i32 = 3;
/// `ZooDefs.Perms.READ`.
const READ: i32 = 1;
pub(crate) const PASSWORD_BYTES: usize = 16;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    /// The record is not whole.
    Marshalling = -5,
    Unimplemented = -6,
    /// A path or a number of watches beyond this endpoint's limits.
    BadArguments = -8,
    NoNode = -101,
    AuthFailed = -115,
    /// What ZooKeeper in its own read-only mode answers to a write. Clients do not try again, and do not look for credentials as
    /// they would after NOAUTH.
    NotReadOnly = -119,
    NoWatcher = -121,
}

/// What became of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum EventKind {
    Created = 1,
    Deleted = 2,
    DataChanged = 3,
    ChildrenChanged = 4,
}

/// A node's statistics, in the order of the record. Times in milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stat {
    /// The state in which it was created.
    pub czxid: i64,
    /// The state in which its data last changed.
    pub mzxid: i64,
    pub ctime_ms: i64,
    pub mtime_ms: i64,
    /// Changes of its data.
    pub version: i32,
    /// Changes of its children.
    pub cversion: i32,
    /// The session it vanishes with; 0 for a node that stays.
    pub ephemeral_owner: i64,
    pub data_length: i32,
    pub num_children: i32,
    /// The state in which its children last changed.
    pub pzxid: i64,
}

/// What a read finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Stat(Stat),
    Data(Bytes, Stat),
    Children(Vec<String>),
    Children2(Vec<String>, Stat),
}

/// What follows a header without an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    Empty,
    Found(Found),
    Many(Vec<Result<Found, Code>>),
    /// Anybody may read, nobody may write.
    Acl(Stat),
    Path(String),
}

/// One thing to write to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// A session, or, where `session` is 0, none: the one asked for is unknown here.
    Connected {
        timeout_ms: i32,
        session: i64,
        password: [u8; PASSWORD_BYTES],
        /// Whether the client knows of read-only mode.
        tells_mode: bool,
    },
    Reply {
        xid: i32,
        zxid: i64,
        result: Result<Body, Code>,
    },
    Event {
        kind: EventKind,
        path: String,
    },
    /// The answer to a command of four letters; no frame.
    Text(String),
}

impl Outgoing {
    /// Whether it is the one answer to something that the client sent.
    pub(crate) fn is_answer(&self) -> bool {
        !matches!(self, Outgoing::Event { .. })
    }

    /// Appends it, framed.
    pub fn put(&self, to: &mut BytesMut) {
        if let Outgoing::Text(text) = self {
            return to.put_slice(text.as_bytes());
        }
        let start = to.len();
        to.put_i32(0);
        self.put_record(to);
        let length = to.len() - start - 4;
        let length = i32::try_from(length).expect("an answer is bounded far below 2 GiB");
        to[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    fn put_record(&self, to: &mut BytesMut) {
        match self {
            Outgoing::Connected {
                timeout_ms,
                session,
                password,
                tells_mode,
            } => {
                to.put_i32(0);
                to.put_i32(*timeout_ms);
                to.put_i64(*session);
                put_buffer(to, password);
                if *tells_mode {
                    // In read-only mode clients would go on looking for another server.
                    to.put_u8(0);
                }
            }
            Outgoing::Reply { xid, zxid, result } => {
                put_header(to, *xid, *zxid, result.as_ref().err().copied());
                if let Ok(body) = result {
                    body.put(to);
                }
            }
            Outgoing::Event { kind, path } => {
                put_header(to, EVENT_XID, -1, None);
                to.put_i32(*kind as i32);
                to.put_i32(SYNC_CONNECTED);
                put_string(to, path);
            }
            Outgoing::Text(_) => unreachable!("a text has no frame"),
        }
    }
}

fn put_header(to: &mut BytesMut, xid: i32, zxid: i64, error: Option<Code>) {
    to.put_i32(xid);
    to.put_i64(zxid);
    to.put_i32(error.map_or(0, |code| code as i32));
}

impl Body {
    fn put(&self, to: &mut BytesMut) {
        match self {
            Body::Empty => {}
            Body::Found(found) => found.put(to),
            Body::Many(results) => put_many(to, results),
            Body::Acl(stat) => {
                to.put_i32(1);
                to.put_i32(READ);
                put_string(to, "world");
                put_string(to, "anyone");
                stat.put(to);
            }
            Body::Path(path) => put_string(to, path),
        }
    }
}

/// Each result behind a header (`MultiHeader`), and a header that is the end.
fn put_many(to: &mut BytesMut, results: &[Result<Found, Code>]) {
    let header = |to: &mut BytesMut, operation: i32, is_end: bool, error: i32| {
        to.put_i32(operation);
        to.put_u8(u8::from(is_end));
        to.put_i32(error);
    };
    for result in results {
        match result {
            Ok(found) => {
                header(to, found.operation(), false, 0);
                found.put(to);
            }
            Err(code) => {
                header(to, -1, false, *code as i32);
                to.put_i32(*code as i32);
            }
        }
    }
    header(to, -1, true, -1);
}

impl Found {
    fn operation(&self) -> i32 {
        match self {
            Found::Stat(_) => 3,
            Found::Data(..) => 4,
            Found::Children(_) => 8,
            Found::Children2(..) => 12,
        }
    }

    fn put(&self, to: &mut BytesMut) {
        match self {
            Found::Stat(stat) => stat.put(to),
            Found::Data(data, stat) => {
                put_buffer(to, data);
                stat.put(to);
            }
            Found::Children(names) => put_strings(to, names),
            Found::Children2(names, stat) => {
                put_strings(to, names);
                stat.put(to);
            }
        }
    }
}

impl Stat {
    fn put(&self, to: &mut BytesMut) {
        for long in [self.czxid, self.mzxid, self.ctime_ms, self.mtime_ms] {
            to.put_i64(long);
        }
        // The third counts changes of the access list, of which there are none.
        for int in [self.version, self.cversion, 0] {
            to.put_i32(int);
        }
        to.put_i64(self.ephemeral_owner);
        to.put_i32(self.data_length);
        to.put_i32(self.num_children);
        to.put_i64(self.pzxid);
    }
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
