//! The three codecs of the one vocabulary: [`json`], [`protobuf`] and [`msgpack`].
//!
//! Each checks depth and counts before it allocates. [`Limits`] are the bounds.

pub mod json;
mod json_errors;
mod lists;
pub mod msgpack;
pub mod protobuf;
pub(crate) mod read;
mod room;
mod utf8;
pub(crate) mod write;

/// Bounds of what a decoder accepts.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of one encoded message.
    pub bytes: usize,
    /// Nesting of messages, objects and lists.
    pub depth: usize,
    /// Fields, list elements and map entries in all.
    pub items: usize,
    /// Bytes that the elements of all lists take in memory.
    pub memory: usize,
}

impl Limits {
    /// For what arrives over HTTP: 16 MiB, 64 levels, a million items, lists of 64 MiB.
    pub const HTTP: Limits = Limits {
        bytes: 16 << 20,
        depth: 64,
        items: 1_000_000,
        memory: 64 << 20,
    };
    /// For what arrives over the bridge: 16 MiB, 32 levels, a million items, lists of 512 MiB.
    pub const BRIDGE: Limits = Limits {
        bytes: 16 << 20,
        depth: 32,
        items: 1_000_000,
        memory: 512 << 20,
    };
    /// For a registration that an agent says in parts, with all that runs on it: 64 MiB, 32 levels, 8 million items,
    /// lists of 2 GiB.
    pub const REGISTRATION: Limits = Limits {
        bytes: 64 << 20,
        depth: 32,
        items: 8_000_000,
        memory: 2 << 30,
    };
}
