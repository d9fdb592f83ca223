//! Owns looking at a container from where it is: sockets in the network it has.

use crate::process::ProcessId;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket as new_socket};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

/// A TCP socket, which does not block, in the network of a process. Blocks for a moment.
///
/// # Errors
/// The process is gone, or this one has no right to enter its network.
pub fn socket(process: ProcessId, v6: bool) -> io::Result<OwnedFd> {
    let network = File::open(format!("/proc/{}/ns/net", process.pid))?;
    // Asked after it is open: its number may have gone to another.
    if !process.exists() {
        return Err(io::Error::other("it does not run"));
    }
    let family = match v6 {
        true => AddressFamily::Inet6,
        false => AddressFamily::Inet,
    };
    // A thread of its own enters the network, and ends there.
    let made = std::thread::Builder::new().spawn(move || {
        setns(&network, CloneFlags::CLONE_NEWNET)?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        Ok(new_socket(family, SockType::Stream, flags, None)?)
    })?;
    let made = made.join();
    made.unwrap_or_else(|_| Err(io::Error::other("the thread that made a socket panicked")))
}
