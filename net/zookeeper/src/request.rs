//! What clients ask, as records. Sans-I/O.
//!
//! Owns the numbers of ZooKeeper's operations (`ZooDefs.OpCode`) and which of them only read. A request that writes is known by
//! its number alone; its record is not looked at, for the answer is the same.

use crate::jute::{JuteError, Reader};

/// Most paths of one kind that a request may name.
pub const MAX_PATHS: usize = 4_096;
/// Most reads in one request.
pub const MAX_READS: usize = 128;

/// The first frame of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectRequest {
    /// The last state that the client has seen, of whatever server.
    pub last_zxid: i64,
    /// Milliseconds, as wished.
    pub timeout_ms: i32,
    /// 0 for a new session.
    pub session: i64,
    pub password: Vec<u8>,
    /// Clients before 3.4 do not send it, and do not expect it in the answer.
    pub read_only: Option<bool>,
}

impl ConnectRequest {
    /// # Errors
    /// [`JuteError`]: the record is not whole.
    pub fn decode(frame: &[u8]) -> Result<ConnectRequest, JuteError> {
        let mut reader = Reader::new(frame);
        let _protocol_version = reader.int()?;
        Ok(ConnectRequest {
            last_zxid: reader.long()?,
            timeout_ms: reader.int()?,
            session: reader.long()?,
            password: reader.buffer()?.unwrap_or_default().to_vec(),
            read_only: match reader.is_at_end() {
                true => None,
                false => Some(reader.bool()?),
            },
        })
    }
}

/// A read of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    pub kind: ReadKind,
    pub path: String,
    /// Whether the client wants to be told of the next change.
    pub watch: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadKind {
    Exists,
    Data,
    Children,
    /// Children, and the parent's statistics.
    Children2,
}

/// Which watches a client takes back (`Watcher.WatcherType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchSet {
    Children,
    Data,
    Any,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    Ping,
    Read(Read),
    MultiRead(Vec<Read>),
    Acl {
        path: String,
    },
    /// Wait until this server is as far as the leader; the answer is the path.
    Sync {
        path: String,
    },
    Auth {
        scheme: String,
    },
    /// The watches that a client had on its connection before this one.
    SetWatches {
        relative_zxid: i64,
        data: Vec<String>,
        exist: Vec<String>,
        child: Vec<String>,
    },
    /// Take watches back, or only say whether there are any.
    RemoveWatches {
        path: String,
        set: WatchSet,
        only_check: bool,
    },
    Close,
    /// Anything that would change the tree.
    Write,
    /// An operation that is not built, or not known.
    Unknown,
    Malformed,
}

/// A request with the number that its answer repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    pub xid: i32,
    pub request: Request,
}

impl Numbered {
    /// A record that is not whole becomes [`Request::Malformed`]: ZooKeeper answers it and reads on.
    ///
    /// # Errors
    /// [`JuteError`]: not even the header is whole, so that no answer can be numbered.
    pub fn decode(frame: &[u8]) -> Result<Numbered, JuteError> {
        let mut reader = Reader::new(frame);
        let xid = reader.int()?;
        let operation = reader.int()?;
        let request = record(operation, &mut reader).unwrap_or(Request::Malformed);
        Ok(Numbered { xid, request })
    }
}

fn record(operation: i32, reader: &mut Reader<'_>) -> Result<Request, JuteError> {
    if let Some(kind) = read_kind(operation) {
        return read(kind, reader).map(Request::Read);
    }
    Ok(match operation {
        // create, delete, setData, setACL, check, multi, create2, reconfig, createContainer, deleteContainer, createTTL
        1 | 2 | 5 | 7 | 13..=16 | 19..=21 => Request::Write,
        6 => Request::Acl {
            path: reader.string()?.to_owned(),
        },
        9 => Request::Sync {
            path: reader.string()?.to_owned(),
        },
        11 => Request::Ping,
        17 | 18 => Request::RemoveWatches {
            path: reader.string()?.to_owned(),
            set: match reader.int()? {
                1 => WatchSet::Children,
                2 => WatchSet::Data,
                _ => WatchSet::Any,
            },
            only_check: operation == 17,
        },
        22 => Request::MultiRead(reads(reader)?),
        100 => {
            let _type = reader.int()?;
            Request::Auth {
                scheme: reader.string()?.to_owned(),
            }
        }
        101 => Request::SetWatches {
            relative_zxid: reader.long()?,
            data: reader.strings(MAX_PATHS)?,
            exist: reader.strings(MAX_PATHS)?,
            child: reader.strings(MAX_PATHS)?,
        },
        -11 => Request::Close,
        _ => Request::Unknown,
    })
}

fn read_kind(operation: i32) -> Option<ReadKind> {
    Some(match operation {
        3 => ReadKind::Exists,
        4 => ReadKind::Data,
        8 => ReadKind::Children,
        12 => ReadKind::Children2,
        _ => return None,
    })
}

fn read(kind: ReadKind, reader: &mut Reader<'_>) -> Result<Read, JuteError> {
    Ok(Read {
        kind,
        path: reader.string()?.to_owned(),
        watch: reader.bool()?,
    })
}

/// Reads with a header each (`MultiHeader`: operation, whether it is the end, -1), until the header that is the end.
fn reads(reader: &mut Reader<'_>) -> Result<Vec<Read>, JuteError> {
    let mut reads = Vec::new();
    loop {
        let operation = reader.int()?;
        let is_end = reader.bool()?;
        let _error = reader.int()?;
        if is_end {
            return Ok(reads);
        }
        // ZooKeeper takes these two in a bundle, and no other.
        let kind = match operation {
            4 => ReadKind::Data,
            8 => ReadKind::Children,
            other => return Err(JuteError::Length(other)),
        };
        if reads.len() == MAX_READS {
            return Err(JuteError::TooMany {
                found: MAX_READS as i32 + 1,
                limit: MAX_READS,
            });
        }
        reads.push(read(kind, reader)?);
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
