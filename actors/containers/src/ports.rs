//! Owns finding the ports of the machine at which processes listen for TCP. It decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// `TCP_LISTEN`, as `/proc/net/tcp` writes it.
const LISTENS: &str = "0A";

/// Sockets of this process' network that listen: the port, by the inode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listeners(BTreeMap<u64, u16>);

impl Listeners {
    /// As they are now.
    pub fn read() -> io::Result<Self> {
        let mut listeners = Self::default();
        listeners.add(&std::fs::read_to_string("/proc/self/net/tcp")?);
        // Not there where the kernel has no IPv6.
        if let Ok(table) = std::fs::read_to_string("/proc/self/net/tcp6") {
            listeners.add(&table);
        }
        Ok(listeners)
    }

    /// A table of `proc(5)`: number, local address and port, remote ones, state …, and tenth the inode.
    fn add(&mut self, table: &str) {
        let rows = table.lines().skip(1).filter_map(|row| {
            let words: Vec<&str> = row.split_ascii_whitespace().take(10).collect();
            let [_, local, _, state, .., inode] = words.as_slice() else {
                return None;
            };
            let (_, port) = local.rsplit_once(':')?;
            let port = u16::from_str_radix(port, 16).ok()?;
            (*state == LISTENS && words.len() == 10).then_some((inode.parse().ok()?, port))
        });
        self.0.extend(rows);
    }

    /// The ports at which these processes listen. One that has ended, or may not be looked into, has none.
    pub fn of(&self, processes: impl IntoIterator<Item = u32>) -> BTreeSet<u16> {
        let sockets = processes.into_iter().flat_map(sockets);
        sockets
            .filter_map(|inode| self.0.get(&inode).copied())
            .collect()
    }
}

/// The inodes of all sockets that a process has open.
pub fn sockets(process: u32) -> Vec<u64> {
    let open = std::fs::read_dir(format!("/proc/{process}/fd"));
    let links = open.into_iter().flatten().flatten();
    let links = links.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let inodes = links.filter_map(|link| {
        let name = link.to_str()?.strip_prefix("socket:[")?;
        name.strip_suffix(']')?.parse().ok()
    });
    inodes.collect()
}

#[cfg(test)]
#[path = "ports_tests.rs"]
mod tests;
