//! Owns what crosses the socket by which clients reach a container's standard streams: who greets how, frames, and the
//! bounds that keep one client from holding up the container or its shim. It opens nothing.
//!
//! The shim of a container that has a terminal or is a session listens on `<runtime dir>/io`. A client says with its
//! first byte what it comes for ([`Greeting`]); what follows, both ways, is frames of
//! `kind: u8, length: u32 LE, bytes`. The same agent wrote both programs, so there is no version: orders that a shim
//! does not know it refuses when it is launched.

use std::time::{Duration, Instant};

/// The name of the socket in a container's runtime directory.
pub const SOCKET_FILE: &str = "io";

/// The most bytes a frame carries.
pub const MAX_FRAME_BYTES: usize = 16 << 10;

/// Bytes of a frame before what it carries.
pub const HEAD_BYTES: usize = 5;

/// How standard streams are kept for clients that attach to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switchboard {
    /// The streams are one terminal; else three pipes.
    pub terminal: Option<Terminal>,
    /// The container is there for one client ([`Greeting::Session`]): it waits for it, ends with it, and what it says
    /// is told only to it. Else all output is also in the sandbox's files.
    pub is_session: bool,
}

impl Switchboard {
    /// As it crosses: whether it is a session, then, where there is a terminal, its size, if known.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.is_session)];
        if let Some(terminal) = self.terminal {
            bytes.push(u8::from(terminal.size.is_some()));
            bytes.extend(terminal.size.into_iter().flat_map(WindowSize::to_bytes));
        }
        bytes
    }

    /// `None`: these are not what [`Self::to_bytes`] made.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&session, terminal) = bytes.split_first()?;
        let terminal = match terminal {
            [] => None,
            [0] => Some(Terminal { size: None }),
            [1, size @ ..] => Some(Terminal {
                size: Some(WindowSize::from_bytes(size)?),
            }),
            _ => return None,
        };
        (session <= 1).then_some(Self {
            terminal,
            is_session: session == 1,
        })
    }
}

/// A terminal to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// Unknown until a client tells.
    pub size: Option<WindowSize>,
}

/// Of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSize {
    pub rows: u16,
    pub columns: u16,
}

impl WindowSize {
    /// As it crosses.
    pub fn to_bytes(self) -> [u8; 4] {
        let ([a, b], [c, d]) = (self.rows.to_le_bytes(), self.columns.to_le_bytes());
        [a, b, c, d]
    }

    /// `None`: these are not what [`Self::to_bytes`] made.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, d] = bytes else { return None };
        Some(Self {
            rows: u16::from_le_bytes([a, b]),
            columns: u16::from_le_bytes([c, d]),
        })
    }
}

/// What a client comes for: its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Greeting {
    /// Reads what the container says from now on.
    Output = b'O',
    /// As output, and the container ends when this client does.
    Session = b'S',
    /// Writes to the container's standard input. One at a time; ends with the client's own writing side.
    Input = b'I',
}

impl Greeting {
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Output, Self::Session, Self::Input]
            .into_iter()
            .find(|greeting| *greeting as u8 == byte)
    }
}

/// What a frame means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// To the container. Nothing in it: the end of its standard input, unless that is a terminal.
    Stdin = 1,
    /// The terminal's new size: [`WindowSize::to_bytes`].
    Window = 2,
    /// From the container.
    Stdout = 3,
    Stderr = 4,
    /// All input was given to the container, or it has ended.
    Done = 5,
    /// Another client writes to the container.
    Busy = 6,
    /// The container reads no more; carries `errno` as i32 LE.
    Broken = 7,
    /// The size could not be changed; carries `errno` as i32 LE.
    Unsized = 8,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Stdin,
        Self::Window,
        Self::Stdout,
        Self::Stderr,
        Self::Done,
        Self::Busy,
        Self::Broken,
        Self::Unsized,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A frame as bytes.
///
/// # Panics
/// If it is to carry more than [`MAX_FRAME_BYTES`].
pub fn frame(kind: Kind, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() <= MAX_FRAME_BYTES, "a frame has its bound");
    let length = u32::try_from(bytes.len()).expect("the bound is far below 4 GiB");
    let mut framed = Vec::with_capacity(HEAD_BYTES + bytes.len());
    framed.push(kind as u8);
    framed.extend_from_slice(&length.to_le_bytes());
    framed.extend_from_slice(bytes);
    framed
}

/// The other side does not speak in frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what came over the container's socket is no frame; agent and shim must be of one release")]
pub struct NoFrame;

/// Finds frames in bytes as they arrive; holds one frame and what was fed after it.
#[derive(Debug, Default)]
pub struct Decoder {
    buffered: Vec<u8>,
}

impl Decoder {
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffered.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    pub fn take(&mut self) -> Result<Option<(Kind, Vec<u8>)>, NoFrame> {
        let Some((&[kind, a, b, c, d], rest)) = self.buffered.split_first_chunk::<HEAD_BYTES>()
        else {
            return Ok(None);
        };
        let kind = Kind::from_byte(kind).ok_or(NoFrame)?;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > MAX_FRAME_BYTES {
            return Err(NoFrame);
        }
        let Some(bytes) = rest.get(..length).map(<[u8]>::to_vec) else {
            return Ok(None);
        };
        self.buffered.drain(..HEAD_BYTES + length);
        Ok(Some((kind, bytes)))
    }
}

/// What one client has not taken yet: at most one frame, because nothing more is read of the container before all have
/// taken the last one.
#[derive(Debug, Default)]
pub struct Outbox {
    pending: Vec<u8>,
    since: Option<Instant>,
}

impl Outbox {
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub fn pending(&self) -> &[u8] {
        &self.pending
    }

    /// Keeps what the client did not take at once.
    pub fn keep(&mut self, rest: &[u8], now: Instant) {
        self.pending.extend_from_slice(rest);
        if !self.pending.is_empty() {
            self.since.get_or_insert(now);
        }
    }

    /// The client has taken so many bytes.
    pub fn took(&mut self, bytes: usize) {
        self.pending.drain(..bytes.min(self.pending.len()));
        if self.pending.is_empty() {
            self.since = None;
            self.pending.shrink_to(0);
        }
    }

    /// When the client has held up the container for too long. Taking a little does not put it off: who takes less
    /// than a frame in that time is as good as dead.
    pub fn cut_at(&self, patience: Duration) -> Option<Instant> {
        self.since.map(|since| since + patience)
    }
}

#[cfg(test)]
#[path = "switchboard_tests.rs"]
mod tests;
