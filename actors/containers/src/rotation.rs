//! Owns the bounds of a command's output: how large its files may grow, and how many earlier ones stay.

use std::ffi::{OsStr, OsString};

const BOUND_BYTES: usize = 9;

/// The bounds of the files of standard output and error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    pub stdout: Bound,
    pub stderr: Bound,
}

/// A file that reaches its bound becomes `<name>.1`, that one `<name>.2` and so on; the one beyond the last is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Of one file; at least 1.
    pub max_bytes: u64,
    /// How many earlier files stay.
    pub kept: u8,
}

impl Rotation {
    /// As it crosses to the shim.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let bounds = [self.stdout, self.stderr];
        let bytes = bounds.map(|it| [&it.max_bytes.to_le_bytes()[..], &[it.kept]].concat());
        bytes.concat()
    }

    /// `None`: these are not what [`Self::to_bytes`] made.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let ([stdout, stderr], []) = bytes.as_chunks::<BOUND_BYTES>() else {
            return None;
        };
        let bound = |bytes: &[u8; BOUND_BYTES]| {
            let (max_bytes, kept) = bytes.split_first_chunk::<8>()?;
            let max_bytes = u64::from_le_bytes(*max_bytes);
            (max_bytes > 0).then_some(Bound {
                max_bytes,
                kept: kept[0],
            })
        };
        Some(Self {
            stdout: bound(stdout)?,
            stderr: bound(stderr)?,
        })
    }
}

/// The name of the earlier file of that number, counted from 1.
pub fn earlier(name: &OsStr, number: u8) -> OsString {
    let mut earlier = name.to_owned();
    earlier.push(format!(".{number}"));
    earlier
}
