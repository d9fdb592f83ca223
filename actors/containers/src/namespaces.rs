//! Owns which namespaces of the kernel's a command has for itself, and their bytes within the launch spec. Pure.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What a command shares with nobody but its descendants. The default shares all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// Process ids: it sees and reaches no process but its own, and `/proc` tells of no other.
    pub pids: bool,
    /// System V objects and POSIX message queues, and `/dev/shm` unless that is the machine's.
    pub ipc: bool,
    /// The names of the machine: what sets them changes them for the command alone.
    pub names: bool,
    /// Process ids are those of the container around it.
    pub outer_pids: bool,
    /// So are System V objects, message queues and `/dev/shm`.
    pub outer_ipc: bool,
    /// `/dev/shm` is the machine's, also where the root file system is not.
    pub machine_shm: bool,
    /// How much `/dev/shm` holds; `None` is the kernel's choice, half of the memory.
    pub shm_bytes: Option<u64>,
    /// What the machine is called where `names` are the command's own; `None` leaves it.
    pub hostname: Option<OsString>,
}

/// Users of the machine that those of a container are: its user 0 is `first`, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserRange {
    pub first: u32,
    pub count: u32,
}

impl UserRange {
    /// `None` for a range that holds the machine's root, none, or a number that is nobody's.
    pub fn new(first: u32, count: u32) -> Option<Self> {
        let end = first.checked_add(count)?;
        (first > 0 && count > 0 && end < u32::MAX).then_some(Self { first, count })
    }

    /// `first: u32 LE, count: u32 LE`.
    pub fn to_bytes(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.first.to_le_bytes());
        bytes[4..].copy_from_slice(&self.count.to_le_bytes());
        bytes
    }

    /// What [`UserRange::to_bytes`] made; `None` if it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let ([first, count], []) = bytes.as_chunks::<4>() else {
            return None;
        };
        Self::new(u32::from_le_bytes(*first), u32::from_le_bytes(*count))
    }
}

const PIDS: u8 = 1;
const IPC: u8 = 2;
const NAMES: u8 = 4;
const MACHINE_SHM: u8 = 8;
const OUTER_PIDS: u8 = 16;
const OUTER_IPC: u8 = 32;
const KNOWN: u8 = PIDS | IPC | NAMES | MACHINE_SHM | OUTER_PIDS | OUTER_IPC;

impl Namespaces {
    /// Whether the command needs mounts of its own where it has no root of its own.
    pub fn need_mounts(&self) -> bool {
        self.pids || self.ipc || self.shares_outer()
    }

    /// Whether any is that of the container around it.
    pub fn shares_outer(&self) -> bool {
        self.outer_pids || self.outer_ipc
    }

    /// `flags: u8, shm bytes: u64 LE (0: the kernel's choice), hostname`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let flags = [
            (self.pids, PIDS),
            (self.ipc, IPC),
            (self.names, NAMES),
            (self.machine_shm, MACHINE_SHM),
            (self.outer_pids, OUTER_PIDS),
            (self.outer_ipc, OUTER_IPC),
        ];
        let flags = flags.iter().filter(|(is_set, _)| *is_set);
        let mut bytes = vec![flags.fold(0, |all, (_, flag)| all | flag)];
        bytes.extend_from_slice(&self.shm_bytes.unwrap_or(0).to_le_bytes());
        bytes.extend_from_slice(self.hostname.as_deref().unwrap_or_default().as_bytes());
        bytes
    }

    /// What [`Namespaces::to_bytes`] made; `None` if it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&flags, rest) = bytes.split_first()?;
        let (shm, hostname) = rest.split_first_chunk::<8>()?;
        (flags & !KNOWN == 0).then(|| Self {
            pids: flags & PIDS != 0,
            ipc: flags & IPC != 0,
            names: flags & NAMES != 0,
            machine_shm: flags & MACHINE_SHM != 0,
            outer_pids: flags & OUTER_PIDS != 0,
            outer_ipc: flags & OUTER_IPC != 0,
            shm_bytes: Some(u64::from_le_bytes(*shm)).filter(|bytes| *bytes > 0),
            hostname: (!hostname.is_empty()).then(|| OsString::from_vec(hostname.to_vec())),
        })
    }
}

#[cfg(test)]
#[path = "namespaces_tests.rs"]
mod tests;
